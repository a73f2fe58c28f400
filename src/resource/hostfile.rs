//! Files that a deployment wrote on this host: which they are is recorded, so that no other file is ever touched: [`HostFile`].

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::Field;
use crate::resource::content::Mode;
use crate::resource::context::At;
use crate::resource::owned::Owned;
use crate::text::json;
use crate::world::files::{self, Found};

/// What the deployment records of a file that it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub path: PathBuf,
    /// Folders that were made for it, the outermost first.
    pub folders: Vec<PathBuf>,
}

/// The mode of folders that are made for a file: who may read the file has to get there.
pub(crate) const FOLDER: u32 = 0o755;

/// A file with its record, as found.
#[derive(Debug, Clone)]
pub(crate) struct HostFile {
    pub record: Option<Record>,
    pub found: Option<Found>,
    /// How the folders that were made for it differ from what they have to be.
    pub folders: Vec<Field>,
}

/// How folders that were made here differ in their modes from what they have to be; one that is gone differs in nothing.
pub(crate) fn compare_folders(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> Vec<Field> {
    let differs = |folder: &Path| {
        let [old, new] = [files::mode(folder)?, FOLDER].map(|mode| Mode::new(mode).to_string());
        Field::compare(folder.display().to_string(), &old, &new)
    };
    folders.into_iter().filter_map(|folder| differs(folder.as_ref())).collect()
}

/// Gives such folders their mode.
pub(crate) fn mend_folders(folders: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<()> {
    let mend = |folder: &Path| match files::mode(folder) {
        Some(mode) if mode != FOLDER => files::set_mode(folder, FOLDER),
        _ => Ok(()),
    };
    folders.into_iter().try_for_each(|folder| mend(folder.as_ref()))
}

/// How to put a file and its record back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    key: String,
    record: Option<Record>,
    path: PathBuf,
    before: Option<(Vec<u8>, u32)>,
    folders: Vec<PathBuf>,
}

fn record(key: &str, at: &At) -> Result<Option<Record>> {
    let Some(text) = at.store().get(key)? else { return Ok(None) };
    json::read(text.as_bytes()).map(Some).map_err(|why| {
        Error::new(format!("the deployment's folder is damaged: `{}`: {why}", at.store().path(key).display()))
            .hint("put the file back from a backup, or set up another deployment beside this one with `--name`")
    })
}

impl HostFile {
    /// Reads the file at `path` and the record under `key`; none if there is neither.
    pub fn read(key: &str, path: &Path, at: &At) -> Result<Option<Self>> {
        let record = record(key, at)?;
        let found = files::read(path)?;
        let folders = compare_folders(record.iter().flat_map(|record| &record.folders));
        Ok((record.is_some() || found.is_some()).then_some(Self { record, found, folders }))
    }

    /// Fails if the file exists but somebody else wrote it, or if it could not be written.
    pub fn check(path: &Path, file: Option<&Self>) -> Result<()> {
        let ours = file.and_then(|file| file.record.as_ref()).is_some_and(|record| record.path == path);
        if file.is_some_and(|file| file.found.is_some()) && !ours {
            return Err(Error::new(format!(
                "`{}` is there already and was not written by this deployment",
                path.display()
            ))
            .hint("move it away, or choose another path; nothing was changed"));
        }
        files::check_writable(path)
    }

    /// Writes the file and its record. A file that the record named elsewhere is removed.
    pub async fn write(key: &str, path: &Path, content: &[u8], mode: u32, at: &At) -> Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let earlier = record(key, at)?;
        let folders = files::missing_folders(folder);
        at.will(&Undo {
            key: key.to_owned(),
            record: earlier.clone(),
            path: path.to_path_buf(),
            before: kept(path)?,
            folders: folders.clone(),
        })?;
        let known = shared_folders(path, folders, at)?;
        if let Some(moved) = earlier.as_ref().filter(|earlier| earlier.path != path) {
            at.will(&Undo {
                key: key.to_owned(),
                record: Some(moved.clone()),
                path: moved.path.clone(),
                before: kept(&moved.path)?,
                folders: Vec::new(),
            })?;
            erase(moved)?;
        }
        // Recorded first: a run that is killed here leaves no file that nobody knows of.
        let written = Record { path: path.to_path_buf(), folders: known };
        let text =
            serde_json::to_string(&written).map_err(|error| Error::new(format!("cannot record a file: {error}")))?;
        at.store().put_with_others(key, &text).await?;
        files::make_folder(folder, FOLDER)?;
        mend_folders(&written.folders)?;
        files::write_with_others(path, content, mode).await
    }

    /// Writes down how a recorded file comes back once it has been removed.
    pub fn will_remove(owned: &Owned, at: &At) -> Result<()> {
        let Some(earlier) = record(&owned.handle, at)? else { return Ok(()) };
        let before = kept(&earlier.path)?;
        at.will(&Undo {
            key: owned.handle.clone(),
            record: Some(earlier.clone()),
            path: earlier.path,
            before,
            folders: Vec::new(),
        })
    }

    /// Every file that resources of this kind recorded.
    pub fn owned(at: &At) -> Result<Vec<Owned>> {
        let mut owned = at.owned_keys(false)?;
        for one in &mut owned {
            let record = record(&one.handle, at)?;
            one.id = one.id.split('@').next().unwrap_or_default().to_owned();
            one.label = record.map(|record| record.path.display().to_string()).unwrap_or_default();
        }
        Ok(owned)
    }

    /// Removes a recorded file, the folders made for it if they are empty, and the record.
    pub fn remove(owned: &Owned, at: &At) -> Result<()> {
        if let Some(record) = record(&owned.handle, at)? {
            erase(&record)?;
        }
        at.store().delete(&owned.handle)
    }
}

/// The folders above `path` that were made for any file of this kind, these among them. Each of those files records them, so
/// that whichever is removed last takes them along. The records of others are read once in a run.
fn shared_folders(path: &Path, made: Vec<PathBuf>, at: &At) -> Result<Vec<PathBuf>> {
    let mut kinds = at.run.folders.lock().unwrap_or_else(PoisonError::into_inner);
    let known = match kinds.entry(at.kind) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(kind) => {
            let mut known = BTreeSet::new();
            for owned in at.owned_keys(false)? {
                known.extend(record(&owned.handle, at)?.into_iter().flat_map(|record| record.folders));
            }
            kind.insert(known)
        }
    };
    known.extend(made);
    let mut folders: Vec<PathBuf> =
        path.ancestors().skip(1).filter(|folder| known.contains(*folder)).map(Path::to_path_buf).collect();
    folders.reverse();
    Ok(folders)
}

fn kept(path: &Path) -> Result<Option<(Vec<u8>, u32)>> {
    Ok(files::read(path)?.map(|found| (found.content, found.mode)))
}

fn erase(record: &Record) -> Result<()> {
    files::remove(&record.path)?;
    record.folders.iter().rev().for_each(|folder| files::remove_empty_folder(folder));
    Ok(())
}

impl Undo {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn restore(self, at: &At) -> Result<()> {
        match &self.before {
            Some((content, mode)) => {
                if let Some(folder) = self.path.parent() {
                    files::make_folder(folder, FOLDER)?;
                }
                files::write(&self.path, content, *mode)?;
            }
            None => files::remove(&self.path)?,
        }
        self.folders.iter().rev().for_each(|folder| files::remove_empty_folder(folder));
        match &self.record {
            Some(record) => {
                let text = serde_json::to_string(record)
                    .map_err(|error| Error::new(format!("cannot record a file: {error}")))?;
                at.store().put(&self.key, &text)
            }
            None => at.store().delete(&self.key),
        }
    }
}
