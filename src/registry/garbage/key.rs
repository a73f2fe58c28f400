//! What may go: [`Key`].

use std::fmt;

use crate::registry::store::Digest;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Blob(Digest),
    /// The repository and the manifest in it.
    Manifest(String, Digest),
    /// The repository and the tag in it. It is never listed.
    Tag(String, String),
}

impl Key {
    /// Reads a key as nginx writes it: the digits of a digest, or `REPOSITORY@` before them.
    pub fn read(text: &str) -> Option<Self> {
        match text.rsplit_once('@') {
            None => Digest::of_hex(text).map(Self::Blob),
            Some((repository, hex)) => Digest::of_hex(hex).map(|digest| Self::Manifest(repository.to_owned(), digest)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => f.write_str(&digest.hex()),
            Self::Tag(repository, tag) => write!(f, "{repository}:{tag}"),
            Self::Manifest(repository, digest) => write!(f, "{repository}@{}", digest.hex()),
        }
    }
}
