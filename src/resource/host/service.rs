//! A service of this host with its files, started by systemd, upstart or a script: [`ServiceKind`].

mod installed;
mod obstacle;
mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::fact::Fact;
use crate::resource::hostfile;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::world::init::{Init, State};
use crate::world::inode::{self, Inode};
use crate::world::{files, host, http};
use installed::Installed;
pub(crate) use spec::Spec;
use spec::{Body, File};

pub(crate) struct ServiceKind;

/// What is kept of a service: how it was before, and its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub unit: String,
    pub init: Init,
    /// How it was before this deployment.
    pub was: State,
    /// What brings its program, where no package does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// What tests its files, and the order by which it takes them up.
    pub check: Vec<String>,
    pub verb: String,
    pub files: BTreeMap<String, Installed>,
    /// Folders that were made, beside those that the playbook names.
    pub folders: BTreeSet<PathBuf>,
    /// Whether it has yet to take up its files: a run that was killed leaves this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

/// A service as it is.
pub(crate) struct Actual {
    record: Option<Record>,
    /// What stands at each of its paths, by the path on the host.
    found: BTreeMap<String, Option<Inode>>,
    state: State,
}

/// How a step is taken back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    key: String,
    record: Option<Record>,
    unit: String,
    init: Init,
    state: State,
    check: Vec<String>,
    verb: String,
    inodes: BTreeMap<PathBuf, Option<Inode>>,
    folders: BTreeSet<PathBuf>,
}

/// Milliseconds between two looks at whether it is ready, and how many are made: 20 seconds in all.
const PAUSE: u64 = 50;
const LOOKS: u32 = 400;
/// Looks after which a service without `socket` counts as running.
const SETTLED: u32 = 6;

impl Record {
    /// Those of all services of a deployment.
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        store.all_json(ServiceKind::NAME)
    }

    /// Its files that are not wanted any more.
    fn stale(&self, wanted: &[File<'_>]) -> Vec<String> {
        self.files.keys().filter(|path| !wanted.iter().any(|file| file.path == *path)).cloned().collect()
    }

    fn put(&self, key: &str, store: &Store) -> Result<()> {
        store.put(key, &serde_json::json!(self).to_string())
    }
}

/// Runs the command that tests a service's files, if there is one.
async fn test(check: &[String]) -> Result<()> {
    let Some((program, arguments)) = check.split_first() else { return Ok(()) };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    host::ask(program, &arguments, &[]).await?.ok(&check.join(" "))
}

impl ServiceKind {
    async fn take_up(spec: &Spec, actual: &Actual, changed: bool, at: &At) -> Result<()> {
        let (init, unit) = (spec.init(at), spec.unit(at));
        init.refresh().await?;
        test(&spec.check).await.map_err(|error| error.within(format!("the new files of `{unit}`")))?;
        let state = init.state(&unit).await?;
        if !state.enabled {
            init.enable(&unit).await?;
        }
        if !state.running {
            init.order("start", &unit).await?;
        } else if changed || !actual.state.running {
            init.order(spec.change.verb(), &unit).await?;
        }
        Self::ready(spec, &unit, at).await
    }

    async fn ready(spec: &Spec, unit: &str, at: &At) -> Result<()> {
        for look in 0..LOOKS {
            let open = match &spec.socket {
                Some(socket) => http::connects_to_socket(Path::new(socket)).await,
                None => look >= SETTLED,
            };
            let running = look % 10 != 9 || spec.init(at).state(unit).await?.running;
            if open && spec.init(at).state(unit).await?.running {
                return Ok(());
            }
            if !running {
                break;
            }
            host::sleep(PAUSE).await;
        }
        let words = spec.init(at).words(unit).await;
        let hint = if words.is_empty() {
            "it printed nothing; look into its log, then run the command again"
        } else {
            "these are its last lines; mend their cause, then run the command again"
        };
        Err(Error::new(format!("the service `{unit}` started but accepts no connections")).detail(words).hint(hint))
    }

