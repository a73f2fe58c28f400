//! What is kept of a container from when it was made, because the engine does not tell it later: [`Record`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::unnamed;
use crate::error::Result;
use crate::resource::At;
use crate::resource::change::Gap;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// How long it took from its start, or from the end of the one before it, until it was ready.
    pub milliseconds: Option<u64>,
    /// The engine's own defaults of that time, for fields of which each engine has its own.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
    /// Every label that it had then: an engine may add some by itself.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Record {
    /// For how long nobody answers while it is replaced.
    pub fn gap(&self) -> Gap {
        self.milliseconds.map_or(Gap::Unknown, Gap::Milliseconds)
    }
}

/// What was kept of the container of a resource.
pub(super) fn read(at: &At) -> Result<Record> {
    Ok(at.kept_json()?.unwrap_or_default())
}

/// Keeps what is to be known of a container that has just become ready.
pub(super) async fn keep(name: &str, took: Duration, at: &At) -> Result<()> {
    let Some(found) = at.engine().await?.container(name).await? else { return Ok(()) };
    let milliseconds = u64::try_from(took.as_millis()).ok();
    let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    let record = Record { milliseconds, defaults: unnamed::defaults(&found), labels: labels.into_iter().collect() };
    at.store().put(&at.key(), &serde_json::json!(record).to_string())
}
