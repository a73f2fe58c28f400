//! What a run puts back: [`Restore`].

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use tokio::sync::OnceCell;

use super::{Part, Reader};
use crate::error::Result;
use crate::event::{Event, Events};
use crate::text::size::readable;

/// Bytes that are handed on at once.
const STEP: usize = 256 << 10;
/// Compressed bytes between two words of how far it is.
const NEWS: u64 = 1 << 20;

/// A backup that a run takes its volumes from.
pub(crate) struct Restore {
    reader: Arc<Reader>,
    /// Each part by its volume, and whether it was put back.
    parts: BTreeMap<String, (Part, OnceCell<()>)>,
}

impl Restore {
    pub fn new(reader: Arc<Reader>) -> Self {
        let parts = reader.contents.parts.iter().cloned();
        let parts = parts.map(|part| (part.volume.clone(), (part, OnceCell::new()))).collect();
        Self { reader, parts }
    }

    /// What the backup holds of a volume.
    pub fn part(&self, volume: &str) -> Option<&Part> {
        self.parts.get(volume).map(|(part, _)| part)
    }

    /// Puts a volume back, or waits until another container that uses it has done so.
    pub async fn once(&self, volume: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
        let Some((_, done)) = self.parts.get(volume) else { return Ok(()) };
        done.get_or_try_init(|| work).await.map(drop)
    }

    /// The volumes that no container has taken.
    pub fn untaken(&self) -> Vec<&str> {
        self.parts.iter().filter(|(_, (_, done))| !done.initialized()).map(|(volume, _)| volume.as_str()).collect()
    }

    /// The content of a part, uncompressed; `resource` is who tells how far it is.
    pub fn content(
        &self,
        part: &Part,
        resource: &str,
        events: &Events,
    ) -> impl Iterator<Item = io::Result<Bytes>> + Send + use<> {
        let (compressed, total) = self.reader.part(&part.entry());
        let told =
            Told { inner: compressed, done: 0, last: 0, total, resource: resource.to_owned(), events: events.clone() };
        let mut content = GzDecoder::new(told);
        let mut ended = false;
        std::iter::from_fn(move || {
            let mut buffer = vec![0; STEP];
            let read = if ended { Ok(0) } else { content.read(&mut buffer) };
            match read {
                Ok(0) => None,
                Ok(read) => {
                    buffer.truncate(read);
                    Some(Ok(Bytes::from(buffer)))
                }
                Err(error) => {
                    ended = true;
                    Some(Err(error))
                }
            }
        })
    }
}

/// A stream that tells how much of it was read.
struct Told<R> {
    inner: R,
    done: u64,
    last: u64,
    total: u64,
    resource: String,
    events: Events,
}

impl<R: Read> Read for Told<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.done += read as u64;
        if self.done - self.last >= NEWS || (read == 0 && self.last < self.done) {
            self.last = self.done;
            self.events.send(Event::Progress {
                resource: self.resource.clone(),
                text: format!("restore {}", readable(self.done)),
                done: self.done,
                total: self.total,
            });
        }
        Ok(read)
    }
}
