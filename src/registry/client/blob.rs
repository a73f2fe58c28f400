//! Blobs, layers and configurations: whether they are there, and their content: [`Download`].

use bytes::Bytes;

use super::call::{Call, Held};
use super::fault::is_html;
use super::{Descriptor, Digest, Hasher, Registry, auth};
use crate::error::{Error, Result};
use crate::world::host;

/// How often a download is taken up in a row without a single byte more, and the pause before it, in milliseconds.
const TRIES: u32 = 5;
const PAUSE: u64 = 300;

/// A blob on its way here. Whoever has read it to its end knows that the content is what the digest says.
pub(crate) struct Download {
    registry: Registry,
    repository: String,
    blob: Descriptor,
    hasher: Option<Hasher>,
    at: u64,
    held: Option<Held>,
    tries: u32,
}

impl Registry {
    /// The size of a blob, if the repository has it.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<Option<u64>> {
        let task = format!("look for the blob `{repository}@{digest}`");
        let call = Call::new("HEAD", self.url(&format!("{repository}/blobs/{digest}")), auth::pull(repository));
        let held = self.call(&call, &task).await?;
        if held.reply.status() == 404 {
            return Ok(None);
        }
        let reply = self.expect(held.reply, &[200], &task).await?;
        Ok(Some(reply.header("content-length").and_then(|size| size.parse().ok()).unwrap_or_default()))
    }

    /// Begins to read a blob.
    pub fn blob(&self, repository: &str, blob: &Descriptor) -> Download {
        Download {
            registry: self.clone(),
            repository: repository.to_owned(),
            hasher: Some(blob.digest.hasher()),
            blob: blob.clone(),
            at: 0,
            held: None,
            tries: 0,
        }
    }

    /// A small blob as a whole, such as the configuration of an image.
    pub async fn small_blob(&self, repository: &str, blob: &Descriptor) -> Result<Vec<u8>> {
        if blob.size > super::manifest::LARGEST as u64 {
            return Err(Error::new(format!("the blob `{repository}@{}` is larger than 4 MiB", blob.digest)));
        }
        let (mut download, mut content) = (self.blob(repository, blob), Vec::new());
        while let Some(part) = download.next().await? {
            content.extend_from_slice(&part);
        }
        Ok(content)
    }

    /// Takes a blob away from a repository.
    pub async fn delete_blob(&self, repository: &str, digest: &Digest) -> Result<()> {
        let task = format!("delete the blob `{repository}@{digest}`");
        let call = Call::new("DELETE", self.url(&format!("{repository}/blobs/{digest}")), auth::delete(repository));
        let held = self.call(&call, &task).await?;
        self.expect(held.reply, &[202, 204, 200], &task).await.map(drop)
    }
}

/// What gives a content part by part, and checks it on the way.
pub(crate) trait Parts {
    /// The next bytes; none at the end, when all of it was checked.
    ///
    /// # Errors
    /// It cannot be read, or the content is not what the digest and the size say.
    async fn next(&mut self) -> Result<Option<Bytes>>;
}

impl Parts for Download {
    /// The next bytes. It fails if it breaks off again and again.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.at == self.blob.size {
                return self.end().map(|()| None);
            }
            if self.held.is_none() {
                self.held = Some(self.open().await?);
            }
            let held = self.held.as_mut().expect("it was opened above");
            let reason = match held.reply.next().await {
                Ok(Some(part)) if part.is_empty() => continue,
                Ok(Some(part)) => {
                    self.at += part.len() as u64;
                    if self.at > self.blob.size {
                        return Err(
                            self.wrong(&format!("it is longer than the {} bytes that it should be", self.blob.size))
                        );
                    }
                    self.tries = 0;
                    self.hasher.as_mut().into_iter().for_each(|hasher| hasher.update(&part));
                    return Ok(Some(part));
                }
                Ok(None) => "it ends early".to_owned(),
                Err(lost) => lost.reason,
            };
            self.held = None;
            self.tries += 1;
            if self.tries > TRIES {
                return Err(self.wrong(&format!("at byte {} of {}: {reason}", self.at, self.blob.size)));
            }
            host::sleep(PAUSE * u64::from(self.tries)).await;
        }
    }
}

impl Download {
    async fn open(&self) -> Result<Held> {
        let (registry, repository, digest) = (&self.registry, &self.repository, &self.blob.digest);
        let task = format!("get the blob `{repository}@{digest}`");
        let mut call = Call::new("GET", registry.url(&format!("{repository}/blobs/{digest}")), auth::pull(repository));
        if self.at > 0 {
            call = call.header("Range", format!("bytes={}-", self.at));
        }
        let Held { reply, slot } = registry.call(&call, &task).await?;
        let mut reply = registry.expect(reply, if self.at > 0 { &[200, 206] } else { &[200] }, &task).await?;
        if is_html(&reply) {
            return Err(registry.refused(reply, &task).await);
        }
        if reply.status() == 206 {
            let begins =
                reply.header("content-range").is_some_and(|range| range.starts_with(&format!("bytes {}-", self.at)));
            return if begins {
                Ok(Held { reply, slot })
            } else {
                Err(self.wrong("another part of it came than was asked for"))
            };
        }
        // A server that knows no ranges begins anew. What is here already is passed over, a whole part at a time or not at all.
        let mut before = self.at;
        while before > 0 {
            let part = reply.next().await.map_err(|lost| registry.unanswered(&lost, &task))?;
            let part = part.ok_or_else(|| self.wrong("it ends early"))?;
            if part.len() as u64 > before {
                return Err(self.wrong("it broke off, and the registry cannot go on where it did"));
            }
            before -= part.len() as u64;
        }
        Ok(Held { reply, slot })
    }

    fn end(&mut self) -> Result<()> {
        self.held = None;
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        let found = hasher.finish();
        if found == self.blob.digest {
            return Ok(());
        }
        let what = format!("the blob `{}@{}`", self.repository, self.blob.digest);
        Err(self.registry.lies(&what, &self.blob.digest, &found))
    }

    fn wrong(&self, what: &str) -> Error {
        let (registry, repository, digest) = (self.registry.name(), &self.repository, &self.blob.digest);
        Error::new(format!("cannot get the blob `{repository}@{digest}` from the registry `{registry}`: {what}"))
            .hint("run the command again: what is done stays done")
    }
}