    /// Writes the files, and keeps how to put back what was there.
    fn install(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
        let root = at.store().root();
        let wanted = spec.files(at)?;
        let paths: Vec<PathBuf> = wanted.iter().map(|file| file.below(root)).collect();
        let mut record = actual.record.clone().unwrap_or_else(|| Record {
            unit: spec.unit(at),
            init: spec.init(at),
            was: actual.state,
            setup: Vec::new(),
            check: Vec::new(),
            verb: String::new(),
            files: BTreeMap::new(),
            folders: BTreeSet::new(),
            pending: false,
        });
        record.setup.clone_from(&spec.setup);
        record.pending = !at.store().is_rendering();
        record.check.clone_from(&spec.check);
        spec.change.verb().clone_into(&mut record.verb);
        let stale = record.stale(&wanted);
        let written: Vec<PathBuf> =
            wanted.iter().filter(|file| file.body != Body::Gone).map(|file| file.below(root)).collect();
        let missing = installed::missing_folders(&written);
        let touched = paths.iter().cloned().chain(stale.iter().map(|path| root.join(path.trim_matches('/'))));
        at.will(&Undo {
            key: at.key(),
            record: actual.record.clone(),
            unit: spec.unit(at),
            init: spec.init(at),
            state: actual.state,
            check: spec.check.clone(),
            verb: spec.change.verb().to_owned(),
            inodes: installed::read(touched)?,
            folders: missing.clone(),
        })?;
        // Whichever service is removed last takes along the folders that any of them made.
        record.folders.extend(Record::all(at.store())?.into_iter().flat_map(|other| other.folders).chain(missing));
        record.folders.retain(|folder| written.iter().any(|path| path.starts_with(folder)));
        // Kept first: a run that is killed here leaves nothing that nobody knows of.
        for file in &wanted {
            let known = record.files.get(file.path);
            let mut kept = file.kept(known, actual.found.get(file.path).and_then(Option::as_ref));
            kept.earlier = known.map(|known| known.wrote.clone()).filter(|wrote| *wrote != kept.wrote);
            record.files.insert(file.path.to_owned(), kept);
        }
        record.put(&at.key(), at.store())?;
        for path in stale {
            if let Some(installed) = record.files.remove(&path) {
                installed.uninstall(&root.join(path.trim_matches('/')))?;
            }
        }
        for file in &wanted {
            let found = actual.found.get(file.path).and_then(Option::as_ref);
            if let Some(folder) = file.below(root).parent().filter(|_| file.body != Body::Gone) {
                files::make_folder(folder, hostfile::FOLDER)?;
            }
            let there = found.is_some() || file.body == Body::Gone;
            if !there || !file.compare(found, at.store().is_rendering()).is_empty() {
                file.install(root)?;
            }
        }
        hostfile::mend_folders(&record.folders)?;
        record.files.values_mut().for_each(|installed| installed.earlier = None);
        record.put(&at.key(), at.store())
    }

    /// Takes its files away, the innermost first, and the folders made for them.
    fn uninstall(record: &Record, at: &At) -> Result<()> {
        let root = at.store().root();
        for (path, installed) in record.files.iter().rev() {
            if let Some(kept) = installed.uninstall(&root.join(path.trim_matches('/')))? {
                at.events()
                    .note(Some(&at.id), format!("`{path}` was changed by hand: that is kept as `{}`", kept.display()));
            }
        }
        record.folders.iter().rev().for_each(|folder| files::remove_empty_folder(folder));
        Ok(())
    }
}

