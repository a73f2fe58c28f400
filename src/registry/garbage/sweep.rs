//! Deletes what may go: [`Sweep`].

use std::collections::BTreeSet;
use std::time::Instant;

use super::key::Key;
use super::list::{List, Listed};
use super::mark::Marked;
use super::touched::Touched;
use crate::error::{Error, Result};
use crate::registry::store::{Digest, Store};
use crate::text::size::readable;
use crate::world::objects::Goes;

/// What was freed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub manifests: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Whether the time was over before all had gone.
    pub is_cut: bool,
}

impl Freed {
    /// An error that ended the run, with what was freed before it.
    pub fn before(&self, error: Error) -> Error {
        if self.manifests + self.blobs == 0 {
            return error;
        }
        let (manifests, blobs, bytes) = (self.manifests, self.blobs, self.bytes);
        let what = format!("{error}; {manifests} manifests and {blobs} blobs ({}) went before that", readable(bytes));
        Error::new(what).hint(error.next_step().unwrap_or_default())
    }
}

/// A key that may go.
struct Due {
    key: Key,
    /// The first of them is gone before the others go.
    paths: Vec<String>,
    bytes: u64,
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
        let due = marked.doomed.iter().filter(|(key, (fingerprint, _))| self.is_due(key, *fingerprint));
        let due = due.map(|(key, (_, paths))| Due { key: key.clone(), paths: paths.clone(), bytes: 0 });
        self.all(due, freed, |freed, _| freed.manifests += 1)
    }

    /// Deletes blobs that may go, and then the links to them.
    pub fn blobs(&self, marked: &Marked, freed: &mut Freed) -> Result<()> {
        let garbage = marked.blobs.garbage().filter(|(digest, ..)| !marked.blobs.is_needed(digest));
        let strays = marked.strays.iter().map(|(digest, print)| (*digest, 0, *print));
        let due = garbage.chain(strays).filter(|(digest, _, print)| self.is_due(&Key::Blob(*digest), *print));
        let due = due.map(|(digest, bytes, _)| Due { key: Key::Blob(digest), paths: paths(marked, &digest), bytes });
        self.all(due, freed, |freed, due| {
            freed.blobs += 1;
            freed.bytes += due.bytes;
        })
    }

    /// Deletes as many at once as the store takes, and counts those that are gone.
    fn all(&self, due: impl Iterator<Item = Due>, freed: &mut Freed, count: impl Fn(&mut Freed, &Due)) -> Result<()> {
        let mut due = due.peekable();
        while due.peek().is_some() {
            if self.is_over() {
                freed.is_cut = true;
                break;
            }
            let some: Vec<Due> = due.by_ref().take(self.store.objects.at_once()).collect();
            self.delete(&some, &mut |due| count(freed, due))?;
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

    /// Deletes the files of keys in this order, unless somebody asks for them. Of a key that is counted, the first file is gone.
    fn delete(&self, due: &[Due], count: &mut dyn FnMut(&Due)) -> Result<()> {
        let keys = due.iter().map(|due| due.key.clone());
        let work = |going: &BTreeSet<Key>, in_time: &dyn Fn() -> bool| {
            let going: Vec<&Due> = due.iter().filter(|due| going.contains(&due.key)).collect();
            let first: Vec<Goes> = going.iter().filter_map(|due| due.paths.first()).map(|path| goes(path)).collect();
            let deleted = self.store.objects.delete(&first);
            let gone: Vec<&Due> =
                going.into_iter().zip(&deleted.gone).filter(|(_, gone)| **gone).map(|(due, _)| due).collect();
            gone.iter().for_each(|due| count(due));
            deleted.failed.map_or(Ok(()), Err)?;
            let rest: Vec<Goes> = gone.iter().flat_map(|due| due.paths.iter().skip(1)).map(|path| goes(path)).collect();
            for some in rest.chunks(self.store.objects.at_once()) {
                // A process that was stopped in between must not go on: nginx may have let somebody pass.
                if !in_time() {
                    return Err(held_up());
                }
                self.store.objects.delete(some).failed.map_or(Ok(()), Err)?;
            }
            Ok(())
        };
        self.touched.delete_all(keys, work).map(drop)
    }
}

/// That a deletion took longer than it may.
pub(super) fn held_up() -> Error {
    Error::new("the run was held up in the middle of a deletion, and has ended")
        .hint("the registry goes on as before; run the command again")
}

/// A file that goes. The folder above its digest is shared with others, which may come at this moment.
fn goes(path: &str) -> Goes<'_> {
    Goes { path, above: path.rsplitn(3, '/').last().unwrap_or_default() }
}

fn paths(marked: &Marked, digest: &Digest) -> Vec<String> {
    let links = marked.links.get(digest).into_iter().flatten().cloned();
    std::iter::once(digest.data()).chain(links).collect()
}
