//! Writing a backup: [`Writer`], and [`Pieces`] for what flows.

use crate::text::digest::sha256;
use crate::world::typed;
use std::io::{self, Write};

use age::Encryptor;
use age::stream::StreamWriter;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::{CONTENTS, Contents, Digest, MANIFEST, Manifest, PIECE};

/// A backup that is being written.
pub(crate) struct Writer {
    archive: tar::Builder<StreamWriter<typed::Writer>>,
    manifest: Manifest,
    seconds: u64,
}

impl Writer {
    /// Begins a backup; `seconds` is the Unix time that its entries get.
    pub fn new(file: typed::Writer, encryptor: Encryptor, contents: &Contents, seconds: u64) -> io::Result<Self> {
        let archive = tar::Builder::new(encryptor.wrap_output(file)?);
        let mut writer = Self { archive, manifest: Manifest::default(), seconds };
        writer.entry(CONTENTS, &json(contents)?)?;
        Ok(writer)
    }

    pub fn entry(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let digest = Digest { size: content.len() as u64, sha256: sha256(content) };
        self.manifest.entries.insert(name.to_owned(), digest);
        self.append(name, content)
    }

    fn append(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.seconds);
        self.archive.append_data(&mut header, name, content)
    }

    /// Writes the manifest, and the end of the file.
    pub fn finish(mut self) -> io::Result<()> {
        let manifest = json(&self.manifest)?;
        self.append(MANIFEST, &manifest)?;
        self.archive.into_inner()?.finish().map(drop)
    }
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(io::Error::from)
}

/// A stream that is compressed and cut into pieces, each an entry of its own.
pub(crate) struct Pieces<'a> {
    writer: &'a mut Writer,
    name: String,
    next: u32,
    stream: GzEncoder<Vec<u8>>,
}

impl<'a> Pieces<'a> {
    /// Begins a part; `name` is that of its entries without the number.
    pub fn new(writer: &'a mut Writer, name: String) -> Self {
        // What is large in a volume is often compressed already: the fastest way costs little then, and gains little less.
        let stream = GzEncoder::new(Vec::with_capacity(PIECE + PIECE / 4), Compression::fast());
        Self { writer, name, next: 0, stream }
    }

    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        while self.stream.get_ref().len() >= PIECE {
            let rest = self.stream.get_mut().split_off(PIECE);
            let piece = std::mem::replace(self.stream.get_mut(), rest);
            self.cut(&piece)?;
        }
        Ok(())
    }

    fn cut(&mut self, piece: &[u8]) -> io::Result<()> {
        // Six digits, so that a shell's `*` puts up to 4 TB in order.
        self.writer.entry(&format!("{}.{:06}", self.name, self.next), piece)?;
        self.next += 1;
        Ok(())
    }

    /// Ends the stream, and writes its last piece.
    pub fn finish(mut self) -> io::Result<()> {
        self.stream.try_finish()?;
        let piece = std::mem::take(self.stream.get_mut());
        self.cut(&piece)
    }
}
