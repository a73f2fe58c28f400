//! Packages of a Debian host: installed without being started, and purged again if they were not there before: [`PackageKind`].

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::world::{dpkg, host};

pub(crate) struct PackageKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// What must be installed, by the names that `apt-get` knows.
    packages: Vec<String>,
}

/// What is kept: what was asked for, and all that came with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub wanted: Vec<String>,
    /// Packages that were not there before.
    pub brought: BTreeSet<String>,
    /// What was there when an installation began that has not ended: a run that was killed leaves this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    begun: Option<BTreeSet<String>>,
}

/// How a step is taken back: whatever was not installed before goes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    record: Option<Record>,
    before: BTreeSet<String>,
}

pub(crate) struct Actual {
    record: Option<Record>,
    installed: BTreeSet<String>,
}

impl Record {
    fn put(&self, at: &At) -> Result<()> {
        at.store().put(&at.key(), &serde_json::json!(self).to_string())
    }

    /// Those of all resources of a deployment.
    pub fn all(store: &Store) -> Result<Vec<Self>> {
        store.all_json(PackageKind::NAME)
    }
}

impl Kind for PackageKind {
    const NAME: &'static str = "package";
    const ABOUT: &'static str = "packages of a Debian host, installed without starting what they bring";
    const OUTPUTS: &'static [Output] = &[public("names")];
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        let record = at.kept_json()?;
        let installed =
            if at.store().is_rendering() || !dpkg::is_there() { BTreeSet::new() } else { dpkg::installed().await? };
        Ok(Some(Actual { record, installed }))
    }

    async fn check(_: &Spec, _: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        if at.store().is_rendering() || !change.is_change() {
            return Ok(());
        }
        if !dpkg::is_there() {
            return Err(dpkg::none());
        }
        if !host::is_root() {
            return Err(Error::new("only root may install packages").hint("run the command with `sudo`"));
        }
        Ok(())
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let Some(record) = &actual.record else { return Change::new(Action::Create) };
        let mut fields = Vec::new();
        if !at.store().is_rendering() {
            let missing = spec.packages.iter().filter(|name| !actual.installed.contains(*name));
            fields.extend(missing.filter_map(|name| Field::compare(name.clone(), "", "installed")));
        }
        if record.begun.is_some() {
            fields.extend(Field::compare("installation", "broken off", "complete"));
        }
        fields.extend(Field::compare("packages", &record.wanted.join(", "), &spec.packages.join(", ")));
        Change::of(Action::Update, fields)
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, _: &At) -> Outputs {
        Outputs::default().with("names", spec.packages.clone())
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let _alone = dpkg::alone().await;
        let mut record = actual.and_then(|actual| actual.record).unwrap_or_default();
        record.wanted.clone_from(&spec.packages);
        let before = if at.store().is_rendering() { BTreeSet::new() } else { dpkg::installed().await? };
        at.will(&Undo { record: at.kept_json()?, before: before.clone() })?;
        if !at.store().is_rendering() {
            let missing: Vec<String> = spec.packages.iter().filter(|name| !before.contains(*name)).cloned().collect();
            if record.begun.is_some() {
                dpkg::let_start()?;
            }
            let first = record.begun.take().unwrap_or(before);
            record.begun = Some(first.clone());
            record.put(at)?;
            if !missing.is_empty() {
                at.progress(format!("installing {}", missing.join(", ")), 0, 0);
                dpkg::install(&missing).await?;
            }
            record.brought.extend(dpkg::installed().await?.difference(&first).cloned());
            record.begun = None;
        }
        record.put(at)
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let _alone = dpkg::alone().await;
        if !at.store().is_rendering() {
            let brought: Vec<String> = dpkg::installed().await?.difference(&undo.before).cloned().collect();
            if !brought.is_empty() {
                dpkg::purge(&brought).await?;
            }
        }
        match &undo.record {
            Some(record) => record.put(at),
            None => at.store().delete(&at.key()),
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        let _alone = dpkg::alone().await;
        let mut record: Record = at.kept_json()?.unwrap_or_default();
        if let Some(begun) = record.begun {
            dpkg::let_start()?;
            record.brought.extend(dpkg::installed().await?.difference(&begun).cloned());
        }
        let brought: Vec<String> = record.brought.into_iter().collect();
        if !brought.is_empty() && !at.store().is_rendering() {
            let stay = dpkg::purge(&brought).await?;
            if !stay.is_empty() {
                at.events()
                    .note(Some(&at.id), format!("others need these packages, so they stay: {}", stay.join(", ")));
            }
        }
        at.store().delete(&owned.handle)
    }
}
