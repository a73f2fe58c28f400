//! Files and streams of this host, read as a whole, but never without a limit: [`file`], [`text`], [`stream`].
//!
//! A pipe, a terminal or a device may have no end, and need not have a beginning either: those are read on a thread that is given
//! up when their time is over.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use super::failed::failed;
use super::limit::{Breach, Limit};
use crate::error::{Error, Result};

/// What is read of a file: a bundle of all authorities of the world has 1 MiB, a password file of 100,000 users 8 MiB.
pub(crate) const FILE: Limit = Limit::new(16 << 20, 300);
/// What is read of a secret.
pub(crate) const SECRET: Limit = Limit::new(1 << 20, 300);

/// Reads what stands at a path, links followed; none if nothing does.
pub(crate) fn file(path: &Path, limit: Limit) -> Result<Option<Vec<u8>>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let over = |breach| too_much(&path.display().to_string(), limit, breach);
    if metadata.is_file() {
        if metadata.len() > limit.bytes {
            return Err(over(Breach::Bytes));
        }
        let read = File::open(path).and_then(|file| taken(file, limit));
        return read.map_err(|error| failed("read", path, &error))?.map(Some).ok_or_else(|| over(Breach::Bytes));
    }
    let own = path.to_path_buf();
    let read = patiently(limit.time, move || File::open(own).and_then(|file| taken(file, limit)));
    match read {
        Some(Ok(Some(content))) => Ok(Some(content)),
        Some(Ok(None)) => Err(over(Breach::Bytes)),
        Some(Err(error)) => Err(failed("read", path, &error)),
        None => Err(over(Breach::Time)),
    }
}

/// Reads a stream to its end, such as the standard input; `what` names it.
pub(crate) fn stream(from: impl Read + Send + 'static, what: &str, limit: Limit) -> Result<Vec<u8>> {
    match patiently(limit.time, move || taken(from, limit)) {
        Some(Ok(Some(content))) => Ok(content),
        Some(Ok(None)) => Err(too_much(what, limit, Breach::Bytes)),
        Some(Err(error)) => Err(Error::new(format!("cannot read {what}: {error}"))),
        None => Err(too_much(what, limit, Breach::Time)),
    }
}

/// Reads to the end; none if that is farther than the limit.
fn taken(from: impl Read, limit: Limit) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    from.take(limit.bytes + 1).read_to_end(&mut content)?;
    Ok((content.len() <= limit.size()).then_some(content))
}

/// Does something that may never come to its end; none if it has not in time.
fn patiently<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    // It is left behind if it does not end: it holds nothing that anybody waits for.
    let started = std::thread::Builder::new().name("read".to_owned()).spawn(move || drop(sender.send(work())));
    started.ok().and_then(|_| receiver.recv_timeout(time).ok())
}

fn too_much(what: &str, limit: Limit, breach: Breach) -> Error {
    let what = if what.starts_with('/') || what.starts_with('.') { format!("`{what}`") } else { what.to_owned() };
    Error::new(format!("cannot read {what}: {}", limit.told(breach))).hint("check that it is the file that was meant")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Limit = Limit { bytes: 1000, time: Duration::from_millis(300) };

    #[test]
    fn what_has_no_end_is_given_up_with_both_limits_named() {
        let large = file(Path::new("/dev/zero"), SMALL).unwrap_err().to_string();
        assert_eq!(large, "cannot read `/dev/zero`: it is larger than what is read of it (1000 bytes in 0 s at most)");
        let folder = tempfile::tempdir().unwrap();
        let sparse = folder.path().join("sparse");
        File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
        assert!(file(&sparse, FILE).unwrap_err().to_string().contains("16 MiB in 300 s at most"));
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            path
        };
        assert!(file(&pipe("silent"), SMALL).unwrap_err().to_string().contains("does not come to an end in time"));
        // Another one: the thread that was given up still waits at the first.
        let late = pipe("late");
        let writer = late.clone();
        std::thread::spawn(move || fs::write(writer, "late").unwrap());
        assert_eq!(file(&late, FILE).unwrap().unwrap(), b"late");
    }

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(file(&path, FILE).unwrap(), None);
        fs::write(&path, [b'a'; 1000]).unwrap();
        assert_eq!(file(&path, SMALL).unwrap().map(|content| content.len()), Some(1000));
        fs::write(&path, [b'a'; 1001]).unwrap();
        assert!(file(&path, SMALL).is_err());
        assert_eq!(stream(io::Cursor::new(b"words".to_vec()), "the standard input", SMALL).unwrap(), b"words");
    }
}
