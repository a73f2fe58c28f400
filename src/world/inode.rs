//! What stands at a path of this host: a file, a link or a folder, with its mode and owner: [`Inode`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::{self, failed};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inode {
    pub body: Body,
    /// The permission bits; those of a link mean nothing.
    pub mode: u32,
    pub user: u32,
    pub group: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    File(Vec<u8>),
    /// Where it points, as it is written.
    Link(PathBuf),
    Folder,
}

impl Inode {
    /// Reads what stands at a path; none if nothing does.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(failed("read", path, &error)),
        };
        let read = |error: std::io::Error| failed("read", path, &error);
        let body = if metadata.is_dir() {
            Body::Folder
        } else if metadata.is_symlink() {
            Body::Link(fs::read_link(path).map_err(read)?)
        } else if metadata.is_file() {
            Body::File(files::read_through(path)?.unwrap_or_default())
        } else {
            return Err(Error::new(format!("`{}` is there already and is no regular file", path.display()))
                .hint("move it away, or choose another path"));
        };
        let mode = metadata.mode() & 0o7777;
        Ok(Some(Self { body, mode, user: metadata.uid(), group: metadata.gid() }))
    }

    /// Puts it at a path in one step; the folders above must be there. A folder that is there keeps what is in it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let fail = |error: std::io::Error| failed("write", path, &error);
        match &self.body {
            Body::Folder => {
                files::make_folder(path, self.mode)?;
                lchown(path, Some(self.user), Some(self.group)).map_err(fail)?;
                fs::set_permissions(path, Permissions::from_mode(self.mode)).map_err(fail)
            }
            Body::File(content) => files::write_owned(path, content, self.mode, (self.user, self.group)),
            Body::Link(target) => {
                // A link cannot be written over: it is made beside and takes the name.
                let aside = path.with_added_extension("provision");
                files::remove(&aside)?;
                std::os::unix::fs::symlink(target, &aside).map_err(fail)?;
                lchown(&aside, Some(self.user), Some(self.group)).map_err(fail)?;
                fs::rename(&aside, path).map_err(fail)
            }
        }
    }
}

/// Takes away what stands at a path: a file, a link, or a folder if it is empty.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            files::remove_empty_folder(path);
            Ok(())
        }
        Ok(_) => files::remove(path),
        Err(_) => Ok(()),
    }
}
