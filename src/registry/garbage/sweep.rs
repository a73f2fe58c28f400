//! Deletes what may go: [`Sweep`].

use std::time::Instant;

use super::key::Key;
use super::list::{List, Listed};
use super::mark::Marked;
use super::touched::Touched;
use crate::error::{Error, Result};
use crate::registry::store::{Digest, Store};

/// What was freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub manifests: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Whether the time was over before all had gone.
    pub is_cut: bool,
}

pub(crate) struct Sweep<'a> {
    pub store: &'a Store,
    pub touched: &'a Touched,
    pub list: &'a List,
    /// What was listed until then may go, in milliseconds since 1970.
    pub until: i64,
    /// When it stops, whatever is left.
    pub end: Option<Instant>,
}

impl Sweep<'_> {
    /// Deletes the links of manifests that may go.
    pub fn manifests(&self, marked: &Marked, freed: &mut Freed) -> Result<()> {
        for (key, (fingerprint, paths)) in &marked.doomed {
            if !self.is_due(key, *fingerprint) {
                continue;
            }
            if self.is_over() {
                freed.is_cut = true;
                break;
            }
            freed.manifests += u64::from(self.delete(key, paths)?);
        }
        Ok(())
    }

    /// Deletes blobs that may go, and then the links to them.
    pub fn blobs(&self, marked: &Marked, freed: &mut Freed) -> Result<()> {
        let garbage = marked.blobs.garbage().filter(|(digest, ..)| !marked.blobs.is_needed(digest));
        let strays = marked.strays.iter().map(|(digest, print)| (*digest, 0, *print));
        for (digest, bytes, fingerprint) in garbage.chain(strays) {
            let key = Key::Blob(digest);
            if !self.is_due(&key, fingerprint) {
                continue;
            }
            if self.is_over() {
                freed.is_cut = true;
                break;
            }
            if self.delete(&key, &paths(marked, &digest))? {
                freed.blobs += 1;
                freed.bytes += bytes;
            }
        }
        Ok(())
    }

    /// Whether a key was listed for long enough with the links that it has now.
    fn is_due(&self, key: &Key, fingerprint: u64) -> bool {
        let listed: Option<&Listed> = self.list.0.get(key);
        listed
            .is_some_and(|listed| listed.since != 0 && listed.since <= self.until && listed.fingerprint == fingerprint)
    }

    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// Deletes the files of a key in this order, unless somebody asks for it.
    fn delete(&self, key: &Key, paths: &[String]) -> Result<bool> {
        self.touched.delete(key, |in_time| {
            for path in paths {
                // A process that was stopped in between must not go on: nginx may have let somebody pass.
                if !in_time() {
                    return Err(Error::new("the collection was held up in the middle of a deletion, and has ended")
                        .hint("the registry goes on as before; run the command again"));
                }
                // The folder above the digest is shared with others, which may come at this moment.
                let shared = path.rsplitn(3, '/').last().unwrap_or_default();
                self.store.objects.delete(path, shared)?;
            }
            Ok(())
        })
    }
}

fn paths(marked: &Marked, digest: &Digest) -> Vec<String> {
    let links = marked.links.get(digest).into_iter().flatten().cloned();
    std::iter::once(digest.data()).chain(links).collect()
}
