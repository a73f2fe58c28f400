//! What a dump holds of a `WordPress`: [`Look`], and what of it is loaded: [`Chosen`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::head::{Head, bare, without_definer};
use crate::error::{Error, Result};

/// The table of a site's settings, behind the prefix of its tables.
const OPTIONS: &str = "options";
/// The first words of a dump of either server's program, and its last ones.
const BEGINS: [&str; 2] = ["-- MySQL dump ", "-- MariaDB dump "];
const ENDS: &str = "-- Dump completed";
/// Tables that only a network of sites has.
const NETWORK: [&str; 2] = ["blogs", "sitemeta"];
/// The settings that are read, and bytes of one at most.
const SETTINGS: [&str; 3] = ["siteurl", "home", "db_version"];
const LONGEST: usize = 2000;

/// What a dump holds, by its databases; none for what stands before the first is named.
#[derive(Debug, Default)]
pub(crate) struct Look {
    current: Option<String>,
    databases: BTreeMap<Option<String>, Database>,
    /// Whether its first words promise last ones, and whether these are there.
    begun: bool,
    ended: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Database {
    pub tables: BTreeSet<String>,
    /// The settings in each table of settings.
    settings: BTreeMap<String, BTreeMap<&'static str, String>>,
    /// What only one of the two servers understands, by its name.
    only: BTreeMap<&'static str, &'static str>,
}

/// The one database of a dump that is loaded, and the site in it.
#[derive(Debug)]
pub(crate) struct Chosen {
    database: Option<String>,
    current: Option<String>,
    pub tables: usize,
    pub address: String,
}

impl Look {
    pub fn add(&mut self, statement: &[u8]) {
        if self.databases.is_empty() && !self.begun {
            self.begun = BEGINS.iter().any(|begin| holds(statement, begin));
        }
        self.ended = holds(statement, ENDS);
        match Head::of(statement) {
            Head::Use(name) => self.current = Some(name),
            Head::Create(table) => {
                let database = self.databases.entry(self.current.clone()).or_default();
                database.only.extend(only(statement));
                database.tables.insert(table);
            }
            Head::Insert(table) if table.ends_with(OPTIONS) => {
                let database = self.databases.entry(self.current.clone()).or_default();
                let found = SETTINGS.iter().filter_map(|name| Some((*name, setting(statement, name)?)));
                database.settings.entry(table).or_default().extend(found);
            }
            _ => {}
        }
    }

    /// Chooses the database with the site whose tables begin with a prefix.
    ///
    /// # Errors
    /// There is none, or more than one; it is a network of sites, or the server (`mysql` or `mariadb`) does not take it.
    pub fn choose(&self, prefix: &str, server: &str) -> Result<Chosen> {
        if self.begun && !self.ended {
            return Err(Error::new(format!("the dump is cut off: its last line, `{ENDS}`, is missing"))
                .hint("make the dump again, or copy it again from where it was made"));
        }
        let table = format!("{prefix}{OPTIONS}");
        let with: Vec<_> = self.databases.iter().filter(|(_, database)| database.tables.contains(&table)).collect();
        let (name, database) = match with.as_slice() {
            [one] => *one,
            [] => return Err(self.without(&table)),
            several => {
                let names: Vec<String> =
                    several.iter().map(|(name, _)| format!("`{}`", shown(name.as_deref()))).collect();
                return Err(Error::new(format!("the dump holds several sites: the databases {}", names.join(", ")))
                    .hint("dump one of them: `mysqldump --single-transaction DATABASE`"));
            }
        };
        let nothing = BTreeMap::new();
        let settings = database.settings.get(&table).unwrap_or(&nothing);
        let Some(address) = settings.get("siteurl").or(settings.get("home")) else {
            return Err(Error::new(format!(
                "the dump has a table `{table}`, and no `siteurl` in it: it is not the whole of a WordPress"
            ))
            .hint("dump the rows of all tables: `mysqldump --single-transaction DATABASE`"));
        };
        if NETWORK.iter().all(|table| database.tables.contains(&format!("{prefix}{table}"))) {
            return Err(Error::new("the dump is of a network of sites (multisite), and here is one site")
                .hint("export one of its sites, with WordPress's own export or a plugin for it, and import that"));
        }
        if let Some((what, _)) = database.only.iter().find(|(_, of)| **of != server) {
            return Err(Error::new(format!("the dump holds {what}, which the database `{server}` does not know"))
                .hint(format!("give `--database {}`", if server == "mysql" { "mariadb" } else { "mysql" })));
        }
        Ok(Chosen {
            database: name.clone(),
            current: None,
            tables: database.tables.iter().filter(|table| table.starts_with(prefix)).count(),
            address: address.clone(),
        })
    }

