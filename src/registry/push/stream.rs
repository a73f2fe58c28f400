//! What an engine or a file gives of images, read as it comes: [`read`].
//!
//! It is a tar archive as `docker save` writes it (by the layout of the engine's own, or OCI's) or an OCI layout in a folder. The
//! work is done by threads: one reads and hashes, some compress, one puts blocks in order; each holds a few blocks.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::buffers::Buffers;
use super::compress::{BLOCK, Pool};
use crate::error::{Error, Result};
use crate::registry::client::{Digest, Hasher};

/// How large a part is that is handed on (S3 takes none below 5 MiB but the last), and how large what is kept whole: texts
/// such as manifests, one and in all.
const PART: usize = 6 << 20;
const TEXT: u64 = 4 << 20;
const TEXTS: u64 = 32 << 20;

/// One thing in a stream of images.
pub(super) enum Item {
    /// A manifest, a configuration, a list.
    Text { path: String, content: Vec<u8> },
    /// A name for something that stands elsewhere in the stream.
    Link { path: String, target: String },
    /// A layer or another blob, on its way.
    Blob { path: String, blob: Coming },
}

/// A blob on its way. Whoever drops it lets the rest of it pass unread.
pub(super) struct Coming {
    pub parts: mpsc::Receiver<Bytes>,
    pub end: oneshot::Receiver<Hashed>,
}

/// What a blob was found to be when its last byte had come.
#[derive(Debug, Clone)]
pub(super) struct Hashed {
    /// As it stood in the stream.
    pub raw: Digest,
    /// As it was handed on.
    pub sent: Digest,
    pub size: u64,
}

/// A step of the thread that puts blocks in order.
enum Step {
    Begin { parts: mpsc::Sender<Bytes>, end: oneshot::Sender<Hashed>, compressed: bool },
    Block(Vec<u8>),
    Compressed(Receiver<Vec<u8>>),
    End { raw: Option<Digest> },
}

/// What reads a stream.
pub(super) struct Reader {
    pub pool: Option<Pool>,
    /// For blocks.
    pub buffers: Buffers,
    /// The paths that nobody needs the content of.
    pub skip: Arc<BTreeSet<String>>,
    pub items: mpsc::Sender<Result<Item>>,
}

/// Reads an archive on threads of its own; what it finds comes out of `items`.
///
/// # Errors
/// No thread can be had.
pub(super) fn read(archive: impl Read + Send + 'static, reader: Reader) -> Result<()> {
    spawn(move || {
        let items = reader.items.clone();
        if let Err(error) = reader.archive(archive) {
            drop(items.blocking_send(Err(error)));
        }
    })
}

/// One thing of several that are read one after the other.
pub(super) struct Part {
    pub path: String,
    /// Opens it, when its turn comes; gives its size, which is none for what is no text whatever its size.
    pub open: Box<dyn FnOnce() -> Result<Opened> + Send>,
}

/// The size of a part, where it counts, and its content.
pub(super) type Opened = (Option<u64>, Box<dyn Read>);

/// The same for several things that need not be in one archive.
pub(super) fn read_parts(parts: Vec<Part>, reader: Reader) -> Result<()> {
    spawn(move || {
        let items = reader.items.clone();
        if let Err(error) = reader.parts(parts) {
            drop(items.blocking_send(Err(error)));
        }
    })
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = thread::Builder::new().spawn(work);
    started.map(drop).map_err(|error| Error::new(format!("cannot start a thread that reads images: {error}")))
}

impl Reader {
    fn archive(self, archive: impl Read) -> Result<()> {
        let fail = |error: io::Error| {
            Error::new(format!("the images cannot be read: {error}"))
                .hint("the archive must be one that `docker save` wrote, and whole")
        };
        let steps = sorter(&self.buffers)?;
        let mut archive = tar::Archive::new(archive);
        let mut texts = 0;
        for entry in archive.entries().map_err(fail)? {
            let mut entry = entry.map_err(fail)?;
            let path = entry.path().map_err(fail)?.to_string_lossy().trim_start_matches("./").to_owned();
            if let Some(target) = entry.link_name().map_err(fail)? {
                let target = target.to_string_lossy().into_owned();
                self.hand_on(Item::Link { path, target })?;
            } else if entry.header().entry_type().is_file() {
                let size = entry.size();
                self.one(path, size, &mut entry, &mut texts, &steps)?;
            }
        }
        // What stands behind the end of an archive is read as well, so that its writer is not cut off.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(fail)
    }

    fn parts(self, parts: Vec<Part>) -> Result<()> {
        let (steps, mut texts) = (sorter(&self.buffers)?, 0);
        for Part { path, open } in parts {
            let (size, mut content) = open()?;
            self.one(path, size.unwrap_or(u64::MAX), &mut content, &mut texts, &steps)?;
        }
        Ok(())
    }

    fn hand_on(&self, item: Item) -> Result<()> {
        self.items.blocking_send(Ok(item)).map_err(|_| Error::new("nobody takes the images any more"))
    }

