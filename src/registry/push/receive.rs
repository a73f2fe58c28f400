//! What comes from a source, uploaded while it comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::compress::Pool;
use super::stream::{Coming, Item, Reader};
use super::{Image, Push, locked};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::{Descriptor, Digest, media};

/// How many blobs are on their way at once: the source waits for the first of them to end.
const AT_ONCE: usize = 3;

impl Push<'_> {
    /// Reads images from the source and uploads all their layers that the registry lacks.
    ///
    /// # Errors
    /// The source cannot be read. A layer that fails is noted, and the others go on.
    pub(super) async fn receive(&self, images: &[&Image]) -> Result<()> {
        let pool = (!self.source.keeps_as_pulled()).then(|| Pool::new(self.method)).transpose()?;
        let (to, items) = mpsc::channel(1);
        let reader = Reader { pool, skip: Arc::new(self.unneeded(images)), items: to };
        let give = self.source.give(images, reader);
        let take = self.take(images, items);
        let (given, taken) = futures_util::future::join(give, take).await;
        taken.and(given)
    }

    /// The places in the stream whose content is known, and there.
    fn unneeded(&self, images: &[&Image]) -> BTreeSet<String> {
        let cache = locked(&self.cache);
        let state = locked(&self.state);
        let everywhere = |content: &Digest| {
            let layer = cache.layer(self.method, content).or_else(|| state.layers.get(content).cloned());
            layer.is_some_and(|(digest, _)| {
                images.iter().all(|image| state.there.contains(&(image.name.repository.clone(), digest.clone())))
            })
        };
        cache.paths().filter(|(_, content)| everywhere(content)).map(|(path, _)| path.clone()).collect()
    }

    async fn take(&self, images: &[&Image], mut items: mpsc::Receiver<Result<Item>>) -> Result<()> {
        let mut running = FuturesUnordered::new();
        let mut links = Vec::new();
        loop {
            tokio::select! {
                Some(()) = running.next(), if !running.is_empty() => {}
                item = items.recv(), if running.len() < AT_ONCE => match item {
                    None => break,
                    Some(Err(error)) => return Err(error),
                    Some(Ok(Item::Text { path, content })) => self.note_text(&path, content),
                    Some(Ok(Item::Link { path, target })) => links.push((path, target)),
                    Some(Ok(Item::Blob { path, blob })) => running.push(self.blob(images, path, blob)),
                },
            }
        }
        while running.next().await.is_some() {}
        let mut cache = locked(&self.cache);
        for (path, target) in links {
            // The engine writes `../LAYER/layer.tar`.
            if let Some(content) = cache.content_at(target.trim_start_matches("../")).cloned() {
                cache.note_path(&path, &content);
            }
        }
        cache.write();
        Ok(())
    }

    fn note_text(&self, path: &str, content: Vec<u8>) {
        let digest = Digest::of(&content);
        // Before manifests were kept as blobs, a configuration stood at its id.
        if path.strip_suffix(".json") == Some(digest.hash())
            && let Ok(text) = std::str::from_utf8(&content)
        {
            locked(&self.cache).note_configuration(&digest, text);
        }
        locked(&self.state).texts.insert(digest, content);
    }

    /// Uploads one blob; what goes wrong is noted.
    async fn blob(&self, images: &[&Image], path: String, blob: Coming) {
        let uploaded = self.upload(images, &path, blob).await;
        let mut state = locked(&self.state);
        match uploaded {
            Ok(()) => drop(state.failed.remove(&path)),
            Err(error) => {
                let place = path.trim_end_matches("/layer.tar");
                let text = format!("layer `{}`: {error}", place.rsplit('/').next().unwrap_or(place));
                state.failed.insert(path, text);
            }
        }
    }

    async fn upload(&self, images: &[&Image], path: &str, mut blob: Coming) -> Result<()> {
        let image = images.first().ok_or_else(|| Error::new("no image needs what came"))?;
        let repository = &image.name.repository;
        let named = path.strip_prefix("blobs/sha256/").and_then(|hash| Digest::parse(&format!("sha256:{hash}")).ok());
        let as_it_is = self.source.keeps_as_pulled();
        if let Some(digest) = named.as_ref().filter(|_| as_it_is)
            && self.ensure(repository, digest, None).await?
        {
            return Ok(());
        }
        let mut upload = self.begin(repository).await?;
        // The last part goes with the end of the upload: a layer of one part takes one request less.
        let mut last = blob.parts.recv().await;
        while let Some(part) = blob.parts.recv().await {
            if let Some(before) = last.replace(part) {
                self.sent(image, before.len());
                upload.write(before).await?;
            }
        }
        let Ok(hashed) = blob.end.await else {
            drop(upload.cancel().await);
            return Err(Error::new("it ended before it was whole"));
        };
        if let Some(named) = named.filter(|named| *named != hashed.raw) {
            drop(upload.cancel().await);
            return Err(Error::new(format!(
                "its content has the digest {}, and {named} stands in its name",
                hashed.raw
            )));
        }
        self.sent(image, last.as_ref().map_or(0, bytes::Bytes::len));
        upload.keep(&last.unwrap_or_default());
        upload.finish(&hashed.sent).await?;
        self.note_there(repository, &hashed.sent);
        if !as_it_is {
            self.note_layer(
                path,
                &hashed.raw,
                &Descriptor::new(media::DOCKER_LAYER, hashed.sent, hashed.size),
                repository,
            );
        }
        Ok(())
    }

    fn note_layer(&self, path: &str, content: &Digest, blob: &Descriptor, repository: &str) {
        locked(&self.state).layers.insert(content.clone(), (blob.digest.clone(), blob.size));
        let mut cache = locked(&self.cache);
        cache.note(self.method, content, blob, self.registry.name(), repository);
        // A place that a digest names always has the same content.
        if path.split(['/', '.']).any(|word| word.len() == 64) {
            cache.note_path(path, content);
        }
        cache.write();
    }

    fn sent(&self, image: &Image, bytes: usize) {
        let sent = {
            let mut state = locked(&self.state);
            state.sent += bytes as u64;
            state.sent
        };
        let text = format!("{} sent", crate::text::size::readable(sent));
        self.events.send(Event::Progress { resource: self.full(image), text, done: sent, total: 0 });
    }
}
