//! All blobs of a store in a form that takes 49 bytes for one: [`Blobs`].

use super::{Digest, Item, Store};
use crate::error::Result;

/// Whether anything needs a blob.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    #[default]
    None,
    /// Only manifests that are to go themselves.
    Doomed,
    Kept,
}

/// The blobs of a store in the order of their digests, and what was found out about each.
#[derive(Debug, Default)]
pub(crate) struct Blobs {
    digests: Vec<Digest>,
    sizes: Vec<u64>,
    links: Vec<u64>,
    needed: Vec<Need>,
    /// Files beside the blobs that are not known.
    pub unknown: Vec<String>,
}

impl Blobs {
    pub fn list(store: &Store) -> Result<Self> {
        let mut blobs = Self::default();
        let mut walk = store.objects.walk("blobs");
        while let Some(entry) = walk.next()? {
            match Item::of(&entry.path) {
                Item::Blob(digest) => {
                    blobs.digests.push(digest);
                    blobs.sizes.push(entry.size);
                }
                _ => blobs.unknown.push(entry.path),
            }
        }
        debug_assert!(blobs.digests.is_sorted(), "a walk is in the order of the names");
        blobs.needed = vec![Need::None; blobs.digests.len()];
        blobs.links = vec![0; blobs.digests.len()];
        Ok(blobs)
    }

    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// The bytes of all of them.
    pub fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    fn at(&self, digest: &Digest) -> Option<usize> {
        self.digests.binary_search(digest).ok()
    }

    /// How large a blob is; none if it is not there.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        self.at(digest).map(|at| self.sizes[at])
    }

    pub fn need(&mut self, digest: &Digest) {
        self.need_for(digest, Need::Kept);
    }

    pub fn need_for(&mut self, digest: &Digest, need: Need) {
        if let Some(at) = self.at(digest) {
            self.needed[at] = self.needed[at].max(need);
        }
    }

    pub fn is_needed(&self, digest: &Digest) -> bool {
        self.at(digest).is_some_and(|at| self.needed[at] != Need::None)
    }

    /// Takes a link to a blob into account, whose fingerprint is over all of them in any order; false if there is no such blob.
    pub fn linked(&mut self, digest: &Digest, fingerprint: u64) -> bool {
        let at = self.at(digest);
        at.into_iter().for_each(|at| self.links[at] = self.links[at].wrapping_add(fingerprint));
        at.is_some()
    }

    /// What nothing needs, or nothing but what is to go itself: digest, bytes, and the fingerprint of its links.
    pub fn garbage(&self) -> impl Iterator<Item = (Digest, u64, u64)> {
        let found = self.needed.iter().enumerate().filter(|(_, needed)| **needed < Need::Kept);
        found.map(|(at, _)| (self.digests[at], self.sizes[at], self.links[at]))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.digests.iter()
    }
}
