//! What goes from a store, and how much of it nothing else needs: [`Planned`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Retention;
use super::keep::{Tagged, verdicts};
use crate::error::Result;
use crate::registry::store::{Blobs, Digest, Manifest, Parsed, Repositories, Repository, Store, mentioned};

/// One tag that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gone {
    pub repository: String,
    pub tag: String,
    pub digest: String,
    /// Its last push, in nanoseconds since 1970.
    pub pushed: i64,
    /// The rule by which it goes.
    pub rule: String,
    /// What only it and tags after it in the list need.
    pub bytes: u64,
}

/// All tags that go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planned {
    pub gone: Vec<Gone>,
    /// How many tags there are in all.
    pub tags: u64,
    /// Repositories that tags go from, and where manifests without a tag stay for ever.
    pub lasting: BTreeSet<String>,
}

impl Gone {
    pub fn image(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// What is the same in another plan that means the same push of the same tag.
    pub fn identity(&self) -> (&str, &str, &str, i64) {
        (&self.repository, &self.tag, &self.digest, self.pushed)
    }
}

impl Planned {
    /// Finds out what goes at a time, in nanoseconds since 1970.
    ///
    /// # Errors
    /// A part of the store cannot be read, or a tag cannot be understood: then nothing goes.
    pub async fn make(store: &Store, retention: &Retention, now: i64) -> Result<Self> {
        let mut blobs = Blobs::list(store)?;
        let mut planned = Self::default();
        // What each tag that goes needs, in the order of the list.
        let mut contents: Vec<BTreeSet<Digest>> = Vec::new();
        let mut repositories = Repositories::new(store);
        while let Some(repository) = repositories.next(&mut |_, _, _| {})? {
            let tags = tags(store, &repository).await?;
            planned.tags += tags.len() as u64;
            let linked = |digest: &Digest| repository.revisions.contains_key(digest);
            let gone = verdicts(&retention.rules, &retention.held, &repository.name, &tags, &linked, now);
            if !gone.is_empty() && retention.rules.untagged(&repository.name).is_none() {
                planned.lasting.insert(repository.name.clone());
            }
            let manifests = manifests(store, &repository, &mut blobs)?;
            let staying = staying(&repository, &tags, &gone, &manifests);
            for digest in &staying {
                blobs.need(digest);
                manifests.get(digest).into_iter().flat_map(Manifest::needs).for_each(|needed| blobs.need(needed));
            }
            for (tag, rule) in gone {
                let Tagged { digest, pushed } = tags[&tag];
                contents.push(reach(&digest, &manifests));
                let (repository, digest) = (repository.name.clone(), digest.to_string());
                planned.gone.push(Gone { repository, tag, digest, pushed, rule, bytes: 0 });
            }
        }
        let mut counted = BTreeSet::new();
        for (gone, content) in planned.gone.iter_mut().zip(contents) {
            let own = content.into_iter().filter(|digest| !blobs.is_needed(digest) && counted.insert(*digest));
            gone.bytes = own.filter_map(|digest| blobs.size(&digest)).sum();
        }
        Ok(planned)
    }
}

async fn tags(store: &Store, repository: &Repository) -> Result<BTreeMap<String, Tagged>> {
    let found = repository.tagged(store).await?;
    let pushed = |tag: &String| i64::try_from(repository.tags[tag].current.unwrap_or(i128::MAX)).unwrap_or(i64::MAX);
    Ok(found.into_iter().map(|(tag, digest)| (tag.clone(), Tagged { digest, pushed: pushed(tag) })).collect())
}

/// The manifests of a repository. What one names that is not understood is needed.
fn manifests(store: &Store, repository: &Repository, blobs: &mut Blobs) -> Result<BTreeMap<Digest, Manifest>> {
    let (mut manifests, mut odd) = (BTreeMap::new(), Vec::new());
    let is_there = |digest: &Digest| blobs.size(digest).is_some();
    store.parsed(&repository.revisions, &is_there, &mut |digest, parsed| match parsed {
        Parsed::Whole(manifest) => drop(manifests.insert(digest, manifest)),
        Parsed::Odd(content) => odd.push(content),
    })?;
    odd.iter().flat_map(|content| mentioned(content)).for_each(|digest| blobs.need(&digest));
    Ok(manifests)
}

/// The manifests that are not left without a tag by those that go.
fn staying(
    repository: &Repository,
    tags: &BTreeMap<String, Tagged>,
    gone: &BTreeMap<String, String>,
    manifests: &BTreeMap<Digest, Manifest>,
) -> BTreeSet<Digest> {
    let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (digest, manifest) in manifests {
        manifest.subject.into_iter().for_each(|subject| about.entry(subject).or_default().push(*digest));
    }
    let family = |from: Vec<Digest>| {
        let mut found = BTreeSet::new();
        let mut pending = from;
        while let Some(digest) = pending.pop() {
            if found.insert(digest) {
                let children = manifests.get(&digest).into_iter().flat_map(|manifest| &manifest.children);
                pending.extend(children.map(|child| child.digest));
                pending.extend(about.get(&digest).into_iter().flatten());
            }
        }
        found
    };
    if gone.is_empty() {
        return repository.revisions.keys().copied().collect();
    }
    let (going, kept): (Vec<_>, Vec<_>) = tags.iter().partition(|(tag, _)| gone.contains_key(*tag));
    let digests = |tags: Vec<(&String, &Tagged)>| tags.into_iter().map(|(_, tagged)| tagged.digest).collect();
    let (going, kept) = (family(digests(going)), family(digests(kept)));
    repository.revisions.keys().filter(|digest| kept.contains(digest) || !going.contains(digest)).copied().collect()
}

/// All that a manifest needs, itself too.
fn reach(from: &Digest, manifests: &BTreeMap<Digest, Manifest>) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    let mut pending = vec![*from];
    while let Some(digest) = pending.pop() {
        if found.insert(digest) {
            pending.extend(manifests.get(&digest).into_iter().flat_map(Manifest::needs));
        }
    }
    found
}
