//! The folder of one deployment: what cannot be read back from the world: [`Store`].
//!
//! It holds generated secrets, keys of authorities, a record of the files written on this host, and the playbook with its
//! inputs. Folders are 0700 and files 0600.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::lease::Lease;
use super::lock;
use super::names::{LEASE, RECORD, check_name, names, root};
use super::pending::{Kept, PENDING};
use super::record::{OLDEST, PlaybookRecord, Record, VERSION};
use crate::deployment::upkeep::Upkeep;
use crate::error::{Error, Result, did_you_mean};
use crate::text::digest::hex;
use crate::text::json;
use crate::world::engine::Identity;
use crate::world::proxy::Proxies;
use crate::world::{files, host};

/// A deployment's folder, whether or not it exists yet.
#[derive(Debug)]
pub(crate) struct Store {
    name: String,
    id: String,
    folder: PathBuf,
    root: PathBuf,
    /// For one that is to be gone by itself.
    lease: Option<Lease>,
    /// The engine that it was on at its last run.
    engine: Option<Identity>,
    proxies: Option<Proxies>,
}

/// Which form a record has.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// The folders of deployments that are to be gone by themselves; one without a lease is what is left of a process that was
/// killed while it made the folder.
pub(crate) fn leased(is_such: impl Fn(&str) -> bool) -> Result<Vec<(PathBuf, Option<Lease>)>> {
    let root = root()?;
    let names = files::names(&root)?;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let lease = |folder: &Path| -> Result<Option<Lease>> {
        let found = files::read(&folder.join(LEASE))?;
        Ok(found.and_then(|found| serde_json::from_slice(&found.content).ok()))
    };
    let mut folders = Vec::new();
    for name in names.iter().filter(|name| is_such(name)) {
        let folder = root.join(name);
        let mut found = lease(&folder)?;
        if found.is_none() {
            // Whoever makes a folder holds the lock until the lease is in it.
            let _lock = files::lock_folder(&root, true)?;
            found = lease(&folder)?;
        }
        folders.push((folder, found));
    }
    Ok(folders)
}

impl Store {
    /// The folder of a deployment; its record, if there is one.
    ///
    /// # Errors
    /// A damaged record: it says where.
    pub fn open(name: &str) -> Result<(Self, Option<Record>)> {
        check_name(name)?;
        let folder = root()?.join(name);
        files::check_own(&folder)?;
        if files::exists(&folder.join(PENDING))
            && let lock::Attempt::Taken(_lock) = lock::attempt(name, "recover")?
        {
            Self::recover(name)?;
        }
        let record = Self::record(&folder)?;
        let lease = files::read(&folder.join(LEASE))?;
        let lease = lease.and_then(|found| serde_json::from_slice::<Lease>(&found.content).ok());
        let id = match (&record, &lease) {
            (Some(record), _) => record.id.clone(),
            (None, Some(lease)) => lease.id.clone(),
            // What may still appear of an earlier one of this name is then this one's, and in nobody's way.
            (None, None) => lock::gone(name)?.map_or_else(|| host::random::<8>().map(|bytes| hex(&bytes)), Ok)?,
        };
        let root = record.as_ref().and_then(|record| record.root.clone()).unwrap_or_else(|| "/".to_owned());
        let engine = record.as_ref().and_then(|record| record.engine.clone());
        let proxies = record.as_ref().and_then(|record| record.proxies.clone());
        Ok((Self { name: name.to_owned(), id, folder, root: root.into(), lease, engine, proxies }, record))
    }

    /// Puts back what a run that was killed left half written. The deployment is locked.
    pub fn recover(name: &str) -> Result<()> {
        let folder = root()?.join(name);
        let (name, id, root) = (name.to_owned(), String::new(), "/".into());
        let store = Self { name, id, folder, root, lease: None, engine: None, proxies: None };
        for name in store.names(PENDING)? {
            let pending = format!("{PENDING}/{name}");
            for kept in store.json::<Vec<Kept>>(&pending)?.unwrap_or_default() {
                store.put_back(kept)?;
            }
            store.delete(&pending)?;
        }
        Ok(())
    }

