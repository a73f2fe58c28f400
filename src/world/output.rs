//! What a program gives out, of any size, read while it runs: [`Output`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};

/// How many bytes of its own words are kept.
const WORDS: u64 = 64 << 10;

/// A running program. It is ended when nobody reads it any more.
pub(crate) struct Output {
    program: String,
    child: Child,
    data: ChildStdout,
    words: Option<JoinHandle<String>>,
}

impl Output {
    /// # Errors
    /// It cannot be started.
    pub fn of(program: &str, arguments: &[String]) -> Result<Self> {
        let failed = |error: io::Error| Error::new(format!("cannot run `{program}`: {error}"));
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (data, words) = (child.stdout.take(), child.stderr.take());
        let words = words.map(|words| {
            thread::spawn(move || {
                let mut text = Vec::new();
                drop(words.take(WORDS).read_to_end(&mut text));
                String::from_utf8_lossy(&text).trim().to_owned()
            })
        });
        let data = data.ok_or_else(|| Error::new(format!("`{program}` has no output")))?;
        Ok(Self { program: program.to_owned(), child, data, words })
    }
}

impl Read for Output {
    /// The end comes only when the program has ended well.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.data.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(0);
        }
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        Err(io::Error::other(format!("`{}` failed with {status}: {words}", self.program)))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nothing is to be done about one that has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_one_only_if_the_program_says_so() {
        let read = |script: &str| {
            let mut text = String::new();
            let mut output = Output::of("sh", &["-c".to_owned(), script.to_owned()]).unwrap();
            output.read_to_string(&mut text).map(|_| text).map_err(|error| error.to_string())
        };
        assert_eq!(read("printf abc").unwrap(), "abc");
        let failed = read("printf abc; echo no such image >&2; exit 3").unwrap_err();
        assert!(failed.contains("no such image") && failed.contains('3'), "{failed}");
        assert!(Output::of("no-such-program", &[]).is_err());
    }
}
