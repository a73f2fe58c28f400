//! How a statement begins, and so what it is about: [`Head`].

use std::borrow::Cow;

/// Words of a statement that are looked at.
const WORDS: usize = 16;
/// The comment of a dump of `MariaDB` that keeps its client from running commands of the host; `MySQL`'s takes it for a statement.
const SANDBOX: &[u8] = b"/*M!999999\\-";

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    /// What follows is of this database.
    Use(String),
    /// A database as a whole is made, changed or taken away.
    Database,
    /// A table or a view is made.
    Create(Name),
    /// Rows are put into a table.
    Insert(Name),
    /// The server's own settings and accounts.
    Server,
    Other,
}

/// The name of a table, without its database.
pub(crate) type Name = String;

/// A statement without the blanks and comments in front of it.
pub(crate) fn bare(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let line = text.starts_with(b"#")
            || text.starts_with(b"-- ")
            || text.starts_with(b"--\t")
            || text.starts_with(b"--\n");
        let executed = (text.starts_with(b"/*!") || text.starts_with(b"/*M!")) && !text.starts_with(SANDBOX);
        let end = match text {
            _ if line => text.iter().position(|byte| *byte == b'\n').map(|at| at + 1),
            [b'/', b'*', ..] if !executed => text.windows(2).skip(2).position(|pair| pair == b"*/").map(|at| at + 4),
            b"--" => None,
            _ => return text,
        };
        text = end.map_or(&[][..], |end| &text[end..]);
    }
}

/// The first words, names without their quotes, and signs, with where each begins and ends. What says from which version on a
/// server carries something out is left out.
fn words(text: &[u8]) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() && found.len() < WORDS {
        let rest = &text[at..];
        let length = match rest[0] {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if rest.starts_with(b"/*!") || rest.starts_with(b"/*M!") => {
                at += rest.iter().position(|byte| *byte == b'!').unwrap_or_default() + 1;
                at += text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                continue;
            }
            b'*' if rest.starts_with(b"*/") => {
                at += 2;
                continue;
            }
            quote @ (b'`' | b'"' | b'\'') => {
                rest[1..].iter().position(|byte| *byte == quote).map_or(rest.len(), |end| end + 2)
            }
            byte if is_letter(byte) => rest.iter().take_while(|byte| is_letter(**byte)).count(),
            _ => 1,
        };
        let word = &rest[..length];
        let inner = if b"`\"'".contains(&word[0]) { &word[1..word.len().max(2) - 1] } else { word };
        found.push((String::from_utf8_lossy(inner).into_owned(), at, at + length));
        at += length;
    }
    found
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_$".contains(&byte) || byte >= 0x80
}

impl Head {
    pub fn of(statement: &[u8]) -> Self {
        let words: Vec<String> = words(bare(statement)).into_iter().map(|(word, ..)| word).collect();
        let word = |at: usize| words.get(at).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let behind =
            |wanted: &[&str]| words.iter().position(|word| wanted.contains(&word.to_ascii_uppercase().as_str()));
        match (word(0).as_str(), word(1).as_str()) {
            ("USE", _) => Self::Use(words.get(1).cloned().unwrap_or_default()),
            ("CREATE" | "DROP" | "ALTER", "DATABASE" | "SCHEMA") => Self::Database,
            ("CREATE" | "ALTER" | "DROP", "USER" | "ROLE" | "SERVER" | "TABLESPACE" | "LOGFILE")
            | ("GRANT" | "REVOKE" | "FLUSH" | "CHANGE" | "RESET" | "PURGE", _)
            | ("SET", "PERSIST" | "PASSWORD" | "DEFAULT") => Self::Server,
            ("SET", _) if is_of_server(&words) => Self::Server,
            ("CREATE", _) => match behind(&["TABLE", "VIEW"]) {
                Some(at) => Self::Create(name(&words[at + 1..])),
                None => Self::Other,
            },
            ("INSERT" | "REPLACE", _) => match behind(&["INTO"]) {
                Some(at) => Self::Insert(name(&words[at + 1..])),
                None => Self::Insert(name(&words[1..])),
            },
            _ => Self::Other,
        }
    }
}

