//! A folder of this host as an archive that is made while it is read: [`Packed`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::text::size::readable;
use crate::world::failed::failed;

/// How many files and folders may be in it.
const ENTRIES: usize = 2_000_000;
/// How deep folders may stand in each other.
const DEPTH: usize = 100;
/// Bytes of one part of the archive, and how many parts wait to be taken.
const PART: usize = 256 << 10;
const WAITING: usize = 4;
/// Bytes after which it is told again how far it is.
const NEWS: u64 = 16 << 20;

/// Is told how far an archive is: in words, and in bytes of all.
pub(crate) type Told = Box<dyn Fn(String, u64, u64) + Send>;

/// What is in a folder, looked at and not yet read.
pub(crate) struct Packed {
    root: PathBuf,
    /// Paths from the root, folders before what is in them.
    entries: Vec<Entry>,
    pub bytes: u64,
}

struct Entry {
    path: PathBuf,
    folder: bool,
    /// Whether its owner may run it.
    runs: bool,
    size: u64,
    changed: u64,
}

impl Packed {
    /// Looks at everything in a folder.
    ///
    /// # Errors
    /// It is no folder, something in it cannot be read, or is neither a regular file nor a folder: with its path.
    pub fn look(root: &str) -> Result<Self> {
        let root = PathBuf::from(root);
        let found = fs::symlink_metadata(&root).map_err(|error| failed("read", &root, &error))?;
        if !found.is_dir() {
            return Err(Error::new(format!("`{}` is no folder", root.display()))
                .hint("name the folder itself, and not a link to it"));
        }
        let mut packed = Self { root, entries: Vec::new(), bytes: 0 };
        packed.walk(Path::new(""), 0)?;
        Ok(packed)
    }