    /// Makes the folder of a deployment with a lease. It has the lease from the first moment that others can see it.
    pub fn create_leased(name: &str, lease: &Lease) -> Result<()> {
        let root = root()?;
        files::make_folder(&root, 0o700)?;
        let _lock = files::lock_folder(&root, false)?;
        let folder = root.join(name);
        if files::make_folder(&folder, 0o700)?.is_empty() {
            return Err(Error::new(format!("there is a deployment `{name}` already")).hint("run the command again"));
        }
        Self::write_lease(&folder, lease)
    }

    fn write_lease(folder: &Path, lease: &Lease) -> Result<()> {
        files::write_brief(&folder.join(LEASE), serde_json::json!(lease).to_string().as_bytes(), 0o600)
    }

    /// Puts another lease in the place of the one that it has.
    pub fn renew_lease(&self, lease: &Lease) -> Result<()> {
        Self::write_lease(&self.folder, lease)
    }

    /// Removes the folder of a deployment that never came to be.
    pub fn forget_named(name: &str) -> Result<()> {
        files::remove_folder(&root()?.join(name))
    }

    pub fn proxies(&self) -> Option<&Proxies> {
        self.proxies.as_ref()
    }

    /// The same deployment, as one that goes through these proxies.
    pub fn through(self, proxies: Option<Proxies>) -> Self {
        Self { proxies, ..self }
    }

    pub fn engine(&self) -> Option<&Identity> {
        self.engine.as_ref()
    }

    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// The folder of a deployment that must exist.
    pub fn existing(name: &str) -> Result<(Self, Record)> {
        let (store, record) = Self::open(name)?;
        let Some(record) = record else {
            let known = names()?;
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(Error::new(format!("there is no deployment `{name}`")).hint(if known.is_empty() {
                "there are none yet; `provision list` shows what can be set up".to_owned()
            } else {
                did_you_mean(name, &known)
            }));
        };
        Ok((store, record))
    }

