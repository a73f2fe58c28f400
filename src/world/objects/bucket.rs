//! A store that is a part of a bucket, in a service that speaks S3: [`Bucket`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::called::{Caller, wait};
use super::pace::Pace;
use super::{Deleted, Entry, Goes};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::aws::{Aws, Fate, Fault, PAGE, Page, Place, Stored};
use crate::world::proxy::Proxies;

type Answer<T> = std::result::Result<T, Fault>;

/// How many objects are deleted by one request. S3 takes a thousand; somebody may be waiting for its end.
pub(super) const AT_ONCE: usize = 250;
/// How many objects are read at the same time.
const READS: usize = 16;
/// A large object is read in parts of so many bytes.
const PART: u64 = 8 << 20;
/// How often an object is asked for again whose answer broke off.
const AGAIN: u32 = 3;
/// How long after a deletion without an answer it may still be carried out.
const LATE: Duration = Duration::from_secs(15);

/// A bucket, and the key by which it is used.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Address {
    pub place: Place,
    pub bucket: String,
    /// The id of the key, and its secret.
    pub id: String,
    pub secret: String,
    #[serde(default)]
    pub proxies: Proxies,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, bucket, .. } = self;
        f.debug_struct("Address").field("place", place).field("bucket", bucket).finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(crate) struct Bucket {
    aws: Arc<Aws>,
    caller: Arc<Caller>,
    pub(super) name: String,
    /// What all names begin with, a slash at its end; empty for the whole bucket.
    prefix: String,
    pub(super) pace: Option<Arc<Pace>>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({}/{})", self.name, self.prefix)
    }
}

/// A walk through objects, in the order of their names. The next part of the list is on its way while this one is looked at.
pub(crate) struct Walk {
    bucket: Bucket,
    prefix: String,
    found: VecDeque<Stored>,
    coming: Option<Receiver<Answer<Page>>>,
    /// The name of the latest one.
    last: String,
    is_begun: bool,
}

impl Bucket {
    pub async fn open(address: &Address, prefix: &str) -> Result<Self> {
        let Address { place, bucket, id, secret, proxies } = address;
        let aws = Aws::connect(place, Some((id, &Secret::new(secret.as_str()))), proxies, None).await?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let caller = Arc::new(Caller::new()?);
        Ok(Self { aws: Arc::new(aws), caller, name: bucket.clone(), prefix, pace: None })
    }

    pub fn key(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Makes a request when it is its turn.
    fn begin<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        request: impl FnOnce(Arc<Aws>, String) -> F + Send + 'static,
    ) -> Receiver<T> {
        let (aws, name) = (self.aws.clone(), self.name.clone());
        let turn = self.pace.as_ref().map(|pace| pace.turn());
        self.caller.begin(async move {
            if let Some(turn) = turn {
                tokio::time::sleep(turn).await;
            }
            request(aws, name).await
        })
    }

    fn page(&self, prefix: String, from: Option<String>, most: i32) -> Receiver<Answer<Page>> {
        self.begin(move |aws, name| async move { aws.page(&name, &prefix, from, most).await })
    }

    pub fn walk(&self, prefix: &str) -> Walk {
        let prefix = prefix.trim_matches('/');
        let whole = if prefix.is_empty() { self.prefix.clone() } else { format!("{}/", self.key(prefix)) };
        Walk {
            bucket: self.clone(),
            prefix: whole,
            found: VecDeque::new(),
            coming: None,
            last: String::new(),
            is_begun: false,
        }
    }

    pub fn read(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut found = None;
        self.read_all(&[path.to_owned()], limit, &mut |_, content| {
            found = content;
            Ok(())
        })?;
        Ok(found)
    }

