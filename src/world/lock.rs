//! A lock on a file that says who holds it: [`Lock`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, fcntl_lock, flock};
use rustix::io::Errno;

use super::files::{check_own, failed, make_folder};
use crate::error::{Error, Result};

/// Bytes of a lock's file that are read at most.
const LONGEST: u64 = 4096;

/// A lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// The folders that were made for it, the outermost first.
    made: Vec<PathBuf>,
    /// What stood in the file: by that, what became of the last holder is known.
    pub found: String,
}

/// What came of an attempt to take a lock.
pub(crate) enum Attempt {
    Taken(Lock),
    /// Another process has it: its words, which are empty for the moment between taking and writing.
    Held(String),
}

/// Tries to take a lock, and writes into its file what `words` makes of that which stands there. Makes the file, and its folder,
/// if need be.
///
/// # Errors
/// The file or its folder is not this user's own, or something else than a file.
pub(crate) fn attempt(path: &Path, words: impl Fn(&str) -> String) -> Result<Attempt> {
    loop {
        let made = make_folder(path.parent().unwrap_or(Path::new("/")), 0o700)?;
        check_own(path.parent().unwrap_or(Path::new("/")))?;
        let mut file = match open(path) {
            Ok(file) => file,
            // Its holder has removed the folder just now.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed("lock", path, &error)),
        };
        check(&file, path)?;
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let mut found = String::new();
        let read = (&mut file).take(LONGEST).read_to_string(&mut found);
        read.map_err(|error| failed("read", path, &error))?;
        if !taken {
            return Ok(Attempt::Held(found));
        }
        if !stands_at(&file, path) {
            // The last holder has removed it: who comes now takes another file.
            continue;
        }
        let lock = Lock { file, path: path.to_path_buf(), made, found };
        lock.write(&words(&lock.found))?;
        return Ok(Attempt::Taken(lock));
    }
}

/// Tries to take the lock on a file that belongs to other programs, by their own way: fcntl(2), held until the file is dropped.
/// None while another process has it; this process does not keep itself out.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn of_others(path: &Path) -> Result<Option<File>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o640).open(path);
    let file = file.map_err(|error| failed("lock", path, &error))?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
        Err(error) => Err(failed("lock", path, &error.into())),
    }
}

/// What stands in a lock's file, whoever holds it; empty if there is none.
pub(crate) fn words(path: &Path) -> String {
    let mut found = String::new();
    let read = OpenOptions::new().read(true).custom_flags(flags()).open(path);
    drop(read.map(|file| file.take(LONGEST).read_to_string(&mut found)));
    found
}

/// Whether a process holds the lock on a file, found out without taking it.
pub(crate) fn is_held(path: &Path) -> bool {
    let Ok(file) = fs::symlink_metadata(path) else { return false };
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:131085 0 EOF` (proc(5)); the device's number is not the same on every file system.
    let Ok(table) = fs::read_to_string("/proc/locks") else { return true };
    let inode = |line: &str| line.split_whitespace().nth(5)?.rsplit(':').next()?.parse::<u64>().ok();
    table.lines().any(|line| inode(line) == Some(file.ino()))
}

/// No link is followed, and nothing that is no file is waited for.
fn flags() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default()
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags()).open(path)
}

/// Fails if a file is not of the form in which it is made here.
fn check(file: &File, path: &Path) -> Result<()> {
    let metadata = file.metadata().map_err(|error| failed("lock", path, &error))?;
    let own = metadata.uid() == rustix::process::geteuid().as_raw();
    if metadata.is_file() && own && metadata.nlink() <= 1 && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::new(format!("`{}` is no file that this user alone may write", path.display()))
        .hint(format!("see whose it is: `ls -l {}`", path.display())))
}

fn stands_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    own.ino() == there.ino() && own.dev() == there.dev()
}

impl Lock {
    /// Writes other words in the place of those that stand there. It is never empty meanwhile.
    pub fn write(&self, words: &str) -> Result<()> {
        let written = self.file.write_all_at(words.as_bytes(), 0).and_then(|()| self.file.set_len(words.len() as u64));
        written.map_err(|error| failed("lock", &self.path, &error))
    }

    /// Leaves nothing of it behind; nor, `with_folders`, an empty folder that was made for it.
    pub fn remove(&self, with_folders: bool) {
        drop(fs::remove_file(&self.path));
        for folder in self.made.iter().rev().filter(|_| with_folders) {
            drop(fs::remove_dir(folder));
        }
    }
}
