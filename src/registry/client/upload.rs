//! Blobs on their way to a registry: [`Upload`].
//!
//! A blob goes in parts of which the last one is kept until the registry has it: what is lost on the way is sent again from
//! where the registry says that it is (OCI distribution specification 1.1, "Pushing a blob in chunks"), whether or not its
//! source can be read twice. A blob of one part goes with one request less.

use bytes::Bytes;

use super::call::{Call, Held, LONG_WAIT};
use super::{Descriptor, Digest, Parts, Registry, auth};
use crate::error::{Error, Result};
use crate::world::host;

/// How many bytes a source should give an upload at once: few requests, and little memory for each transfer.
pub(crate) const PART: usize = 8 << 20;
/// How often a part is sent again, and the pause before it, in milliseconds.
const TRIES: u32 = 5;
const PAUSE: u64 = 300;

/// A blob that is being uploaded.
pub(crate) struct Upload {
    registry: Registry,
    repository: String,
    location: String,
    sent: u64,
    /// The least that a part must have but for the last one, where the registry says so.
    least: usize,
    waiting: Bytes,
}

/// How an upload began.
pub(crate) enum Begun {
    /// The registry had the blob in the other repository: nothing is left to do.
    Mounted,
    Upload(Upload),
}

impl Registry {
    /// Begins to upload a blob.
    pub async fn upload(&self, repository: &str) -> Result<Upload> {
        match self.begin(repository, None).await? {
            Begun::Upload(upload) => Ok(upload),
            Begun::Mounted => Err(Error::new(format!(
                "cannot upload a blob to `{repository}`: the registry `{}` says that it has it, and was not told which",
                self.name()
            ))),
        }
    }

    /// Asks the registry to take a blob over from another of its repositories, or begins an upload if it does not.
    pub async fn mount(&self, repository: &str, digest: &Digest, from: &str) -> Result<Begun> {
        self.begin(repository, Some((digest, from))).await
    }

    async fn begin(&self, repository: &str, mount: Option<(&Digest, &str)>) -> Result<Begun> {
        let task = format!("begin an upload to `{repository}`");
        let (mut url, mut scope) = (self.url(&format!("{repository}/blobs/uploads/")), auth::push(repository));
        if let Some((digest, from)) = mount {
            url.push_str(&format!("?mount={digest}&from={from}"));
            scope.extend(auth::pull(from));
        }
        let held = self.call(&Call::new("POST", url, scope).header("Content-Length", "0"), &task).await?;
        let taken = if mount.is_some() { &[201, 202][..] } else { &[202] };
        let reply = self.expect(held.reply, taken, &task).await?;
        if reply.status() == 201 {
            return Ok(Begun::Mounted);
        }
        let location = self.located(reply.header("location"), &task)?;
        let least = reply.header("oci-chunk-min-length").and_then(|least| least.parse().ok()).unwrap_or_default();
        let (registry, repository) = (self.clone(), repository.to_owned());
        Ok(Begun::Upload(Upload { registry, repository, location, sent: 0, least, waiting: Bytes::new() }))
    }

    /// Uploads a content that is in memory, unless the repository has it. True if it was sent.
    pub async fn push_bytes(&self, repository: &str, content: &[u8], digest: &Digest) -> Result<bool> {
        if self.has_blob(repository, digest).await?.is_some() {
            return Ok(false);
        }
        self.send_bytes(repository, content, digest).await.map(|()| true)
    }

    /// Uploads a content that is in memory, without asking first whether it is there.
    pub async fn send_bytes(&self, repository: &str, content: &[u8], digest: &Digest) -> Result<()> {
        let mut upload = self.upload(repository).await?;
        upload.waiting = content.to_vec().into();
        upload.finish(digest).await
    }

    /// Uploads what comes part by part, without asking first whether it is there.
    pub async fn push_parts(
        &self,
        mut upload: Upload,
        mut parts: impl Parts,
        blob: &Descriptor,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let mut part = Vec::with_capacity(PART.min(usize::try_from(blob.size).unwrap_or(PART)));
        loop {
            let next = parts.next().await?;
            if let Some(bytes) = &next {
                part.extend_from_slice(bytes);
            }
            if part.len() >= PART || (next.is_none() && !part.is_empty()) {
                let full = std::mem::take(&mut part);
                let length = full.len() as u64;
                if next.is_none() {
                    upload.keep(full.into());
                } else {
                    upload.write(full.into()).await?;
                }
                told(length);
            }
            if next.is_none() {
                return upload.finish(&blob.digest).await;
            }
        }
    }
}

impl Upload {
    /// The repository that the blob goes to.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Keeps the last part for the request that ends the upload.
    pub fn keep(&mut self, part: Bytes) {
        self.waiting = if self.waiting.is_empty() { part } else { [&*self.waiting, &*part].concat().into() };
    }

    /// Sends the next part.
    ///
    /// # Errors
    /// The registry does not take it, again and again. An error that is marked as moved says that it has lost what it had.
    pub async fn write(&mut self, part: Bytes) -> Result<()> {
        self.keep(part);
        if self.waiting.len() < self.least.max(1) {
            return Ok(());
        }
        let whole = std::mem::take(&mut self.waiting);
        self.send(whole).await
    }

