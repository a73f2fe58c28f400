//! What manifests of a store need that were read already: [`Known`], and [`Store::parsed`].
//!
//! A manifest never changes, so that of a store whose files cost a request each is read once, and what it needs is kept from one
//! run to the next.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Descriptor, Digest, Manifest, Store};
use crate::error::Result;
use crate::text::digest::sha256;
use crate::world::files;

/// How many manifests are known at most, and the bytes of the file that they are kept in.
const MOST: usize = 100_000;
const BYTES: usize = 15 << 20;

/// A manifest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parsed {
    Whole(Manifest),
    /// The bytes of one that has another digest, or is not understood.
    Odd(Vec<u8>),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// What each needs, and whether that was asked for by this process.
    manifests: BTreeMap<Digest, (Manifest, bool)>,
    has_changed: bool,
}

impl Store {
    /// The bytes of manifests; each is given to `take`, none for one that is not there.
    pub fn manifests(
        &self,
        digests: &[Digest],
        take: &mut dyn FnMut(Digest, Option<Vec<u8>>) -> Result<()>,
    ) -> Result<()> {
        // As paths, a part of them is held at a time.
        for some in digests.chunks(1000) {
            let paths: Vec<String> = some.iter().map(Digest::data).collect();
            self.objects.read_all(&paths, super::MANIFEST + 1, &mut |at, content| take(some[at], content))?;
        }
        Ok(())
    }

    /// What the manifests of a repository need. One that is not there is left out; `is_there` says so without a look at it.
    pub fn parsed(
        &self,
        revisions: &BTreeMap<Digest, i128>,
        is_there: &dyn Fn(&Digest) -> bool,
        take: &mut dyn FnMut(Digest, Parsed),
    ) -> Result<()> {
        let is_far = self.objects.is_far();
        let mut others = Vec::new();
        for digest in revisions.keys() {
            match self.known.get(digest).filter(|_| is_there(digest)) {
                Some(manifest) => take(*digest, Parsed::Whole(manifest)),
                None => others.push(*digest),
            }
        }
        self.manifests(&others, &mut |digest, content| {
            let Some(content) = content else { return Ok(()) };
            match Manifest::read(&content).filter(|_| Digest::of(&content) == digest) {
                Some(manifest) => {
                    if is_far {
                        self.known.add(digest, &manifest);
                    }
                    take(digest, Parsed::Whole(manifest));
                }
                None => take(digest, Parsed::Odd(content)),
            }
            Ok(())
        })
    }
}

impl Known {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, digest: &Digest) -> Option<Manifest> {
        self.state().manifests.get_mut(digest).map(|(manifest, is_used)| {
            *is_used = true;
            manifest.clone()
        })
    }

    fn add(&self, digest: Digest, manifest: &Manifest) {
        let mut state = self.state();
        if state.manifests.len() < MOST {
            state.manifests.insert(digest, (manifest.clone(), true));
            state.has_changed = true;
        }
    }

    /// Takes what an earlier run kept in a file. One that is damaged counts as none.
    pub fn read(&self, path: &Path) -> Result<()> {
        let Some(found) = files::read(path)? else { return Ok(()) };
        let text = String::from_utf8_lossy(&found.content);
        let Some((sum, lines)) = text.split_once('\n') else { return Ok(()) };
        let manifests = lines.lines().map(line).collect::<Option<BTreeMap<_, _>>>();
        if let Some(manifests) = manifests.filter(|_| sum == sha256(lines.as_bytes())) {
            self.state().manifests.extend(manifests);
        }
        Ok(())
    }

    /// Keeps for a later run what was asked for in this one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        if !state.has_changed && state.manifests.values().all(|(_, is_used)| *is_used) {
            return Ok(());
        }
        let mut text = String::new();
        for (digest, (manifest, _)) in state.manifests.iter().filter(|(_, (_, is_used))| *is_used) {
            let before = text.len();
            text.push_str(&digest.hex());
            let blobs = manifest.blobs.iter().map(|blob| (" b", &blob.digest));
            let children = manifest.children.iter().map(|child| (" c", &child.digest));
            for (kind, digest) in blobs.chain(children).chain(manifest.subject.iter().map(|subject| (" s", subject))) {
                text.push_str(kind);
                text.push_str(&digest.hex());
            }
            text.push('\n');
            if text.len() > BYTES {
                text.truncate(before);
                break;
            }
        }
        files::write(path, format!("{}\n{text}", sha256(text.as_bytes())).as_bytes(), 0o640)?;
        state.has_changed = false;
        Ok(())
    }
}

/// A line as it is written. Neither sizes nor where a layer is fetched from are kept: who knows what is needed asks for neither.
fn line(text: &str) -> Option<(Digest, (Manifest, bool))> {
    let mut words = text.split(' ');
    let digest = Digest::of_hex(words.next()?)?;
    let mut manifest = Manifest::default();
    for word in words {
        let (kind, hex) = word.split_at_checked(1)?;
        let digest = Digest::of_hex(hex)?;
        let needed = Descriptor { digest, size: None, foreign: false };
        match kind {
            "b" => manifest.blobs.push(needed),
            "c" => manifest.children.push(needed),
            "s" => manifest.subject = Some(digest),
            _ => return None,
        }
    }
    Some((digest, (manifest, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_known_later_and_a_damaged_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifests");
        let [one, two, three] = ["1", "2", "3"].map(|text| Digest::of(text.as_bytes()));
        let needed = |digest| Descriptor { digest, size: None, foreign: false };
        let manifest = Manifest { blobs: vec![needed(two)], children: vec![needed(three)], subject: Some(one) };
        let known = Known::default();
        known.read(&path).unwrap();
        known.add(one, &manifest);
        known.add(two, &Manifest::default());
        known.write(&path).unwrap();
        let later = Known::default();
        later.read(&path).unwrap();
        assert_eq!(later.get(&one), Some(manifest));
        assert_eq!(later.get(&three), None);
        // What nobody asked for any more is left out.
        later.write(&path).unwrap();
        let last = Known::default();
        last.read(&path).unwrap();
        assert_eq!((last.get(&one).is_some(), last.get(&two)), (true, None));
        let mut text = files::read(&path).unwrap().unwrap().content;
        *text.last_mut().unwrap() = b' ';
        files::write(&path, &text, 0o640).unwrap();
        let damaged = Known::default();
        damaged.read(&path).unwrap();
        assert_eq!(damaged.get(&one), None);
    }
}
