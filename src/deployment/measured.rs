//! What was found out about a deployment and takes time to find out again: [`Measured`].
//!
//! It stands outside the deployment's folder, which is written only by who has its lock, and is nothing that anybody needs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::deployment::Store;
use crate::error::Result;
use crate::event::WrongEvent;
use crate::world::files;

/// All times are in RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The deployment's own id: another one of the same name has measured nothing yet.
    id: String,
    #[serde(default)]
    pub space: Option<Space>,
    /// Whether it took too long to count its data at a glance.
    #[serde(default)]
    pub slow: bool,
    #[serde(default)]
    pub backup: Option<Backup>,
    #[serde(default)]
    pub look: Option<Look>,
    #[serde(default)]
    pub upkeep: Option<Maintained>,
    /// What upkeep has told that fails, by what it looks after, and has not told to be mended yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<String>,
    /// When the store was examined last.
    #[serde(default)]
    pub examined: Option<String>,
    /// When a backup was last restored beside, to see whether it could be.
    #[serde(default)]
    pub drilled: Option<String>,
    /// When upkeep last looked for what no image needs.
    #[serde(default)]
    pub collected: Option<String>,
}

/// What came of its last upkeep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Maintained {
    pub time: String,
    /// The exit code.
    pub code: u8,
    /// The last line that it printed.
    pub line: String,
}

/// The bytes of its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Space {
    pub bytes: u64,
    pub time: String,
}

/// Its last backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backup {
    pub file: String,
    pub bytes: u64,
    pub time: String,
}

/// How it was when a look at it took long; without a time, one did and came to no end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    pub time: String,
    pub up_since: Option<String>,
    pub wrong: Vec<WrongEvent>,
}

fn path(name: &str) -> Result<PathBuf> {
    Ok(files::state_home()?.join("measured").join(format!("{name}.json")))
}

impl Measured {
    /// What is known of a deployment; nothing where that cannot be read.
    pub fn read(store: &Store) -> Self {
        let found = path(store.name()).and_then(|path| files::read(&path)).ok().flatten();
        let read: Option<Self> = found.and_then(|found| serde_json::from_slice(&found.content).ok());
        let fresh = || Self { id: store.id().to_owned(), ..Self::default() };
        read.filter(|read| read.id == store.id()).unwrap_or_else(fresh)
    }

    /// Keeps it as far as that is possible.
    pub fn keep(&self, store: &Store) {
        let Ok(path) = path(store.name()) else { return };
        let made = path.parent().map(|folder| files::make_folder(folder, 0o700));
        if made.is_some_and(|made| made.is_ok()) {
            drop(files::write_brief(&path, serde_json::json!(self).to_string().as_bytes(), 0o600));
        }
        if !files::exists(&store.path("")) {
            // It was destroyed meanwhile.
            Self::forget(store.name());
        }
    }

    pub fn forget(name: &str) {
        let Ok(path) = path(name) else { return };
        drop(files::remove(&path));
        path.parent().map(files::remove_empty_folder).unwrap_or_default();
    }
}
