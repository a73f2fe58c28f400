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
    /// The MD5 of its text, where the store tells one.
    pub md5: Option<[u8; 16]>,
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
    /// Paths of links to manifests that say what they have to, as far as the store itself tells that.
    pub sound: BTreeSet<String>,
}

impl TagLink {
    /// The manifest that it is, as far as that is known without a look into the link.
    pub fn told(&self) -> Option<Digest> {
        self.index.keys().find(|digest| digest.has_text(self.md5)).copied()
    }
}

/// A walk through all repositories.
pub(crate) struct Repositories {
    walk: Walk,
    /// The first file of the next repository.
    next: Option<Entry>,
    /// Whether links that say what they have to are told.
    is_checked: bool,
}

impl Repositories {
    pub fn new(store: &Store) -> Self {
        Self { walk: store.objects.walk("repositories"), next: None, is_checked: false }
    }

    /// The same, with the links that say what they have to.
    pub fn checked(store: &Store) -> Self {
        Self { is_checked: true, ..Self::new(store) }
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
            if self.is_checked {
                repository.check(&entry);
            }
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
            Item::Current { tag, .. } => {
                let tag = self.tag(tag);
                (tag.current, tag.md5) = (Some(entry.modified), entry.md5);
            }
            Item::Index { tag, digest, .. } => drop(self.tag(tag).index.insert(digest, entry.modified)),
            Item::Upload { upload, .. } => *self.uploads.entry(upload.to_owned()).or_default() += entry.size,
            Item::Blob(_) | Item::Unknown => drop(self.unknown.insert(entry.path.clone())),
        }
    }

    fn check(&mut self, entry: &Entry) {
        if let Item::Revision { digest, .. } | Item::Index { digest, .. } = Item::of(&entry.path)
            && digest.is_said_by(entry)
        {
            self.sound.insert(entry.path.clone());
        }
    }

    fn tag(&mut self, name: &str) -> &mut TagLink {
        self.tags.entry(name.to_owned()).or_default()
    }
}