    /// Reads one file of the stream.
    fn one(
        &self,
        path: String,
        size: u64,
        content: &mut impl Read,
        texts: &mut u64,
        steps: &SyncSender<Step>,
    ) -> Result<()> {
        let fail = |error: io::Error| Error::new(format!("the images cannot be read: {error}"));
        if self.skip.contains(&path) {
            return Ok(());
        }
        let is_blob = path.ends_with(".tar") || path.starts_with("blobs/");
        let buffers = &self.buffers;
        let mut first = block(content, buffers).map_err(fail)?;
        let json = matches!(first.first(), Some(b'{' | b'['));
        if size <= TEXT && *texts + size <= TEXTS && !path.ends_with(".tar") && (json || !is_blob) {
            while first.len() < usize::try_from(size).unwrap_or(usize::MAX) {
                let more = block(content, buffers).map_err(fail)?;
                if more.is_empty() {
                    break;
                }
                first.extend_from_slice(&more);
            }
            *texts += size;
            first.shrink_to_fit();
            return self.hand_on(Item::Text { path, content: first });
        }
        if !is_blob {
            return Ok(());
        }
        let ((parts, taken), (end, ended)) = (mpsc::channel(1), oneshot::channel());
        let pool = self.pool.as_ref().filter(|_| !is_compressed(&first));
        let gone = |_| Error::new("a thread ended before its work was done");
        steps.send(Step::Begin { parts: parts.clone(), end, compressed: pool.is_some() }).map_err(gone)?;
        self.hand_on(Item::Blob { path, blob: Coming { parts: taken, end: ended } })?;
        let (mut hasher, mut rest) = (Hasher::sha256(), first);
        while !rest.is_empty() && !parts.is_closed() {
            if let Some(pool) = pool {
                hasher.update(&rest);
                steps.send(Step::Compressed(pool.compress(rest))).map_err(gone)?;
            } else {
                steps.send(Step::Block(rest)).map_err(gone)?;
            }
            rest = block(content, buffers).map_err(fail)?;
        }
        steps.send(Step::End { raw: pool.map(|_| hasher.finish()) }).map_err(gone)
    }
}

/// The next block, of which only the last one is shorter.
fn block(content: &mut impl Read, buffers: &Buffers) -> io::Result<Vec<u8>> {
    let mut block = buffers.take();
    content.take(BLOCK as u64).read_to_end(&mut block)?;
    Ok(block)
}

/// Whether a content begins as gzip, zstd, bzip2 or xz do.
fn is_compressed(first: &[u8]) -> bool {
    [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z']]
        .iter()
        .any(|magic| first.starts_with(magic))
}

/// Starts the thread that puts blocks in order, hashes what is handed on and hands it on.
fn sorter(blocks: &Buffers) -> Result<SyncSender<Step>> {
    let (steps, coming) = sync_channel::<Step>(2 + 2 * thread::available_parallelism().map_or(1, usize::from));
    let blocks = blocks.clone();
    spawn(move || sort(&coming, &blocks))?;
    Ok(steps)
}

fn sort(steps: &Receiver<Step>, blocks: &Buffers) {
    let full = Buffers::of(PART + BLOCK);
    let mut current: Option<Sorted> = None;
    for step in steps {
        match step {
            Step::Begin { parts, end, compressed } => {
                let (hasher, part) = (Hasher::sha256(), full.take());
                let buffers = full.clone();
                current = Some(Sorted { parts, end, hasher, part, buffers, size: 0, lost: false, compressed });
            }
            Step::Block(block) => {
                current.iter_mut().for_each(|current| current.add(&block));
                blocks.give_back(block);
            }
            Step::Compressed(result) => {
                let block = result.recv();
                if let Some(current) = &mut current {
                    match &block {
                        Ok(block) => current.add(block),
                        Err(_) => current.lost = true,
                    }
                }
                block.into_iter().for_each(|block| blocks.give_back(block));
            }
            Step::End { raw } => {
                if let Some(current) = current.take() {
                    current.finish(raw);
                }
            }
        }
    }
}

/// The blob that is being put in order.
struct Sorted {
    parts: mpsc::Sender<Bytes>,
    end: oneshot::Sender<Hashed>,
    hasher: Hasher,
    part: Vec<u8>,
    /// For parts.
    buffers: Buffers,
    size: u64,
    lost: bool,
    compressed: bool,
}

impl Sorted {
    fn add(&mut self, block: &[u8]) {
        self.hasher.update(block);
        self.size += block.len() as u64;
        self.part.extend_from_slice(block);
        if self.part.len() >= PART {
            let full = std::mem::replace(&mut self.part, self.buffers.take());
            self.lost |= self.parts.blocking_send(self.buffers.lend(full)).is_err();
        }
    }

    fn finish(mut self, raw: Option<Digest>) {
        let rest = self.buffers.lend(std::mem::take(&mut self.part));
        if !rest.is_empty() {
            self.lost |= self.parts.blocking_send(rest).is_err();
        }
        // An end that is not told says that the blob is not whole.
        if !self.lost {
            let sent = self.hasher.finish();
            let raw = raw.filter(|_| self.compressed).unwrap_or_else(|| sent.clone());
            drop(self.end.send(Hashed { raw, sent, size: self.size }));
        }
    }
}

/// What comes from an async source, as a reader of a thread: parts of a download, or the error that ended it.
pub(super) struct Pipe {
    from: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

/// A pipe of bounded size between the two.
pub(super) fn pipe() -> (mpsc::Sender<io::Result<Bytes>>, Pipe) {
    let (to, from) = mpsc::channel(16);
    (to, Pipe { from, rest: Bytes::new() })
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.from.blocking_recv() {
                Some(part) => self.rest = part?,
                None => return Ok(0),
            }
        }
        let length = self.rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest.split_to(length));
        Ok(length)
    }
}
