//! The store of a registry (distribution 2.x and 3.x) as it stands on a disk, or in a bucket: [`Store`].
//!
//! `blobs/` holds every layer, configuration and manifest once. `repositories/` holds links, small files with a digest: which
//! repository may serve which blob, which blobs are manifests there, and what each tag is.

mod blobs;
mod digest;
mod known;
pub(crate) mod layout;
mod manifest;
mod repositories;
#[cfg(test)]
pub(crate) mod sample;
mod tags;

use crate::error::Result;
use crate::world::objects::Objects;

pub(crate) use blobs::{Blobs, Need};
pub(crate) use digest::Digest;
use known::Known;
pub(crate) use known::Parsed;
pub(crate) use layout::Item;
pub(crate) use manifest::mentioned;
pub(crate) use manifest::{Descriptor, Manifest};
pub(crate) use repositories::{Repositories, Repository};
pub(crate) use tags::unreadable;

/// Where the store is below the registry's root folder.
pub(crate) const BELOW: &str = "docker/registry/v2";
/// A registry refuses a manifest of more than 4 MiB (distribution, `maxManifestBodySize`).
const MANIFEST: u64 = 4 << 20;
/// More than this is no link.
const LINK: u64 = 256;

#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub objects: Objects,
    /// What is known of its manifests.
    pub known: Known,
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Digest(Digest),
    /// A digest of another algorithm, or no digest at all.
    Other(String),
    Empty,
    Missing,
}

impl Store {
    pub fn new(objects: Objects) -> Self {
        Self { objects, known: Known::default() }
    }

    /// The same store, asked no more often than so many times a second.
    pub fn paced(&self, per_second: Option<u32>) -> Self {
        let paced = per_second.map(|per_second| self.objects.clone().paced(per_second));
        Self { objects: paced.unwrap_or_else(|| self.objects.clone()), known: self.known.clone() }
    }

    pub fn link(&self, path: &str) -> Result<Link> {
        let Some(content) = self.objects.read(path, LINK)? else { return Ok(Link::Missing) };
        let text = String::from_utf8_lossy(&content).trim().to_owned();
        Ok(match Digest::read(&text) {
            Some(digest) => Link::Digest(digest),
            None if text.is_empty() => Link::Empty,
            None => Link::Other(text),
        })
    }
}
