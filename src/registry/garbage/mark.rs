//! What a store needs and what it does not: [`Marked`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::key::Key;
use crate::error::{Error, Result};
use crate::registry::retention::Rules;
use crate::registry::store::{
    Blobs, Digest, Item, Link, Manifest, Need, Parsed, Repositories, Repository, Store, layout, mentioned, unreadable,
};
use crate::world::objects::Entry;

/// How many links to blobs that are not there are noted: the rest comes with the next run.
const STRAYS: usize = 100_000;

/// What a store holds, and what of it may go.
#[derive(Debug, Default)]
pub(crate) struct Marked {
    pub blobs: Blobs,
    /// Manifests that no tag leads to, with the fingerprint and the paths of their links; the link of the manifest is the first.
    pub doomed: BTreeMap<Key, (u64, Vec<String>)>,
    /// Blobs that are linked and not there, with the fingerprint of their links.
    pub strays: BTreeMap<Digest, u64>,
    /// The links of blobs that were listed.
    pub links: BTreeMap<Digest, Vec<String>>,
    pub manifests: u64,
    /// Blobs that are needed and not there: links to them are no garbage, but damage.
    missing: BTreeSet<Digest>,
}

/// Which manifests without a tag may go. All times are in nanoseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Untagged {
    /// Those whose link is older than this; without it, the rules say it.
    pub before: Option<i128>,
    pub rules: Rules,
    /// What stays all the same: `repository@digest`.
    pub held: BTreeSet<String>,
    pub now: i128,
}

impl From<Option<i128>> for Untagged {
    fn from(before: Option<i128>) -> Self {
        Self { before, ..Self::default() }
    }
}

impl Untagged {
    fn before(&self, repository: &str) -> Option<i128> {
        let by_rule = || Some(self.now - i128::from(self.rules.untagged(repository)?) * 1_000_000_000);
        self.before.or_else(by_rule)
    }

    fn held<'a>(&'a self, repository: &'a str) -> impl Iterator<Item = Digest> + 'a {
        let named = self.held.iter().filter_map(|image| image.split_once('@'));
        named.filter(move |(name, _)| *name == repository).filter_map(|(_, digest)| Digest::read(digest))
    }
}

impl Marked {
    /// Looks at all of a store. The links of blobs for which `listed` holds are collected.
    ///
    /// # Errors
    /// A part of it cannot be read, or it takes until `end`: then nothing is known to be garbage.
    pub async fn mark(
        store: &Store,
        untagged: &Untagged,
        listed: &dyn Fn(&Digest) -> bool,
        end: Option<Instant>,
    ) -> Result<Self> {
        // Blobs before what needs them: what comes later is not listed here, and what is needed from now on passes the gate.
        let mut marked = Self { blobs: Blobs::list(store)?, ..Self::default() };
        let mut repositories = Repositories::new(store);
        loop {
            let (blobs, strays, links) = (&mut marked.blobs, &mut marked.strays, &mut marked.links);
            let mut layer = |_: &str, digest: Digest, entry: &Entry| {
                let print = fingerprint(&entry.path, entry.modified);
                if !blobs.linked(&digest, print) && (strays.len() < STRAYS || strays.contains_key(&digest)) {
                    let known = strays.entry(digest).or_default();
                    *known = known.wrapping_add(print);
                }
                if listed(&digest) {
                    links.entry(digest).or_default().push(entry.path.clone());
                }
            };
            let Some(repository) = repositories.next(&mut layer)? else {
                marked.strays.retain(|digest, _| !marked.missing.contains(digest));
                return Ok(marked);
            };
            if end.is_some_and(|end| Instant::now() >= end) {
                return Err(Error::new(
                    "the time that a collection may take was over before all of the store was looked at",
                )
                .hint("nothing was deleted; `provision gc` by hand has no limit of time"));
            }
            marked.repository(store, &repository, untagged).await?;
        }
    }

    /// All keys that may go, each with the fingerprint of its links.
    pub fn garbage(&self) -> impl Iterator<Item = (Key, u64)> {
        let blobs = self.blobs.garbage().map(|(digest, _, print)| (Key::Blob(digest), print));
        let strays = self.strays.iter().map(|(digest, print)| (Key::Blob(*digest), *print));
        let doomed = self.doomed.iter().map(|(key, (print, _))| (key.clone(), *print));
        doomed.chain(blobs).chain(strays)
    }

