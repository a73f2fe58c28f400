//! What the machine where a command was typed (near) and the host where it is carried out (far) say to each other: [`Frame`].
//!
//! A frame is a line of JSON, which tells how many bytes follow it as they are. Frames go both ways over one `ssh`.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::Error;
use crate::world::stop::Signal;

/// How long the far end waits for a sign of life before it takes back what it did.
pub(crate) const SILENCE: u64 = 45;
/// Seconds between two signs of life.
pub(crate) const BEAT: u64 = 10;
/// The most bytes that follow a line.
pub(crate) const CHUNK: usize = 512 << 10;
/// The longest line: an overview of hundreds of deployments has some hundred KiB.
const LINE: u64 = 16 << 20;

/// What is said, and the bytes that go with it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Frame<T> {
    pub say: T,
    #[serde(default)]
    bytes: usize,
    #[serde(skip)]
    pub content: Vec<u8>,
}

/// What the far end is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Down {
    /// The first frame: the words of the command line.
    Start {
        arguments: Vec<String>,
    },
    /// A sign of life.
    Alive,
    Signal(Signal),
    Answer {
        id: u64,
        answer: Result<Answer, Refused>,
    },
}

/// What the far end says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Up {
    /// Something to be told, in the form of `report`.
    Word(Json),
    /// What a command has printed that runs there; the bytes go with it.
    Printed {
        aside: bool,
    },
    Ask {
        id: u64,
        question: Question,
    },
    /// The bytes that go with it belong at the end of this file. Nobody answers; [`Question::Publish`] tells whether it went well.
    Written {
        file: u64,
    },
    /// This file is not needed any more. If it was not published, it is gone.
    Closed {
        file: u64,
    },
    /// What the clients of a deployment are to trust from now on, which may be nothing.
    Authorities {
        deployment: String,
        authorities: Vec<Authority>,
    },
    /// The last frame: the exit code.
    Ended(u8),
}

/// An authority, and the registries that have certificates of it, as `HOST:PORT`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Authority {
    pub hosts: Vec<String>,
    /// In PEM.
    pub certificate: String,
}

/// What the far end needs to know from the machine where the command was typed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Question {
    /// For whoever sits there. A hidden answer is not shown while it is typed.
    Line { text: String, hidden: bool },
    /// Whether everything that was asked for could be printed.
    Told,
    /// Whether nothing stands at this path.
    Vacant { path: String },
    /// Opens a file to be read; `-` is the standard input.
    Open { path: String },
    /// The bytes of an open file from a place on, at most [`CHUNK`].
    Read { file: u64, from: u64 },
    /// Begins a file that is to stand at this path, where nothing stands yet, or in the place of what does.
    Create { path: String, mode: u32, replace: bool },
    /// Gives a file its name.
    Publish { file: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Answer {
    Done,
    /// What was typed; none if there is nobody to ask.
    Line(Option<String>),
    /// A file that is open, and its bytes.
    File {
        file: u64,
        size: u64,
    },
    /// The bytes go with it.
    Bytes,
}

/// An error, as far as it can be told elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub what: String,
    pub hint: Option<String>,
    pub usage: bool,
    /// Whether it is that there is no such file.
    pub missing: bool,
}

impl Refused {
    pub fn error(&self) -> Error {
        let error = if self.usage { Error::usage(self.what.clone()) } else { Error::new(self.what.clone()) };
        match &self.hint {
            Some(hint) => error.hint(hint.clone()),
            None => error,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let hint = error.next_step().map(str::to_owned);
        Self { what: error.to_string(), hint, usage: error.is_usage(), missing: false }
    }
}

impl<T: Serialize> Frame<T> {
    pub fn new(say: T, content: Vec<u8>) -> Self {
        Self { say, bytes: content.len(), content }
    }

    /// The frame as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a frame has text keys only");
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.content);
        bytes
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.encode())?;
        to.flush()
    }
}

impl<T: DeserializeOwned> Frame<T> {
    /// A frame by its line; what follows it is still to be read.
    ///
    /// # Errors
    /// It is no frame, or one that is too large.
    pub fn decode(line: &[u8]) -> io::Result<Self> {
        let mut frame: Self = serde_json::from_slice(line).map_err(io::Error::other)?;
        if frame.bytes > CHUNK {
            return Err(io::Error::other("a frame is too large"));
        }
        frame.content = vec![0; frame.bytes];
        Ok(frame)
    }

    /// Reads the next frame; none at the end.
    ///
    /// # Errors
    /// The same.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = Vec::new();
        from.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let mut frame = Self::decode(&line)?;
        from.read_exact(&mut frame.content)?;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_lines_with_what_follows_them() {
        let mut sent = Vec::new();
        for (say, content) in [
            (Up::Printed { aside: true }, b"one\ntwo\0".to_vec()),
            (Up::Word(serde_json::json!({ "line": "a\nb" })), Vec::new()),
            (Up::Ended(3), Vec::new()),
        ] {
            Frame::new(say, content).write(&mut sent).unwrap();
        }
        let mut from = sent.as_slice();
        let mut next = || Frame::<Up>::read(&mut from).unwrap();
        assert_eq!(next().unwrap().content, b"one\ntwo\0");
        assert!(matches!(next().unwrap().say, Up::Word(word) if word["line"] == "a\nb"));
        assert!(matches!(next().unwrap().say, Up::Ended(3)));
        assert!(next().is_none());
    }

    #[test]
    fn what_is_no_frame_or_too_large_is_refused() {
        for line in ["welcome\n", "{}\n", "{\"say\":{\"ended\":1},\"bytes\":99999999}\n", "{\"say\":{\"ended\":1}"] {
            let read = Frame::<Up>::read(&mut line.as_bytes());
            assert!(read.is_err() || matches!(&read, Ok(Some(_)) if !line.ends_with('\n')), "{line}");
        }
        let cut = b"{\"say\":{\"printed\":{\"aside\":false}},\"bytes\":5}\nab";
        assert!(Frame::<Up>::read(&mut cut.as_slice()).is_err());
    }
}
