//! What takes the space of a registry: [`Usage`].
//!
//! It is read from the registry's store where that can be reached; of any other registry, from the manifests of its tags.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::garbage::Unneeded;
use super::images::Image;
use super::store::{Blobs, Digest, Parsed, Repositories, Store};
use crate::error::Result;

/// The space of a registry in bytes; what several repositories have is counted once in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub repositories: Vec<Share>,
    /// What images need.
    pub bytes: u64,
    /// What no image needs; none where only the registry's store could tell.
    pub unneeded: Option<Unneeded>,
}

/// The space of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub repository: String,
    pub tags: u64,
    /// All that its images need, each content once.
    pub bytes: u64,
    /// The part of it that no other repository needs.
    pub own_bytes: u64,
}

/// The contents that repositories share, by their digests.
struct Ledger<D> {
    shares: Vec<Share>,
    /// The first repository that needs a content, whether it is the only one, and the bytes.
    contents: BTreeMap<D, (usize, bool, u64)>,
}

impl<D: Ord> Ledger<D> {
    fn new() -> Self {
        Self { shares: Vec::new(), contents: BTreeMap::new() }
    }

    fn add(&mut self, repository: &str, tags: usize, contents: BTreeMap<D, u64>) {
        let bytes = contents.values().sum();
        let at = self.shares.len();
        for (digest, bytes) in contents {
            self.contents.entry(digest).and_modify(|(_, alone, _)| *alone = false).or_insert((at, true, bytes));
        }
        self.shares.push(Share { repository: repository.to_owned(), tags: tags as u64, bytes, own_bytes: 0 });
    }

    fn usage(mut self, unneeded: Option<Unneeded>) -> Usage {
        let mut all = 0;
        for (at, alone, bytes) in self.contents.into_values() {
            all += bytes;
            if alone {
                self.shares[at].own_bytes += bytes;
            }
        }
        Usage { repositories: self.shares, bytes: all, unneeded }
    }
}

impl Usage {
    /// The space of a store, beside a registry that serves.
    pub async fn of_store(store: &Store) -> Result<Self> {
        let unneeded = Unneeded::of(store).await?;
        let blobs = Blobs::list(store)?;
        let mut ledger: Ledger<Digest> = Ledger::new();
        let mut repositories = Repositories::new(store);
        while let Some(repository) = repositories.next(&mut |_, _, _| {})? {
            let mut contents = BTreeMap::new();
            let size = |digest: &Digest| (*digest, blobs.size(digest).unwrap_or_default());
            contents.extend(repository.revisions.keys().map(size));
            let is_there = |digest: &Digest| blobs.size(digest).is_some();
            store.parsed(&repository.revisions, &is_there, &mut |_, parsed| {
                if let Parsed::Whole(manifest) = parsed {
                    contents.extend(manifest.needs().map(size));
                }
            })?;
            if !contents.is_empty() {
                ledger.add(&repository.name, repository.tags.len(), contents);
            }
        }
        Ok(ledger.usage(Some(unneeded)))
    }

    /// The space of images as their manifests tell it. They are sorted by repository.
    pub fn of_images(images: &[Image]) -> Self {
        let mut ledger: Ledger<&str> = Ledger::new();
        for images in images.chunk_by(|one, next| one.repository == next.repository) {
            let contents = images.iter().flat_map(|image| &image.details.contents);
            let contents = contents.map(|(digest, bytes)| (digest.as_str(), *bytes)).collect();
            ledger.add(&images[0].repository, images.len(), contents);
        }
        ledger.usage(None)
    }
}
