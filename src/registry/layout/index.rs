//! `index.json` of a layout, in which fields that nobody here knows stay as they are: [`Index`].

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::Result;
use crate::registry::client::{Descriptor, Manifest, media};
use crate::text;

/// The annotation with the name of an image (OCI image specification 1.1, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";

pub(super) struct Index(Json);

impl Default for Index {
    fn default() -> Self {
        Self(json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [] }))
    }
}

impl Index {
    /// # Errors
    /// It is no index, in words that read on after the name of the file.
    pub fn read(content: &[u8]) -> std::result::Result<Self, String> {
        let index = Self(text::json::read(content)?);
        if !index.0["manifests"].is_array() {
            return Err("it has no list `manifests`".to_owned());
        }
        index.descriptors().map_err(|error| error.to_string())?;
        Ok(index)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }

    fn entries(&self) -> impl Iterator<Item = &Json> {
        self.0["manifests"].as_array().into_iter().flatten()
    }

    fn descriptors(&self) -> Result<Vec<Descriptor>> {
        let read = |entry| {
            Descriptor::deserialize(entry).map_err(|error| {
                crate::error::Error::new(format!("an entry of `manifests` cannot be understood: {error}"))
            })
        };
        self.entries().map(read).collect()
    }

    /// The names of all images and their digests.
    pub fn images(&self) -> Result<Vec<(Option<String>, crate::registry::client::Digest)>> {
        let named = |entry: Descriptor| (entry.annotations.get(NAME).cloned(), entry.digest);
        Ok(self.descriptors()?.into_iter().map(named).collect())
    }

    /// The image whose name is meant.
    pub fn find(&self, meant: impl Fn(Option<&str>) -> bool) -> Result<Option<Descriptor>> {
        let found = self.entries().find(|entry| meant(entry["annotations"][NAME].as_str()));
        let Some(found) = found else { return Ok(None) };
        let read = Descriptor::deserialize(found);
        read.map(Some).map_err(|error| crate::error::Error::new(format!("`index.json` cannot be understood: {error}")))
    }

    /// Gives a manifest a name, which no other has then. False if it has that already.
    pub fn set(&mut self, name: &str, manifest: &Manifest) -> bool {
        let Some(entries) = self.0["manifests"].as_array_mut() else { return false };
        let has_name = |entry: &Json| entry["annotations"][NAME].as_str() == Some(name);
        if entries.iter().any(|entry| has_name(entry) && entry["digest"] == manifest.digest.as_str()) {
            return false;
        }
        entries.retain(|entry| !has_name(entry));
        entries.push(json!({
            "mediaType": manifest.kind, "digest": manifest.digest, "size": manifest.bytes.len(),
            "annotations": { NAME: name },
        }));
        true
    }
}

/// The name of an image of a repository; without one it is its tag.
pub(super) fn joined(repository: &str, tag: &str) -> String {
    if repository.is_empty() { tag.to_owned() } else { format!("{repository}:{tag}") }
}
