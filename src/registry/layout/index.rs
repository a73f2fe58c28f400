//! `index.json` of a layout, in which fields that nobody here knows stay as they are: [`Index`].

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, Manifest, media};
use crate::text;

/// The annotation with the name of an image (OCI image specification 1.1, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";

pub(super) struct Index {
    content: Json,
    /// Where in `manifests` the first image of each name stands; some have none.
    places: HashMap<Option<String>, usize>,
}

impl Default for Index {
    fn default() -> Self {
        let content = json!({ "schemaVersion": 2, "mediaType": media::INDEX, "manifests": [] });
        Self { content, places: HashMap::new() }
    }
}

impl Index {
    /// # Errors
    /// It is no index, in words that read on after the name of the file.
    pub fn read(content: &[u8]) -> std::result::Result<Self, String> {
        let mut index = Self { content: text::json::read(content)?, places: HashMap::new() };
        if !index.content["manifests"].is_array() {
            return Err("it has no list `manifests`".to_owned());
        }
        for (at, (name, _)) in index.images().map_err(|error| error.to_string())?.into_iter().enumerate() {
            index.places.entry(name).or_insert(at);
        }
        Ok(index)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.content.to_string().into_bytes()
    }

    /// The names of all images and their digests.
    pub fn images(&self) -> Result<Vec<(Option<String>, Digest)>> {
        let entries = self.content["manifests"].as_array().into_iter().flatten();
        entries
            .map(|entry| descriptor(entry).map(|found| (found.annotations.get(NAME).cloned(), found.digest)))
            .collect()
    }

    /// The image that has a name.
    pub fn find(&self, name: Option<&str>) -> Result<Option<Descriptor>> {
        let at = self.places.get(&name.map(str::to_owned));
        at.map(|at| descriptor(&self.content["manifests"][*at])).transpose()
    }

    /// Gives a manifest a name, which its earlier image loses. False if it has that already.
    pub fn set(&mut self, name: &str, manifest: &Manifest) -> bool {
        let Some(entries) = self.content["manifests"].as_array_mut() else { return false };
        let entry = json!({
            "mediaType": manifest.kind, "digest": manifest.digest, "size": manifest.bytes.len(),
            "annotations": { NAME: name },
        });
        match self.places.get(&Some(name.to_owned())).and_then(|at| entries.get_mut(*at)) {
            Some(there) if there["digest"] == entry["digest"] => return false,
            Some(there) => *there = entry,
            None => {
                self.places.insert(Some(name.to_owned()), entries.len());
                entries.push(entry);
            }
        }
        true
    }
}

fn descriptor(entry: &Json) -> Result<Descriptor> {
    Descriptor::deserialize(entry)
        .map_err(|error| Error::new(format!("an entry of `manifests` cannot be understood: {error}")))
}

/// The name of an image of a repository; without one it is its tag.
pub(super) fn joined(repository: &str, tag: &str) -> String {
    if repository.is_empty() { tag.to_owned() } else { format!("{repository}:{tag}") }
}