    async fn repository(&mut self, store: &Store, repository: &Repository, untagged: &Untagged) -> Result<()> {
        self.manifests += repository.revisions.len() as u64;
        let mut manifests = BTreeMap::new();
        let mut odd = Vec::new();
        let is_there = |digest: &Digest| self.blobs.size(digest).is_some();
        store.parsed(&repository.revisions, &is_there, &mut |digest, parsed| match parsed {
            Parsed::Whole(manifest) => drop(manifests.insert(digest, manifest)),
            Parsed::Odd(content) => odd.push(content),
        })?;
        let is_clear = odd.is_empty();
        odd.iter().flat_map(|content| mentioned(content)).for_each(|digest| self.blobs.need(&digest));
        if !is_clear {
            // What a manifest needs that is not understood may be anything in its repository.
            self.keep_all(store, repository)?;
        }
        for path in &repository.others {
            match store.link(path)? {
                Link::Digest(digest) => self.blobs.need(&digest),
                _ => return Err(unreadable(path)),
            }
        }
        let doomed = match untagged.before(&repository.name).filter(|_| is_clear) {
            Some(before) => {
                let tagged = repository.tagged(store).await?.into_values().chain(untagged.held(&repository.name));
                doomed(repository, &tagged.collect(), &manifests, before)
            }
            None => BTreeSet::new(),
        };
        for digest in repository.revisions.keys() {
            let need = if doomed.contains(digest) { Need::Doomed } else { Need::Kept };
            self.blobs.need_for(digest, need);
            for needed in manifests.get(digest).into_iter().flat_map(Manifest::needs) {
                self.blobs.need_for(needed, need);
                if self.blobs.size(needed).is_none() {
                    self.missing.insert(*needed);
                }
            }
        }
        for digest in doomed {
            let links = links_of(repository, &digest);
            let print = links.iter().fold(0_u64, |sum, (path, time)| sum.wrapping_add(fingerprint(path, *time)));
            let paths = links.into_iter().map(|(path, _)| path).collect();
            self.doomed.insert(Key::Manifest(repository.name.clone(), digest), (print, paths));
        }
        Ok(())
    }

    fn keep_all(&mut self, store: &Store, repository: &Repository) -> Result<()> {
        let mut walk = store.objects.walk(&format!("repositories/{}/_layers", repository.name));
        while let Some(entry) = walk.next()? {
            if let Item::Layer { digest, .. } = Item::of(&entry.path) {
                self.blobs.need(&digest);
            }
        }
        Ok(())
    }
}

/// The manifests that no tag leads to, by an index or by what they are about, and that are older than `before`.
fn doomed(
    repository: &Repository,
    tagged: &BTreeSet<Digest>,
    manifests: &BTreeMap<Digest, Manifest>,
    before: i128,
) -> BTreeSet<Digest> {
    let young = repository.revisions.iter().filter(|(_, time)| **time >= before).map(|(digest, _)| *digest);
    // One that cannot be read may need anything: it stays, as its blobs do.
    let unread = repository.revisions.keys().filter(|digest| !manifests.contains_key(digest)).copied();
    let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (digest, manifest) in manifests {
        manifest.subject.into_iter().for_each(|subject| about.entry(subject).or_default().push(*digest));
    }
    let mut pending: Vec<Digest> = tagged.iter().copied().chain(young).chain(unread).collect();
    let mut kept = BTreeSet::new();
    while let Some(digest) = pending.pop() {
        if kept.insert(digest) {
            let children = manifests.get(&digest).into_iter().flat_map(|manifest| &manifest.children);
            pending.extend(children.map(|child| child.digest));
            pending.extend(about.get(&digest).into_iter().flatten());
        }
    }
    repository.revisions.keys().filter(|digest| !kept.contains(digest)).copied().collect()
}

/// The links of a manifest: that which makes it one, and those by which tags know it.
fn links_of(repository: &Repository, digest: &Digest) -> Vec<(String, i128)> {
    let revision = (layout::revision(&repository.name, digest), repository.revisions[digest]);
    let tags = repository
        .tags
        .iter()
        .filter_map(|(tag, link)| Some((layout::index(&repository.name, tag, digest), *link.index.get(digest)?)));
    std::iter::once(revision).chain(tags).collect()
}

/// A number for a link and its time (FNV-1a): another push or mount changes it.
fn fingerprint(path: &str, modified: i128) -> u64 {
    let bytes = path.bytes().chain(modified.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
