//! What was taken away from a registry, kept so that it can be put back while its layers are still there: [`Removed`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::client::{Digest, Manifest, Registry};
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::world::host;

const KEY: &str = "removed.json";
/// Seconds that a collection leaves what it has listed, unless another grace is asked for.
pub(crate) const GRACE: i64 = 24 * 3600;
/// Seconds that the list goes back: where nothing is collected, all of it can still be put back.
const KEPT: i64 = 30 * 24 * 3600;

/// A manifest that lost tags, or was deleted with all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removed {
    pub repository: String,
    pub digest: String,
    pub tags: BTreeSet<String>,
    /// Its kind and its text, if it was deleted itself; none if it only lost tags.
    pub manifest: Option<(String, String)>,
    /// Seconds since 1970.
    pub time: i64,
}

impl Removed {
    /// One that is about to lose tags.
    pub fn untagged(repository: &str, digest: &str, tags: impl IntoIterator<Item = String>) -> Self {
        let (repository, digest, tags) = (repository.to_owned(), digest.to_owned(), tags.into_iter().collect());
        Self { repository, digest, tags, manifest: None, time: host::now().unix_timestamp() }
    }

    /// One that is about to be deleted.
    pub fn deleted(repository: &str, manifest: &Manifest, tags: &BTreeSet<String>) -> Self {
        let text = String::from_utf8(manifest.bytes.clone()).ok();
        let manifest_kept = text.map(|text| (manifest.kind.clone(), text));
        Self { manifest: manifest_kept, ..Self::untagged(repository, manifest.digest.as_str(), tags.iter().cloned()) }
    }

    /// All that is known, the latest first.
    pub fn read(store: &Store) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = store.json(KEY)?.unwrap_or_default();
        all.sort_by_key(|removed| std::cmp::Reverse(removed.time));
        Ok(all)
    }

    /// Adds some before they go. The deployment is locked.
    pub fn add(store: &Store, fresh: Vec<Self>) -> Result<()> {
        let merged = merge(Self::read(store)?, fresh, host::now().unix_timestamp());
        if merged.is_empty() { Ok(()) } else { store.put(KEY, &serde_json::json!(merged).to_string()) }
    }

    /// Seconds since 1970 until which a daily collection leaves it.
    pub fn end(&self) -> i64 {
        self.time + GRACE
    }

    /// Puts it back under a tag, or under its digest.
    ///
    /// # Errors
    /// The manifest, or something that it needs, is gone.
    pub async fn put_back(&self, registry: &Registry, reference: &str) -> Result<()> {
        let kept = match &self.manifest {
            Some((kind, text)) => Some(Manifest::read(text.clone().into_bytes(), kind)?),
            None => registry.manifest(&self.repository, &self.digest).await?,
        };
        let gone = || {
            Error::new(format!("`{}@{}` cannot be put back: a part of it is freed", self.repository, self.digest))
                .hint("push it again from a host that has it")
        };
        let manifest = kept.ok_or_else(gone)?;
        if manifest.digest != Digest::parse(&self.digest)? {
            return Err(gone());
        }
        let pushed = registry.push_manifest(&self.repository, reference, &manifest).await;
        pushed.map_err(|error| gone().detail([error.to_string()]))
    }
}

/// Both lists as one without what is too old; one for each manifest.
fn merge(known: Vec<Removed>, fresh: Vec<Removed>, now: i64) -> Vec<Removed> {
    let mut all: BTreeMap<(String, String), Removed> = BTreeMap::new();
    for removed in known.into_iter().filter(|removed| removed.time > now - KEPT).chain(fresh) {
        let key = (removed.repository.clone(), removed.digest.clone());
        let merged = match all.remove(&key) {
            None => removed,
            Some(mut earlier) => {
                earlier.tags.extend(removed.tags);
                let manifest = removed.manifest.or(earlier.manifest);
                Removed { manifest, time: removed.time.max(earlier.time), ..earlier }
            }
        };
        all.insert(key, merged);
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_listed_once_with_all_its_tags_until_it_is_too_old() {
        let one = |digest: &str, tag: &str, time: i64| Removed {
            repository: "app".to_owned(),
            digest: digest.to_owned(),
            tags: BTreeSet::from([tag.to_owned()]),
            manifest: (tag == "deleted").then(|| ("kind".to_owned(), "text".to_owned())),
            time,
        };
        let now = 100 * 86400;
        let known = vec![one("a", "v1", now - 86400), one("b", "v2", now - 31 * 86400), one("c", "v3", now)];
        let merged = merge(known, vec![one("a", "deleted", now)], now);
        let told: Vec<(&str, usize, bool, i64)> = merged
            .iter()
            .map(|removed| (removed.digest.as_str(), removed.tags.len(), removed.manifest.is_some(), removed.time))
            .collect();
        assert_eq!(told, [("a", 2, true, now), ("c", 1, false, now)]);
        assert_eq!(merged[0].end(), now + 86400);
    }
}
