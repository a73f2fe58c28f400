//! One look at a whole store.

use std::collections::{BTreeMap, BTreeSet};

use super::image::Checked;
use super::{Damage, Damages, Findings, Mend};
use crate::error::Result;
use crate::registry::store::{Blobs, Digest, Link, Repositories, Repository, Store, layout};
use crate::world::objects::Entry;

/// The length of a link: `sha256:` and 64 digits.
const LINK: u64 = 71;

/// What is known while repositories are looked at one after the other.
pub(super) struct Look<'a> {
    pub store: &'a Store,
    pub blobs: Blobs,
    /// Blobs whose bytes have another digest.
    pub wrong: BTreeSet<Digest>,
    pub damages: Damages,
    /// Links of the repository that is looked at which say what they have to, as far as the store itself tells that.
    pub sound: BTreeSet<String>,
}

pub(super) fn all(store: &Store, deep: bool) -> Result<(Findings, Damages)> {
    let blobs = Blobs::list(store)?;
    let wrong = if deep { wrong(store, &blobs)? } else { BTreeSet::new() };
    let mut look = Look { store, blobs, wrong, damages: Damages::new(), sound: BTreeSet::new() };
    let mut findings = Findings::default();
    let mut repositories = Repositories::checked(store);
    loop {
        let (mut links, mut sound) = (Vec::new(), BTreeSet::new());
        let mut layer = |repository: &str, digest: Digest, entry: &Entry| {
            if digest.is_said_by(entry) {
                sound.insert(entry.path.clone());
            } else if deep || entry.size != LINK || entry.md5.is_some() {
                links.push((repository.to_owned(), digest));
            }
        };
        let Some(repository) = repositories.next(&mut layer)? else { break };
        findings.count(&repository);
        sound.extend(repository.sound.iter().cloned());
        look.sound = sound;
        look.repository(&repository)?;
        for (name, digest) in links {
            let path = layout::layer(&name, &digest);
            if !look.damages.keys().any(|damage| damage.path == path) {
                look.link(&path, &digest, &format!("the link to the layer {digest}"), &[&name])?;
            }
        }
    }
    look.unneeded();
    findings.blobs = look.blobs.len() as u64;
    findings.bytes = look.blobs.bytes();
    findings.unknown.append(&mut look.blobs.unknown);
    for (_, bytes, _) in look.blobs.garbage() {
        findings.orphans += 1;
        findings.orphan_bytes += bytes;
    }
    Ok((findings, look.damages))
}

/// Reads every blob, and gives those whose bytes have another digest.
fn wrong(store: &Store, blobs: &Blobs) -> Result<BTreeSet<Digest>> {
    let mut wrong = BTreeSet::new();
    for digest in blobs.iter() {
        let mut hash = openssl::sha::Sha256::new();
        let there = store.objects.stream(&digest.data(), &mut |part| hash.update(part))?;
        if there && hash.finish() != digest.0 {
            wrong.insert(*digest);
        }
    }
    Ok(wrong)
}

impl Findings {
    fn count(&mut self, repository: &Repository) {
        self.repositories += u64::from(!repository.name.is_empty());
        self.tags += repository.tags.len() as u64;
        self.manifests += repository.revisions.len() as u64;
        self.uploads += repository.uploads.len() as u64;
        self.upload_bytes += repository.uploads.values().sum::<u64>();
        self.unknown.extend(repository.unknown.iter().cloned());
    }
}

impl Look<'_> {
    /// Notes damage of these images.
    pub fn damaged<T: ToString>(&mut self, path: &str, what: String, mend: Mend, images: &[T]) {
        let damage = Damage { path: path.to_owned(), what, mend };
        self.damages.entry(damage).or_default().extend(images.iter().map(ToString::to_string));
    }

    /// Checks that a link says what its path says.
    pub fn link<T: ToString>(&mut self, path: &str, digest: &Digest, name: &str, images: &[T]) -> Result<()> {
        if self.sound.contains(path) {
            return Ok(());
        }
        let what = match self.store.link(path)? {
            Link::Digest(found) if found == *digest => return Ok(()),
            Link::Missing => format!("{name} is missing"),
            Link::Empty => format!("{name} is empty"),
            Link::Digest(_) | Link::Other(_) => format!("{name} names something else"),
        };
        self.damaged(path, what, Mend::Push, images);
        Ok(())
    }

    fn repository(&mut self, repository: &Repository) -> Result<()> {
        let mut names: BTreeMap<Digest, BTreeSet<String>> = BTreeMap::new();
        for (tag, link) in &repository.tags {
            let image = format!("{}:{tag}", repository.name);
            let path = layout::current(&repository.name, tag);
            for digest in link.index.keys() {
                let path = layout::index(&repository.name, tag, digest);
                self.link(&path, digest, "the link of an earlier push of the tag", &[&image])?;
            }
            let said = link.told().map_or_else(|| self.store.link(&path), |digest| Ok(Link::Digest(digest)));
            let digest = match said? {
                Link::Digest(digest) => digest,
                Link::Missing => {
                    self.damaged(&path, "the link of the tag is missing".to_owned(), Mend::Push, &[image]);
                    continue;
                }
                Link::Empty | Link::Other(_) => {
                    let what = "the link of the tag is empty or names no manifest".to_owned();
                    self.damaged(&path, what, Mend::Push, &[image]);
                    continue;
                }
            };
            if !link.index.contains_key(&digest) {
                let path = layout::index(&repository.name, tag, &digest);
                self.link(&path, &digest, "the link of the tag's last push", &[&image])?;
            }
            if !repository.revisions.contains_key(&digest) {
                let path = layout::revision(&repository.name, &digest);
                self.link(&path, &digest, "the link to the manifest", &[&image])?;
            }
            names.entry(digest).or_default().insert(image);
        }
        self.manifests(repository, names)
    }

    /// Checks all manifests of a repository, and those of indexes under the names of the index.
    fn manifests(&mut self, repository: &Repository, mut names: BTreeMap<Digest, BTreeSet<String>>) -> Result<()> {
        let checked = Checked::all(self, repository)?;
        // An index may be a part of another: as deep as there are manifests, at most.
        let mut pending: Vec<Digest> = names.keys().copied().collect();
        while let Some(digest) = pending.pop() {
            let images = names.get(&digest).cloned().unwrap_or_default();
            for child in checked.get(&digest).into_iter().flat_map(Checked::children) {
                let known = names.entry(child).or_default();
                let before = known.len();
                known.extend(images.iter().cloned());
                if known.len() > before {
                    pending.push(child);
                }
            }
        }
        for (digest, found) in &checked {
            let images = names.remove(digest).map(|names| names.into_iter().collect::<Vec<_>>());
            let images = images.unwrap_or_else(|| vec![format!("{}@{digest}", repository.name)]);
            found.tell(self, repository, digest, &images)?;
        }
        Ok(())
    }

    /// Notes blobs that nothing needs and that no push would put right.
    fn unneeded(&mut self) {
        let wrong: Vec<Digest> = self.wrong.iter().filter(|digest| !self.blobs.is_needed(digest)).copied().collect();
        for digest in wrong {
            let what = format!("the content of {digest} is not what its digest says; no image needs it");
            self.damaged::<String>(&digest.data(), what, Mend::DeleteAndPush, &[]);
        }
    }

    /// How large a blob is, also one that has come since blobs were listed.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.blobs.size(digest) {
            Some(size) => Ok(Some(size)),
            None => Ok(self.store.objects.look(&digest.data())?.map(|found| found.size)),
        }
    }
}
