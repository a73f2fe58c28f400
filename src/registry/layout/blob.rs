//! Blobs of a layout: read and written part by part, and checked on the way: [`Reading`].

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::PoisonError;

use bytes::Bytes;

use super::Layout;
use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, Hasher, Parts};
use crate::world::apart::apart;
use crate::world::files::{self, failed};
use crate::world::unfinished::Unfinished;

/// How many bytes are read, or written, at once.
const PART: usize = 1 << 20;

/// A blob that is being read. Whoever has read it to its end knows that the content is what the digest says.
pub(crate) struct Reading<'a> {
    layout: &'a Layout,
    blob: Descriptor,
    file: Option<File>,
    hasher: Option<Hasher>,
    at: u64,
}

impl Parts for Reading<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let path = self.layout.path(&self.blob.digest);
        if self.hasher.is_none() {
            return Ok(None);
        }
        let file = match self.file.take() {
            Some(file) => file,
            None if !files::exists(&path) => return Err(self.layout.lacks(&self.blob.digest)),
            None => files::reader(&path)?,
        };
        let (file, part) = apart(move || (part_of(&file), file)).await.map(|(part, file)| (file, part))?;
        let part = part.map_err(|error| failed("read", &path, &error))?;
        self.at += part.len() as u64;
        if self.at > self.blob.size || (part.is_empty() && self.at < self.blob.size) {
            let (digest, name, size) = (&self.blob.digest, self.layout.name(), self.blob.size);
            let what = if part.is_empty() { "shorter" } else { "longer" };
            return Err(Error::new(format!("the blob `{digest}` in `{name}` is {what} than its {size} bytes"))
                .hint("the folder is damaged: copy it anew from where it came; nothing of that blob was used"));
        }
        if !part.is_empty() {
            self.file = Some(file);
            self.hasher.as_mut().into_iter().for_each(|hasher| hasher.update(&part));
            return Ok(Some(part.into()));
        }
        let found = self.hasher.take().map(Hasher::finish);
        match found.filter(|found| *found != self.blob.digest) {
            Some(found) => Err(self.layout.lies(&self.blob.digest, &found)),
            None => Ok(None),
        }
    }
}

fn part_of(file: &File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part)?;
    Ok(part)
}

impl Layout {
    /// Begins to read a blob.
    pub fn blob(&self, blob: &Descriptor) -> Reading<'_> {
        let hasher = Some(blob.digest.hasher());
        Reading { layout: self, blob: blob.clone(), file: None, hasher, at: 0 }
    }

    /// The size of a blob, if it is there and has the content that its digest says: it is read once in a run.
    pub async fn has_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        let known = self.whole.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
        let path = self.path(digest);
        if known.is_some() || !files::exists(&path) {
            return Ok(known);
        }
        let wanted = digest.clone();
        let found = apart(move || content_of(&path, &wanted)).await??;
        found.into_iter().for_each(|size| self.note_whole(digest, size));
        Ok(found)
    }

    fn note_whole(&self, digest: &Digest, size: u64) {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone(), size);
    }

    /// Writes a blob: it has its name only once all of it is there and was checked.
    ///
    /// # Errors
    /// The source fails, or the folder cannot be written; then nothing is left of it.
    pub async fn receive(&self, blob: &Descriptor, mut parts: impl Parts, told: &dyn Fn(u64)) -> Result<()> {
        let path = self.blob_path(&blob.digest)?;
        // What is damaged stands there at most: whoever copies asked for it first.
        files::remove(&path)?;
        let file = Unfinished::create(&path)?;
        let mut writer = file.writer()?;
        let mut waiting = Vec::with_capacity(PART);
        loop {
            let next = parts.next().await?;
            waiting.extend_from_slice(next.as_deref().unwrap_or_default());
            if waiting.len() >= PART || next.is_none() {
                writer.write_all(&waiting).map_err(|error| failed("write", &path, &error))?;
                told(waiting.len() as u64);
                waiting.clear();
            }
            if next.is_none() {
                break;
            }
        }
        apart(move || file.reader().and_then(|_| file.publish())).await??;
        files::set_mode(&path, 0o644)?;
        self.note_whole(&blob.digest, blob.size);
        Ok(())
    }
}

/// The size of a file, if its content is what a digest says.
fn content_of(path: &Path, digest: &Digest) -> Result<Option<u64>> {
    let file = files::reader(path)?;
    let (mut hasher, mut size) = (digest.hasher(), 0);
    loop {
        let part = part_of(&file).map_err(|error| failed("read", path, &error))?;
        if part.is_empty() {
            return Ok((hasher.finish() == *digest).then_some(size));
        }
        size += part.len() as u64;
        hasher.update(&part);
    }
}