/// Whether a `SET` is about variables that only an administrator of the server may set: mysqldump's lines of replication.
fn is_of_server(words: &[String]) -> bool {
    let upper: Vec<String> = words.iter().map(|word| word.to_ascii_uppercase()).collect();
    upper.iter().any(|word| word == "GLOBAL" || word.contains("SQL_LOG_BIN") || word.contains("TEMP_LOG_BIN"))
}

/// The last part of a name, behind `IF NOT EXISTS`.
fn name(words: &[String]) -> Name {
    let is_noise = |word: &&String| ["IF", "NOT", "EXISTS"].contains(&word.to_ascii_uppercase().as_str());
    let rest: Vec<&String> = words.iter().skip_while(is_noise).collect();
    match rest.as_slice() {
        [_, dot, table, ..] if dot.as_str() == "." => (*table).clone(),
        [table, ..] => (*table).clone(),
        [] => Name::new(),
    }
}

/// A statement without the account that something is made for: on another server there need be none of that name.
pub(super) fn without_definer(statement: &[u8]) -> Cow<'_, [u8]> {
    let words = words(statement);
    let upper = |at: usize| words.get(at).map(|(word, ..)| word.to_ascii_uppercase()).unwrap_or_default();
    let found = (0..words.len()).find(|at| upper(*at) == "DEFINER" && upper(at + 1) == "=");
    let Some(at) = found.filter(|_| upper(0) == "CREATE") else { return Cow::Borrowed(statement) };
    // `user`@`host`, or a word such as CURRENT_USER.
    let last = if upper(at + 3) == "@" { at + 4 } else { at + 2 };
    let end = words.get(last).map_or(statement.len(), |(_, _, end)| *end);
    Cow::Owned([&statement[..words[at].1], &statement[end..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_told_by_its_first_words() {
        let text = str::to_owned;
        for (statement, head) in [
            ("USE `blog`;", Head::Use(text("blog"))),
            (
                "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `blog` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;",
                Head::Database,
            ),
            ("/*!40000 DROP DATABASE IF EXISTS `blog`*/;", Head::Database),
            ("-- x\nCREATE TABLE IF NOT EXISTS `blog`.`x7_posts` (\n `a` int);", Head::Create(text("x7_posts"))),
            ("create table wp_posts (a int);", Head::Create(text("wp_posts"))),
            ("/*!50001 CREATE VIEW `v` AS SELECT 1*/;", Head::Create(text("v"))),
            ("INSERT IGNORE INTO `wp_options` VALUES (1);", Head::Insert(text("wp_options"))),
            ("REPLACE wp_options VALUES (1);", Head::Insert(text("wp_options"))),
            ("SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a';", Head::Server),
            ("SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;", Head::Server),
            ("SET @@SESSION.SQL_LOG_BIN= 0;", Head::Server),
            ("GRANT ALL ON *.* TO 'x'@'%';", Head::Server),
            ("/*!40101 SET NAMES utf8mb4 */;", Head::Other),
            ("DROP TABLE IF EXISTS `wp_posts`;", Head::Other),
        ] {
            assert_eq!(Head::of(statement.as_bytes()), head, "{statement}");
        }
    }

    #[test]
    fn nothing_is_made_for_an_account_of_another_server() {
        for (statement, without) in [
            (
                "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t;;",
                "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t;;",
            ),
            ("CREATE DEFINER = 'a'@'%' VIEW v AS SELECT 1;", "CREATE  VIEW v AS SELECT 1;"),
            ("CREATE DEFINER=CURRENT_USER PROCEDURE p() x;", "CREATE  PROCEDURE p() x;"),
            ("CREATE SQL SECURITY DEFINER VIEW v AS SELECT 1;", "CREATE SQL SECURITY DEFINER VIEW v AS SELECT 1;"),
            ("INSERT INTO x VALUES ('DEFINER=`a`@`b`');", "INSERT INTO x VALUES ('DEFINER=`a`@`b`');"),
        ] {
            assert_eq!(String::from_utf8_lossy(&without_definer(statement.as_bytes())), without);
        }
    }
}
