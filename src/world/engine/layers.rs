//! The layers of an engine of this host, read where it keeps them: [`Layers`].
//!
//! `docker save` writes all layers of an image to a temporary folder before it gives out a byte, the ones too that nobody
//! needs. An engine with a driver of overlays has the files of each layer in a folder, and noted of its archive all that these do
//! not tell (github.com/vbatts/tar-split), so that the archive can be put together again. This is a faster way only: whoever
//! reads a layer compares its digest, and asks the engine itself if that differs or something cannot be read.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Take};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use openssl::base64;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use serde::Deserialize;

use super::Engine;
use crate::world::files;

/// The drivers that keep the files of a layer in `DRIVER/ID/diff`.
const DRIVERS: [&str; 2] = ["overlay2", "fuse-overlayfs"];

/// Where an engine keeps its layers.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    /// What it noted of images and layers.
    notes: PathBuf,
    /// Their files.
    files: PathBuf,
}

impl Engine {
    /// Where the engine keeps its layers; none if that cannot be read from here.
    pub async fn layers(&self) -> Option<Layers> {
        self.endpoint.socket()?;
        let info = self.docker.info().await.ok()?;
        let (root, driver) = (PathBuf::from(info.docker_root_dir?), info.driver?);
        let found = Layers { notes: root.join("image").join(&driver), files: root.join(&driver) };
        // A path of the engine may be another one here; what is found there is compared by its digest anyway.
        let is_readable =
            DRIVERS.contains(&driver.as_str()) && std::fs::read_dir(found.notes.join("layerdb/sha256")).is_ok();
        is_readable.then_some(found)
    }
}

impl Layers {
    /// The configuration of an image by its hash.
    pub fn configuration(&self, hash: &str) -> Option<Vec<u8>> {
        files::read(&self.notes.join("imagedb/content/sha256").join(hash)).ok()?.map(|found| found.content)
    }

    /// The archive of a layer by the hash of its chain (OCI image specification 1.1, "Layer `ChainID`").
    pub fn archive(&self, chain: &str) -> io::Result<Archive> {
        let notes = self.notes.join("layerdb/sha256").join(chain);
        let place = std::fs::read_to_string(notes.join("cache-id"))?;
        if !place.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(io::Error::other("the name of its folder is none"));
        }
        let entries = File::open(notes.join("tar-split.json.gz"))?;
        let entries = BufReader::with_capacity(64 << 10, MultiGzDecoder::new(BufReader::new(entries)));
        Archive::new(entries, &self.files.join(place).join("diff"))
    }
}

/// One thing of an archive, as the engine noted it.
#[derive(Deserialize)]
struct Entry {
    /// 1: the content of a file, which is in the folder; 2: bytes between contents, such as a header.
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    name: String,
    /// The same where it is not UTF-8.
    #[serde(default)]
    name_raw: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    payload: Option<String>,
}

/// The archive of a layer, put together while it is read.
pub(crate) struct Archive {
    entries: BufReader<MultiGzDecoder<BufReader<File>>>,
    folder: OwnedFd,
    line: String,
    now: Piece,
}

enum Piece {
    Bytes(Cursor<Vec<u8>>),
    File(Take<File>),
}

