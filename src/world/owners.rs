//! Whose the files below a folder are: [`other`] and [`give`]. No link is followed.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::files::failed;
use crate::error::Result;

/// How many entries are looked at, those nearest to the folder first.
const LOOKS: usize = 2000;

/// The first of the entries below a folder whose user is another one, and its user and group.
pub(crate) fn other(folder: &Path, user: u32) -> Result<Option<(PathBuf, (u32, u32))>> {
    let mut looks = 0;
    let mut found = None;
    visit(folder, |path, metadata| {
        looks += 1;
        if metadata.uid() != user {
            found = Some((path.to_path_buf(), (metadata.uid(), metadata.gid())));
        }
        Ok(found.is_none() && looks < LOOKS)
    })?;
    Ok(found)
}

/// Gives all that is below a folder and belongs to a user of whom `is_from` says so to another user and group.
pub(crate) fn give(folder: &Path, is_from: impl Fn(u32) -> bool, (user, group): (u32, u32)) -> Result<()> {
    visit(folder, |path, metadata| {
        if !is_from(metadata.uid()) {
            return Ok(true);
        }
        match lchown(path, Some(user), Some(group)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("write", path, &error)),
            _ => Ok(true),
        }
    })
}

/// Visits all below a folder, level by level, as long as it is told to go on. What goes away meanwhile is passed over.
fn visit(folder: &Path, mut each: impl FnMut(&Path, &fs::Metadata) -> Result<bool>) -> Result<()> {
    let mut folders = VecDeque::from([folder.to_path_buf()]);
    while let Some(folder) = folders.pop_front() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            // Whoever may not look in is not the one to judge; only root changes anything.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
            Err(error) => return Err(failed("list", &folder, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failed("list", &folder, &error))?;
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if !each(&path, &metadata)? {
                return Ok(());
            }
            if metadata.is_dir() {
                folders.push_back(path);
            }
        }
    }
    Ok(())
}
