//! Whose the files below a folder are: [`sample`] and [`give`]. No link is followed.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::failed;
use crate::error::Result;

/// How many entries are looked at, and for how long.
const LOOKS: usize = 4000;
const PATIENCE: Duration = Duration::from_secs(2);
/// How many entries of one folder are looked at, and how many of its folders are entered: a look goes into the depth as well.
const ENTRIES: usize = 100;
const FOLDERS: usize = 12;

/// What a look at a part of what is below a folder has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub looked: usize,
    /// How many of these belong to others.
    pub foreign: usize,
    /// The first of those, and its user and group.
    pub example: Option<(PathBuf, (u32, u32))>,
}

/// Looks at some of the entries below a folder; `is_right` says of a user whether it is the one.
pub(crate) fn sample(folder: &Path, is_right: impl Fn(u32) -> bool) -> Result<Sample> {
    let (begun, mut sample, mut pending) = (Instant::now(), Sample::default(), vec![folder.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        let Some(entries) = entries(&folder)? else { continue };
        let mut folders = Vec::new();
        for entry in entries.take(ENTRIES) {
            let entry = entry.map_err(|error| failed("list", &folder, &error))?;
            let Ok(metadata) = entry.metadata() else { continue };
            sample.looked += 1;
            if !is_right(metadata.uid()) {
                sample.foreign += 1;
                sample.example.get_or_insert_with(|| (entry.path(), (metadata.uid(), metadata.gid())));
            }
            if metadata.is_dir() && folders.len() < FOLDERS {
                folders.push(entry.path());
            }
            if sample.looked >= LOOKS || begun.elapsed() > PATIENCE {
                return Ok(sample);
            }
        }
        pending.extend(folders);
    }
    Ok(sample)
}

/// Gives all that is below a folder and belongs to a user of whom `is_from` says so to another user and group; how many these were.
pub(crate) fn give(folder: &Path, is_from: impl Fn(u32) -> bool, (user, group): (u32, u32)) -> Result<u64> {
    let (mut given, mut pending) = (0, vec![folder.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        for entry in entries(&folder)?.into_iter().flatten() {
            let entry = entry.map_err(|error| failed("list", &folder, &error))?;
            let Ok(metadata) = entry.metadata() else { continue };
            let path = entry.path();
            if is_from(metadata.uid()) {
                match lchown(&path, Some(user), Some(group)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("write", &path, &error)),
                    _ => given += 1,
                }
            }
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
    Ok(given)
}

/// What is in a folder; none if it went away, or if this user may not look in: only root changes anything.
fn entries(folder: &Path) -> Result<Option<fs::ReadDir>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) => Err(failed("list", folder, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_goes_into_the_depth_and_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c/d");
        fs::create_dir_all(&deep).unwrap();
        (0..300).for_each(|number| fs::write(deep.join(number.to_string()), "").unwrap());
        let own = fs::metadata(&deep).unwrap().uid();
        let right = sample(folder.path(), |user| user == own).unwrap();
        assert_eq!((right.looked, right.foreign, right.example), (4 - 1 + 1 + ENTRIES, 0, None));
        let wrong = sample(folder.path(), |user| user != own).unwrap();
        assert_eq!((wrong.looked, wrong.foreign), (104, 104));
        assert_eq!(wrong.example.unwrap().0, folder.path().join("a"));
        assert_eq!(sample(&folder.path().join("none"), |_| true).unwrap(), Sample::default());
    }
}
