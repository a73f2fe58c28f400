//! Files of a store of any size, in a folder or in a bucket, read in their order without holding them all: [`Objects`].

mod bucket;
mod called;
mod folder;
mod pace;
mod trial;

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
pub(crate) use bucket::Address;
use bucket::Bucket;
use folder::Folder;
use pace::Pace;
pub(crate) use trial::Trial;

/// The files of a store.
#[derive(Debug, Clone)]
pub(crate) enum Objects {
    Folder(Folder),
    Bucket(Bucket),
}

/// One file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Counted from the root of the store.
    pub path: String,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// The MD5 of its content, where the store tells one; that of an encrypted object may be another number.
    pub md5: Option<[u8; 16]>,
}

/// The files below a folder of a store, one after the other: what belongs to one repository stands together, and blobs are in the
/// order of their digests.
pub(crate) enum Walk {
    Folder(folder::Walk),
    Bucket(bucket::Walk),
}

/// A file that goes, and the folder above it that stays even if it is empty then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goes<'a> {
    pub path: &'a str,
    pub above: &'a str,
}

/// What became of files that were to go.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// Whether each is gone, in the order in which they were given.
    pub gone: Vec<bool>,
    /// Why the others are not.
    pub failed: Option<Error>,
}

impl Objects {
    pub fn folder(root: &Path) -> Self {
        Self::Folder(Folder::new(root))
    }

    /// The objects of a bucket whose names begin with `prefix`, names of folders without a slash at the end.
    ///
    /// # Errors
    /// The address cannot be understood. Nothing is asked for yet.
    pub async fn bucket(address: &Address, prefix: &str) -> Result<Self> {
        Bucket::open(address, prefix).await.map(Self::Bucket)
    }

    /// The same with so many files and folders a second at most; of a bucket, so many requests.
    pub fn paced(mut self, per_second: u32) -> Self {
        let pace = Some(Arc::new(Pace::new(per_second)));
        match &mut self {
            Self::Folder(folder) => folder.pace = pace,
            Self::Bucket(bucket) => bucket.pace = pace,
        }
        self
    }

    /// How many files are best deleted at once.
    pub fn at_once(&self) -> usize {
        match self {
            Self::Folder(_) => 1,
            Self::Bucket(_) => bucket::AT_ONCE,
        }
    }

    /// Whether each file that is asked for costs a request, so that it is better asked for no more than once.
    pub fn is_far(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    /// Tries whether files can be made and deleted here, and whether a list shows both at once.
    ///
    /// # Errors
    /// It cannot be relied on for a collection, and why.
    pub fn try_out(&self) -> Result<Trial> {
        match self {
            Self::Folder(_) => Ok(Trial::default()),
            Self::Bucket(bucket) => trial::of(bucket),
        }
    }

    /// The files below `prefix`, a path of whole names, or of all the store if it is empty.
    pub fn walk(&self, prefix: &str) -> Walk {
        match self {
            Self::Folder(folder) => Walk::Folder(folder.walk(prefix)),
            Self::Bucket(bucket) => Walk::Bucket(bucket.walk(prefix)),
        }
    }

    /// The first `limit` bytes of a file; none if it is not there.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Folder(folder) => folder.read(path, limit),
            Self::Bucket(bucket) => bucket.read(path, limit),
        }
    }

    /// The same for several files; each is given to `take` with its place among them, in their order.
    pub fn read_all(
        &self,
        paths: &[String],
        limit: u64,
        take: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::Folder(folder) => {
                paths.iter().enumerate().try_for_each(|(at, path)| take(at, folder.read(path, limit)?))
            }
            Self::Bucket(bucket) => bucket.read_all(paths, limit, take),
        }
    }

    /// Gives `sink` the whole of a file, part by part; false if it is not there.
    pub fn stream(&self, path: &str, sink: &mut dyn FnMut(&[u8])) -> Result<bool> {
        match self {
            Self::Folder(folder) => folder.stream(path, sink),
            Self::Bucket(bucket) => bucket.stream(path, sink),
        }
    }

    /// What is known of one file; none if it is not there.
    pub fn look(&self, path: &str) -> Result<Option<Entry>> {
        match self {
            Self::Folder(folder) => folder.look(path),
            Self::Bucket(bucket) => bucket.look(path),
        }
    }

    /// Deletes files, and the folders above them that are empty then. One that is not there is gone.
    ///
    /// A deletion whose answer is lost may be carried out later: then this waits for so long before it tells of the failure that
    /// nothing comes after it any more.
    pub fn delete(&self, goes: &[Goes]) -> Deleted {
        match self {
            Self::Folder(folder) => folder.delete_all(goes),
            Self::Bucket(bucket) => bucket.delete(goes),
        }
    }
}

impl Walk {
    /// The next file; none after the last one. What disappears meanwhile is left out.
    pub fn next(&mut self) -> Result<Option<Entry>> {
        match self {
            Self::Folder(walk) => walk.next(),
            Self::Bucket(walk) => walk.next(),
        }
    }
}
