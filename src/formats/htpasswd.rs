//! A password file of users and hashes, as Apache's `htpasswd` writes it and as nginx and the registry read it: [`Entry`].

use std::collections::BTreeMap;

use crate::error::{Error, Place, Result};
use crate::formats::yaml::{Source, Span};

/// One line of a password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub hash: String,
}

/// The highest cost of bcrypt that is taken. nginx checks a password in its event loop (`ngx_http_auth_basic_module`), where
/// everybody else waits meanwhile: about 12 ms at a cost of 8, and each step doubles it.
pub(crate) const HIGHEST_COST: u32 = 8;
/// The fewest characters of a password that is not generated. NIST SP 800-63B (section 5.1.1.2) asks for 8; two more give back
/// many times what the low cost takes away.
const SHORTEST: usize = 10;
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
        self.cost().is_some()
    }

    /// Whether a check of it takes longer than others can wait for.
    pub fn is_costly(&self) -> bool {
        self.cost().is_some_and(|cost| cost > HIGHEST_COST)
    }

    /// The cost of a whole hash by bcrypt: `$2y$10$` and 53 characters.
    fn cost(&self) -> Option<u32> {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|start| self.hash.strip_prefix(start))?;
        let (cost, digest) = rest.split_once('$')?;
        let whole = self.hash.len() == BCRYPT && cost.len() == 2 && digest.chars().all(is_digit);
        cost.parse().ok().filter(|cost| whole && (4..=31).contains(cost))
    }

    /// What made the hash, in the words of the manual pages htpasswd(1) and crypt(5), or what is wrong with it.
    pub fn scheme(&self) -> String {
        let hash = self.hash.as_str();
        if let Some(cost) = self.cost() {
            return format!("bcrypt, cost {cost}");
        }
        let starts = [
            ("$$", "its `$` are doubled, as Compose wants them: write each once"),
            ("$apr1$", "apr1"),
            ("$1$", "MD5 crypt"),
            ("$2x$", "bcrypt of the old, broken form `$2x$`"),
            ("$2", "bcrypt that is cut off or changed: a whole one has 60 characters"),
            ("$5$", "SHA-256 crypt"),
            ("$6$", "SHA-512 crypt"),
            ("$7$", "scrypt"),
            ("$gy$", "gost-yescrypt"),
            ("$y$", "yescrypt"),
            ("{PLAIN}", "no hash, but the password itself: `{PLAIN}`"),
            ("{SHA}", "SHA-1"),
            ("{SSHA}", "salted SHA-1, `{SSHA}`"),
        ];
        let known = starts.iter().find(|(start, _)| hash.starts_with(start)).map(|(_, name)| *name);
        let des = hash.len() == DES && hash.chars().all(is_digit);
        let unknown = match hash {
            "" => "missing",
            _ if des => "crypt",
            _ if hash.starts_with(['$', '{']) => "something unknown",
            _ => "none that is known; perhaps it is the password itself",
        };
        known.unwrap_or(unknown).to_owned()
    }
}

/// Whether it is a digit of the base 64 that crypt(5) writes hashes in.
fn is_digit(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '/'
}

/// Reads a user's name. Both nginx and the registry take blanks within it.
///
/// # Errors
/// It is empty, or holds what ends a name or a line in such a file, or what the registry cuts off.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let whole = name.trim() == name && !name.is_empty();
    if whole && !name.starts_with('#') && !name.contains(|c: char| c == ':' || c.is_control()) {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` cannot be a user's name", name.escape_debug()))
        .hint("a name has no colon and no line end, no blank at its ends, and no `#` at its start"))
}

/// Reads a password that somebody chose.
///
/// # Errors
/// It is too short for the low cost that passwords are hashed at.
pub(crate) fn check_password(name: &str, password: &str) -> Result<()> {
    if password.chars().count() >= SHORTEST {
        return Ok(());
    }
    Err(Error::usage(format!("the password of `{name}` is shorter than {SHORTEST} characters")).hint(
        "passwords are hashed at a low cost, for nginx lets everybody wait while it checks one: take a longer one, or `--generate`",
    ))
}

/// A password file as it was read.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub entries: Vec<Entry>,
    /// Lines that are no entries, and why.
    pub others: Vec<(usize, String)>,
}

