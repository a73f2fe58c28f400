//! From an engine or a file to a registry, each layer once: [`Push`].
//!
//! A push looks first: what the cache knows of an image is asked of the registry, layer by layer, and what another repository
//! of the registry has is mounted. Only for the rest are images read, all in one stream, in which each layer stands once; each is
//! compressed on all cores and uploaded while it comes. Manifests go last, so that nothing half made has a name.

mod buffers;
mod cache;
mod compress;
mod image;
mod kept;
mod layers;
pub(crate) mod listed;
mod name;
mod programs;
mod receive;
mod source;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;

pub(crate) use compress::Method;
pub(crate) use name::{Name, check as check_name, fits};
pub(crate) use programs::Program;
pub(crate) use source::Source;

use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::registry::client::{Digest, Manifest, Registry, Upload};
use crate::world::engine::Layers;
use cache::Cache;

/// How many images are looked at, or ended, at once.
const AT_ONCE: usize = 6;

/// An image of a source, and its name in the registry.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// As the source names it.
    pub reference: String,
    /// The digest of the configuration, or of the manifest where images are kept as they were pulled.
    pub id: Digest,
    pub name: Name,
}

/// What became of one image.
pub(crate) struct Outcome {
    pub image: String,
    pub name: Name,
    pub result: Result<Done>,
}

/// An image that the registry has.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    pub digest: Digest,
    /// Whether it had it under this name before.
    pub unchanged: bool,
}

/// One push of several images.
pub(crate) struct Push<'a> {
    pub registry: Registry,
    pub source: Source<'a>,
    pub method: Method,
    /// The platforms that are pushed, such as `linux/arm64`; all if there are none.
    pub platforms: Vec<String>,
    pub events: Events,
    /// Where the engine keeps its layers, if that can be read from here.
    layers: Option<Layers>,
    cache: Mutex<Cache>,
    state: Mutex<State>,
}

/// What was found out during the push.
#[derive(Default)]
struct State {
    /// Which repositories have which blobs.
    there: BTreeSet<(String, Digest)>,
    /// A repository that has the blob.
    seen: BTreeMap<Digest, String>,
    /// Manifests and configurations that came, by their digests.
    texts: BTreeMap<Digest, Vec<u8>>,
    /// What a layer's content became, by its digest.
    layers: BTreeMap<Digest, (Digest, u64)>,
    /// Bytes sent so far.
    sent: u64,
    /// Uploads that were begun, and that nothing has been sent by.
    begun: Vec<Upload>,
    /// Why layers did not arrive, with what helps, by their places in the stream.
    failed: BTreeMap<String, (String, Option<String>)>,
    /// Whether the registry lost what it had of a layer.
    is_lost: bool,
    /// Whether what the engine keeps could not be read, or is not what it should be.
    is_unreadable: bool,
}

impl<'a> Push<'a> {
    pub fn new(registry: Registry, source: Source<'a>, method: Method, platforms: Vec<String>, events: Events) -> Self {
        let (cache, state) = (Mutex::new(Cache::read()), Mutex::default());
        Self { registry, source, method, platforms, events, layers: None, cache, state }
    }

    /// Pushes images; one that fails does not stop the others.
    pub async fn run(&mut self, images: &[Image]) -> Vec<Outcome> {
        self.layers = self.source.layers().await;
        if let Some(layers) = &self.layers {
            self.note_configurations(layers, images);
        }
        self.bring(images).await
    }

