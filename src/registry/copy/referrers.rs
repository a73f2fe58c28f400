//! What refers to a copied manifest: signatures, bills of materials, and whatever else has it as its subject.

use serde_json::{Value as Json, json};

use super::Copier;
use crate::error::Result;
use crate::registry::client::{Digest, Manifest, fallback_tag, media};

/// The endings of the tags under which `cosign` keeps what it says of a manifest.
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

impl Copier {
    /// Copies what the source lists as referring to a manifest.
    pub(super) async fn referrers_of(&self, repository: &str, target: &str, digest: &Digest) -> Result<()> {
        if !self.from.lists_referrers(repository, digest).await? {
            return self.referrers_by_tag(repository, target, digest).await;
        }
        for referrer in self.from.referrers(repository, digest).await? {
            self.referrer(repository, target, &referrer.digest).await?;
        }
        Ok(())
    }

    async fn referrer(&self, repository: &str, target: &str, digest: &Digest) -> Result<()> {
        // One that was deleted may still be listed.
        let Some(manifest) = self.from.manifest(repository, digest.as_str()).await? else { return Ok(()) };
        self.tree(repository, target, &manifest, digest.as_str()).await?;
        self.tell_referrer(target, &manifest).await
    }

    /// The same where the source's clients keep the list under a tag: the list is copied as it is, or what it has is added to
    /// the list that the target has.
    async fn referrers_by_tag(&self, repository: &str, target: &str, digest: &Digest) -> Result<()> {
        let tag = fallback_tag(digest);
        if !self.may_have(repository, &tag) {
            return Ok(());
        }
        let list = self.from.manifest(repository, &tag).await?;
        let Some(list) = list.filter(Manifest::is_index) else { return Ok(()) };
        let there = self.to.look_up(target, &tag).await?;
        if there.is_none_or(|there| there.digest == list.digest) {
            return self.tree(repository, target, &list, &tag).await;
        }
        for referrer in list.manifests()? {
            self.referrer(repository, target, &referrer.digest).await?;
        }
        Ok(())
    }

    /// Whether the source may have a tag, as far as that is known.
    fn may_have(&self, repository: &str, tag: &str) -> bool {
        self.tags.as_ref().is_none_or(|tags| tags.contains(&(repository.to_owned(), tag.to_owned())))
    }

    /// Copies the tags by which `cosign` signs a manifest.
    pub async fn signatures_of(&self, repository: &str, target: &str, digest: &Digest) -> Result<()> {
        for ending in COSIGN {
            let tag = format!("{}.{ending}", fallback_tag(digest));
            if let Some(manifest) = self.from.manifest(repository, &tag).await? {
                self.tree(repository, target, &manifest, &tag).await?;
            }
        }
        Ok(())
    }

    /// Enters a manifest in the list of what refers to its subject, where the target keeps no such list itself (OCI distribution
    /// specification 1.1, "Pushing Manifests with Subject").
    pub(super) async fn tell_referrer(&self, target: &str, manifest: &Manifest) -> Result<()> {
        let Some(subject) = manifest.subject()? else { return Ok(()) };
        if self.to.lists_referrers(target, &subject.digest).await? {
            return Ok(());
        }
        let tag = fallback_tag(&subject.digest);
        let earlier = self.to.manifest(target, &tag).await?.filter(Manifest::is_index);
        let mut content = earlier.map_or_else(
            || json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [] }),
            |earlier| earlier.content,
        );
        let Some(list) = content["manifests"].as_array_mut() else { return Ok(()) };
        if list.iter().any(|entry| entry["digest"] == manifest.digest.as_str()) {
            return Ok(());
        }
        let artifact = match &manifest.content["artifactType"] {
            Json::String(kind) => Json::String(kind.clone()),
            _ => manifest.content["config"]["mediaType"].clone(),
        };
        list.push(json!({
            "mediaType": manifest.kind, "digest": manifest.digest, "size": manifest.bytes.len(),
            "artifactType": artifact, "annotations": manifest.content["annotations"],
        }));
        let index = Manifest::read(content.to_string().into_bytes(), media::INDEX)?;
        self.to.push_manifest(target, &tag, &index).await
    }
}
