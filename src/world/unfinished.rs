//! A large file that gets its name only once it is whole: [`Unfinished`].
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::fs::File;
use std::io::{ErrorKind, Seek};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use super::files::failed;
use crate::error::{Error, Result};

/// A file that is being written, readable by its owner alone. Until it is published it has no name where the file system
/// can do without one, so that not even a kill leaves anything behind; elsewhere it has a passing one.
#[derive(Debug)]
pub(crate) struct Unfinished {
    path: PathBuf,
    file: Holder,
}

#[derive(Debug)]
enum Holder {
    Nameless(File),
    Named(NamedTempFile),
}

impl Unfinished {
    /// Begins a file that shall stand at `path`, where nothing stands yet.
    pub fn create(path: &Path) -> Result<Self> {
        refuse_existing(path)?;
        let folder = folder_of(path);
        if !folder.is_dir() {
            return Err(
                Error::new(format!("there is no folder `{}`", folder.display())).hint("make it, or choose another one")
            );
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Holder::Nameless(File::from(file)),
            // The file system has no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => {
                let file = tempfile::Builder::new().prefix(".provision-").tempfile_in(folder);
                Holder::Named(file.map_err(|error| failed("write", path, &error))?)
            }
            Err(error) => return Err(failed("write", path, &error.into())),
        };
        Ok(Self { path: path.to_path_buf(), file })
    }

    fn file(&self) -> &File {
        match &self.file {
            Holder::Nameless(file) => file,
            Holder::Named(file) => file.as_file(),
        }
    }

    /// To write to.
    pub fn writer(&self) -> Result<File> {
        self.file().try_clone().map_err(|error| failed("write", &self.path, &error))
    }

    /// What was written, from its beginning: flushed, and as far as the system goes along read from the disk itself.
    pub fn reader(&self) -> Result<File> {
        let flushed = self.file().sync_all();
        flushed.map_err(|error| failed("write", &self.path, &error))?;
        let _ = rustix::fs::fadvise(self.file(), 0, None, Advice::DontNeed);
        let mut file = self.file().try_clone().map_err(|error| failed("read", &self.path, &error))?;
        file.rewind().map_err(|error| failed("read", &self.path, &error))?;
        Ok(file)
    }

    /// Gives the file its name. A file that has taken the name in the meantime stays.
    pub fn publish(self) -> Result<()> {
        let published = match self.file {
            Holder::Nameless(file) => {
                let own = format!("/proc/self/fd/{}", file.as_raw_fd());
                rustix::fs::linkat(CWD, own.as_str(), CWD, &self.path, AtFlags::SYMLINK_FOLLOW).map_err(Into::into)
            }
            Holder::Named(file) => file.persist_noclobber(&self.path).map(drop).map_err(|error| error.error),
        };
        published.map_err(|error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => exists(&self.path),
            _ => failed("write", &self.path, &error),
        })?;
        // A name that a power cut takes away again would be a backup that is not there.
        let flushed = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        flushed.map_err(|error| failed("flush the folder of", &self.path, &error))
    }
}

/// Fails if anything stands at `path`.
pub(crate) fn refuse_existing(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("write", path, &error)),
        Ok(_) => Err(exists(path)),
    }
}

fn exists(path: &Path) -> Error {
    Error::new(format!("`{}` exists already", path.display()))
        .hint("choose another name, or move that file away; nothing was changed")
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