    pub fn read_all(
        &self,
        paths: &[String],
        limit: u64,
        take: &mut dyn FnMut(usize, Option<Vec<u8>>) -> Result<()>,
    ) -> Result<()> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        for (number, some) in paths.chunks(READS).enumerate() {
            let coming: Vec<_> = some
                .iter()
                .map(|path| {
                    let key = self.key(path);
                    self.begin(move |aws, name| async move { beginning(&aws, &name, &key, limit).await })
                })
                .collect();
            for (at, (path, coming)) in some.iter().zip(coming).enumerate() {
                let content = self.found(path, wait(&coming)?)?;
                take(number * READS + at, content)?;
            }
        }
        Ok(())
    }

    /// An object that was got; none if it is not there.
    fn found<T>(&self, path: &str, answer: Answer<T>) -> Result<Option<T>> {
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is(&["NoSuchKey"]) => Ok(None),
            // Who may list only a part of a bucket is not told that there is no such object.
            Err(fault) if fault.is_denied() && self.look(path)?.is_none() => Ok(None),
            Err(fault) => Err(fault.into()),
        }
    }

    pub fn stream(&self, path: &str, sink: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let Some(Entry { size, .. }) = self.look(path)? else { return Ok(false) };
        let part = |from: u64| {
            let (key, to) = (self.key(path), (from + PART).min(size) - 1);
            self.begin(move |aws, name| async move { part(&aws, &name, &key, from, to).await })
        };
        let mut coming = (size > 0).then(|| part(0));
        let mut from = 0;
        while let Some(this) = coming.take() {
            from += PART;
            // The next part is on its way while this one is looked at.
            coming = (from < size).then(|| part(from));
            match self.found(path, wait(&this)?)? {
                Some(content) => sink(&content),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub fn look(&self, path: &str) -> Result<Option<Entry>> {
        // A list tells its time as all lists do. The name itself is the first of those that begin with it.
        let page = wait(&self.page(self.key(path), None, 1))??;
        let found = page.found.into_iter().find(|found| found.key == self.key(path));
        Ok(found.map(|found| entry(path.to_owned(), &found)))
    }

    /// Puts an object.
    pub fn put(&self, path: &str, content: &'static [u8]) -> Result<()> {
        let key = self.key(path);
        let done = self.begin(move |aws, name| async move { aws.put(&name, &key, content).await.map(drop) });
        Ok(wait(&done)??)
    }

    /// What became of each, and whether the bucket keeps them as versions.
    pub fn delete_and_tell(&self, paths: &[&str]) -> (Deleted, bool) {
        let keys: Vec<String> = paths.iter().map(|path| self.key(path)).collect();
        let done = self.begin(move |aws, name| async move { aws.delete_once(&name, &keys).await });
        let mut deleted = Deleted { gone: vec![false; paths.len()], failed: None };
        let mut keeps = false;
        match wait(&done) {
            Ok(Ok(fates)) => {
                for (gone, fate) in deleted.gone.iter_mut().zip(fates) {
                    match fate {
                        Fate::Gone { is_marked } => (*gone, keeps) = (true, keeps || is_marked),
                        Fate::Stays(fault) => drop(deleted.failed.get_or_insert_with(|| fault.into())),
                    }
                }
            }
            Ok(Err(fault)) => {
                if fault.is_uncertain() {
                    thread::sleep(LATE);
                }
                deleted.failed = Some(fault.into());
            }
            Err(error) => {
                thread::sleep(LATE);
                deleted.failed = Some(error);
            }
        }
        (deleted, keeps)
    }

    pub fn delete(&self, goes: &[Goes]) -> Deleted {
        let paths: Vec<&str> = goes.iter().map(|file| file.path).collect();
        self.delete_and_tell(&paths).0
    }
}

/// The first bytes of an object. An answer that breaks off is asked for again.
async fn beginning(aws: &Aws, bucket: &str, key: &str, limit: usize) -> Answer<Vec<u8>> {
    for _ in 1..AGAIN {
        match aws.beginning(bucket, key, limit).await {
            Err(fault) if fault.is_broken_off() => {}
            answer => return answer,
        }
    }
    aws.beginning(bucket, key, limit).await
}

/// The same for a part of one.
async fn part(aws: &Aws, bucket: &str, key: &str, from: u64, to: u64) -> Answer<Vec<u8>> {
    for _ in 1..AGAIN {
        match aws.part(bucket, key, from, to).await {
            Err(fault) if fault.is_broken_off() => {}
            answer => return answer,
        }
    }
    aws.part(bucket, key, from, to).await
}

fn entry(path: String, found: &Stored) -> Entry {
    Entry { path, size: found.size, modified: found.modified, md5: found.md5 }
}

impl Walk {
    pub fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return self.checked(found).map(Some);
            }
            if !self.is_begun {
                self.is_begun = true;
                self.coming = Some(self.bucket.page(self.prefix.clone(), None, PAGE));
            }
            let Some(coming) = self.coming.take() else { return Ok(None) };
            let page = wait(&coming)??;
            self.coming = page.next.map(|next| self.bucket.page(self.prefix.clone(), Some(next), PAGE));
            self.found = page.found.into();
        }
    }

    /// An object of the list, in whose order all that follows rests.
    fn checked(&mut self, found: Stored) -> Result<Entry> {
        let bucket = &self.bucket.name;
        let path = found.key.strip_prefix(&self.bucket.prefix).filter(|_| found.key.starts_with(&self.prefix));
        let path = path.ok_or_else(|| {
            Error::new(format!("the list of `{bucket}` has `{}`, and `{}` was asked for", found.key, self.prefix))
        })?;
        if found.key <= self.last {
            return Err(Error::new(format!(
                "the list of `{bucket}` is not in the order of the names: `{}` comes after `{}`",
                found.key, self.last
            ))
            .hint("nothing was changed: what is needed cannot be told from such a list"));
        }
        let entry = entry(path.to_owned(), &found);
        self.last = found.key;
        Ok(entry)
    }
}
