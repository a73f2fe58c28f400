//! A dump of a database as `mysqldump`, `mariadb-dump` and others write it: its statements, one by one: [`Statements`].
//!
//! Only as much of SQL is read as tells where a statement ends: strings, names in quotes, comments, and the client's own command
//! `DELIMITER` (<https://dev.mysql.com/doc/refman/8.4/en/mysql-commands.html>).

mod head;
mod wordpress;

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

pub(crate) use wordpress::{Chosen, Look};

/// Bytes of one statement at most: a server takes 64 MiB (`max_allowed_packet`) unless it is told to take more.
pub(crate) const LONGEST: usize = 256 << 20;

/// The statements of a dump, each with the blanks and comments in front of it and the delimiter behind it.
pub(crate) struct Statements<R> {
    input: BufReader<R>,
    delimiter: Vec<u8>,
}

/// Where in a statement a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    /// In a string or a name, until this byte.
    Quoted(u8),
    /// Behind a backslash in a string.
    Escaped(u8),
    /// In a comment up to the end of the line.
    Line,
    /// In a comment up to `*/`.
    Block,
}

impl<R: Read> Statements<R> {
    pub fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(256 << 10, input), delimiter: b";".to_vec() }
    }

    /// The next statement; none at the end.
    ///
    /// # Errors
    /// The dump cannot be read to its end, ends in a string, or a statement has none within [`LONGEST`] bytes.
    pub fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let mut state = State::Plain;
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                if matches!(state, State::Quoted(_) | State::Escaped(_)) {
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, "a string has no end"));
                }
                return Ok(Some(text).filter(|text| !text.trim_ascii().is_empty()));
            }
            let (mut used, mut ended) = (0, false);
            for &byte in buffer {
                text.push(byte);
                used += 1;
                state = step(state, &text, byte);
                ended = state == State::Plain && ends(&text, byte, &self.delimiter);
                if ended {
                    break;
                }
            }
            self.input.consume(used);
            if ended {
                self.delimiter = delimiter(&text).map_or_else(|| self.delimiter.clone(), <[u8]>::to_vec);
                return Ok(Some(text));
            }
            if text.len() > LONGEST {
                let what = format!("a statement has no end within {} MiB", LONGEST >> 20);
                return Err(io::Error::new(ErrorKind::InvalidData, what));
            }
        }
    }
}

/// Whether a text ends with the byte that was added to it last: at a delimiter, or as a command of the client at the end of its line.
fn ends(text: &[u8], byte: u8, at: &[u8]) -> bool {
    let ended = byte == b'\n' || text.ends_with(at);
    ended && (delimiter(text).is_some() == (byte == b'\n'))
}

/// The state behind a byte that was just added to a text.
fn step(state: State, text: &[u8], byte: u8) -> State {
    match state {
        State::Escaped(quote) => State::Quoted(quote),
        // In a name, a backslash is a letter.
        State::Quoted(quote) if byte == b'\\' && quote != b'`' => State::Escaped(quote),
        State::Quoted(quote) if byte == quote => State::Plain,
        State::Line if byte == b'\n' => State::Plain,
        // What a server carries out is no comment.
        State::Block if ["*/", "/*!", "/*M!"].iter().any(|end| text.ends_with(end.as_bytes())) => State::Plain,
        State::Plain => match byte {
            b'\'' | b'"' | b'`' => State::Quoted(byte),
            b'#' => State::Line,
            b' ' | b'\t' if text[..text.len() - 1].ends_with(b"--") => State::Line,
            b'*' if text.ends_with(b"/*") => State::Block,
            _ => State::Plain,
        },
        _ => state,
    }
}

/// What the client's command `DELIMITER` sets, if a text is one.
fn delimiter(text: &[u8]) -> Option<&[u8]> {
    let (word, line) = (b"delimiter", head::bare(text));
    let is_command = line.len() > word.len()
        && line[..word.len()].eq_ignore_ascii_case(word)
        && line[word.len()].is_ascii_whitespace();
    is_command.then(|| line[word.len()..].trim_ascii()).filter(|set| !set.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        // Read in small parts, so that each of them ends somewhere in a statement.
        let mut statements =
            Statements { input: BufReader::with_capacity(3, text.as_bytes()), delimiter: b";".to_vec() };
        let mut found = Vec::new();
        while let Some(statement) = statements.next().unwrap() {
            found.push(String::from_utf8_lossy(head::bare(&statement)).into_owned());
        }
        found
    }

    #[test]
    fn a_statement_ends_where_the_server_says_so() {
        for (text, found) in [
            ("a; b;\n", &["a;", "b;"][..]),
            ("-- it's; one\n--\n# two's;\na;", &["a;"]),
            ("/* it's; */ a; /* end */\n", &["a;", ""]),
            ("a '; \\'; ''; \" ;' b; c", &["a '; \\'; ''; \" ;' b;", "c"]),
            ("a `x\\`; b;", &["a `x\\`;", "b;"]),
            ("/*!40101 SET x='a;*/b' */;\nb;", &["/*!40101 SET x='a;*/b' */;", "b;"]),
            ("/*M!999999\\- enable the sandbox mode */ \n-- x\na;", &["a;"]),
            ("DELIMITER ;;\na; b;;\nDELIMITER ;\nc;", &["DELIMITER ;;\n", "a; b;;", "DELIMITER ;\n", "c;"]),
            ("  \n", &[]),
        ] {
            assert_eq!(read(text), found, "{text}");
        }
    }
}
