//! A folder of this host that a service fills: [`FolderKind`].

mod mark;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::content::Mode;
use crate::resource::fact::Fact;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, public};
use crate::text::shell;
use crate::world::accounts::{self, GROUPS, USERS};
use crate::world::files;
use crate::world::host;
use crate::world::inode::{Body, Inode};
use crate::world::owners::{self, Sample};

pub(crate) struct FolderKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Where it stands on this host.
    path: String,
    /// `USER:GROUP`, by name or number.
    owner: String,
    /// The permission bits, in octal.
    #[serde(default = "mode")]
    mode: Mode,
    /// Whether what is in it cannot be made again; `provision destroy` then asks before it deletes it.
    #[serde(default = "data")]
    data: bool,
    /// Whether it gets a file `.provision`, by which its service knows it from the empty mount point of a disk that is missing.
    #[serde(default)]
    mark: bool,
    /// Whether one that is there and holds something is taken over with its mode and owner changed.
    #[serde(default)]
    adopt: bool,
}

fn data() -> bool {
    true
}

fn mode() -> Mode {
    Mode::new(0o750)
}

/// What is kept of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub path: String,
    pub owner: String,
    pub mode: String,
    data: bool,
    /// Whether it has a mark.
    #[serde(default)]
    pub mark: bool,
    /// As it was before; none if it was made.
    before: Option<Inode>,
    /// To whom what is in it belonged before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<(u32, u32)>,
}

pub(crate) struct Actual {
    record: Option<Record>,
    /// The folder that it used until now, if that is another one.
    former: Option<String>,
    found: Option<Inode>,
    marked: bool,
    /// Whether something is in it.
    filled: bool,
    /// What is in it that is not the service's.
    foreign: Sample,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    path: PathBuf,
    before: Option<Inode>,
    record: Option<Record>,
    /// Whose files in it were given to the service, as user and group.
    #[serde(default)]
    below: Option<(u32, u32)>,
    /// Whether it had its mark.
    #[serde(default)]
    marked: bool,
    /// What is kept of folders that it used before, as it was.
    #[serde(default)]
    aside: Vec<Kept>,
    /// Whether what is in it by then cannot be made again.
    data: bool,
}

impl Record {
    /// Where its mark stands.
    pub fn mark(&self) -> String {
        mark::path(Path::new(&self.path)).display().to_string()
    }

    /// Those of all resources of a deployment.
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        store.all_json(FolderKind::NAME)
    }
}

impl Spec {
    fn place(&self, at: &At) -> PathBuf {
        at.store().root().join(self.path.trim_matches('/'))
    }

    fn owner(&self) -> Result<(u32, u32)> {
        let ids = self.owner.split_once(':');
        let ids = ids.and_then(|(user, group)| Some((accounts::id_of(USERS, user)?, accounts::id_of(GROUPS, group)?)));
        ids.ok_or_else(|| {
            Error::new(format!("there is no `{}` on this host, to whom `{}` belongs", self.owner, self.path))
                .hint("the package that brings this user or group is not installed")
        })
    }
}

/// Whether something is in a folder beside its mark and what a new disk has by itself.
fn holds(path: &Path) -> Result<bool> {
    Ok(files::names(path)?.iter().any(|name| ![mark::NAME, "lost+found"].contains(&name.as_str())))
}

/// Gives what is in a folder back to whom it belonged.
fn give_back(path: &Path, below: Option<(u32, u32)>) -> Result<()> {
    let user = Inode::read(path)?.map(|now| now.user);
    let Some((user, (owner, group))) = user.zip(below) else { return Ok(()) };
    owners::give(path, |found| found == user, (owner, group)).map(drop)
}

