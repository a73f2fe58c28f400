//! A manifest with all that it names.

use std::sync::PoisonError;

use futures_util::{StreamExt, TryStreamExt};

use super::{AT_ONCE, Copier};
use crate::error::Result;
use crate::registry::client::{Digest, Manifest};

impl Copier {
    /// A manifest of the source that must be there.
    pub async fn wanted(&self, repository: &str, reference: &str) -> Result<Manifest> {
        let found = self.from.manifest(repository, reference).await?;
        found.ok_or_else(|| self.from.lacks(repository, reference))
    }

    /// Copies what a manifest names, then the manifest itself under a reference, then what refers to it.
    pub(super) fn tree<'a>(
        &'a self,
        repository: &'a str,
        target: &'a str,
        manifest: &'a Manifest,
        reference: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + 'a>> {
        Box::pin(async move {
            if !self.has_manifest(target, &manifest.digest) {
                self.named_by(repository, target, manifest).await?;
                self.to.push_manifest(target, reference, manifest).await?;
                self.note_manifest(target, &manifest.digest);
            } else if !reference.contains(':') {
                let found = self.to.look_up(target, reference).await?;
                if found.is_none_or(|found| found.digest != manifest.digest) {
                    self.to.push_manifest(target, reference, manifest).await?;
                }
            }
            self.referrers_of(repository, target, &manifest.digest).await
        })
    }

    /// Copies all blobs and manifests that a manifest needs.
    async fn named_by(&self, repository: &str, target: &str, manifest: &Manifest) -> Result<()> {
        if manifest.is_index() {
            let children = manifest.manifests()?;
            let children = children.iter().map(|child| async move {
                let found = self.wanted(repository, child.digest.as_str()).await?;
                self.tree(repository, target, &found, child.digest.as_str()).await
            });
            return futures_util::stream::iter(children).buffer_unordered(AT_ONCE).try_collect().await;
        }
        let blobs = manifest.blobs()?;
        let blobs = blobs.iter().map(|blob| async move {
            self.blob(repository, target, blob)
                .await
                .map_err(|error| error.within(format!("layer {}", blob.digest.short())))
        });
        futures_util::stream::iter(blobs).buffer_unordered(AT_ONCE).try_collect().await
    }

    fn has_manifest(&self, target: &str, digest: &Digest) -> bool {
        let known = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&(target.to_owned(), digest.clone()))
    }

    pub(super) fn note_manifest(&self, target: &str, digest: &Digest) {
        let mut known = self.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((target.to_owned(), digest.clone()));
    }
}