    fn record(folder: &Path) -> Result<Option<Record>> {
        let path = folder.join(RECORD);
        let damaged = |error: Error| {
            error.hint("put the file back from a backup, or set up another deployment beside this one with `--name`")
        };
        let Some(found) = files::read(&path)? else { return Ok(None) };
        // A record of another version may be of any shape beside this.
        let form: std::result::Result<Form, _> = json::read(&found.content);
        if let Some(version) =
            form.ok().map(|form| form.version).filter(|version| !(OLDEST..=VERSION).contains(version))
        {
            return Err(Error::new(format!(
                "`{}` was written by another version of provision (form {version}, not {VERSION})",
                path.display()
            ))
            .hint("use that version, or a newer one"));
        }
        let record: std::result::Result<Record, _> = json::read(&found.content);
        record.map(Some).map_err(|why| {
            damaged(Error::new(format!("the deployment's folder is damaged: `{}`: {why}", path.display())))
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the files of a host stand: `/`, or the folder that they are rendered into.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether files of a host are only written into a folder, and nothing is installed.
    pub fn is_rendering(&self) -> bool {
        self.root != Path::new("/")
    }

    /// The same deployment, rendered into a folder.
    pub fn rendering(self, root: &str) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Where the file of a key stands.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    pub fn save(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| Error::new(format!("cannot save the deployment: {error}")))?;
        self.put(RECORD, &text)
    }

    /// The text kept under a key such as `secret/password`.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        let path = self.path(key);
        let Some(found) = files::read(&path)? else { return Ok(None) };
        let text = String::from_utf8(found.content).ok().filter(|text| !text.is_empty());
        text.map(Some).ok_or_else(|| {
            Error::new(format!("the deployment's folder is damaged: `{}` is empty or no text", path.display()))
                .hint("put the file back from a backup, or set up another deployment beside this one with `--name`")
        })
    }

    pub fn put(&self, key: &str, text: &str) -> Result<()> {
        self.put_bytes(key, text.as_bytes())
    }

    /// The same for a text that nobody needs after a power cut.
    pub fn put_brief(&self, key: &str, text: &str) -> Result<()> {
        files::write_brief(&self.place(key)?, text.as_bytes(), 0o600)
    }

    /// The same, flushed to disk together with what others write at the same time.
    pub async fn put_with_others(&self, key: &str, text: &str) -> Result<()> {
        if self.lease.is_some() {
            return self.put(key, text);
        }
        files::write_with_others(&self.place(key)?, text.as_bytes(), 0o600).await
    }

    /// Where the file of a key stands, with the folders above it.
    fn place(&self, key: &str) -> Result<PathBuf> {
        let path = self.path(key);
        if let Some(folder) = path.parent() {
            files::make_folder(folder, 0o700)?;
        }
        Ok(path)
    }

    /// Keeps what a backup held under a key.
    pub fn put_bytes(&self, key: &str, content: &[u8]) -> Result<()> {
        let path = self.place(key)?;
        if self.lease.is_some() {
            return files::write_brief(&path, content, 0o600);
        }
        files::write(&path, content, 0o600)
    }

    pub fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        files::remove(&path)?;
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.folder) {
            files::remove_empty_folder(folder);
        }
        Ok(())
    }

    /// Removes a text, or a folder of texts of which none stays if the run is killed.
    pub fn delete_all(&self, key: &str) -> Result<()> {
        let path = self.path(key);
        if files::is_folder(&path) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files::remove_folder_at_once(&path, &path.with_file_name(format!(".{name}.gone")))?;
        }
        self.delete(key)
    }

    /// The names kept below a key. One with a dot in front is what a run that was killed left of a file.
    pub fn names(&self, key: &str) -> Result<Vec<String>> {
        let mut names = files::names(&self.path(key))?;
        names.retain(|name| !name.starts_with('.'));
        Ok(names)
    }

    /// The keys of everything that is kept.
    pub fn keys(&self) -> Result<Vec<String>> {
        let found = files::tree(&self.folder)?;
        Ok(found.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    /// Removes the folder, its record last: by that, what a run that is killed leaves of it is known.
    pub fn forget(&self) -> Result<()> {
        for name in files::names(&self.folder)?.iter().filter(|name| *name != RECORD && *name != LEASE) {
            files::remove_folder(&self.folder.join(name))?;
        }
        files::remove_folder(&self.folder)
    }

    /// What is kept as JSON under a key.
    pub fn json<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.get(key)? else { return Ok(None) };
        json::read(text.as_bytes()).map(Some).map_err(|why| self.damaged(key, &format!("cannot be read: {why}")))
    }

    /// What all resources of one kind keep as JSON.
    pub fn all_json<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>> {
        let keys = self.names(kind)?.into_iter().map(|name| format!("{kind}/{name}"));
        keys.filter_map(|key| self.json(&key).transpose()).collect()
    }

    /// Puts a text back as it was.
    pub fn put_back(&self, kept: Kept) -> Result<()> {
        match kept.before {
            Some(text) => self.put(&kept.key, &text),
            None => self.delete(&kept.key),
        }
    }

    pub fn damaged(&self, key: &str, how: &str) -> Error {
        Error::new(format!("the deployment's folder is damaged: `{}` {how}", self.path(key).display()))
    }

    /// A record of a run that begins.
    pub fn record_of(&self, playbook: PlaybookRecord, inputs: BTreeMap<String, Json>) -> Record {
        Record {
            version: VERSION,
            id: self.id.clone(),
            playbook,
            inputs,
            kinds: BTreeSet::new(),
            outputs: BTreeMap::new(),
            kept: false,
            root: self.is_rendering().then(|| self.root.display().to_string()),
            engine: self.engine.clone(),
            proxies: self.proxies.clone(),
            restoring: false,
            upkeep: Upkeep::default(),
        }
    }
}
