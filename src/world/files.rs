//! Files of this host: read, written whole or not at all, and locked.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::world::encoding;
pub(crate) use crate::world::failed::failed;
use crate::world::host;
use crate::world::read;
use crate::world::whole::{self, Form};

/// A file as it is: its content, and the permission bits of its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub content: Vec<u8>,
    pub mode: u32,
}

/// The path as seen from the root, without looking at what is there.
pub(crate) fn absolute(path: &str) -> Result<String> {
    let expanded = match path.strip_prefix("~/") {
        Some(rest) => host::home()?.join(rest),
        None => PathBuf::from(path),
    };
    let whole = std::path::absolute(&expanded).map_err(|error| failed("resolve", &expanded, &error))?;
    whole.into_os_string().into_string().map_err(|_| Error::new(format!("the path `{path}` is not UTF-8")))
}

/// The folder of everything that is kept between runs.
pub(crate) fn state_home() -> Result<PathBuf> {
    if let Some(home) = host::variable("PROVISION_HOME") {
        return absolute(&home).map(PathBuf::from);
    }
    if let Some(state) = host::variable("XDG_STATE_HOME") {
        return Ok(PathBuf::from(state).join("provision"));
    }
    Ok(host::home()?.join(".local/state/provision"))
}

/// The folder of what can be found out again.
pub(crate) fn cache_home() -> Result<PathBuf> {
    if let Some(home) = host::variable("PROVISION_HOME") {
        return Ok(PathBuf::from(absolute(&home)?).join("cache"));
    }
    if let Some(cache) = host::variable("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("provision"));
    }
    Ok(host::home()?.join(".cache/provision"))
}

/// Reads a text that somebody wrote, which must be there, without a byte-order mark. Links are followed, and it may be a pipe.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let bytes = read_through(path)?.ok_or_else(|| failed("read", path, &std::io::Error::from_raw_os_error(2)))?;
    encoding::decode(bytes, &path.display().to_string())
}

/// Reads a file that may not be there, links followed.
pub(crate) fn read_through(path: &Path) -> Result<Option<Vec<u8>>> {
    read::file(path, read::FILE)
}

/// Reads a file that may not be there.
pub(crate) fn read(path: &Path) -> Result<Option<Found>> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    if !metadata.is_file() {
        return Err(Error::new(format!("`{}` is there already and is no regular file", path.display()))
            .hint("move it away, or choose another path"));
    }
    let content = read_through(path)?.unwrap_or_default();
    Ok(Some(Found { content, mode: metadata.mode() & 0o7777 }))
}

/// Writes a file whole: one beside it, flushed to disk, takes its name in one step.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    whole::write(path, content, &Form { mode, owner: None, flushed: true })
}

/// The same, flushed together with the files that others write at the same time.
pub(crate) async fn write_with_others(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    whole::write_with_others(path, content, &Form { mode, owner: None, flushed: true }).await
}

/// The same, as the file of a user and a group.
pub(crate) fn write_owned(path: &Path, content: &[u8], mode: u32, owner: (u32, u32)) -> Result<()> {
    whole::write(path, content, &Form { mode, owner: Some(owner), flushed: true })
}

/// The same for a file that nobody needs after a power cut: it is not flushed to disk.
pub(crate) fn write_brief(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    whole::write(path, content, &Form { mode, owner: None, flushed: false })
}

/// Makes a folder and those above it, with this mode whatever the umask says; tells which were made, the outermost first.
pub(crate) fn make_folder(path: &Path, mode: u32) -> Result<Vec<PathBuf>> {
    let missing: Vec<PathBuf> = path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
    let mut made = Vec::new();
    for folder in missing.into_iter().rev() {
        match fs::DirBuilder::new().mode(mode).create(&folder) {
            Ok(()) => {
                set_mode(&folder, mode)?;
                made.push(folder);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make the folder", &folder, &error)),
        }
    }
    Ok(made)
}

/// The permission bits of what stands at a path; none if nothing does.
pub(crate) fn mode(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.mode() & 0o7777)
}

/// Gives what stands at a path these permission bits.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set.map_err(|error| failed("change the mode of", path, &error))
}

/// The folders on the way to `path` that do not exist yet, the outermost first.
pub(crate) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> =
        path.ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect();
    missing.reverse();
    missing
}

/// How many bytes a file has.
pub(crate) fn size(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|found| found.len()).map_err(|error| failed("read", path, &error))
}

/// Makes a symbolic link.
pub(crate) fn link(target: &Path, path: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, path).map_err(|error| failed("make the link", path, &error))
}

/// Adds to the end of a file, which is made if it is not there, for its owner alone.
pub(crate) fn append(path: &Path, text: &str) -> Result<()> {
    let open = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed("write", path, &error))
}

/// Clears away what a process that was killed left of a newer file than the one that stands there.
pub(crate) fn clear_unfinished(path: &Path) {
    drop(fs::remove_file(whole::aside(path)));
}