/// Reads a password file as the registry does: blank lines and comments are passed over, also indented ones, and so are the
/// blanks at the ends of a line. What follows a second colon is a comment, which nginx allows.
///
/// # Errors
/// A user who stands there twice: with the place.
pub(crate) fn read(source: &Source) -> Result<File> {
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    let mut file = File::default();
    for (index, line) in source.text.lines().enumerate() {
        let (line, number) = (line.trim(), index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, hash)) = line.split_once(':') else {
            file.others.push((number, "it has no colon".to_owned()));
            continue;
        };
        if let Err(error) = check_name(name) {
            file.others.push((number, error.to_string()));
            continue;
        }
        if let Some(first) = lines.insert(name, number) {
            // The hash is not shown.
            let text = format!("{name}:…");
            let width = text.chars().count();
            let place = Place { text, ..source.place(Span { line: number, column: 1, width }) };
            return Err(Error::new(format!("`{name}` stands here twice, first on line {first}"))
                .at(place)
                .hint("keep one of the lines: programs disagree which of them counts"));
        }
        let hash = hash.split(':').next().unwrap_or_default().trim();
        file.entries.push(Entry { name: name.to_owned(), hash: hash.to_owned() });
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::{Entry, HIGHEST_COST, check_password, read};
    use crate::formats::yaml::Source;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuWJvxQ8vVf0Q2T6tJQ9mS9yWnJ1Q3o2y";

    #[test]
    fn every_scheme_is_named_and_bcrypt_alone_is_taken() {
        let told = |hash: &str| Entry { name: "a".to_owned(), hash: hash.to_owned() }.scheme();
        assert_eq!(told(HASH), "bcrypt, cost 5");
        for (hash, name) in [
            ("$apr1$Rs7Yv8Hq$9hNVoPRQ9qYSwGxoVhE1G1", "apr1"),
            ("{SSHA}Qm9vYm9v", "salted SHA-1, `{SSHA}`"),
            ("{PLAIN}secret", "no hash, but the password itself: `{PLAIN}`"),
            ("$y$j9T$abc$def", "yescrypt"),
            (&HASH.replace('$', "$$"), "its `$` are doubled, as Compose wants them: write each once"),
            (&HASH[..40], "bcrypt that is cut off or changed: a whole one has 60 characters"),
            (&HASH.replace("$05$", "$99$"), "bcrypt that is cut off or changed: a whole one has 60 characters"),
            ("$2y$é5$äöü", "bcrypt that is cut off or changed: a whole one has 60 characters"),
            ("rqXexS6ZhobKA", "crypt"),
            ("hunter2", "none that is known; perhaps it is the password itself"),
            ("", "missing"),
        ] {
            assert_eq!(told(hash), name);
        }
    }

    #[test]
    fn what_the_registry_takes_is_read_and_the_rest_is_told() {
        let text = format!(
            "jane doe:{HASH}\r\n\r\n  # indented: comment\r\n\tjohn: {HASH} \r\nkate:{HASH}:of the office\nno colon\n:{HASH}\nlate :{HASH}\n"
        );
        let file = read(&Source::new("users", text)).unwrap();
        let names: Vec<&str> = file.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["jane doe", "john", "kate"]);
        assert!(file.entries.iter().all(|entry| entry.hash == HASH));
        let lines: Vec<usize> = file.others.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [6, 7, 8]);
    }

    #[test]
    fn a_hash_is_costly_above_the_highest_cost() {
        let of = |cost: u32| Entry { name: "a".to_owned(), hash: HASH.replace("$05$", &format!("${cost:02}$")) };
        let costly: Vec<u32> = (4..=31).filter(|cost| of(*cost).is_costly()).collect();
        assert_eq!(costly, (HIGHEST_COST + 1..=31).collect::<Vec<_>>());
        for other in ["$apr1$Rs7Yv8Hq$9hNVoPRQ9qYSwGxoVhE1G1", "$6$rounds=999999999$salt$hash", "$2y$31$cut", ""] {
            let entry = Entry { name: "a".to_owned(), hash: other.to_owned() };
            assert!(!entry.is_costly() && !entry.is_bcrypt(), "`{other}` is not taken at all");
        }
    }

    #[test]
    fn a_chosen_password_has_ten_characters() {
        assert!(check_password("a", "nine char").is_err());
        assert!(check_password("a", "ten chars!").is_ok());
        // Of letters, not of bytes.
        assert!(check_password("a", "ééééééééé").is_err());
        assert!(check_password("a", "éééééééééé").is_ok());
    }
}
