//! A push and a pull at a registry, as a client makes them: [`Registry`].

use futures_util::future::{try_join, try_join_all};

use super::expect;
use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::world::host;
use crate::world::http::{Client, Request};

/// The calls of the OCI distribution specification (1.1) that a push and a pull need.
pub(super) struct Registry {
    pub client: Client,
    pub base: String,
    pub repository: &'static str,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Registry {
    /// Pushes a small image, pulls it, compares the digests and deletes it.
    pub async fn round_trip(&self) -> Result<()> {
        let layer = host::random::<1024>()?.to_vec();
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
        let manifest = self.push(&config, &layer).await?;
        let digest = format!("sha256:{}", sha256(&manifest));
        let pulled = self.pull(&digest, &layer).await;
        let paths = [format!("manifests/{digest}"), blob_path(&config), blob_path(&layer)];
        let deleted = try_join_all(paths.iter().map(|path| self.delete(path))).await.map(drop);
        pulled.and(deleted)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// Begins an upload and gives the URL of its next step.
    async fn begin(&self) -> Result<String> {
        let request = Request { method: "POST", url: &self.url("blobs/uploads/"), ..Request::default() };
        let location = expect(self.client.send(request).await?, 202, "start an upload")?.location.unwrap_or_default();
        Ok(if location.starts_with('/') { format!("{}{location}", self.base) } else { location })
    }

    /// Begins to push and gives that up.
    pub async fn begin_and_cancel(&self) -> Result<()> {
        let location = self.begin().await?;
        let answer = self.client.send(Request { method: "DELETE", url: &location, ..Request::default() }).await?;
        expect(answer, 204, "give an upload up").map(drop)
    }

    async fn upload(&self, blob: &[u8]) -> Result<()> {
        let location = self.begin().await?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest=sha256:{}", sha256(blob));
        let body = Some(("application/octet-stream", blob.to_vec()));
        let answer = self.client.send(Request { method: "PUT", url: &url, body, ..Request::default() }).await?;
        expect(answer, 201, "upload a layer").map(drop)
    }

    async fn push(&self, config: &[u8], layer: &[u8]) -> Result<Vec<u8>> {
        try_join(self.upload(config), self.upload(layer)).await?;
        let descriptor = |kind: &str, blob: &[u8]| serde_json::json!({ "mediaType": kind, "size": blob.len(), "digest": format!("sha256:{}", sha256(blob)) });
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config), "layers": [descriptor(LAYER, layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let body = Some((MANIFEST, manifest.clone()));
        let url = self.url("manifests/probe");
        expect(
            self.client.send(Request { method: "PUT", url: &url, body, ..Request::default() }).await?,
            201,
            "push a manifest",
        )?;
        Ok(manifest)
    }

    async fn pull(&self, digest: &str, layer: &[u8]) -> Result<()> {
        let request =
            Request { method: "GET", url: &self.url("manifests/probe"), accept: Some(MANIFEST), ..Request::default() };
        let url = self.url(&blob_path(layer));
        let blob = self.client.send(Request { method: "GET", url: &url, ..Request::default() });
        let (manifest, blob) = try_join(self.client.send(request), blob).await?;
        let (manifest, blob) =
            (expect(manifest, 200, "give a manifest back")?, expect(blob, 200, "give a layer back")?);
        let found = format!("sha256:{}", sha256(&manifest.body));
        if found != digest || manifest.digest.as_deref() != Some(digest) {
            return Err(Error::new(format!(
                "the registry gave back another manifest: pushed {digest}, pulled {found}"
            )));
        }
        if blob.body == layer {
            Ok(())
        } else {
            Err(Error::new("the registry gave back another layer than was pushed"))
        }
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.client.send(Request { method: "DELETE", url: &self.url(path), ..Request::default() }).await?;
        expect(answer, 202, "delete the image of the probe").map(drop)
    }
}

fn blob_path(blob: &[u8]) -> String {
    format!("blobs/sha256:{}", sha256(blob))
}
