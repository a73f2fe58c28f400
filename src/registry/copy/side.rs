//! One side of a copy, a registry or a folder: [`Side`].

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, Download, LARGEST, Manifest, Parts, Registry, named};
use crate::registry::layout::{Layout, Reading};
use crate::text::shell;

/// Where images are copied from, or to.
pub(crate) enum Side {
    Registry(Registry),
    Layout(Box<Layout>),
}

/// A blob that comes from either.
pub(super) enum Coming<'a> {
    Registry(Box<Download>),
    Layout(Box<Reading<'a>>),
}

impl Parts for Coming<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            Self::Registry(download) => download.next().await,
            Self::Layout(reading) => reading.next().await,
        }
    }
}

impl Side {
    /// As names of images begin with it.
    pub fn name(&self) -> &str {
        match self {
            Self::Registry(registry) => registry.name(),
            Self::Layout(layout) => layout.name(),
        }
    }

    /// An image with all of its name.
    pub fn full(&self, repository: &str, reference: &str) -> String {
        match self {
            Self::Registry(registry) => format!("{}/{}", registry.name(), named(repository, reference)),
            Self::Layout(layout) if repository.is_empty() => format!("{}:{reference}", layout.name()),
            Self::Layout(layout) => format!("{}:{}", layout.name(), named(repository, reference)),
        }
    }

    /// Makes a folder ready to be written to.
    ///
    /// # Errors
    /// It cannot be written, or another run writes to it.
    pub fn begin(&self) -> Result<()> {
        match self {
            Self::Registry(_) => Ok(()),
            Self::Layout(layout) => layout.begin(),
        }
    }

    /// Has all that was written take its place.
    pub fn finish(&self) -> Result<()> {
        match self {
            Self::Registry(_) => Ok(()),
            Self::Layout(layout) => layout.finish(),
        }
    }

    /// All repositories.
    pub async fn catalog(&self) -> Result<Vec<String>> {
        match self {
            Self::Registry(registry) => registry.catalog().await,
            Self::Layout(layout) => {
                let repositories: BTreeSet<String> = layout.images()?.into_iter().map(|(name, _)| name).collect();
                Ok(repositories.into_iter().collect())
            }
        }
    }

    /// The tags of a repository.
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>> {
        match self {
            Self::Registry(registry) => Ok(registry.tags(repository).await?.unwrap_or_default()),
            Self::Layout(layout) => {
                let images = layout.images()?.into_iter();
                Ok(images.filter(|(name, _)| name == repository).map(|(_, tag)| tag).collect())
            }
        }
    }

    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>> {
        match self {
            Self::Registry(registry) => registry.manifest(repository, reference).await,
            Self::Layout(layout) => layout.manifest(repository, reference),
        }
    }

    pub async fn look_up(&self, repository: &str, reference: &str) -> Result<Option<Descriptor>> {
        match self {
            Self::Registry(registry) => registry.look_up(repository, reference).await,
            Self::Layout(layout) => Ok(layout.manifest(repository, reference)?.map(|manifest| manifest.descriptor())),
        }
    }

    pub(super) async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Manifest) -> Result<()> {
        match self {
            Self::Registry(registry) => registry.push_manifest(repository, reference, manifest).await,
            Self::Layout(layout) => layout.push_manifest(repository, reference, manifest),
        }
    }

    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        match self {
            Self::Registry(registry) => registry.has_blob(repository, digest).await,
            Self::Layout(layout) => layout.has_blob(digest).await,
        }
    }

    pub(super) fn blob(&self, repository: &str, blob: &Descriptor) -> Coming<'_> {
        match self {
            Self::Registry(registry) => Coming::Registry(Box::new(registry.blob(repository, blob))),
            Self::Layout(layout) => Coming::Layout(Box::new(layout.blob(blob))),
        }
    }

    /// Whether it lists itself what refers to a manifest. In a folder that stands under a tag, as in registries that cannot.
    pub(super) async fn lists_referrers(&self, repository: &str, digest: &Digest) -> Result<bool> {
        match self {
            Self::Registry(registry) => registry.lists_referrers(repository, digest).await,
            Self::Layout(_) => Ok(false),
        }
    }

    pub(super) async fn referrers(&self, repository: &str, digest: &Digest) -> Result<Vec<Descriptor>> {
        match self {
            Self::Registry(registry) => registry.referrers(repository, digest).await,
            Self::Layout(_) => Ok(Vec::new()),
        }
    }

    /// Whether what has a tag is known to be whole: a registry takes no manifest before its blobs, in a folder they may have
    /// been lost.
    pub fn vouches(&self) -> bool {
        matches!(self, Self::Registry(_))
    }

    /// The error of an image that is not there.
    pub(super) fn lacks(&self, repository: &str, reference: &str) -> Error {
        match self {
            Self::Registry(registry) => {
                let (name, image) = (registry.name(), named(repository, reference));
                Error::new(format!("the registry `{name}` has no image `{image}`"))
                    .hint(format!("`curl {}/v2/{repository}/tags/list` shows the tags there are", registry.base()))
            }
            Self::Layout(layout) => {
                let folder = layout.name().trim_start_matches("oci:");
                let list = shell::line(["jq", ".manifests", &format!("{folder}/index.json")]);
                Error::new(format!("there is no image `{}`", self.full(repository, reference)))
                    .hint(format!("`{list}` shows the images there are"))
            }
        }
    }

    /// When an image was made, as its configuration says: of an index, the first of its images.
    pub async fn created(&self, repository: &str, reference: &str) -> Result<Option<OffsetDateTime>> {
        let Some(mut manifest) = self.manifest(repository, reference).await? else { return Ok(None) };
        if manifest.is_index() {
            let Some(child) = manifest.manifests()?.into_iter().next() else { return Ok(None) };
            let Some(found) = self.manifest(repository, child.digest.as_str()).await? else { return Ok(None) };
            manifest = found;
        }
        let Some(configuration) = manifest.config()?.filter(|config| config.size <= LARGEST as u64) else {
            return Ok(None);
        };
        let (mut coming, mut text) = (self.blob(repository, &configuration), Vec::new());
        while let Some(part) = coming.next().await? {
            text.extend_from_slice(&part);
        }
        let parsed: Json = serde_json::from_slice(&text).unwrap_or_default();
        let created = parsed["created"].as_str().unwrap_or_default();
        Ok(OffsetDateTime::parse(created, &time::format_description::well_known::Rfc3339).ok())
    }
}