    /// The error for a dump that has no such table.
    fn without(&self, table: &str) -> Error {
        let tables = || self.databases.values().flat_map(|database| &database.tables);
        let prefixes: BTreeSet<&str> = tables()
            .filter_map(|table| table.strip_suffix(OPTIONS))
            .filter(|prefix| tables().any(|table| *table == format!("{prefix}posts")))
            .collect();
        match prefixes.into_iter().collect::<Vec<_>>().as_slice() {
            [] if tables().next().is_none() => Error::new("there are no tables in the dump")
                .hint("`mysqldump --single-transaction DATABASE >FILE` writes one of them all"),
            [] => Error::new(format!("the dump is of no WordPress: it has no table `{table}`")).hint(
                "check that it is the dump that was meant; `mysqldump --single-transaction DATABASE >FILE` writes one",
            ),
            found => Error::new(format!("the dump has no table `{table}`")).hint(format!(
                "its tables begin with another prefix: {}",
                found.iter().map(|prefix| format!("`--table-prefix {prefix}`")).collect::<Vec<_>>().join(" or ")
            )),
        }
    }
}

/// Whether a text stands in the comments in front of a statement, or behind the last one.
fn holds(statement: &[u8], text: &str) -> bool {
    let comments = &statement[..statement.len() - bare(statement).len()];
    comments.windows(text.len()).any(|part| part == text.as_bytes())
}

fn shown(database: Option<&str>) -> &str {
    database.unwrap_or("(without a name)")
}

/// What a statement asks for that only one server has, with the name of that server.
fn only(statement: &[u8]) -> Vec<(&'static str, &'static str)> {
    let text = String::from_utf8_lossy(statement).to_ascii_lowercase();
    let known = [
        ("_uca1400_", "a collation of MariaDB (`uca1400`)", "mariadb"),
        ("engine=aria", "a table of the engine `Aria`", "mariadb"),
        ("with system versioning", "a table with system versioning", "mariadb"),
    ];
    known.into_iter().filter(|(mark, ..)| text.contains(mark)).map(|(_, what, of)| (what, of)).collect()
}

/// The text behind the name of a setting, in a statement that inserts it.
fn setting(statement: &[u8], name: &str) -> Option<String> {
    let wanted = format!("'{name}'");
    let mut rest = statement;
    while let Some(at) = rest.windows(wanted.len()).position(|part| part == wanted.as_bytes()) {
        rest = &rest[at + wanted.len()..];
        let behind = rest.trim_ascii_start().strip_prefix(b",").map(<[u8]>::trim_ascii_start);
        if let Some(text) = behind.and_then(|behind| behind.strip_prefix(b"'")) {
            return string(text);
        }
    }
    None
}

/// A string up to its quote, as the server reads it.
fn string(text: &[u8]) -> Option<String> {
    let mut found = Vec::new();
    let mut bytes = text.iter().take(LONGEST);
    loop {
        match *bytes.next()? {
            b'\'' => return String::from_utf8(found).ok(),
            b'\\' => found.push(*bytes.next()?),
            byte => found.push(byte),
        }
    }
}

impl Chosen {
    /// What of a statement is loaded, if anything is: neither what is about other databases nor what is about the server.
    pub fn take<'a>(&mut self, statement: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let head = Head::of(statement);
        if let Head::Use(name) = head {
            self.current = Some(name);
            return None;
        }
        let is_other = self.current.is_some() && self.current != self.database;
        if is_other || matches!(head, Head::Database | Head::Server) {
            return None;
        }
        Some(without_definer(bare(statement)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Statements;
    use super::*;

    fn look(text: &str) -> Look {
        let (mut look, mut statements) = (Look::default(), Statements::new(text.as_bytes()));
        while let Some(statement) = statements.next().unwrap() {
            look.add(&statement);
        }
        look
    }

    fn site(prefix: &str) -> String {
        format!(
            "CREATE TABLE `{prefix}posts` (a int);\nCREATE TABLE `{prefix}options` (a int);\n\
             INSERT INTO `{prefix}options` VALUES (1,'siteurl','http:\\/\\/old.test','yes'),(2,'home', 'http://old.test','yes');\n"
        )
    }

    #[test]
    fn one_site_is_found_and_its_address() {
        let chosen = look(&site("x7_")).choose("x7_", "mysql").unwrap();
        assert_eq!((chosen.address.as_str(), chosen.tables), ("http://old.test", 2));
        let whole = format!("-- MySQL dump 10.13\n{}\n-- Dump completed on 2026-01-01\n", site("wp_"));
        assert!(look(&whole).choose("wp_", "mysql").is_ok());
        let several = format!("USE `other`;\nCREATE TABLE t (a int);\nUSE `blog`;\n{}", site("wp_"));
        let mut chosen = look(&several).choose("wp_", "mariadb").unwrap();
        let mut kept = Vec::new();
        let mut statements = Statements::new(several.as_bytes());
        while let Some(statement) = statements.next().unwrap() {
            kept.extend(chosen.take(&statement).map(|text| String::from_utf8_lossy(&text).into_owned()));
        }
        assert_eq!(kept.len(), 3, "{kept:?}");
        assert!(kept[0].starts_with("CREATE TABLE `wp_posts`"), "{kept:?}");
    }

    #[test]
    fn what_is_no_site_of_here_is_refused_with_a_reason() {
        for (text, told) in [
            (String::new(), "there are no tables in the dump"),
            ("CREATE TABLE shop (a int);".to_owned(), "the dump is of no WordPress: it has no table `wp_options`"),
            (site("x7_"), "the dump has no table `wp_options`"),
            (
                format!("-- MySQL dump 10.13\n{}", site("wp_")),
                "the dump is cut off: its last line, `-- Dump completed`, is missing",
            ),
            (
                "CREATE TABLE wp_options (a int);".to_owned(),
                "the dump has a table `wp_options`, and no `siteurl` in it: it is not the whole of a WordPress",
            ),
            (
                format!("USE a;\n{}USE b;\n{}", site("wp_"), site("wp_")),
                "the dump holds several sites: the databases `a`, `b`",
            ),
            (
                format!("{}CREATE TABLE wp_blogs (a int);CREATE TABLE wp_sitemeta (a int);", site("wp_")),
                "the dump is of a network of sites (multisite), and here is one site",
            ),
            (
                format!("{}CREATE TABLE wp_x (a text COLLATE utf8mb4_uca1400_ai_ci);", site("wp_")),
                "the dump holds a collation of MariaDB (`uca1400`), which the database `mysql` does not know",
            ),
        ] {
            assert_eq!(look(&text).choose("wp_", "mysql").unwrap_err().to_string(), told);
        }
        let hint = look(&site("x7_")).choose("wp_", "mysql").unwrap_err().render();
        assert!(hint.contains("--table-prefix x7_"), "{hint}");
    }
}