impl Archive {
    fn new(entries: BufReader<MultiGzDecoder<BufReader<File>>>, folder: &Path) -> io::Result<Self> {
        let folder = openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { entries, folder, line: String::new(), now: Piece::Bytes(Cursor::default()) })
    }

    /// The next piece; none at the end.
    fn next(&mut self) -> io::Result<Option<Piece>> {
        self.line.clear();
        if self.entries.read_line(&mut self.line)? == 0 {
            return Ok(None);
        }
        let entry: Entry = serde_json::from_str(&self.line)?;
        let payload = entry.payload.unwrap_or_default();
        let bytes = |text: &str| base64::decode_block(text).map_err(io::Error::other);
        match entry.kind {
            1 if entry.size == 0 => Ok(Some(Piece::Bytes(Cursor::default()))),
            1 => {
                let raw = if entry.name_raw.is_empty() { entry.name.into_bytes() } else { bytes(&entry.name_raw)? };
                self.file(&raw, entry.size).map(Some)
            }
            2 => Ok(Some(Piece::Bytes(Cursor::new(bytes(&payload)?)))),
            kind => Err(io::Error::other(format!("what the engine noted of a layer has a part of the kind {kind}"))),
        }
    }

    /// Opens a file of the layer. An image may have any names and links in it: nothing outside of its folder is opened.
    fn file(&self, name: &[u8], size: u64) -> io::Result<Piece> {
        let name = &name[name.iter().take_while(|byte| **byte == b'/').count()..];
        let (flags, resolve) =
            (OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, ResolveFlags::BENEATH);
        let file = openat2(&self.folder, name, flags, Mode::empty(), resolve | ResolveFlags::NO_SYMLINKS)?;
        let file = File::from(file);
        if file.metadata()?.len() != size {
            return Err(io::Error::other("a file of the layer has another length than the engine noted"));
        }
        Ok(Piece::File(file.take(size)))
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.now {
                Piece::Bytes(bytes) => bytes.read(buffer)?,
                Piece::File(file) => match file.read(buffer)? {
                    0 if file.limit() > 0 && !buffer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => read,
                },
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.next()? {
                Some(piece) => self.now = piece,
                None => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A store of one layer with a folder `diff`, and these entries.
    fn stored(folder: &Path, entries: &str) -> Layers {
        let layers = Layers { notes: folder.join("image"), files: folder.join("files") };
        let notes = layers.notes.join("layerdb/sha256/chain");
        std::fs::create_dir_all(&notes).unwrap();
        std::fs::create_dir_all(layers.files.join("place/diff/sub")).unwrap();
        std::fs::write(notes.join("cache-id"), "place").unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(entries.as_bytes()).unwrap();
        std::fs::write(notes.join("tar-split.json.gz"), gzip.finish().unwrap()).unwrap();
        layers
    }

    fn entry(kind: u8, name: &str, size: usize, payload: &str) -> String {
        let payload = base64::encode_block(payload.as_bytes()).replace('\n', "");
        serde_json::json!({ "type": kind, "name": name, "size": size, "payload": payload }).to_string() + "\n"
    }

    #[test]
    fn an_archive_is_put_together_from_what_is_noted_and_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            entry(2, "", 0, "head-a"),
            entry(1, "./sub/a", 300_000, ""),
            entry(2, "", 0, "padding;head-b"),
            entry(1, "b", 0, ""),
            r#"{"type":2,"payload":"","position":4}"#.to_owned() + "\n",
            entry(2, "", 0, "end"),
        ];
        let layers = stored(folder.path(), &entries.concat());
        let content = "x".repeat(300_000);
        std::fs::write(folder.path().join("files/place/diff/sub/a"), &content).unwrap();
        let mut whole = String::new();
        layers.archive("chain").unwrap().read_to_string(&mut whole).unwrap();
        assert_eq!(whole, format!("head-a{content}padding;head-bend"));
        assert!(layers.archive("other").is_err());
    }

    #[test]
    fn no_name_leads_out_of_the_layer() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        for name in ["../../../secret", "link", "up/secret", "sub/../../../../secret"] {
            let layers = stored(folder.path(), &entry(1, name, 6, ""));
            let diff = folder.path().join("files/place/diff");
            drop(symlink(folder.path().join("secret"), diff.join("link")));
            drop(symlink(folder.path(), diff.join("up")));
            let read = layers.archive("chain").unwrap().read_to_end(&mut Vec::new());
            assert!(read.is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_noted_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let layers = stored(folder.path(), &entry(1, "a", 10, ""));
        std::fs::write(folder.path().join("files/place/diff/a"), "short").unwrap();
        assert!(layers.archive("chain").unwrap().read_to_end(&mut Vec::new()).is_err());
    }
}
