//! What a manifest needs, whatever its form: [`Manifest`].

use serde_json::Value as Json;

use super::Digest;

/// What a manifest says of one blob or manifest that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub digest: Digest,
    /// None where the form has no sizes.
    pub size: Option<u64>,
    /// Whether clients fetch it from elsewhere, so that the store need not have it.
    pub foreign: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Layers and the configuration.
    pub blobs: Vec<Descriptor>,
    /// The manifests of an index, one a platform.
    pub children: Vec<Descriptor>,
    /// The manifest that this one is about, as a signature is.
    pub subject: Option<Digest>,
}

impl Manifest {
    /// Understands the forms of Docker (schema 1 and 2, lists) and OCI (manifest, index, artifact); none if it is none of them.
    pub fn read(content: &[u8]) -> Option<Self> {
        let json: Json = serde_json::from_slice(content).ok()?;
        json.as_object()?;
        let list = |key: &str| json[key].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let old = list("fsLayers")
            .map(|layer| Some(Descriptor { digest: digest(&layer["blobSum"])?, size: None, foreign: false }));
        let config = json.get("config").filter(|config| !config.is_null()).into_iter();
        let blobs = config.chain(list("layers")).chain(list("blobs")).map(descriptor).chain(old);
        let subject = json.get("subject").filter(|subject| !subject.is_null());
        let found = Self {
            blobs: blobs.collect::<Option<_>>()?,
            children: list("manifests").map(descriptor).collect::<Option<_>>()?,
            subject: subject.map(|subject| digest(&subject["digest"]).ok_or(())).transpose().ok()?,
        };
        let known = ["config", "layers", "fsLayers", "manifests", "blobs"];
        known.iter().any(|key| json.get(key).is_some()).then_some(found)
    }

    /// Everything that it needs to be served.
    pub fn needs(&self) -> impl Iterator<Item = &Digest> {
        self.blobs.iter().chain(&self.children).map(|descriptor| &descriptor.digest)
    }
}

fn digest(value: &Json) -> Option<Digest> {
    value.as_str().and_then(Digest::read)
}

fn descriptor(value: &Json) -> Option<Descriptor> {
    let kind = value["mediaType"].as_str().unwrap_or_default();
    let urls = value["urls"].as_array().is_some_and(|urls| !urls.is_empty());
    let foreign = urls || kind.contains(".foreign.") || kind.contains(".nondistributable.");
    Some(Descriptor { digest: digest(&value["digest"])?, size: value["size"].as_u64(), foreign })
}

/// Every digest that stands in a text, for a manifest that is not understood.
pub(crate) fn mentioned(content: &[u8]) -> impl Iterator<Item = Digest> {
    let prefix = b"sha256:";
    content
        .windows(prefix.len() + 64)
        .filter_map(move |window| std::str::from_utf8(window.strip_prefix(prefix)?).ok().and_then(Digest::of_hex))
}
