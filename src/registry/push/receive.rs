//! What comes from a source, uploaded while it comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::buffers::Buffers;
use super::compress::{BLOCK, Pool};
use super::stream::{Coming, Hashed, Item, Reader};
use super::{Image, Push, locked};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::{Descriptor, Digest, Upload, media};

/// How many blobs are on their way at once: the source waits for the first of them to end.
const AT_ONCE: usize = 3;

impl Push<'_> {
    /// Reads images from the source and uploads all their layers that the registry lacks.
    ///
    /// # Errors
    /// The source cannot be read. A layer that fails is noted, and the others go on.
    pub(super) async fn receive(&self, images: &[&Image]) -> Result<()> {
        locked(&self.state).failed.clear();
        let pool = (!self.source.keeps_as_pulled()).then(|| Pool::new(self.method)).transpose()?;
        let (to, items) = mpsc::channel(1);
        let buffers = pool.as_ref().map_or_else(|| Buffers::of(BLOCK), |pool| pool.buffers.clone());
        let reader = Reader { pool, buffers, skip: Arc::new(self.unneeded(images)), items: to };
        if let Some(layers) = self.layers.as_ref().filter(|_| !self.asks_engine()) {
            let given = self.give_kept(layers, images, reader);
            let taken = self.take(images, items).await;
            let result = given.and(taken);
            locked(&self.state).is_unreadable |= result.is_err();
            return result;
        }
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
        let (mut links, mut ended) = (Vec::new(), Ok(()));
        loop {
            tokio::select! {
                Some(()) = running.next(), if !running.is_empty() => {}
                item = items.recv(), if running.len() < AT_ONCE => match item {
                    None => break,
                    Some(Err(error)) => {
                        ended = Err(error);
                        break;
                    }
                    Some(Ok(Item::Text { path, content })) => self.note_text(&path, content),
                    Some(Ok(Item::Link { path, target })) => links.push((path, target)),
                    Some(Ok(Item::Blob { path, blob })) => running.push(self.blob(images, path, blob)),
                },
            }
        }
        // Those that are cut off by an error cancel their uploads.
        while running.next().await.is_some() {}
        ended?;
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

    /// The first image that is known to need a layer; the first of all where that is not known.
    fn first_with<'i>(&self, images: &[&'i Image], content: Option<&Digest>) -> Option<&'i Image> {
        let needs = |image: &&&Image| {
            content.is_some_and(|content| self.contents(image).is_some_and(|all| all.contains(content)))
        };
        images.iter().find(needs).or_else(|| images.first()).copied()
    }

    /// Whether layers come from the engine itself: what it keeps could not be read, or is not what it should be.
    pub(super) fn asks_engine(&self) -> bool {
        self.layers.is_some() && locked(&self.state).is_unreadable
    }

    pub(super) fn note_text(&self, path: &str, content: Vec<u8>) {
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
                state.is_lost |= error.is_moved();
                state.failed.insert(path, (text, error.next_step().map(str::to_owned)));
            }
        }
    }

    async fn upload(&self, images: &[&Image], path: &str, blob: Coming) -> Result<()> {
        let named = path.strip_prefix("blobs/sha256/").map(|name| name.trim_end_matches(".tar"));
        let named = named.and_then(|hash| Digest::parse(&format!("sha256:{hash}")).ok());
        let image = self.first_with(images, named.as_ref()).ok_or_else(|| Error::new("no image needs what came"))?;
        let repository = &image.name.repository;
        let as_it_is = self.source.keeps_as_pulled();
        if let Some(digest) = named.as_ref().filter(|_| as_it_is)
            && self.ensure(repository, digest, None).await?
        {
            return Ok(());
        }
        let mut upload = self.begin(repository).await?;
        let hashed = match self.pass_on(image, &mut upload, blob).await {
            Ok(hashed) => hashed,
            Err(error) => {
                drop(upload.cancel().await);
                return Err(error);
            }
        };
        if let Some(named) = named.filter(|named| *named != hashed.raw) {
            drop(upload.cancel().await);
            locked(&self.state).is_unreadable = true;
            return Err(Error::new(format!(
                "its content has the digest {}, and {named} stands in its name",
                hashed.raw
            )));
        }
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

    /// Sends what comes of a blob, but for its last part: that goes with the end of the upload, so that a layer of one part takes
    /// one request less.
    async fn pass_on(&self, image: &Image, upload: &mut Upload, mut blob: Coming) -> Result<Hashed> {
        let mut last = blob.parts.recv().await;
        while let Some(part) = blob.parts.recv().await {
            if let Some(before) = last.replace(part) {
                self.sent(image, before.len());
                upload.write(before).await?;
            }
        }
        let hashed = blob.end.await.map_err(|_| Error::new("it ended before it was whole"))?;
        self.sent(image, last.as_ref().map_or(0, bytes::Bytes::len));
        upload.keep(last.unwrap_or_default());
        Ok(hashed)
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
