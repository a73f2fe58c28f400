//! The store of a registry (distribution 2.x and 3.x) as it stands on a disk: [`Store`].
//!
//! `blobs/` holds every layer, configuration and manifest once. `repositories/` holds links, small files with a digest: which
//! repository may serve which blob, which blobs are manifests there, and what each tag is.

mod blobs;
mod digest;
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
        Self { objects }
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

    /// The bytes of a manifest; none if they are not there.
    pub fn manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.objects.read(&digest.data(), MANIFEST + 1)
    }
}
