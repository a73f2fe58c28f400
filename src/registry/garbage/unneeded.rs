//! What may go from a store, whatever its age: [`Unneeded`].

use serde::{Deserialize, Serialize};

use super::mark::Marked;
use crate::error::Result;
use crate::registry::store::{Repositories, Store};

/// What no image of a store needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unneeded {
    /// Blobs that no manifest needs.
    pub blobs: u64,
    pub bytes: u64,
    /// Manifests that no tag leads to, and the bytes of them and of what nothing else needs.
    pub untagged_manifests: u64,
    pub untagged_bytes: u64,
    /// Uploads that have not ended.
    pub uploads: u64,
    pub upload_bytes: u64,
}

impl Unneeded {
    /// # Errors
    /// A part of the store cannot be read.
    pub async fn of(store: &Store) -> Result<Self> {
        let marked = Marked::mark(store, &Some(i128::MAX).into(), &|_| false, None).await?;
        let mut found = Self { untagged_manifests: marked.doomed.len() as u64, ..Self::default() };
        for (digest, bytes, _) in marked.blobs.garbage() {
            if marked.blobs.is_needed(&digest) {
                found.untagged_bytes += bytes;
            } else {
                found.blobs += 1;
                found.bytes += bytes;
            }
        }
        let mut repositories = Repositories::new(store);
        while let Some(repository) = repositories.next(&mut |_, _, _| {})? {
            found.uploads += repository.uploads.len() as u64;
            found.upload_bytes += repository.uploads.values().sum::<u64>();
        }
        Ok(found)
    }
}
