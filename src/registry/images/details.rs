//! What a manifest takes and what it runs on: [`Details`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::Result;
use crate::registry::client::{Manifest, Registry};

/// What is known of a manifest by its digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Details {
    /// `linux/amd64`, one for each image of an index; none for what is no image.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// When its configuration was made (RFC 3339); of an index, that of its first image.
    #[serde(default)]
    pub created: Option<String>,
    /// Labels and annotations as `name=value`.
    #[serde(default)]
    pub words: Vec<String>,
    /// Everything that belongs to it, the manifests too, by digest: bytes.
    pub contents: BTreeMap<String, u64>,
}

impl Details {
    pub fn bytes(&self) -> u64 {
        self.contents.values().sum()
    }
}

/// Reads a manifest, and those of an index; none if it is not there.
pub(super) async fn read(registry: &Registry, repository: &str, digest: &str) -> Result<Option<Details>> {
    let Some(manifest) = registry.manifest(repository, digest).await? else { return Ok(None) };
    let mut details = Details::default();
    add(&mut details, &manifest);
    if !manifest.is_index() {
        image(registry, repository, &manifest, &mut details).await?;
        return Ok(Some(details));
    }
    for child in manifest.manifests()? {
        // An index may name a platform that was never pushed.
        let Some(inner) = registry.manifest(repository, child.digest.as_str()).await? else { continue };
        add(&mut details, &inner);
        details.contents.extend(inner.blobs()?.into_iter().map(|blob| (blob.digest.to_string(), blob.size)));
        let named = child.platform.filter(|platform| platform.os != "unknown" && !platform.os.is_empty());
        let Some(platform) = named else { continue };
        let name = platform_name(&platform.os, &platform.architecture, platform.variant.as_deref());
        details.platforms.push(name);
        if details.created.is_none() {
            let configuration = configuration(registry, repository, &inner).await?;
            details.created = configuration["created"].as_str().map(str::to_owned);
        }
    }
    Ok(Some(details))
}

fn add(details: &mut Details, manifest: &Manifest) {
    details.words.extend(words(&manifest.content["annotations"]));
    details.contents.insert(manifest.digest.to_string(), manifest.bytes.len() as u64);
}

fn words(pairs: &Json) -> impl Iterator<Item = String> {
    let pairs = pairs.as_object().into_iter().flatten();
    pairs.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
}

async fn image(registry: &Registry, repository: &str, manifest: &Manifest, details: &mut Details) -> Result<()> {
    details.contents.extend(manifest.blobs()?.into_iter().map(|blob| (blob.digest.to_string(), blob.size)));
    let configuration = configuration(registry, repository, manifest).await?;
    details.created = configuration["created"].as_str().map(str::to_owned);
    details.words.extend(words(&configuration["config"]["Labels"]));
    if let (Some(os), Some(architecture)) = (configuration["os"].as_str(), configuration["architecture"].as_str()) {
        details.platforms.push(platform_name(os, architecture, configuration["variant"].as_str()));
    }
    Ok(())
}

fn platform_name(os: &str, architecture: &str, variant: Option<&str>) -> String {
    variant.map_or_else(|| format!("{os}/{architecture}"), |variant| format!("{os}/{architecture}/{variant}"))
}

/// The configuration of an image; nothing for what is none, or has one that is no JSON.
pub(crate) async fn configuration(registry: &Registry, repository: &str, manifest: &Manifest) -> Result<Json> {
    let Some(config) = manifest.config()?.filter(|config| config.media_type.ends_with("json")) else {
        return Ok(Json::Null);
    };
    let content = registry.small_blob(repository, &config).await?;
    Ok(serde_json::from_slice(&content).unwrap_or(Json::Null))
}