/// Removes a file, and what a process that was killed left of a newer one.
pub(crate) fn remove(path: &Path) -> Result<()> {
    clear_unfinished(path);
    match fs::remove_file(path) {
        // Below what is a file there is nothing.
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(failed("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// Removes a folder if nothing is in it.
pub(crate) fn remove_empty_folder(path: &Path) {
    drop(fs::remove_dir(path));
}

/// Removes a folder with all that is in it, or a file.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => remove(path),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path, &error)),
        _ => Ok(()),
    }
}

/// Removes a folder that stands at `aside` meanwhile, so that nobody finds half of it.
pub(crate) fn remove_folder_at_once(path: &Path, aside: &Path) -> Result<()> {
    // A process that was killed may have left one there.
    remove_folder(aside)?;
    fs::rename(path, aside).map_err(|error| failed("remove", path, &error))?;
    remove_folder(aside)
}

/// Every file below a folder, by its path from there, sorted.
pub(crate) fn tree(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for name in names(&folder.join(&inner))? {
            let path = inner.join(name);
            if folder.join(&path).is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes that the files below a folder take on the disk; none if that cannot be known by then.
pub(crate) fn space(folder: &Path, end: Instant) -> Option<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            // What is deleted meanwhile takes nothing.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            // The unit of `st_blocks` is 512 bytes (stat(2)).
            bytes += metadata.blocks() * 512;
        }
        if Instant::now() >= end {
            return None;
        }
    }
    Some(bytes)
}

/// The names in a folder, sorted; none if there is no such folder.
pub(crate) fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("list", path, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed("list", path, &error))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Whether this user may make or change entries of the nearest folder that exists above `path`.
pub(crate) fn writable(path: &Path) -> bool {
    let folder = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// Fails if a file at `path` could not be written: a part of the way is no folder, or may not be changed.
pub(crate) fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let nearest = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !nearest.is_dir() {
        return Err(Error::new(format!("`{}` is no folder", nearest.display())).hint("choose another folder"));
    }
    if writable(nearest) {
        return Ok(());
    }
    Err(Error::new(format!("the folder `{}` cannot be written by this user", nearest.display()))
        .hint("choose another folder, or run the command as its owner"))
}

/// Whether this user may write to a file that exists, such as a socket.
pub(crate) fn writable_file(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// Whether a file can be read more than once: a pipe cannot.
pub(crate) fn is_plain(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file())
}

/// Whether a file is there that this user may run.
pub(crate) fn is_program(path: &Path) -> bool {
    is_plain(path) && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// How full the disk is that a path lies on, in percent as `df(1)` counts it: of what everybody may use.
pub(crate) fn fullness(path: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(path).map_err(|error| failed("measure the disk of", path, &error.into()))?;
    let used = found.f_blocks - found.f_bfree;
    Ok((used * 100).div_ceil((used + found.f_bavail).max(1)))
}

pub(crate) fn exists(path: &Path) -> bool {
    path.exists()
}

pub(crate) fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

/// A lock on a folder, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Fails if a folder is not this user's own, or others may change what is in it. A link to it must be this user's own as well.
pub(crate) fn check_own(path: &Path) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    let (Ok(link), Ok(folder)) = (fs::symlink_metadata(path), fs::metadata(path)) else { return Ok(()) };
    if !folder.is_dir() {
        return Err(
            Error::new(format!("`{}` is no folder", path.display())).hint("move it away, or choose another one")
        );
    }
    if let Some(other) = [link.uid(), folder.uid()].into_iter().find(|owner| *owner != user) {
        let shown = path.display();
        return Err(Error::new(format!("the folder `{shown}` belongs to another user (uid {other})")).hint(
            "run the command as that user, or keep what is yours elsewhere: `PROVISION_HOME=FOLDER` in the environment",
        ));
    }
    // The group of many users is their own alone, and has the same number.
    let others = if folder.gid() == user { 0o002 } else { 0o022 };
    if folder.mode() & others != 0 {
        return Err(Error::new(format!("others may write into the folder `{}`", path.display()))
            .hint(format!("`chmod go-w {}`", path.display())));
    }
    Ok(())
}

/// Takes a lock on a folder, beside others or alone, and waits until it is to be had.
pub(crate) fn lock_folder(path: &Path, alone: bool) -> Result<Lock> {
    use rustix::fs::FlockOperation::{LockExclusive, LockShared};
    let folder = File::open(path).map_err(|error| failed("lock", path, &error))?;
    let locked = rustix::fs::flock(&folder, if alone { LockExclusive } else { LockShared });
    locked.map_err(|error| failed("lock", path, &error.into()))?;
    Ok(Lock { _file: folder })
}

/// The same without waiting; none if somebody else has it.
pub(crate) fn lock_folder_now(path: &Path) -> Result<Option<Lock>> {
    let folder = File::open(path).map_err(|error| failed("lock", path, &error))?;
    match rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock { _file: folder })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed("lock", path, &error.into())),
    }
}

/// Gives each line of a file to `line`.
pub(crate) fn lines(path: &Path, line: &mut dyn FnMut(&str)) -> Result<()> {
    use std::io::BufRead;
    let file = File::open(path).map_err(|error| failed("read", path, &error))?;
    for found in std::io::BufReader::new(file).split(b'\n') {
        line(&String::from_utf8_lossy(&found.map_err(|error| failed("read", path, &error))?));
    }
    Ok(())
}

/// Gives a file another name on the same file system.
pub(crate) fn rename(path: &Path, new: &Path) -> Result<()> {
    fs::rename(path, new).map_err(|error| failed("rename", path, &error))
}

/// A folder for large temporary files, removed when it is dropped.
pub(crate) fn scratch() -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("provision-")
        .tempdir()
        .map_err(|error| Error::new(format!("cannot make a temporary folder: {error}")))
}

/// Opens a file to be read in parts.
pub(crate) fn reader(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| failed("read", path, &error))?;
    let metadata = file.metadata().map_err(|error| failed("read", path, &error))?;
    if metadata.is_dir() {
        return Err(Error::new(format!("`{}` is a folder", path.display())).hint("name a file"));
    }
    Ok(file)
}

/// Opens a file for streaming.
pub(crate) async fn open(path: &Path) -> Result<tokio::fs::File> {
    tokio::fs::File::open(path).await.map_err(|error| failed("read", path, &error))
}
