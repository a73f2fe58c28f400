//! A store that is a folder of a disk: [`Folder`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use super::pace::Pace;
use super::{Deleted, Entry, Goes};
use crate::error::{Error, Result};

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    pub(super) pace: Option<Arc<Pace>>,
}

/// The files below a folder of a store, one after the other, folder by folder and sorted by name in each.
pub(crate) struct Walk {
    root: PathBuf,
    pace: Option<Arc<Pace>>,
    /// What is still to be looked at, the next at the end: paths that count from the root, and whether each is a folder.
    pending: Vec<(String, bool)>,
}

/// Blocks this thread until it is its turn.
fn wait(pace: Option<&Arc<Pace>>) {
    pace.map(|pace| thread::sleep(pace.turn())).unwrap_or_default();
}

impl Folder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.into(), pace: None }
    }

    fn wait(&self) {
        wait(self.pace.as_ref());
    }

    pub fn walk(&self, prefix: &str) -> Walk {
        Walk {
            root: self.root.clone(),
            pace: self.pace.clone(),
            pending: vec![(prefix.trim_end_matches('/').to_owned(), true)],
        }
    }

    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        self.wait();
        let failed = |error: io::Error| self.failed("read", path, &error);
        let Some(file) = there(File::open(self.root.join(path))).map_err(failed)? else { return Ok(None) };
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content).map_err(failed)?;
        Ok(Some(content))
    }

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

    pub fn look(&self, path: &str) -> Result<Option<Entry>> {
        self.wait();
        let found = there(fs::symlink_metadata(self.root.join(path)));
        let found = found.map_err(|error| self.failed("look at", path, &error))?;
        Ok(found.map(|found| entry(path.to_owned(), &found)))
    }

    pub fn delete_all(&self, goes: &[Goes]) -> Deleted {
        let mut deleted = Deleted { gone: vec![false; goes.len()], failed: None };
        for (file, gone) in goes.iter().zip(&mut deleted.gone) {
            match self.delete(file.path, file.above) {
                Ok(()) => *gone = true,
                Err(error) => {
                    deleted.failed = Some(error);
                    break;
                }
            }
        }
        deleted
    }

    /// Deletes a file, and then the folders above it that are empty, up to `above`, which stays.
    fn delete(&self, path: &str, above: &str) -> Result<()> {
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
    pub fn next(&mut self) -> Result<Option<Entry>> {
        while let Some((path, is_folder)) = self.pending.pop() {
            wait(self.pace.as_ref());
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
    Entry { path, size: if found.is_file() { found.len() } else { 0 }, modified, md5: None }
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
