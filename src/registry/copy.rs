//! From one registry or folder to another, with digests unchanged: [`Copier`].
//!
//! What a manifest names goes before it, and the tag goes last: whoever ends a copy at any moment leaves nothing half made under
//! a tag, and the next one goes on where that was, since what the target has is asked for first.

mod blobs;
mod proof;
mod referrers;
mod side;
mod size;
mod tree;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

pub(crate) use proof::{Row, State};
pub(crate) use side::Side;

use crate::error::Result;
use crate::event::Events;
use crate::registry::client::Digest;

/// How many layers are on their way at once; two parts of each are in memory.
const LAYERS: usize = 4;
/// How many things of one image are asked for at once.
const AT_ONCE: usize = 4;

/// The blob that is copied once, and where the target has it then.
type Place = Arc<tokio::sync::Mutex<Option<String>>>;

/// A copy of several images from one side to the other.
pub(crate) struct Copier {
    pub from: Side,
    pub to: Side,
    /// Whether a tag that means something else at the target is put on the source's image.
    pub overwrite: bool,
    pub events: Events,
    /// All tags of the source, where they are known: what is not among them is not asked for.
    pub tags: Option<BTreeSet<(String, String)>>,
    places: Mutex<HashMap<Digest, Place>>,
    /// What the target is known to have: repositories and manifests.
    manifests: Mutex<BTreeSet<(String, Digest)>>,
    layers: Semaphore,
    bytes: Mutex<u64>,
}

/// A tag of the source, and the same at the target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub from: (String, String),
    pub to: (String, String),
}

/// What became of one tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Copied {
    Done(Digest),
    Unchanged(Digest),
    /// The target has another image under the tag, and it was left.
    Left {
        source: Digest,
        target: Digest,
    },
}

impl Copier {
    pub fn new(from: Side, to: Side, overwrite: bool, events: Events) -> Self {
        let (places, manifests) = (Mutex::default(), Mutex::default());
        let (layers, bytes) = (Semaphore::new(LAYERS), Mutex::new(0));
        Self { from, to, overwrite, events, tags: None, places, manifests, layers, bytes }
    }

    /// Copies one tag, or one digest, with all that belongs to it.
    ///
    /// # Errors
    /// The source does not have it, or one of the two sides fails.
    pub async fn copy(&self, pair: &Pair) -> Result<Copied> {
        let ((repository, reference), (target, tag)) = (&pair.from, &pair.to);
        let manifest = self.wanted(repository, reference).await?;
        let found = self.to.look_up(target, tag).await?.map(|found| found.digest);
        if let Some(found) = found.clone().filter(|found| *found != manifest.digest && !self.overwrite) {
            return Ok(Copied::Left { source: manifest.digest, target: found });
        }
        let unchanged = found.as_ref() == Some(&manifest.digest);
        if unchanged && self.to.vouches() {
            self.note_manifest(target, &manifest.digest);
        }
        self.tree(repository, target, &manifest, tag).await?;
        Ok(if unchanged { Copied::Unchanged(manifest.digest) } else { Copied::Done(manifest.digest) })
    }

    /// The bytes of layers that were sent.
    pub fn sent(&self) -> u64 {
        *self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
