//! A push and a pull at a registry of the API v1, as its clients of 2014 made them: [`RegistryV1`].

use serde_json::json;

use super::expect;
use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::world::http::{Answer, Client, Request};

/// The calls of the API v1 (docker-registry 0.9.1) that a push and a pull need.
pub(super) struct RegistryV1 {
    pub client: Client,
    /// A client that knows no password.
    pub stranger: Client,
    pub base: String,
}

/// This API deletes no images, so the probe has one and the same that stays: what is pushed anew each time is its tag.
const IMAGE: &str = "provision probe";
const TAG: &str = "/v1/repositories/provision/probe/tags/probe";
const JSON: &str = "application/json";
/// An archive without files: two blocks of zeros (POSIX.1, pax).
const LAYER: [u8; 1024] = [0; 1024];

impl RegistryV1 {
    /// Pushes a small image unless it is there, pulls it, compares, and tags it for a moment; and looks that nobody gets in
    /// without the password.
    pub async fn round_trip(&self) -> Result<()> {
        self.locked().await?;
        let id = sha256(IMAGE.as_bytes());
        self.push(&id).await?;
        let layer = self.get(&format!("/v1/images/{id}/layer")).await?;
        if expect(layer, 200, "give a layer back")?.body != LAYER {
            return Err(Error::new("the registry gave back another layer than was pushed"));
        }
        let name = json!(id).to_string();
        expect(self.put(TAG, JSON, name.as_bytes(), &[]).await?, 200, "tag an image")?;
        let tagged = expect(self.get(TAG).await?, 200, "give a tag back")?.body;
        let url = format!("{}{TAG}", self.base);
        let deleted = self.client.send(Request { method: "DELETE", url: &url, ..Request::default() }).await?;
        expect(deleted, 200, "delete the tag of the probe")?;
        if tagged == name.as_bytes() {
            Ok(())
        } else {
            Err(Error::new("the registry gave back another tag than was pushed"))
        }
    }

    /// Whoever knows no password learns that it is there, and nothing else.
    async fn locked(&self) -> Result<()> {
        for (path, status, task) in
            [("/v1/_ping", 200, "answer at /v1/_ping"), ("/v1/search", 401, "ask for the password")]
        {
            let url = format!("{}{path}", self.base);
            expect(
                self.stranger.send(Request { method: "GET", url: &url, ..Request::default() }).await?,
                status,
                task,
            )?;
        }
        Ok(())
    }

    async fn push(&self, id: &str) -> Result<()> {
        let about = json!({ "id": id, "created": "2014-01-01T00:00:00Z", "comment": IMAGE }).to_string().into_bytes();
        let path = |part: &str| format!("/v1/images/{id}/{part}");
        let answer = self.put(&path("json"), JSON, &about, &[]).await?;
        if answer.status == 409 {
            return Ok(());
        }
        expect(answer, 200, "take an image")?;
        expect(self.put(&path("layer"), "application/octet-stream", &LAYER, &[]).await?, 200, "take a layer")?;
        // Of the image's description and its layer, with a line end between (`docker_registry/checksums.py`).
        let sum = format!("sha256:{}", sha256(&[&about, b"\n".as_slice(), &LAYER].concat()));
        let headers = [("X-Docker-Checksum-Payload", sum.as_str())];
        let answer = self.put(&path("checksum"), JSON, &[], &headers).await?;
        expect(answer, 200, "find the layer whole").map(drop)
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        self.client.send(Request { method: "GET", url: &url, ..Request::default() }).await
    }

    async fn put(&self, path: &str, kind: &str, body: &[u8], headers: &[(&str, &str)]) -> Result<Answer> {
        let url = format!("{}{path}", self.base);
        let body = Some((kind, body.to_vec()));
        self.client.send(Request { method: "PUT", url: &url, body, headers, ..Request::default() }).await
    }
}
