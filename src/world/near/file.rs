//! Files of the machine where the command was typed: [`NearFile`] is read, [`NearWriter`] is written.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Near, Pending, get};
use crate::error::{Error, Result};
use crate::world::wire::{Answer, CHUNK, Question, Refused, Up};

/// A file that is read in any order. The part after the one that is read is asked for already.
pub(crate) struct NearFile {
    near: &'static Near,
    file: u64,
    size: u64,
    at: u64,
    /// The part that was read last, and where it begins.
    part: Vec<u8>,
    start: u64,
    next: Option<(u64, Pending)>,
    /// Whether it is open for this alone.
    own: bool,
}

/// A file that is written from its beginning to its end. Dropped before it is published, it is gone.
pub(crate) struct NearWriter {
    near: &'static Near,
    file: u64,
    size: Arc<AtomicU64>,
    published: bool,
}

/// Writes at the end of such a file.
pub(crate) struct NearAppender {
    near: &'static Near,
    file: u64,
    size: Arc<AtomicU64>,
}

fn near() -> Result<&'static Near> {
    get().ok_or_else(|| Error::new("there is no other machine"))
}

fn opened(answer: &Answer) -> Result<(u64, u64)> {
    match answer {
        Answer::File { file, size } => Ok((*file, *size)),
        _ => Err(Error::new("the machine where the command was typed gives another answer")),
    }
}

impl NearFile {
    /// Opens a file that the command line names; `-` is the standard input.
    ///
    /// # Errors
    /// It is not there, or may not be read.
    pub fn open(path: &str) -> std::result::Result<Self, Refused> {
        let near = near()?;
        let (answer, _) = near.ask(Question::Open { path: path.to_owned() })?;
        let (file, size) = opened(&answer)?;
        Ok(Self { near, file, size, at: 0, part: Vec::new(), start: 0, next: None, own: true })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    fn ask(&self, from: u64) -> Pending {
        self.near.begin(Question::Read { file: self.file, from })
    }

    /// Brings the part in which `at` lies.
    fn bring(&mut self) -> io::Result<()> {
        let at = self.at;
        let pending = match self.next.take() {
            Some((from, pending)) if from == at => pending,
            _ => self.ask(at),
        };
        let ahead = at + CHUNK as u64;
        if ahead < self.size {
            self.next = Some((ahead, self.ask(ahead)));
        }
        let (_, part) = pending.end().map_err(|refused| io::Error::other(refused.what))?;
        if part.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.part, self.start) = (part, at);
        Ok(())
    }
}

impl Read for NearFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        if self.at < self.start || self.at >= self.start + self.part.len() as u64 {
            self.bring()?;
        }
        let offset = usize::try_from(self.at - self.start).map_err(io::Error::other)?;
        let count = buffer.len().min(self.part.len() - offset);
        buffer[..count].copy_from_slice(&self.part[offset..offset + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for NearFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Drop for NearFile {
    fn drop(&mut self) {
        if self.own {
            self.near.send(Up::Closed { file: self.file }, Vec::new());
        }
    }
}

impl NearWriter {
    /// Begins a file that the command line names. What stands there is replaced only if that is asked for.
    ///
    /// # Errors
    /// Something stands there, or it cannot be written.
    pub fn create(path: &str, mode: u32, replace: bool) -> Result<Self> {
        let near = near()?;
        let asked = near.ask(Question::Create { path: path.to_owned(), mode, replace });
        let (answer, _) = asked.map_err(|refused| refused.error())?;
        Ok(Self { near, file: opened(&answer)?.0, size: Arc::default(), published: false })
    }

    pub fn writer(&self) -> NearAppender {
        NearAppender { near: self.near, file: self.file, size: self.size.clone() }
    }

    /// What was written so far, from its beginning.
    pub fn reader(&self) -> NearFile {
        NearFile {
            near: self.near,
            file: self.file,
            size: self.size.load(Ordering::SeqCst),
            at: 0,
            part: Vec::new(),
            start: 0,
            next: None,
            own: false,
        }
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// It could not be written whole, or something has taken the name.
    pub fn publish(&mut self) -> Result<()> {
        let published = self.near.ask(Question::Publish { file: self.file });
        published.map_err(|refused| refused.error())?;
        self.published = true;
        Ok(())
    }
}

impl Write for NearAppender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.near.is_lost() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = bytes.len().min(CHUNK);
        self.near.send(Up::Written { file: self.file }, bytes[..count].to_vec());
        self.size.fetch_add(count as u64, Ordering::SeqCst);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for NearWriter {
    fn drop(&mut self) {
        if !self.published {
            self.near.send(Up::Closed { file: self.file }, Vec::new());
        }
    }
}
