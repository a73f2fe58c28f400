//! Whether a store is whole: every tag leads to a manifest, and that to all its blobs: [`examine`], [`Findings`].
//!
//! It only reads, beside a registry that serves. What changes while it is looked at may look damaged, so only what is found again a
//! moment later counts.

mod check;
mod image;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::store::Store;
use crate::error::Result;
use crate::world::host;

/// How often damage has to be found until it counts, and milliseconds between.
const LOOKS: usize = 3;
const PAUSE: u64 = 1000;

/// One thing in a store that is not as it has to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Damage {
    /// The file that is damaged or missing, counted from the root of the store.
    pub path: String,
    pub what: String,
    pub mend: Mend,
}

impl Damage {
    /// Whether it is about a manifest, and not about a layer or a configuration.
    pub fn is_of_manifest(&self) -> bool {
        self.path.contains("/_manifests/") || self.what.contains("manifest")
    }
}

/// What puts damage right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Mend {
    /// Another push brings what is missing.
    Push,
    /// A push takes what is there for good: it has to be deleted first.
    DeleteAndPush,
}

/// What an examination found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub repositories: u64,
    pub tags: u64,
    pub manifests: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Each damage with the images that have it: `repository:tag`, or `repository@digest` where no tag leads to it.
    pub damages: Vec<(Damage, BTreeSet<String>)>,
    /// Blobs that no manifest needs.
    pub orphans: u64,
    pub orphan_bytes: u64,
    /// Uploads that have not ended.
    pub uploads: u64,
    pub upload_bytes: u64,
    /// Files of which no registry knows.
    pub unknown: Vec<String>,
}

pub(crate) type Damages = BTreeMap<Damage, BTreeSet<String>>;

/// Looks at all of a store; with `deep`, at every byte of it.
pub(crate) async fn examine(store: &Store, deep: bool) -> Result<Findings> {
    let (mut findings, mut damages) = check::all(store, deep)?;
    for _ in 1..LOOKS {
        if damages.is_empty() {
            break;
        }
        host::sleep(PAUSE).await;
        let (later, again) = check::all(store, deep)?;
        damages = again.into_iter().filter(|(damage, _)| damages.contains_key(damage)).collect();
        findings = later;
    }
    findings.damages = damages.into_iter().collect();
    Ok(findings)
}