    async fn send(&mut self, mut part: Bytes) -> Result<()> {
        let task = format!("upload a blob to `{}`", self.repository);
        let mut tries = 0;
        while !part.is_empty() {
            let last = self.sent + part.len() as u64 - 1;
            let mut call = Call::new("PATCH", self.location.clone(), auth::push(&self.repository));
            call = call.header("Content-Type", "application/octet-stream");
            call = call.header("Content-Range", format!("{}-{last}", self.sent));
            (call.body, call.wait, call.repeatable) = (part.clone(), LONG_WAIT, false);
            let error = match self.registry.once(&call, &task).await? {
                Ok(Held { reply, .. }) if reply.status() == 202 => {
                    self.location = self.registry.located(reply.header("location"), &task)?;
                    self.sent = last + 1;
                    return Ok(());
                }
                Ok(Held { reply, .. }) if again(reply.status()) || reply.status() == 416 => {
                    self.registry.refused(reply, &task).await
                }
                Ok(Held { reply, .. }) => return Err(self.registry.refused(reply, &task).await),
                Err(lost) if lost.lasting => return Err(self.registry.unanswered(&lost, &task)),
                Err(lost) => self.registry.unanswered(&lost, &task),
            };
            tries += 1;
            if tries > TRIES {
                return Err(error);
            }
            host::sleep(PAUSE * u64::from(tries)).await;
            // A registry may forget an upload of which a part broke off (distribution does): then all of it is sent anew.
            let has = self.progress(&task).await.map_err(|lost| lost.detail([error.to_string()]).moved())?;
            let done = usize::try_from(has.saturating_sub(self.sent)).unwrap_or(usize::MAX);
            if has < self.sent || done > part.len() {
                let had = format!("it has {has} bytes of the blob, and {} were sent", self.sent);
                return Err(error.detail([had]).moved());
            }
            part = part.split_off(done);
            self.sent = has;
        }
        Ok(())
    }

    /// Asks how much the registry has of the blob.
    async fn progress(&mut self, task: &str) -> Result<u64> {
        let held =
            self.registry.call(&Call::new("GET", self.location.clone(), auth::push(&self.repository)), task).await?;
        let reply = self.registry.expect(held.reply, &[204], task).await?;
        if let Some(location) = reply.header("location") {
            self.location = self.registry.located(Some(location), task)?;
        }
        let range = reply.header("range").map(|range| range.trim_start_matches("bytes="));
        let end = range.and_then(|range| range.split_once('-')?.1.parse::<u64>().ok());
        // Nothing at all is told as `0-0`, and so would be a single byte, of which no part consists.
        Ok(end.map_or(0, |end| if end == 0 { 0 } else { end + 1 }))
    }

    /// Ends the upload, with what waits: the registry checks the digest, and so says whether it is all there.
    ///
    /// # Errors
    /// The registry has another content.
    pub async fn finish(mut self, digest: &Digest) -> Result<()> {
        let task = format!("upload the blob `{}@{digest}`", self.repository);
        if self.sent > 0 && !self.waiting.is_empty() {
            let rest = std::mem::take(&mut self.waiting);
            self.send(rest).await?;
        }
        let mut tries = 0;
        loop {
            let separator = if self.location.contains('?') { '&' } else { '?' };
            let url = format!("{}{separator}digest={digest}", self.location);
            let mut call = Call::new("PUT", url, auth::push(&self.repository));
            call = call.header("Content-Type", "application/octet-stream");
            (call.body, call.wait, call.repeatable) = (self.waiting.clone(), LONG_WAIT, false);
            let error = match self.registry.once(&call, &task).await? {
                Ok(Held { reply, .. }) if matches!(reply.status(), 201 | 204) => {
                    let said = reply.header("docker-content-digest").and_then(|said| Digest::parse(said).ok());
                    let other = said.filter(|said| said != digest && said.as_str()[..7] == digest.as_str()[..7]);
                    return match other {
                        Some(said) => {
                            Err(self.registry.lies(&format!("the blob `{}@{digest}`", self.repository), digest, &said))
                        }
                        None => Ok(()),
                    };
                }
                Ok(Held { reply, .. }) if again(reply.status()) => self.registry.refused(reply, &task).await,
                Ok(Held { reply, .. }) => return Err(self.registry.refused(reply, &task).await),
                Err(lost) if lost.lasting => return Err(self.registry.unanswered(&lost, &task)),
                Err(lost) => self.registry.unanswered(&lost, &task),
            };
            tries += 1;
            // It may have been taken, and only the answer was lost.
            if self.registry.has_blob(&self.repository, digest).await.is_ok_and(|found| found.is_some()) {
                return Ok(());
            }
            if tries > TRIES {
                return Err(error);
            }
            host::sleep(PAUSE * u64::from(tries)).await;
            if !self.waiting.is_empty() {
                // A body that came in part would be there twice.
                let fresh = self.registry.upload(&self.repository).await?;
                self.location = fresh.location;
            }
        }
    }

    /// Ends the upload without a blob.
    pub async fn cancel(self) -> Result<()> {
        let task = format!("cancel an upload to `{}`", self.repository);
        let held = self
            .registry
            .call(&Call::new("DELETE", self.location.clone(), auth::push(&self.repository)), &task)
            .await?;
        self.registry.expect(held.reply, &[204, 202, 200, 404], &task).await.map(drop)
    }
}

/// Whether a status says that the same may succeed later.
fn again(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}
