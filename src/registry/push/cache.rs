//! What is known of layers from earlier pushes, so that a push of what is there already reads no layer: [`Cache`].
//!
//! It is a help only: whatever it says is checked against the registry, and it may be deleted at any time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::compress::Method;
use crate::registry::client::{Descriptor, Digest};
use crate::world::files;

/// How many layers are remembered; with more, it begins anew.
const LAYERS: usize = 20_000;
const VERSION: u32 = 1;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cache {
    version: u32,
    /// By the method and the digest of the layer's content.
    layers: BTreeMap<String, Layer>,
    /// The digest of the content by the layer's place in what the engine gives, which an engine derives from the layers.
    paths: BTreeMap<String, Digest>,
    /// The configurations of images, by their ids.
    configurations: BTreeMap<Digest, String>,
    #[serde(skip)]
    path: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    digest: Digest,
    size: u64,
    /// A repository of each registry that has it.
    #[serde(default)]
    seen: BTreeMap<String, String>,
}

impl Cache {
    pub fn read() -> Self {
        let path = files::cache_home().ok().map(|home| home.join("layers.json"));
        let found = path.as_deref().and_then(|path| files::read(path).ok().flatten());
        let kept: Option<Self> = found.and_then(|found| serde_json::from_slice(&found.content).ok());
        let kept = kept.filter(|kept| kept.version == VERSION && kept.layers.len() < LAYERS).unwrap_or_default();
        Self { version: VERSION, path, ..kept }
    }

    /// Writes it down, if that can be done.
    pub fn write(&self) {
        let (Some(path), Ok(text)) = (&self.path, serde_json::to_vec(self)) else { return };
        let folder = path.parent().map(|folder| files::make_folder(folder, 0o700));
        if matches!(folder, Some(Ok(_))) {
            drop(files::write_brief(path, &text, 0o600));
        }
    }

    fn key(method: Method, content: &Digest) -> String {
        format!("{} {content}", method.name())
    }

    /// The layer as it was pushed.
    pub fn layer(&self, method: Method, content: &Digest) -> Option<(Digest, u64)> {
        self.layers.get(&Self::key(method, content)).map(|layer| (layer.digest.clone(), layer.size))
    }

    /// A repository of a registry that was seen to have the layer.
    pub fn seen(&self, method: Method, content: &Digest, registry: &str) -> Option<&str> {
        self.layers.get(&Self::key(method, content))?.seen.get(registry).map(String::as_str)
    }

    pub fn note(&mut self, method: Method, content: &Digest, blob: &Descriptor, registry: &str, repository: &str) {
        let key = Self::key(method, content);
        let fresh = Layer { digest: blob.digest.clone(), size: blob.size, seen: BTreeMap::new() };
        let layer = self.layers.entry(key).or_insert_with(|| fresh.clone());
        if layer.digest != fresh.digest {
            *layer = fresh;
        }
        layer.seen.insert(registry.to_owned(), repository.to_owned());
    }

    pub fn content_at(&self, path: &str) -> Option<&Digest> {
        self.paths.get(path)
    }

    pub fn paths(&self) -> impl Iterator<Item = (&String, &Digest)> {
        self.paths.iter()
    }

    pub fn note_path(&mut self, path: &str, content: &Digest) {
        self.paths.insert(path.to_owned(), content.clone());
    }

    /// The configuration of an image, if it is what the id says.
    pub fn configuration(&self, id: &Digest) -> Option<&str> {
        self.configurations.get(id).map(String::as_str).filter(|text| id.is_of(text.as_bytes()))
    }

    pub fn note_configuration(&mut self, id: &Digest, text: &str) {
        self.configurations.insert(id.clone(), text.to_owned());
    }
}
