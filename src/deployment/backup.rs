//! A backup: all of a deployment that cannot be made again, in one encrypted file: [`Contents`], [`Part`].
//!
//! The file is a tar archive inside of an [age](https://age-encryption.org/v1) file, so `age -d FILE | tar x` opens it
//! without this program. Its entries, in this order:
//!
//! | entry | what |
//! |---|---|
//! | `backup.json` | the form of the file, whose backup it is, and its parts: [`Contents`] |
//! | `deployment/deployment.json` | the playbook's text and its inputs |
//! | `deployment/secret/…`, `authority/…`, … | what the deployment keeps: secrets, keys, certificates |
//! | `deployment/playbook/…` | the files of a user's own playbook: itself, what it includes, its templates |
//! | `dumps/VOLUME.gz.000000`, `.000001`, … | what a program in a container made of a volume |
//! | `volumes/VOLUME.tar.gz.000000`, … | the files of a volume |
//! | `manifest.json` | the size and the SHA-256 of each entry before it |
//!
//! `VOLUME` is the name of the resource, with dots for slashes. A part is one gzip stream cut into pieces of 4 MiB, because
//! tar wants to know a size before the content, and nothing shall lie on a disk unencrypted:
//! `cat volumes/data.tar.gz.* | tar xz` puts it together again.

mod key;
mod read;
mod restore;
mod whole;
mod write;

use serde::{Deserialize, Serialize};

pub(crate) use key::{Key, Seal};
pub(crate) use read::Reader;
pub(crate) use restore::Restore;
pub(crate) use whole::Whole;
pub(crate) use write::{Pieces, Writer};

/// The form of the file that is written here.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of a piece of a part.
const PIECE: usize = 4 << 20;
const CONTENTS: &str = "backup.json";
const MANIFEST: &str = "manifest.json";

/// What a backup says of itself, in its first entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    pub format: u32,
    pub deployment: String,
    pub playbook: String,
    /// The playbook's own file below `deployment/playbook/`; none for a built-in one.
    pub file: Option<String>,
    /// When it was made (RFC 3339).
    pub time: String,
    /// The version of the program that made it.
    pub provision: String,
    pub parts: Vec<Part>,
}

/// What a backup holds of one volume, and which container it was read through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// The resource that is the volume.
    pub volume: String,
    /// The resource that is the container.
    pub container: String,
    /// Where the volume is mounted in it.
    pub path: String,
    /// The program that made a dump of it; none if its files were read.
    pub dump: Option<Vec<String>>,
}

impl Part {
    /// What its entries are called, without the number.
    pub fn entry(&self) -> String {
        let volume = self.volume.replace('/', ".");
        if self.dump.is_some() { format!("dumps/{volume}.gz") } else { format!("volumes/{volume}.tar.gz") }
    }
}

/// The size and the digest of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digest {
    size: u64,
    sha256: String,
}

/// The last entry.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    entries: std::collections::BTreeMap<String, Digest>,
}
