//! The manifest of an image, once all that it names is in the registry.

use futures_util::StreamExt;
use serde_json::{Value as Json, json};

use super::{Image, Method, Push, locked};
use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, Manifest, media};

/// How many layers are asked for at once.
const AT_ONCE: usize = 4;
/// The annotation by which builders tell what a manifest of an index is about, such as how it was made.
const REFERENCE: &str = "vnd.docker.reference.digest";

impl Push<'_> {
    /// The manifest that goes under the image's name; none as long as something is missing.
    pub(super) async fn assemble(&self, image: &Image) -> Result<Option<Manifest>> {
        if self.source.keeps_as_pulled() {
            let Some(manifest) = self.manifest(&image.id)? else { return self.as_it_was(image).await };
            return self.whole(image, manifest).await;
        }
        let Some(configuration) = self.configuration(&image.id) else { return Ok(None) };
        let parsed: Json = serde_json::from_str(&configuration).map_err(|error| {
            Error::new(format!("the configuration of `{}` cannot be understood: {error}", image.reference))
        })?;
        let contents = parsed["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        let contents: Vec<Digest> =
            contents.map(|text| Digest::parse(text.as_str().unwrap_or_default())).collect::<Result<_>>()?;
        let repository = &image.name.repository;
        let asked = futures_util::stream::iter(contents.iter().map(|content| self.ensure_layer(repository, content)));
        let there: Vec<Result<bool>> = asked.buffered(AT_ONCE).collect().await;
        for there in there {
            if !there? {
                return Ok(None);
            }
        }
        self.registry.push_bytes(repository, configuration.as_bytes(), &image.id).await?;
        let (kind, configuration_kind, layer_kind) = match self.method {
            Method::Gzip => (media::DOCKER_MANIFEST, media::DOCKER_CONFIG, media::DOCKER_LAYER.to_owned()),
            // Docker's own form of a manifest has no name for zstd.
            Method::Zstd => (media::MANIFEST, media::CONFIG, format!("{}+zstd", media::LAYER)),
        };
        let layers = contents.iter().filter_map(|content| self.layer(content));
        let layers: Vec<Json> =
            layers.map(|(digest, size)| json!({ "mediaType": layer_kind, "size": size, "digest": digest })).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": { "mediaType": configuration_kind, "size": configuration.len(), "digest": image.id },
            "layers": layers,
        });
        Manifest::read(manifest.to_string().into_bytes(), kind).map(Some)
    }

    /// The configuration of an image, from the stream or from an earlier push.
    fn configuration(&self, id: &Digest) -> Option<String> {
        let came = locked(&self.state).texts.get(id).and_then(|text| String::from_utf8(text.clone()).ok());
        came.or_else(|| locked(&self.cache).configuration(id).map(str::to_owned))
    }

    /// A manifest that came in the stream.
    fn manifest(&self, digest: &Digest) -> Result<Option<Manifest>> {
        let text = locked(&self.state).texts.get(digest).cloned();
        text.map(|text| Manifest::read(text, "")).transpose()
    }

    /// The manifest that the registry has under the image's name, if that is the image.
    async fn as_it_was(&self, image: &Image) -> Result<Option<Manifest>> {
        if !self.platforms.is_empty() {
            return Ok(None);
        }
        let found = self.registry.look_up(&image.name.repository, &image.name.tag).await?;
        if found.is_none_or(|found| found.digest != image.id) {
            return Ok(None);
        }
        self.registry.manifest(&image.name.repository, image.id.as_str()).await
    }

    /// A manifest as it is; an index with as many of its manifests as there are and are wanted.
    async fn whole(&self, image: &Image, manifest: Manifest) -> Result<Option<Manifest>> {
        let repository = &image.name.repository;
        if !manifest.is_index() {
            return Ok(self.blobs_are_there(repository, &manifest).await?.then_some(manifest));
        }
        let all = manifest.manifests()?;
        let mut kept: Vec<(Descriptor, Manifest)> = Vec::new();
        for child in &all {
            let Some(found) = self.manifest(&child.digest)?.filter(|_| self.is_wanted(child, &kept)) else { continue };
            if self.blobs_are_there(repository, &found).await? {
                kept.push((child.clone(), found));
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let known = |kept: &[(Descriptor, Manifest)], digest: &str| {
            kept.iter().any(|(child, _)| child.digest.as_str() == digest)
        };
        let orphan = |child: &Descriptor| child.annotations.get(REFERENCE).is_some_and(|about| !known(&kept, about));
        let kept: Vec<&(Descriptor, Manifest)> = kept.iter().filter(|(child, _)| !orphan(child)).collect();
        if kept.len() < all.len() && kept.len() == 1 {
            return Ok(kept.first().map(|(_, only)| only.clone()));
        }
        for (_, child) in &kept {
            self.registry.push_manifest(repository, child.digest.as_str(), child).await?;
        }
        if kept.len() == all.len() {
            return Ok(Some(manifest));
        }
        let text =
            format!("`{}` is pushed with {} of the {} manifests of its index", image.reference, kept.len(), all.len());
        self.events.note(None, text);
        let mut content = manifest.content.clone();
        if let Some(list) = content["manifests"].as_array_mut() {
            list.retain(|entry| kept.iter().any(|(child, _)| entry["digest"] == child.digest.as_str()));
        }
        Manifest::read(content.to_string().into_bytes(), &manifest.kind).map(Some)
    }

    /// Whether a manifest of an index is one of those that were asked for, or is about one of them.
    fn is_wanted(&self, child: &Descriptor, kept: &[(Descriptor, Manifest)]) -> bool {
        if self.platforms.is_empty() {
            return true;
        }
        if let Some(about) = child.annotations.get(REFERENCE) {
            return kept.iter().any(|(image, _)| image.digest.as_str() == about);
        }
        let platform = child.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        self.platforms.iter().any(|wanted| *wanted == platform || platform.starts_with(&format!("{wanted}/")))
    }

    async fn blobs_are_there(&self, repository: &str, manifest: &Manifest) -> Result<bool> {
        for blob in manifest.blobs()? {
            if self.ensure(repository, &blob.digest, None).await? {
                continue;
            }
            let text = locked(&self.state).texts.get(&blob.digest).cloned();
            let Some(text) = text else { return Ok(false) };
            self.registry.push_bytes(repository, &text, &blob.digest).await?;
            self.note_there(repository, &blob.digest);
        }
        Ok(true)
    }
}
