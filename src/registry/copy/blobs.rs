//! A blob that goes from one side to the other: once, and to further repositories by a mount.

use std::sync::PoisonError;

use super::{Copier, Place, Side};
use crate::error::Result;
use crate::registry::client::{Begun, Descriptor, Digest};

/// How often a blob is sent in all.
const TRIES: u32 = 5;

impl Copier {
    fn place(&self, digest: &Digest) -> Place {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default().clone()
    }

    /// Brings a blob to a repository of the target, unless it has it.
    pub(super) async fn blob(&self, repository: &str, target: &str, blob: &Descriptor) -> Result<()> {
        let place = self.place(&blob.digest);
        // Whoever else needs the same blob waits, and has it mounted then.
        let mut place = place.lock().await;
        if place.as_deref() == Some(target) || self.to.has_blob(target, &blob.digest).await?.is_some() {
            *place = Some(target.to_owned());
            return Ok(());
        }
        let told = |bytes: u64| self.sent_more(bytes);
        let to = match &self.to {
            Side::Registry(registry) => registry,
            Side::Layout(layout) => {
                let _turn = self.layers.acquire().await.expect("the semaphore is never closed");
                return layout.receive(blob, self.from.blob(repository, blob), &told).await;
            }
        };
        let mut upload = match place.as_deref() {
            Some(other) => match to.mount(target, &blob.digest, other).await? {
                Begun::Mounted => {
                    *place = Some(target.to_owned());
                    return Ok(());
                }
                Begun::Upload(upload) => upload,
            },
            None => to.upload(target).await?,
        };
        let _turn = self.layers.acquire().await.expect("the semaphore is never closed");
        let mut tries = 1;
        loop {
            match to.push_parts(upload, self.from.blob(repository, blob), blob, &told).await {
                // The target lost what it had.
                Err(error) if error.is_moved() && tries < TRIES => tries += 1,
                sent => break sent?,
            }
            upload = to.upload(target).await?;
        }
        *place = Some(target.to_owned());
        Ok(())
    }

    fn sent_more(&self, bytes: u64) {
        let sent = {
            let mut sent = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            *sent += bytes;
            *sent
        };
        self.events.send(crate::event::Event::Progress {
            resource: self.to.name().to_owned(),
            text: format!("{} copied", crate::text::size::readable(sent)),
            done: sent,
            total: 0,
        });
    }
}