impl Kind for ServiceKind {
    const NAME: &'static str = "service";
    const ABOUT: &'static str = "a service of this host with its files, checked before they are taken up";
    const OUTPUTS: &'static [Output] = &[public("name")];
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    fn complete(spec: &mut Spec, at: &At) -> Result<()> {
        spec.complete(at)
    }

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let record: Option<Record> = at.kept_json()?;
        let root = at.store().root();
        let mut found = BTreeMap::new();
        let kept = record.iter().flat_map(|record| record.files.keys().cloned());
        let wanted = spec.files(at)?.into_iter().map(|file| file.path.to_owned());
        for path in kept.chain(wanted) {
            let inode = Inode::read(&root.join(path.trim_matches('/')))?;
            found.insert(path, inode);
        }
        let state =
            if at.store().is_rendering() { State::default() } else { spec.init(at).state(&spec.unit(at)).await? };
        Ok(Some(Actual { record, found, state }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        spec.check_files(at)?;
        let Some(actual) = actual.filter(|_| change.is_change()) else { return Ok(()) };
        if !at.store().is_rendering() {
            let (wanted, here) = (spec.init(at), Init::of_this_host());
            if wanted != here {
                return Err(Error::new(format!(
                    "services of this host are started by {}, not by {}",
                    here.word(),
                    wanted.word()
                ))
                .hint(format!(
                    "leave `--init` out, or give `--init {}`; `provision render` writes files for any host",
                    here.word()
                )));
            }
            if !host::is_root() {
                return Err(Error::new("only root may install a service").hint("run the command with `sudo`"));
            }
            obstacle::ports(spec, actual, at)?;
        }
        for file in spec.files(at)? {
            obstacle::foreign(&file, spec, actual, at).await?;
        }
        Ok(())
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let Some(record) = &actual.record else { return Change::new(Action::Create) };
        let wanted = spec.files(at).unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        for file in &wanted {
            fields
                .extend(file.compare(actual.found.get(file.path).and_then(Option::as_ref), at.store().is_rendering()));
        }
        let stale = record.stale(&wanted).into_iter();
        fields.extend(stale.filter_map(|path| Field::compare(format!("files.{path}"), "a file", "")));
        fields.extend(hostfile::compare_folders(&record.folders));
        if !at.store().is_rendering() {
            if record.pending {
                fields.extend(Field::compare("files", "not taken up", "taken up"));
            }
            let word = |yes: bool, a: &'static str, b: &'static str| if yes { a } else { b };
            fields.extend(Field::compare("state", word(actual.state.running, "running", "stopped"), "running"));
            fields.extend(Field::compare(
                "at start of the host",
                word(actual.state.enabled, "started", "not started"),
                "started",
            ));
        }
        let texts = wanted.iter().filter_map(|file| file.texts(actual.found.get(file.path)?.as_ref()?));
        Change::of(Action::Update, fields).with(texts)
    }

    fn facts(_: &Spec, actual: Option<&Actual>, at: &At) -> Vec<Fact> {
        let since = actual.filter(|actual| actual.state.running).and_then(|actual| actual.state.since);
        // Not every program that starts services knows since when one runs.
        let silent =
            at.store().is_rendering() || (since.is_none() && actual.is_some_and(|actual| actual.state.running));
        if silent { Vec::new() } else { vec![Fact::Up(since)] }
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, at: &At) -> Outputs {
        Outputs::default().with("name", spec.unit(at))
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let actual = actual.unwrap_or(Actual { record: None, found: BTreeMap::new(), state: State::default() });
        let pending = actual.record.as_ref().is_some_and(|record| record.pending);
        let wanted = spec.files(at)?;
        let changed = pending
            || actual.record.as_ref().is_some_and(|record| !record.stale(&wanted).is_empty())
            || wanted.iter().any(|file| {
                !file
                    .compare(actual.found.get(file.path).and_then(Option::as_ref), at.store().is_rendering())
                    .is_empty()
            });
        Self::install(spec, &actual, at)?;
        if at.store().is_rendering() {
            return Ok(());
        }
        Self::take_up(spec, &actual, changed, at).await?;
        match at.kept_json::<Record>()? {
            Some(record) => Record { pending: false, ..record }.put(&at.key(), at.store()),
            None => Ok(()),
        }
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let here = !at.store().is_rendering();
        if here && !undo.state.running {
            // It may not even have come to be known.
            drop(undo.init.order("stop", &undo.unit).await);
        }
        if here && !undo.state.enabled {
            drop(undo.init.disable(&undo.unit, undo.state).await);
        }
        for (path, inode) in undo.inodes.iter().rev() {
            match inode {
                Some(inode) => inode.write(path)?,
                None => inode::remove(path)?,
            }
        }
        undo.folders.iter().rev().for_each(|folder| files::remove_empty_folder(folder));
        match &undo.record {
            Some(record) => record.put(&undo.key, at.store())?,
            None => at.store().delete(&undo.key)?,
        }
        if !here {
            return Ok(());
        }
        undo.init.refresh().await?;
        // Files that do not pass were never taken up.
        if undo.state.running && test(&undo.check).await.is_ok() {
            undo.init.order(&undo.verb, &undo.unit).await?;
        }
        Ok(())
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        let Some(record) = at.store().json::<Record>(&owned.handle)? else { return Ok(()) };
        if at.store().is_rendering() {
            Self::uninstall(&record, at)?;
            return at.store().delete(&owned.handle);
        }
        let (init, unit) = (record.init, &record.unit);
        let state = init.state(unit).await?;
        if state.running && !record.was.running {
            init.order("stop", unit).await?;
        }
        if state.enabled && !record.was.enabled {
            init.disable(unit, record.was).await?;
        }
        Self::uninstall(&record, at)?;
        init.refresh().await?;
        if state.running && record.was.running {
            // What it was told before us is what it goes on with.
            init.order("restart", unit).await?;
        }
        at.store().delete(&owned.handle)
    }
}
