//! A password file of users and hashes, as Apache's `htpasswd` writes it and as nginx and the registry read it: [`Entry`].

use std::collections::BTreeMap;

use crate::error::{Error, Place, Result};
use crate::yaml::{Source, Span};

/// One line of a password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub hash: String,
}

/// How long a bcrypt hash is: `$2y$10$`, 22 characters of salt, 31 of hash.
const BCRYPT: usize = 60;
/// The bytes of a password that bcrypt looks at.
const LONGEST: usize = 72;
/// The characters of a hash by the old `crypt`, salt included.
const DES: usize = 13;

impl Entry {
    /// Hashes a password; each step of `cost` doubles the time of a check.
    pub fn new(name: &str, password: &str, cost: u32) -> Result<Self> {
        check_name(name)?;
        if password.len() > LONGEST {
            return Err(Error::new(format!("the password of `{name}` is longer than {LONGEST} bytes"))
                .hint("bcrypt looks at 72 bytes only; choose a shorter one"));
        }
        let hash =
            bcrypt::hash(password, cost).map_err(|error| Error::new(format!("cannot hash a password: {error}")))?;
        Ok(Self { name: name.to_owned(), hash })
    }

    /// Whether this is the user's password.
    pub fn opens(&self, password: &str) -> bool {
        bcrypt::verify(password, &self.hash).unwrap_or_default()
    }

    /// Whether the registry reads this hash: of all that `htpasswd` can write it knows bcrypt alone (distribution,
    /// registry/auth/htpasswd).
    pub fn is_bcrypt(&self) -> bool {
        ["$2a$", "$2b$", "$2y$"].iter().any(|start| self.hash.starts_with(start)) && self.hash.len() == BCRYPT
    }

    /// What made the hash, in the words of the manual pages htpasswd(1) and crypt(5).
    pub fn scheme(&self) -> String {
        let hash = self.hash.as_str();
        if self.is_bcrypt() {
            return format!("bcrypt, cost {}", hash[4..6].trim_start_matches('0'));
        }
        let starts = [
            ("$apr1$", "apr1"),
            ("$1$", "MD5 crypt"),
            ("$5$", "SHA-256 crypt"),
            ("$6$", "SHA-512 crypt"),
            ("{SHA}", "SHA-1"),
        ];
        let known = starts.iter().find(|(start, _)| hash.starts_with(start)).map(|(_, name)| *name);
        let des = hash.len() == DES && hash.chars().all(|c| c.is_ascii_alphanumeric() || "./".contains(c));
        known.unwrap_or(if des { "crypt" } else { "something unknown" }).to_owned()
    }
}

/// Reads a user's name.
///
/// # Errors
/// It is empty, or holds what ends a name or a line in such a file.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if !name.is_empty()
        && !name.starts_with('#')
        && !name.contains(|c: char| c == ':' || c.is_whitespace() || c.is_control())
    {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` cannot be a user's name", name.escape_debug()))
        .hint("a name has no colon, space or line end, and no `#` at its start"))
}

/// Reads a password file; blank lines and comments are passed over.
///
/// # Errors
/// A line that is none of `USER:HASH`, or a user who stands there twice: with its place.
pub(crate) fn read(source: &Source) -> Result<Vec<Entry>> {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let split = line.split_once(':');
        let place = || {
            // The hash is not shown.
            let text = split.map_or_else(|| "…".to_owned(), |(name, _)| format!("{name}:…"));
            let width = text.chars().count();
            Place { text, ..source.place(Span { line: index + 1, column: 1, width }) }
        };
        let Some((name, hash)) = split else {
            return Err(Error::new("a line without a colon").at(place()).hint("each line is `USER:HASH`"));
        };
        // What follows a second colon is a comment, which nginx allows.
        let hash = hash.split(':').next().unwrap_or_default().trim_end();
        let entry = Entry { name: name.to_owned(), hash: hash.to_owned() };
        let cut = hash.is_empty() || (hash.starts_with("$2") && !entry.is_bcrypt());
        if cut || check_name(name).is_err() {
            return Err(Error::new(format!("the entry of `{}` is broken", name.escape_debug())).at(place()).hint(
                "each line is `USER:HASH`, and a hash by bcrypt has 60 characters; give the user a new password",
            ));
        }
        if let Some(first) = lines.insert(name, index + 1) {
            return Err(Error::new(format!("`{name}` stands here twice, first on line {first}"))
                .at(place())
                .hint("keep one of the lines: programs disagree which of them counts"));
        }
        entries.push(entry);
    }
    Ok(entries)
}
