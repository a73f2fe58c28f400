//! Files that are written whole or not at all, and leave nothing beside them when the process is killed: [`write`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tokio::sync::Semaphore;

use super::failed::failed;
use super::flush::flush;
use super::host;
use crate::error::Result;
use crate::text::digest::hex;

/// What a file is to be beside its content.
pub(super) struct Form {
    pub mode: u32,
    /// Its user and group, if not those of this process.
    pub owner: Option<(u32, u32)>,
    /// Whether it must be there after a power cut.
    pub flushed: bool,
}

/// How many files may be open at once to be flushed together.
const OPEN: usize = 256;

/// Writes a file that takes its name in one step, in the place of what stood there.
pub(super) fn write(path: &Path, content: &[u8], form: &Form) -> Result<()> {
    let written = Written::new(path, content, form)?;
    if form.flushed {
        written.file.sync_all().map_err(|error| failed("write", path, &error))?;
    }
    written.take_name()
}

/// The same, flushed to disk together with the files that others write at the same time.
pub(super) async fn write_with_others(path: &Path, content: &[u8], form: &Form) -> Result<()> {
    static ROOM: Semaphore = Semaphore::const_new(OPEN);
    let _room = ROOM.acquire().await;
    let written = Written::new(path, content, form)?;
    flush(written.file.clone()).await.map_err(|error| failed("write", path, &error))?;
    written.take_name()
}

/// A file that is all there, and has not taken its name yet. Dropped before that it is gone.
struct Written<'a> {
    path: &'a Path,
    content: &'a [u8],
    file: Arc<File>,
    /// The name that it has so far, on a file system that has no files without one.
    aside: Option<PathBuf>,
}

impl<'a> Written<'a> {
    fn new(path: &'a Path, content: &'a [u8], form: &Form) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        if let Some(file) = nameless(folder) {
            fill(&file, content, form).map_err(|error| failed("write into", folder, &error))?;
            return Ok(Self { path, content, file: Arc::new(file), aside: None });
        }
        let aside = aside(path);
        drop(fs::remove_file(&aside));
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
        let file = open.map_err(|error| failed("write", path, &error))?;
        let written = Self { path, content, file: Arc::new(file), aside: Some(aside) };
        fill(&written.file, content, form).map_err(|error| failed("write", path, &error))?;
        Ok(written)
    }

    /// The rename itself is not flushed: after a power cut the old file may stand there, whole, and the next run mends it.
    fn take_name(mut self) -> Result<()> {
        let fail = |error: std::io::Error| failed("write", self.path, &error);
        if self.aside.is_none() {
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let link = |path: &Path| rustix::fs::linkat(CWD, own.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW);
            match link(self.path) {
                Err(rustix::io::Errno::EXIST) => {}
                linked => return linked.map_err(|error| fail(error.into())),
            }
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            let aside = folder.join(format!(".provision-{}", hex(&host::random::<8>()?)));
            link(&aside).map_err(|error| fail(error.into()))?;
            self.aside = Some(aside);
        }
        let aside = self.aside.as_ref().expect("it has a name by now");
        match fs::rename(aside, self.path) {
            Ok(()) => {
                self.aside = None;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                in_place(self.path, self.content).map_err(|error| failed("write", self.path, &error))
            }
            Err(error) => Err(failed("write", self.path, &error)),
        }
    }
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        if let Some(aside) = &self.aside {
            drop(fs::remove_file(aside));
        }
    }
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
    file.set_permissions(Permissions::from_mode(form.mode))
}

/// A file that has no name until all of it is there, so that a kill leaves nothing. None where that cannot be done.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).ok()?;
    // It gets its name by way of this folder.
    Path::new("/proc/self/fd").exists().then(|| File::from(file))
}

/// Writes a file that is a mount of its own, as `/etc/hosts` is in a container: its name cannot be given to another.
fn in_place(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}
