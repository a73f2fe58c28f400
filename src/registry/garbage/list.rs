//! The list of keys that nginx watches, the one thing that is remembered between two collections: [`List`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::key::Key;
use crate::error::{Error, Result};
use crate::world::files;

/// How many keys are watched at once: 100,000 take 50 MB of each of nginx's processes. The rest comes later.
pub(crate) const CAP: usize = 100_000;
/// The file below the folder that nginx and the collector share.
const FILE: &str = "list.map";

/// Since when a key is listed, in milliseconds since 1970, and its fingerprint then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    /// 0 where it is not known that all of nginx knows the key.
    pub since: i64,
    pub fingerprint: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct List(pub BTreeMap<Key, Listed>);

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

impl List {
    /// # Errors
    /// The file is damaged. It is written whole or not at all, so somebody else wrote it.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = path(folder);
        let Some(found) = files::read(&path)? else { return Ok(Self::default()) };
        let text = String::from_utf8_lossy(&found.content);
        let keys = text.lines().map(line).collect::<Option<_>>();
        keys.map(Self).ok_or_else(|| {
            Error::new(format!("`{}` is no list of keys", path.display()))
                .hint("delete the file: the next collection begins with a new list, and frees one grace later")
        })
    }

    /// Writes it in the form of a `map` of nginx.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let lines = self
            .0
            .iter()
            .map(|(key, Listed { since, fingerprint })| format!("\"{key}\" \"{since} {fingerprint:x}\";\n"));
        files::write(&path(folder), lines.collect::<String>().as_bytes(), 0o640)
    }
}

fn line(text: &str) -> Option<(Key, Listed)> {
    let parts: Vec<&str> = text.split('"').collect();
    let [_, key, _, value, _] = parts[..] else { return None };
    let (since, fingerprint) = value.split_once(' ')?;
    let listed = Listed { since: since.parse().ok()?, fingerprint: u64::from_str_radix(fingerprint, 16).ok()? };
    Some((Key::read(key)?, listed))
}
