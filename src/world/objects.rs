//! Files of a store of any size, read in their order without holding them all: [`Objects`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A folder with the files of a store.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    root: PathBuf,
    pace: Option<Arc<Pace>>,
}

/// How often files are asked for at most, all users of a store together.
#[derive(Debug)]
struct Pace {
    apart: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// Blocks this thread until the next one may be asked for.
    fn wait(&self) {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + self.apart;
        drop(next);
        thread::sleep(turn - now);
    }
}

/// One file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Counted from the root of the store.
    pub path: String,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
}

/// The files below a folder of a store, one after the other, folder by folder and sorted by name in each.
pub(crate) struct Walk {
    root: PathBuf,
    pace: Option<Arc<Pace>>,
    /// What is still to be looked at, the next at the end: paths that count from the root, and whether each is a folder.
    pending: Vec<(String, bool)>,
}

impl Objects {
    pub fn folder(root: &Path) -> Self {
        Self { root: root.into(), pace: None }
    }

    /// The same with so many files and folders a second at most.
    pub fn paced(self, per_second: u32) -> Self {
        let pace = Pace { apart: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(Instant::now()) };
        Self { pace: Some(Arc::new(pace)), ..self }
    }

    fn wait(&self) {
        self.pace.as_ref().map(|pace| pace.wait()).unwrap_or_default();
    }

    /// The files below `prefix`, a path of whole names, or of all the store if it is empty.
    pub fn walk(&self, prefix: &str) -> Walk {
        Walk {
            root: self.root.clone(),
            pace: self.pace.clone(),
            pending: vec![(prefix.trim_end_matches('/').to_owned(), true)],
        }
    }

    /// The first `limit` bytes of a file; none if it is not there.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.wait();
        let failed = |error: io::Error| self.failed("read", path, &error);
        let Some(file) = there(File::open(self.root.join(path))).map_err(failed)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content).map_err(failed)?;
        Ok(Some(content))
    }

    /// Gives `sink` the whole of a file, part by part; false if it is not there.
    pub fn stream(&self, path: &str, sink: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.wait();
        let failed = |error: io::Error| self.failed("read", path, &error);
        let Some(mut file) = there(File::open(self.root.join(path))).map_err(failed)? else { return Ok(false) };
        let mut part = vec![0; 1 << 18];
        loop {
            match file.read(&mut part).map_err(failed)? {
                0 => return Ok(true),
                length => sink(&part[..length]),
            }
        }
    }

    /// What is known of one file; none if it is not there.
    pub fn look(&self, path: &str) -> Result<Option<Entry>> {
        self.wait();
        let found = there(fs::symlink_metadata(self.root.join(path)));
        let found = found.map_err(|error| self.failed("look at", path, &error))?;
        Ok(found.map(|found| entry(path.to_owned(), &found)))
    }

    /// Deletes a file, and then the folders above it that are empty, up to `above`, which stays.
    pub fn delete(&self, path: &str, above: &str) -> Result<()> {
        self.wait();
        let whole = self.root.join(path);
        there(fs::remove_file(&whole)).map_err(|error| self.failed("delete", path, &error))?;
        let stop = self.root.join(above);
        for folder in whole.ancestors().skip(1).take_while(|folder| *folder != stop && folder.starts_with(&stop)) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, task: &str, path: &str, error: &io::Error) -> Error {
        failed(task, &self.root.join(path), error)
    }
}

impl Walk {
    /// The next file; none after the last one. What disappears meanwhile is left out.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        while let Some((path, is_folder)) = self.pending.pop() {
            self.pace.as_ref().map(|pace| pace.wait()).unwrap_or_default();
            let whole = self.root.join(&path);
            if is_folder {
                self.open(&path, &whole).map_err(|error| failed("list", &whole, &error))?;
                continue;
            }
            if let Some(found) =
                there(fs::symlink_metadata(&whole)).map_err(|error| failed("look at", &whole, &error))?
            {
                return Ok(Some(entry(path, &found)));
            }
        }
        Ok(None)
    }

    /// Puts what is in a folder at the end of what is to be looked at, the first name last.
    fn open(&mut self, path: &str, whole: &Path) -> io::Result<()> {
        let Some(names) = there(fs::read_dir(whole))? else { return Ok(()) };
        let from = self.pending.len();
        for found in names {
            let Some(found) = there(found)? else { continue };
            let Some(kind) = there(found.file_type())? else { continue };
            let name = found.file_name();
            let name = name.to_string_lossy();
            let path = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
            self.pending.push((path, kind.is_dir()));
        }
        self.pending[from..].sort_unstable_by(|one, other| other.cmp(one));
        Ok(())
    }
}

fn entry(path: String, found: &fs::Metadata) -> Entry {
    let modified = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    Entry { path, size: if found.is_file() { found.len() } else { 0 }, modified }
}

/// What is not there is none, and no failure.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

fn failed(task: &str, path: &Path, error: &io::Error) -> Error {
    let failed = Error::new(format!("cannot {task} `{}`: {error}", path.display()));
    match error.kind() {
        ErrorKind::PermissionDenied => failed.hint("run the command as root, or as the user that the registry runs as"),
        ErrorKind::ReadOnlyFilesystem => {
            failed.hint("the store is read-only: mount it for writing, then run the command again")
        }
        _ => failed,
    }
}
