//! What the tags of a repository are, read so that a link which is just being written is not taken for an empty one.

use std::collections::BTreeMap;

use super::{Digest, Link, Repository, Store, layout};
use crate::error::{Error, Result};
use crate::world::host;

/// How often a link that is empty is read again, and milliseconds between: the registry 2.8 writes in place.
const READS: usize = 20;
const PAUSE: u64 = 50;

impl Repository {
    /// Each tag with its manifest. One that is deleted meanwhile is left out.
    ///
    /// # Errors
    /// The link of a tag cannot be understood.
    pub async fn tagged<'a>(&'a self, store: &Store) -> Result<BTreeMap<&'a String, Digest>> {
        let mut found = BTreeMap::new();
        for (tag, link) in &self.tags {
            if let Some(digest) = link.told() {
                found.insert(tag, digest);
                continue;
            }
            let path = layout::current(&self.name, tag);
            let mut reads = 0;
            loop {
                match store.link(&path)? {
                    Link::Digest(digest) => {
                        found.insert(tag, digest);
                        break;
                    }
                    // A tag that was deleted meanwhile, as its other links show.
                    Link::Missing if !self.has_links(store, tag)? => break,
                    _ if reads == READS => return Err(unreadable(&path)),
                    _ => reads += 1,
                }
                host::sleep(PAUSE).await;
            }
        }
        Ok(found)
    }

    fn has_links(&self, store: &Store, tag: &str) -> Result<bool> {
        let mut walk = store.objects.walk(&format!("repositories/{}/_manifests/tags/{tag}", self.name));
        Ok(walk.next()?.is_some())
    }
}

/// A link that says nothing.
pub(crate) fn unreadable(path: &str) -> Error {
    Error::new(format!("the link `{path}` cannot be understood, so it is not known what is needed"))
        .hint("nothing was deleted; `provision fsck` names the image that it belongs to, and what mends it")
}
