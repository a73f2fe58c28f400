//! Manifests: what an image, an index or an artifact consists of: [`Manifest`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::call::Call;
use super::fault::is_html;
use super::{Digest, Registry, auth};
use crate::error::{Error, Result};

/// The media types of what registries hold.
pub(crate) mod media {
    pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub(crate) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub(crate) const ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    /// What is asked for. Schema 1 is among it only so that it can be told from what is not there.
    pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.artifact.manifest.v1+json";
}

/// The largest manifest that is read; registries take 4 MiB.
pub(crate) const LARGEST: usize = 4 << 20;

/// A content by its digest (OCI image specification 1.1, "Content Descriptors"), of which fields that nobody here needs are
/// left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where a layer is to be had that registries may not give out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub fn new(kind: &str, digest: Digest, size: u64) -> Self {
        let (artifact_type, platform) = (None, None);
        let (urls, annotations) = (Vec::new(), BTreeMap::new());
        Self { media_type: kind.to_owned(), digest, size, artifact_type, platform, urls, annotations }
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A manifest as it is to the byte, and what it names.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub kind: String,
    pub digest: Digest,
    pub bytes: Vec<u8>,
    pub content: Json,
}

impl Manifest {
    /// Looks at the bytes of a manifest. `kind` is the media type that came with them; the manifest's own wins.
    ///
    /// # Errors
    /// It is none, or one of schema 1.
    pub fn read(bytes: Vec<u8>, kind: &str) -> Result<Self> {
        let content: Json = serde_json::from_slice(&bytes)
            .map_err(|error| Error::new(format!("a manifest cannot be understood: {error}")))?;
        if content["schemaVersion"] == 1 {
            return Err(Error::new("the manifest is one of schema 1, which registries and engines of today refuse")
                .hint(
                    "pull the image with the Docker Engine that made it, and push it anew with one of 1.10 or newer",
                ));
        }
        let own = content["mediaType"].as_str().unwrap_or_default();
        let kind = if own.is_empty() { kind.split(';').next().unwrap_or_default().trim() } else { own };
        let kind = match kind {
            "" | "application/json" | "application/octet-stream" if content.get("manifests").is_some() => media::INDEX,
            "" | "application/json" | "application/octet-stream" => media::MANIFEST,
            kind => kind,
        };
        if content["schemaVersion"] != 2 && kind != media::ARTIFACT {
            return Err(Error::new("what was given as a manifest is none"));
        }
        Ok(Self { kind: kind.to_owned(), digest: Digest::of(&bytes), content, bytes })
    }

    /// Whether it is a list of manifests, such as of one for each platform.
    pub fn is_index(&self) -> bool {
        matches!(self.kind.as_str(), media::INDEX | media::DOCKER_LIST)
    }

    /// The manifests of an index.
    pub fn manifests(&self) -> Result<Vec<Descriptor>> {
        self.descriptors("manifests")
    }

    /// The configuration, where there is one.
    pub fn config(&self) -> Result<Option<Descriptor>> {
        self.content.get("config").map(read).transpose()
    }

    pub fn layers(&self) -> Result<Vec<Descriptor>> {
        self.descriptors(if self.kind == media::ARTIFACT { "blobs" } else { "layers" })
    }

    /// All blobs that a registry must have before it takes the manifest, each once: configuration and layers, but none that
    /// is to be had elsewhere only.
    pub fn blobs(&self) -> Result<Vec<Descriptor>> {
        let mut blobs: Vec<Descriptor> = self.config()?.into_iter().chain(self.layers()?).collect();
        blobs.retain(|blob| blob.urls.is_empty());
        let mut seen = std::collections::BTreeSet::new();
        blobs.retain(|blob| seen.insert(blob.digest.clone()));
        Ok(blobs)
    }

    /// What it is about, for a signature or another referrer.
    pub fn subject(&self) -> Result<Option<Descriptor>> {
        self.content.get("subject").filter(|subject| !subject.is_null()).map(read).transpose()
    }

    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.kind, self.digest.clone(), self.bytes.len() as u64)
    }

    fn descriptors(&self, field: &str) -> Result<Vec<Descriptor>> {
        self.content[field].as_array().into_iter().flatten().map(read).collect()
    }
}

pub(super) fn read(value: &Json) -> Result<Descriptor> {
    Descriptor::deserialize(value).map_err(|error| Error::new(format!("a manifest cannot be understood: {error}")))
}

