//! The folder of one deployment: what cannot be read back from the world: [`Store`].
//!
//! It holds generated secrets, keys of authorities, a record of the files written on this host, and the playbook with its
//! inputs. Folders are 0700 and files 0600.

pub(crate) mod backup;
pub(crate) mod journal;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod measured;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::deployment::lease::Lease;
use crate::deployment::measured::Measured;
use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::Source;
use crate::language::playbook::Playbook;
use crate::resource::record::{PENDING, recover};
use crate::text::digest::hex;
use crate::text::json;
use crate::world::engine::Identity;
use crate::world::proxy::Proxies;
use crate::world::{files, host};

/// What a run records, so that `status` and `destroy` need no flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// The form of this file; 1 so far.
    pub version: u32,
    /// A random name that labels everything of this deployment, so that no other's things are taken for ours.
    pub id: String,
    pub playbook: PlaybookRecord,
    pub inputs: BTreeMap<String, Json>,
    /// Every kind of resource that it ever had, so that what the playbook no longer names is found.
    #[serde(default)]
    pub kinds: BTreeSet<String>,
    /// The outputs of the last run.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// True after `destroy --keep-data`: only volumes and secrets are left.
    #[serde(default)]
    pub kept: bool,
    /// The folder that its files of a host are rendered into, and nothing is installed; none for this host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The engine that it is on; none if it has nothing on one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<Identity>,
    /// The proxies that it goes through; none if that was never said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<Proxies>,
    /// True while it is being restored from a backup: its data is not whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restoring: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaybookRecord {
    pub name: String,
    /// The file it was read from; none for a built-in one.
    pub path: Option<String>,
    /// Its text at the last run.
    pub text: String,
}

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

const RECORD: &str = "deployment.json";
/// The lease of one that is to be gone by itself.
const LEASE: &str = "lease.json";
/// The form of the record that is written here.
const VERSION: u32 = 1;

/// The folder of all deployments.
///
/// # Errors
/// It is not this user's own: who may change it decides what a run does.
fn root() -> Result<PathBuf> {
    let home = files::state_home()?;
    files::check_own(&home)?;
    let root = home.join("deployments");
    files::check_own(&root)?;
    Ok(root)
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

/// The names of all deployments.
pub(crate) fn names() -> Result<Vec<String>> {
    let root = root()?;
    let names = files::names(&root)?;
    Ok(names.into_iter().filter(|name| files::exists(&root.join(name).join(RECORD))).collect())
}

/// The same without those that are to be gone by themselves.
pub(crate) fn lasting_names() -> Result<Vec<String>> {
    let root = root()?;
    Ok(names()?.into_iter().filter(|name| !files::exists(&root.join(name).join(LEASE))).collect())
}

/// Reads a name for a deployment. It becomes part of the names of containers, so Docker's rule holds
/// (`[a-zA-Z0-9][a-zA-Z0-9_.-]`), with 40 characters at most.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if fits && name.len() <= 40 {
        return Ok(());
    }
    Err(Error::usage(format!("`{name}` cannot be the name of a deployment"))
        .hint("use up to 40 letters, digits, hyphens, dots and underscores, a letter or digit first"))
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
        recover(&Self { name, id, folder, root, lease: None, engine: None, proxies: None })
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
        let record: std::result::Result<Record, _> = json::read(&found.content);
        if let Some(version) = record.as_ref().ok().map(|record| record.version).filter(|version| *version != VERSION) {
            return Err(Error::new(format!(
                "`{}` was written by another version of provision (form {version}, not {VERSION})",
                path.display()
            ))
            .hint("use that version, or a newer one"));
        }
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
        Measured::forget(&self.name);
        for name in files::names(&self.folder)?.iter().filter(|name| *name != RECORD && *name != LEASE) {
            files::remove_folder(&self.folder.join(name))?;
        }
        files::remove_folder(&self.folder)
    }
}

impl Record {
    pub fn new(store: &Store, playbook: &Playbook, path: Option<String>, inputs: BTreeMap<String, Json>) -> Self {
        let playbook = PlaybookRecord { name: playbook.name.clone(), path, text: playbook.source.text.clone() };
        Self {
            version: VERSION,
            id: store.id().to_owned(),
            playbook,
            inputs,
            kinds: BTreeSet::new(),
            outputs: BTreeMap::new(),
            kept: false,
            root: store.is_rendering().then(|| store.root.display().to_string()),
            engine: store.engine.clone(),
            proxies: store.proxies.clone(),
            restoring: false,
        }
    }

    /// Fails if it is half restored, so that no site goes on without its data.
    pub fn check_whole(&self, name: &str) -> Result<()> {
        if !self.restoring {
            return Ok(());
        }
        Err(Error::new(format!("the deployment `{name}` is incomplete: a restore of it was interrupted"))
            .hint("it holds a part of the backup only: destroy that deployment, or restore under another name"))
    }

    /// Notes which engine it is on, if the run has asked one for anything.
    pub fn note_engine(&mut self, engine: Option<Identity>) {
        self.engine = engine.or_else(|| self.engine.take());
    }

    /// The playbook of the last run, as it was then.
    pub fn playbook(&self) -> Result<Playbook> {
        let file = self.playbook.path.as_deref();
        let name = file.map_or_else(|| format!("playbooks/{}.yml", self.playbook.name), str::to_owned);
        let folder = file.and_then(|path| Path::new(path).parent()).map(Path::to_path_buf);
        Playbook::parse(&self.playbook.name, &Source::new(name, self.playbook.text.clone()), folder)
    }
}
