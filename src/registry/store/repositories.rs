//! The repositories of a store, one at a time: [`Repositories`].

use std::collections::{BTreeMap, BTreeSet};

use super::{Digest, Item, Store};
use crate::error::Result;
use crate::world::objects::{Entry, Walk};

/// What is known of a tag by the files of its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TagLink {
    /// The time of its `current` link; none if there is no such link.
    pub current: Option<i128>,
    /// What it is or was, each with the time of the link.
    pub index: BTreeMap<Digest, i128>,
}

/// Everything in a repository but its links to blobs, of which there may be very many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Repository {
    pub name: String,
    /// The manifests, each with the time of its link.
    pub revisions: BTreeMap<Digest, i128>,
    pub tags: BTreeMap<String, TagLink>,
    /// Links by digests of other algorithms.
    pub others: Vec<String>,
    /// Uploads that have not ended, each with its bytes.
    pub uploads: BTreeMap<String, u64>,
    /// Paths of files that are not known.
    pub unknown: BTreeSet<String>,
}

/// A walk through all repositories.
pub(crate) struct Repositories {
    walk: Walk,
    /// The first file of the next repository.
    next: Option<Entry>,
}

impl Repositories {
    pub fn new(store: &Store) -> Self {
        Self { walk: store.objects.walk("repositories"), next: None }
    }

    /// The next repository. Each link to a blob in it is given to `layer` with its entry, as it is met.
    pub fn next(&mut self, layer: &mut dyn FnMut(&str, Digest, &Entry)) -> Result<Option<Repository>> {
        let mut found: Option<Repository> = None;
        loop {
            let entry = match self.next.take() {
                Some(entry) => Some(entry),
                None => self.walk.next()?,
            };
            let Some(entry) = entry else { return Ok(found) };
            let name = name(&entry.path);
            if found.as_ref().is_some_and(|found| found.name != name) {
                self.next = Some(entry);
                return Ok(found);
            }
            let repository = found.get_or_insert_with(|| Repository { name: name.to_owned(), ..Repository::default() });
            repository.take(&entry, layer);
        }
    }
}

/// The repository that a file belongs to; what belongs to none has an empty name.
fn name(path: &str) -> &str {
    path.strip_prefix("repositories/").and_then(|rest| rest.split_once("/_")).map_or("", |(name, _)| name)
}

impl Repository {
    fn take(&mut self, entry: &Entry, layer: &mut dyn FnMut(&str, Digest, &Entry)) {
        match Item::of(&entry.path) {
            Item::Layer { repository, digest } => layer(repository, digest, entry),
            Item::OtherLayer { .. } => self.others.push(entry.path.clone()),
            Item::Revision { digest, .. } => drop(self.revisions.insert(digest, entry.modified)),
            Item::Current { tag, .. } => self.tag(tag).current = Some(entry.modified),
            Item::Index { tag, digest, .. } => drop(self.tag(tag).index.insert(digest, entry.modified)),
            Item::Upload { upload, .. } => *self.uploads.entry(upload.to_owned()).or_default() += entry.size,
            Item::Blob(_) | Item::Unknown => drop(self.unknown.insert(entry.path.clone())),
        }
    }

    fn tag(&mut self, name: &str) -> &mut TagLink {
        self.tags.entry(name.to_owned()).or_default()
    }
}
