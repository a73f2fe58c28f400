//! Pushing to a registry, layer by layer and in parts of bounded size: [`Registry`].
//!
//! The calls are those of the OCI distribution specification 1.1, "Pushing blobs in chunks" and "Pushing manifests".

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::world::files;
use crate::world::http::{Answer, Client, Request};

/// How many bytes of a layer are sent at once.
const PART: u64 = 8 << 20;

pub(super) struct Registry {
    pub client: Client,
    /// `https://HOST:PORT`
    pub base: String,
}

/// Bytes of a file of this host, with their digest as `sha256:…`.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub path: PathBuf,
    pub offset: u64,
    pub size: u64,
    pub digest: String,
}

impl Registry {
    async fn send(&self, method: &'static str, url: &str, body: Option<(&str, Vec<u8>)>) -> Result<Answer> {
        self.client.send(Request { method, url, body, ..Request::default() }).await
    }

    fn whole(&self, location: Option<String>) -> String {
        let location = location.unwrap_or_default();
        if location.starts_with('/') { format!("{}{location}", self.base) } else { location }
    }

    /// Uploads a blob, unless the registry has it. It checks the digest itself.
    pub async fn push_blob(&self, repository: &str, blob: &Blob) -> Result<()> {
        let url = format!("{}/v2/{repository}/blobs/{}", self.base, blob.digest);
        if self.send("HEAD", &url, None).await?.status == 200 {
            return Ok(());
        }
        let url = format!("{}/v2/{repository}/blobs/uploads/", self.base);
        let mut location = self.whole(expect(self.send("POST", &url, None).await?, 202, "start an upload")?.location);
        let mut sent = 0;
        while sent < blob.size {
            let size = PART.min(blob.size - sent);
            let length = usize::try_from(size).unwrap_or(usize::MAX);
            let part = files::read_part(&blob.path, blob.offset + sent, length)?;
            let answer = self.send("PATCH", &location, Some(("application/octet-stream", part))).await?;
            location = self.whole(expect(answer, 202, "take a part of a layer")?.location);
            sent += size;
        }
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest={}", blob.digest);
        expect(self.send("PUT", &url, None).await?, 201, "take a layer").map(drop)
    }

    /// Pushes a manifest whose blobs are there, under a tag or its digest.
    pub async fn push_manifest(&self, repository: &str, reference: &str, kind: &str, manifest: Vec<u8>) -> Result<()> {
        let url = format!("{}/v2/{repository}/manifests/{reference}", self.base);
        expect(self.send("PUT", &url, Some((kind, manifest))).await?, 201, "take a manifest").map(drop)
    }
}

fn expect(answer: Answer, status: u16, task: &str) -> Result<Answer> {
    if answer.status == status {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body);
    let detail: Vec<String> = body.lines().take(3).map(|line| line.chars().take(200).collect()).collect();
    Err(Error::new(format!("the registry did not {task}: it answered {} instead of {status}", answer.status))
        .detail(detail))
}