impl Registry {
    /// A manifest by its tag or digest; none if there is none.
    ///
    /// # Errors
    /// The registry gives another content than it says, or than was asked for.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>> {
        let task = format!("get the manifest `{}`", named(repository, reference));
        let url = self.url(&format!("{repository}/manifests/{reference}"));
        let call = Call::new("GET", url, auth::pull(repository)).header("Accept", media::ACCEPTED);
        let held = self.call(&call, &task).await?;
        if held.reply.status() == 404 && !is_html(&held.reply) {
            return Ok(None);
        }
        let reply = self.expect(held.reply, &[200], &task).await?;
        if is_html(&reply) {
            return Err(self.refused(reply, &task).await);
        }
        let kind = reply.header("content-type").unwrap_or_default().to_owned();
        let said = reply.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok());
        let content = reply.content(LARGEST).await.map_err(|lost| self.unanswered(&lost, &task))?;
        let bytes = content.ok_or_else(|| Error::new(format!("cannot {task}: it is larger than 4 MiB")))?;
        let wanted = Digest::parse(reference).ok().or(said);
        if let Some(wanted) = wanted.filter(|wanted| !wanted.is_of(&bytes)) {
            return Err(self.lies(
                &format!("the manifest `{}`", named(repository, reference)),
                &wanted,
                &Digest::of(&bytes),
            ));
        }
        Manifest::read(bytes, &kind).map(Some).map_err(|error| error.within(named(repository, reference)))
    }

    /// The digest, size and kind of a manifest, without the manifest itself; none if there is none.
    pub async fn look_up(&self, repository: &str, reference: &str) -> Result<Option<Descriptor>> {
        let task = format!("look for the manifest `{}`", named(repository, reference));
        let url = self.url(&format!("{repository}/manifests/{reference}"));
        let call = Call::new("HEAD", url, auth::pull(repository)).header("Accept", media::ACCEPTED);
        let held = self.call(&call, &task).await?;
        if held.reply.status() == 404 {
            return Ok(None);
        }
        let reply = self.expect(held.reply, &[200], &task).await?;
        drop(held.slot);
        let digest = reply.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok());
        let size = reply.header("content-length").and_then(|size| size.parse().ok());
        let kind = reply.header("content-type").unwrap_or_default();
        let (Some(digest), Some(size)) = (digest, size) else {
            return Ok(self.manifest(repository, reference).await?.map(|manifest| manifest.descriptor()));
        };
        Ok(Some(Descriptor::new(kind, digest, size)))
    }

    /// Puts a manifest, whose blobs are there, under a tag or its digest.
    pub async fn push_manifest(&self, repository: &str, reference: &str, manifest: &Manifest) -> Result<()> {
        let task = format!("push the manifest `{}`", named(repository, reference));
        let url = self.url(&format!("{repository}/manifests/{reference}"));
        let mut call = Call::new("PUT", url, auth::push(repository)).header("Content-Type", &manifest.kind);
        call.body = manifest.bytes.clone().into();
        let held = self.call(&call, &task).await?;
        let reply = self.expect(held.reply, &[201], &task).await?;
        let said = reply.header("docker-content-digest").and_then(|digest| Digest::parse(digest).ok());
        match said.filter(|said| *said != manifest.digest && said.as_str().starts_with("sha256:")) {
            Some(said) => {
                Err(self.lies(&format!("the manifest `{}`", named(repository, reference)), &manifest.digest, &said))
            }
            None => Ok(()),
        }
    }

    /// Deletes a manifest by its digest, with all tags on it; or a tag, where the registry can.
    pub async fn delete_manifest(&self, repository: &str, reference: &str) -> Result<()> {
        let task = format!("delete the manifest `{}`", named(repository, reference));
        let call =
            Call::new("DELETE", self.url(&format!("{repository}/manifests/{reference}")), auth::delete(repository));
        let held = self.call(&call, &task).await?;
        self.expect(held.reply, &[202, 204, 200], &task).await.map(drop)
    }

    /// The error of a registry that gives another content than it should.
    pub(super) fn lies(&self, what: &str, wanted: &Digest, found: &Digest) -> Error {
        Error::new(format!(
            "the registry `{}` has another content under {what}: {found}, where {wanted} should be",
            self.name()
        ))
        .hint("its store is damaged, or something on the way changes what passes: nothing of it was used")
    }
}

/// An image as people write it.
pub(crate) fn named(repository: &str, reference: &str) -> String {
    let separator = if reference.contains(':') { '@' } else { ':' };
    format!("{repository}{separator}{reference}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(content: &Json) -> Result<Manifest> {
        Manifest::read(content.to_string().into_bytes(), "application/json")
    }

    #[test]
    fn a_manifest_says_what_it_needs() {
        let blob =
            |digit: &str| json!({ "mediaType": "x", "size": 3, "digest": format!("sha256:{}", digit.repeat(64)) });
        let mut foreign = blob("c");
        foreign["urls"] = json!(["https://far"]);
        let found = parsed(
            &json!({ "schemaVersion": 2, "config": blob("a"), "layers": [blob("b"), foreign, blob("b")], "subject": blob("d") }),
        );
        let found = found.unwrap();
        let digits: Vec<char> =
            found.blobs().unwrap().iter().map(|blob| blob.digest.hash().chars().next().unwrap()).collect();
        assert_eq!((digits, found.layers().unwrap().len(), found.is_index()), (vec!['a', 'b'], 3, false));
        assert_eq!(found.subject().unwrap().unwrap().size, 3);
        let index = parsed(&json!({ "schemaVersion": 2, "manifests": [blob("e")] })).unwrap();
        assert_eq!((index.is_index(), index.manifests().unwrap().len(), index.kind.as_str()), (true, 1, media::INDEX));
    }

    #[test]
    fn what_is_no_manifest_of_today_is_refused() {
        assert!(parsed(&json!({ "schemaVersion": 1 })).unwrap_err().next_step().unwrap().contains("push it anew"));
        assert!(parsed(&json!({})).is_err());
        assert!(Manifest::read(b"<html>".to_vec(), "text/html").is_err());
        let wrong = json!({ "schemaVersion": 2, "layers": [{ "size": -1, "digest": "x" }] });
        assert!(parsed(&wrong).unwrap().blobs().is_err());
    }
}
