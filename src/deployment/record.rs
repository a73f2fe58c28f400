//! What is recorded of a deployment's last run: [`Record`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::deployment::upkeep::Upkeep;
use crate::error::{Error, Result};
use crate::world::engine::Identity;
use crate::world::proxy::Proxies;

/// The form of the record that is written here: since 2 the text of a playbook may have its parts in it.
pub(super) const VERSION: u32 = 2;
/// The oldest form that is read.
pub(super) const OLDEST: u32 = 1;

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
    /// How it is maintained by itself.
    #[serde(default, skip_serializing_if = "Upkeep::is_unset")]
    pub upkeep: Upkeep,
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

impl Record {
    /// Fails if it is half restored, so that no site goes on without its data.
    pub fn check_whole(&self, name: &str) -> Result<()> {
        if !self.restoring {
            return Ok(());
        }
        Err(Error::new(format!("the deployment `{name}` is incomplete: a restore of it was interrupted"))
            .hint("it holds a part of the backup only: destroy that deployment, or restore under another name"))
    }

    /// Whether a timer is to maintain it.
    pub fn is_looked_after(&self) -> bool {
        self.upkeep.is_wanted() && !self.kept && self.root.is_none()
    }

    /// Notes which engine it is on, if the run has asked one for anything.
    pub fn note_engine(&mut self, engine: Option<Identity>) {
        self.engine = engine.or_else(|| self.engine.take());
    }
}