    async fn bring(&self, images: &[Image]) -> Vec<Outcome> {
        let looked = futures_util::stream::iter(images.iter().map(|image| self.settle(image)));
        let mut results: Vec<Option<Result<Done>>> = looked.buffered(AT_ONCE).collect().await;
        // Whether the registry takes layers at all is known before a byte is read of them.
        for (image, result) in images.iter().zip(&mut results).filter(|(_, result)| result.is_none()) {
            match self.registry.upload(&image.name.repository).await {
                Ok(upload) => {
                    locked(&self.state).begun.push(upload);
                    break;
                }
                Err(error) => *result = Some(Err(error)),
            }
        }
        let mut errors = BTreeMap::new();
        let together = pending(images, &results);
        for round in rounds(&together) {
            let waiting = pending(images, &results);
            let round_of: Vec<&Image> =
                round.images.into_iter().filter(|image| waiting.iter().any(|other| other.name == image.name)).collect();
            if round_of.is_empty() || !self.is_due(round.why) {
                continue;
            }
            locked(&self.state).is_lost = false;
            let received = self.receive(&round_of).await;
            for (image, result) in images.iter().zip(&mut results).filter(|(_, result)| result.is_none()) {
                if !round_of.iter().any(|other| other.name == image.name) {
                    continue;
                }
                *result = self.settle(image).await;
                let error = received.as_ref().err().map_or_else(|| self.never_came(image), again);
                errors.insert(image.name.clone(), error);
            }
        }
        locked(&self.cache).write();
        let begun = std::mem::take(&mut locked(&self.state).begun);
        for upload in begun {
            // The registry forgets it by itself after a week.
            drop(upload.cancel().await);
        }
        let mut outcome = |(image, result): (&Image, Option<Result<Done>>)| Outcome {
            image: image.reference.clone(),
            name: image.name.clone(),
            result: result.unwrap_or_else(|| Err(errors.remove(&image.name).unwrap_or_else(|| self.never_came(image)))),
        };
        images.iter().zip(results).map(&mut outcome).collect()
    }

    /// Brings an image's manifest to the registry if all that it names is there or can be had without its source; none if not.
    async fn settle(&self, image: &Image) -> Option<Result<Done>> {
        match self.assemble(image).await {
            Ok(Some(manifest)) => Some(self.end(image, &manifest).await),
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Puts the manifest under the image's name, unless it is there.
    async fn end(&self, image: &Image, manifest: &Manifest) -> Result<Done> {
        let Name { repository, tag } = &image.name;
        let found = self.registry.look_up(repository, tag).await?;
        let unchanged = found.is_some_and(|found| found.digest == manifest.digest);
        if !unchanged {
            self.registry.push_manifest(repository, tag, manifest).await?;
        }
        self.events.send(Event::Progress { resource: self.full(image), text: "pushed".to_owned(), done: 1, total: 1 });
        Ok(Done { digest: manifest.digest.clone(), unchanged })
    }

    fn is_due(&self, why: Why) -> bool {
        match why {
            Why::First | Why::Alone => true,
            Why::Unreadable => self.asks_engine(),
            Why::Lost => locked(&self.state).is_lost,
        }
    }

    fn never_came(&self, image: &Image) -> Error {
        let failed = locked(&self.state).failed.clone();
        let what = format!("not all of the image `{}` is in the registry `{}`", image.reference, self.registry.name());
        let hint = failed.values().find_map(|(_, hint)| hint.clone());
        let hint = hint.unwrap_or_else(|| "run the command again: what the registry has is not sent again".to_owned());
        Error::new(what).detail(failed.into_values().map(|(text, _)| text)).hint(hint)
    }

    /// The image's name with the registry.
    fn full(&self, image: &Image) -> String {
        format!("{}/{}", self.registry.name(), image.name)
    }
}

/// Why images are read from their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// All that is missing at once.
    First,
    /// What the engine keeps could not be read, or was something else.
    Unreadable,
    /// The registry lost what it had of a layer.
    Lost,
    /// What all together did not bring, such as what a registry does not mount.
    Alone,
}

struct Round<'i> {
    why: Why,
    images: Vec<&'i Image>,
}

fn rounds<'i>(together: &[&'i Image]) -> Vec<Round<'i>> {
    let all = |why| Round { why, images: together.to_vec() };
    let mut rounds =
        [Why::First, Why::Unreadable, Why::Lost, Why::Lost, Why::Lost].map(all).into_iter().collect::<Vec<_>>();
    if together.len() > 1 {
        rounds.extend(together.iter().map(|image| Round { why: Why::Alone, images: vec![*image] }));
    }
    rounds
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The images that have no result yet.
fn pending<'i>(images: &'i [Image], results: &[Option<Result<Done>>]) -> Vec<&'i Image> {
    images.iter().zip(results).filter(|(_, result)| result.is_none()).map(|(image, _)| image).collect()
}

/// The same error once more, for another image that fails for the same reason.
fn again(error: &Error) -> Error {
    Error::new(error.to_string()).detail(error.lines().to_vec()).hint(error.next_step().unwrap_or_default())
}
