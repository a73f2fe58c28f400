//! A folder of this host that a service fills: [`FolderKind`].

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::content::Mode;
use crate::resource::fact::Fact;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::world::accounts::{self, GROUPS, USERS};
use crate::world::files;
use crate::world::host;
use crate::world::inode::{Body, Inode};

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
    /// As it was before; none if it was made.
    before: Option<Inode>,
}

pub(crate) struct Actual {
    record: Option<Record>,
    found: Option<Inode>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    path: PathBuf,
    before: Option<Inode>,
    record: Option<Record>,
    /// Whether what is in it by then cannot be made again.
    data: bool,
}

impl Record {
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

impl Kind for FolderKind {
    const NAME: &'static str = "folder";
    const ABOUT: &'static str = "a folder of this host that a service fills";
    const OUTPUTS: &'static [Output] = &[public("path")];
    const BARE: Option<&'static str> = Some("path");
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        Ok(Some(Actual { record: at.kept_json()?, found: Inode::read(&spec.place(at))? }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        let found = actual.and_then(|actual| actual.found.as_ref());
        if found.is_some_and(|found| found.body != Body::Folder) {
            return Err(Error::new(format!("`{}` is there already and is no folder", spec.path)).hint("move it away"));
        }
        if change.is_change() && !at.store().is_rendering() && !host::is_root() {
            return Err(Error::new(format!("only root may make `{}`", spec.path)).hint("run the command with `sudo`"));
        }
        Ok(())
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let Some(_) = &actual.record else { return Change::new(Action::Create) };
        let Some(found) = &actual.found else { return Change::new(Action::Create).because("the folder is gone") };
        let mut fields: Vec<Field> =
            Field::compare("mode", &Mode::new(found.mode).to_string(), &spec.mode.to_string()).into_iter().collect();
        if !at.store().is_rendering() && spec.owner().ok() != Some((found.user, found.group)) {
            let owner = format!("{}:{}", accounts::name_of(USERS, found.user), accounts::name_of(GROUPS, found.group));
            fields.extend(Field::compare("owner", &owner, &spec.owner));
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
        let record: Option<Record> = at.kept_json()?;
        let found = actual.and_then(|actual| actual.found);
        at.will(&Undo { path: path.clone(), before: found.clone(), record: record.clone(), data: spec.data })?;
        let (user, group) = if at.store().is_rendering() { host::ids() } else { spec.owner()? };
        let before = record.map_or(found, |record| record.before);
        let record = Record {
            path: spec.path.clone(),
            owner: spec.owner.clone(),
            mode: spec.mode.to_string(),
            data: spec.data,
            before,
        };
        at.store().put_with_others(&at.key(), &serde_json::json!(record).to_string()).await?;
        if let Some(above) = path.parent() {
            files::make_folder(above, 0o755)?;
        }
        Inode { body: Body::Folder, mode: spec.mode.bits(), user, group }.write(&path)
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        match &undo.before {
            Some(before) => before.write(&undo.path)?,
            None if undo.data => files::remove_empty_folder(&undo.path),
            None => files::remove_folder(&undo.path)?,
        }
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
            one.data = record.data && record.before.is_none() && !files::names(&path)?.is_empty();
            one.label = record.path;
        }
        Ok(owned)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        if let Some(record) = at.store().json::<Record>(&owned.handle)? {
            let path = at.store().root().join(record.path.trim_matches('/'));
            match &record.before {
                Some(before) => before.write(&path)?,
                None => files::remove_folder(&path)?,
            }
        }
        at.store().delete(&owned.handle)
    }
}
