//! Files that are written whole or not at all, and leave nothing beside them when the process is killed: [`write`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::files::failed;
use super::host;
use crate::deployment::hex;
use crate::error::Result;

/// What a file is to be beside its content.
pub(super) struct Form {
    pub mode: u32,
    /// Its user and group, if not those of this process.
    pub owner: Option<(u32, u32)>,
    /// Whether it must be there after a power cut.
    pub flushed: bool,
}

/// Writes a file that takes its name in one step, in the place of what stood there.
pub(super) fn write(path: &Path, content: &[u8], form: &Form) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let aside = match nameless(folder, content, form)? {
        Some(aside) => aside,
        None => named(path, content, form).map_err(|error| failed("write", path, &error))?,
    };
    // The rename itself is not flushed: after a power cut the old file may stand there, whole, and the next run mends it.
    let renamed = fs::rename(&aside, path);
    if renamed.is_err() {
        drop(fs::remove_file(&aside));
    }
    match renamed {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => in_place(path, content),
        renamed => renamed,
    }
    .map_err(|error| failed("write", path, &error))
}

/// Where a file stands while it is written, on a file system that has none without a name. The name is always the same, so that
/// whoever writes or removes the file clears away what a process that was killed has left.
pub(super) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.provision"))
}

fn fill(mut file: &File, content: &[u8], form: &Form) -> std::io::Result<()> {
    file.write_all(content)?;
    if let Some((user, group)) = form.owner {
        fchown(file, Some(user), Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(form.mode))?;
    if form.flushed { file.sync_all() } else { Ok(()) }
}

/// Writes a file that has no name until all of it is there, so that a kill leaves nothing; gives the name that it gets then.
/// None where that cannot be done.
fn nameless(folder: &Path, content: &[u8], form: &Form) -> Result<Option<PathBuf>> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) else { return Ok(None) };
    let file = File::from(file);
    fill(&file, content, form).map_err(|error| failed("write into", folder, &error))?;
    let aside = folder.join(format!(".provision-{}", hex(&host::random::<8>()?)));
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(rustix::fs::linkat(CWD, own.as_str(), CWD, &aside, AtFlags::SYMLINK_FOLLOW).is_ok().then_some(aside))
}

fn named(path: &Path, content: &[u8], form: &Form) -> std::io::Result<PathBuf> {
    let aside = aside(path);
    drop(fs::remove_file(&aside));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let filled = fill(&file, content, form);
    if filled.is_err() {
        drop(fs::remove_file(&aside));
    }
    filled.map(|()| aside)
}

/// Writes a file that is a mount of its own, as `/etc/hosts` is in a container: its name cannot be given to another.
fn in_place(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}