    fn walk(&mut self, folder: &Path, depth: usize) -> Result<()> {
        let place = self.root.join(folder);
        if depth > DEPTH {
            return Err(Error::new(format!("the folder `{}` is more than {DEPTH} deep", place.display())));
        }
        let unread = |error: io::Error| {
            failed("read", &place, &error).or_hint("run the command as a user who may read all of it")
        };
        let mut names: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(&place).map_err(unread)? {
            names.push(folder.join(entry.map_err(unread)?.file_name()));
        }
        names.sort();
        for path in names {
            let place = self.root.join(&path);
            let found = fs::symlink_metadata(&place).map_err(|error| failed("read", &place, &error))?;
            if !found.is_file() && !found.is_dir() {
                let what = if found.is_symlink() { "a symbolic link" } else { "neither a file nor a folder" };
                return Err(Error::new(format!(
                    "`{}` is {what}, and only files and folders are copied",
                    place.display()
                ))
                .hint("put what it points to in its place, or take it away; nothing was changed"));
            }
            if found.is_file() {
                open(&place).map_err(|error| {
                    failed("read", &place, &error).or_hint("run the command as a user who may read all of it")
                })?;
                self.bytes += found.len();
            }
            if self.entries.len() >= ENTRIES {
                return Err(Error::new(format!("there are more than {ENTRIES} files in `{}`", self.root.display())));
            }
            let (folder, size) = (found.is_dir(), if found.is_dir() { 0 } else { found.len() });
            let (runs, changed) = (found.mode() & 0o100 != 0, u64::try_from(found.mtime()).unwrap_or_default());
            self.entries.push(Entry { path: path.clone(), folder, runs, size, changed });
            if folder {
                self.walk(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Fails if there are names, and none of them is in it.
    pub fn check_holds(&self, names: &[String]) -> Result<()> {
        let is_there = |name: &String| self.entries.iter().any(|entry| entry.path == Path::new(name));
        if names.is_empty() || names.iter().any(is_there) {
            return Ok(());
        }
        let root = self.root.display();
        let inner = self.entries.iter().filter(|entry| entry.folder).find_map(|entry| {
            let within = |name: &String| self.entries.iter().any(|other| other.path == entry.path.join(name));
            names.iter().any(within).then(|| entry.path.display())
        });
        let hint = match inner {
            Some(inner) => format!("give the folder in it: `{root}/{inner}`"),
            None => "check that it is the folder that was meant".to_owned(),
        };
        Err(Error::new(format!("in `{root}` there is none of {}", names.join(", "))).hint(hint))
    }

    /// The archive, with its names below `path`, all of it owned by these numbers: folders 0755, files 0644, or 0755 if they run.
    /// What changes while it is read fails the reading.
    pub fn archive(
        self,
        path: &str,
        owner: (u64, u64),
        told: Told,
    ) -> impl Iterator<Item = io::Result<Bytes>> + Send + use<> {
        let (sender, receiver) = sync_channel(WAITING);
        let below = PathBuf::from(path.trim_matches('/'));
        let failing = sender.clone();
        let started = std::thread::Builder::new().name("pack".to_owned()).spawn(move || {
            if let Err(error) = self.write(&below, owner, sender, &told) {
                // Whoever takes no more of it knows why.
                drop(failing.send(Err(error)));
            }
        });
        let failed = started.err().map(Err);
        failed.into_iter().chain(receiver)
    }

    fn write(
        &self,
        below: &Path,
        (user, group): (u64, u64),
        sender: SyncSender<io::Result<Bytes>>,
        told: &Told,
    ) -> io::Result<()> {
        let mut archive = tar::Builder::new(Parts { sender, part: Vec::with_capacity(PART) });
        let (mut done, mut last) = (0, 0);
        let top = Entry { path: PathBuf::new(), folder: true, runs: true, size: 0, changed: 0 };
        for entry in std::iter::once(&top).chain(&self.entries) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(if entry.folder { tar::EntryType::Directory } else { tar::EntryType::Regular });
            header.set_mode(if entry.folder || entry.runs { 0o755 } else { 0o644 });
            header.set_size(entry.size);
            header.set_uid(user);
            header.set_gid(group);
            header.set_mtime(entry.changed);
            let (name, place) = (below.join(&entry.path), self.root.join(&entry.path));
            if entry.folder {
                archive.append_data(&mut header, name, io::empty())?;
                continue;
            }
            let whole = Whole { file: open(&place)?.take(entry.size), left: entry.size };
            archive
                .append_data(&mut header, name, whole)
                .map_err(|error| io::Error::new(error.kind(), format!("`{}`: {error}", place.display())))?;
            done += entry.size;
            if done - last >= NEWS {
                last = done;
                told(format!("copy {}", readable(done)), done, self.bytes);
            }
        }
        archive.into_inner()?.flush()
    }
}

/// Opens a file that is no link, without waiting for anybody.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// A file that must have as many bytes as it had when it was looked at.
struct Whole {
    file: io::Take<File>,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "it has become shorter while it was copied"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Hands on what is written, in parts.
struct Parts {
    sender: SyncSender<io::Result<Bytes>>,
    part: Vec<u8>,
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        let sent = self.sender.send(Ok(Bytes::from(part)));
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("uploads/2026")).unwrap();
        fs::write(folder.path().join("uploads/2026/a.png"), vec![7; 600_000]).unwrap();
        fs::write(folder.path().join("index.php"), "<?php").unwrap();
        folder
    }

    fn look(folder: &Path) -> Result<Packed> {
        Packed::look(&folder.display().to_string())
    }

    #[test]
    fn all_of_a_folder_is_in_the_archive_with_its_new_owner() {
        let folder = folder();
        let archive: Vec<u8> = look(folder.path())
            .unwrap()
            .archive("/x/y", (33, 34), Box::new(|_, _, _| ()))
            .flat_map(io::Result::unwrap)
            .collect();
        let mut archive = tar::Archive::new(archive.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (33, 34));
            format!("{} {:o} {}", entry.path().unwrap().display(), header.mode().unwrap(), entry.size())
        });
        let wanted = [
            "x/y 755 0",
            "x/y/index.php 644 5",
            "x/y/uploads 755 0",
            "x/y/uploads/2026 755 0",
            "x/y/uploads/2026/a.png 644 600000",
        ];
        assert_eq!(entries.map(|entry| entry.replace("/ ", " ")).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_is_neither_a_file_nor_a_folder_is_refused() {
        let made = folder();
        std::os::unix::fs::symlink("/etc/passwd", made.path().join("uploads/link")).unwrap();
        assert!(look(made.path()).err().unwrap().to_string().contains("uploads/link` is a symbolic link"));
        let made = folder();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, made.path().join("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(look(made.path()).err().unwrap().to_string().contains("pipe` is neither a file nor a folder"));
        let other = look(made.path().join("uploads").as_path()).unwrap();
        assert!(
            other.check_holds(&["plugins".to_owned()]).unwrap_err().to_string().ends_with("there is none of plugins")
        );
    }

    #[test]
    fn a_file_that_becomes_shorter_fails_the_copy() {
        let made = folder();
        let packed = look(made.path()).unwrap();
        fs::write(made.path().join("uploads/2026/a.png"), "short").unwrap();
        let parts: io::Result<Vec<Bytes>> = packed.archive("/x", (0, 0), Box::new(|_, _, _| ())).collect();
        assert!(parts.unwrap_err().to_string().contains("has become shorter"));
    }
}
