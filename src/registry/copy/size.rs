//! How much a copy would send, found out without sending anything.

use std::collections::BTreeSet;

use super::{Copier, Pair};
use crate::error::Result;
use crate::registry::client::{Digest, Manifest};

impl Copier {
    /// The bytes of blobs that the target lacks for one tag; `counted` are those that need not be counted again.
    pub async fn missing(&self, pair: &Pair, counted: &mut BTreeSet<Digest>) -> Result<u64> {
        let (repository, target) = (&pair.from.0, &pair.to.0);
        let mut waiting: Vec<Manifest> = vec![self.wanted(repository, &pair.from.1).await?];
        let mut bytes = 0;
        while let Some(manifest) = waiting.pop() {
            if self.to.look_up(target, manifest.digest.as_str()).await?.is_some() {
                continue;
            }
            if manifest.is_index() {
                for child in manifest.manifests()? {
                    waiting.push(self.wanted(repository, child.digest.as_str()).await?);
                }
                continue;
            }
            for blob in manifest.blobs()? {
                if counted.insert(blob.digest.clone()) && self.to.has_blob(target, &blob.digest).await?.is_none() {
                    bytes += blob.size;
                }
            }
        }
        Ok(bytes)
    }
}