/// Fails if somebody else's folder would get another owner or mode: those who use it would be shut out.
fn refuse_others(spec: &Spec, actual: &Actual) -> Result<()> {
    let Some(found) = actual.found.as_ref().filter(|_| actual.record.is_none() && actual.filled) else {
        return Ok(());
    };
    let fits = found.mode == spec.mode.bits() && spec.owner().ok() == Some((found.user, found.group));
    if fits || !spec.data || spec.adopt {
        return Ok(());
    }
    let owner = format!("{}:{}", accounts::name_of(USERS, found.user), accounts::name_of(GROUPS, found.group));
    let mode = Mode::new(found.mode);
    let own = shell::quoted(&format!(
        "{}/{}",
        spec.path.trim_end_matches('/'),
        spec.owner.split(':').next().unwrap_or("data")
    ));
    Err(Error::new(format!(
        "`{}` is there already with something in it, and has the owner {owner} and the mode {mode}: it would get {} and {}, and nobody else could use it",
        spec.path, spec.owner, spec.mode
    ))
    .hint(format!("give a folder of its own, such as {own}; `--adopt` takes this one over with all that is in it")))
}

impl Kind for FolderKind {
    const NAME: &'static str = "folder";
    const ABOUT: &'static str = "a folder of this host that a service fills";
    const OUTPUTS: &'static [Output] = &[public("path")];
    const BARE: Option<&'static str> = Some("path");
    const OF_THIS_HOST: bool = true;
    const STAYS: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let aside = at.aside::<Record>()?.into_iter().map(|(_, record)| record);
        let record = at.kept_json()?.into_iter().chain(aside).find(|record| record.path == spec.path);
        let former = at.kept_json::<Record>()?.map(|record| record.path).filter(|path| *path != spec.path);
        let (place, found) = (spec.place(at), Inode::read(&spec.place(at))?);
        let filled = found.as_ref().is_some_and(|found| found.body == Body::Folder) && holds(&place)?;
        let user = spec.owner().ok().filter(|_| spec.data && !at.store().is_rendering());
        let sampled = user.map(|(user, _)| owners::sample(&place, |found| found == user)).transpose()?;
        let foreign = sampled.unwrap_or_default();
        Ok(Some(Actual { record, former, found, marked: mark::is_in(&place), filled, foreign }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        let found = actual.and_then(|actual| actual.found.as_ref());
        if found.is_some_and(|found| found.body != Body::Folder) {
            return Err(Error::new(format!("`{}` is there already and is no folder", spec.path)).hint("move it away"));
        }
        mark::check(spec, actual.and_then(|actual| actual.record.as_ref()), &spec.place(at))?;
        if let Some(actual) = actual.filter(|_| !at.store().is_rendering()) {
            refuse_others(spec, actual)?;
        }
        if change.is_change() && !at.store().is_rendering() && !host::is_root() {
            return Err(Error::new(format!("only root may make `{}`", spec.path)).hint("run the command with `sudo`"));
        }
        Ok(())
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        if let Some(former) = &actual.former {
            return Change::of(Action::Update, Field::compare("path", former, &spec.path).into_iter().collect());
        }
        let Some(_) = &actual.record else { return Change::new(Action::Create) };
        let Some(found) = &actual.found else { return Change::new(Action::Create).because("the folder is gone") };
        let mut fields: Vec<Field> =
            Field::compare("mode", &Mode::new(found.mode).to_string(), &spec.mode.to_string()).into_iter().collect();
        if !at.store().is_rendering() && spec.owner().ok() != Some((found.user, found.group)) {
            let owner = format!("{}:{}", accounts::name_of(USERS, found.user), accounts::name_of(GROUPS, found.group));
            fields.extend(Field::compare("owner", &owner, &spec.owner));
        }
        if let Some((path, (user, group))) = &actual.foreign.example {
            let owner = format!("{}:{}", accounts::name_of(USERS, *user), accounts::name_of(GROUPS, *group));
            let Sample { looked, foreign: count, .. } = &actual.foreign;
            let told = path.strip_prefix(at.store().root()).unwrap_or(path).display();
            fields.extend(Field::compare(
                "owner of what is in it",
                &format!("{owner} ({count} of {looked} looked at, such as /{told})"),
                &spec.owner,
            ));
        }
        if spec.mark && !actual.marked {
            fields.extend(Field::compare("mark", "", mark::NAME));
        }
        Change::of(Action::Update, fields)
    }

    fn facts(spec: &Spec, actual: Option<&Actual>, at: &At) -> Vec<Fact> {
        let there = actual.is_some_and(|actual| actual.found.is_some());
        if there && spec.data { vec![Fact::Folder(spec.place(at))] } else { Vec::new() }
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, _: &At) -> Outputs {
        Outputs::default().with("path", spec.path.as_str())
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let path = spec.place(at);
        let kept: Option<Record> = at.kept_json()?;
        let marked = actual.as_ref().is_some_and(|actual| actual.marked);
        let (record, found) = actual.map_or((None, None), |actual| (actual.record, actual.found));
        let steps = at.succession(|kept: &Record| kept.path == spec.path)?;
        let before = |(key, _): &(String, Option<String>)| Ok(Kept { key: key.clone(), before: at.store().get(key)? });
        let aside = steps.iter().map(before).collect::<Result<Vec<Kept>>>()?;
        let (user, group) = if at.store().is_rendering() { host::ids() } else { spec.owner()? };
        // Looked for anew: the user of a service may have come with its package only now.
        let is_looked_at = spec.data && !at.store().is_rendering();
        let foreign = is_looked_at.then(|| owners::sample(&path, |found| found == user)).transpose()?;
        let given = foreign.and_then(|foreign| foreign.example).map(|(_, owner)| owner);
        at.will(&Undo {
            path: path.clone(),
            before: found.clone(),
            record: kept,
            marked,
            aside,
            below: given,
            data: spec.data,
        })?;
        for (key, before) in steps {
            at.store().put_back(Kept { key, before })?;
        }
        let below = record.as_ref().and_then(|record| record.below).or(given);
        let before = record.map_or(found, |record| record.before);
        let record = Record {
            path: spec.path.clone(),
            owner: spec.owner.clone(),
            mode: spec.mode.to_string(),
            data: spec.data,
            mark: spec.mark,
            before,
            below,
        };
        at.store().put_with_others(&at.key(), &serde_json::json!(record).to_string()).await?;
        if let Some(above) = path.parent() {
            files::make_folder(above, 0o755)?;
        }
        Inode { body: Body::Folder, mode: spec.mode.bits(), user, group }.write(&path)?;
        if given.is_some() {
            owners::give(&path, |found| found != user, (user, group))?;
        }
        if spec.mark { mark::write(&path, (user, group)) } else { Ok(()) }
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        if !undo.marked {
            files::remove(&mark::path(&undo.path))?;
        }
        give_back(&undo.path, undo.below)?;
        match &undo.before {
            Some(before) => before.write(&undo.path)?,
            None if undo.data => files::remove_empty_folder(&undo.path),
            None => files::remove_folder(&undo.path)?,
        }
        undo.aside.into_iter().try_for_each(|kept| kept.restore(at))?;
        match &undo.record {
            Some(record) => at.store().put(&at.key(), &serde_json::json!(record).to_string()),
            None => at.store().delete(&at.key()),
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let mut owned = at.owned_keys(true)?;
        for one in &mut owned {
            let Some(record) = at.store().json::<Record>(&one.handle)? else { continue };
            // What was there before us is not ours to delete.
            let path = at.store().root().join(record.path.trim_matches('/'));
            one.data = record.data && record.before.is_none() && holds(&path)?;
            one.label = record.path;
        }
        Ok(owned)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        if let Some(record) = at.store().json::<Record>(&owned.handle)? {
            let path = at.store().root().join(record.path.trim_matches('/'));
            if record.mark {
                files::remove(&mark::path(&path))?;
            }
            match &record.before {
                Some(before) => {
                    give_back(&path, record.below)?;
                    before.write(&path)?;
                }
                None => files::remove_folder(&path)?,
            }
        }
        at.store().delete(&owned.handle)
    }
}
