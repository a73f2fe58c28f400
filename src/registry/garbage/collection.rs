//! One collection from its beginning to its end: [`Collection`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::gate;
use super::key::Key;
use super::list::{CAP, List, Listed};
use super::mark::{Marked, Untagged};
use super::sweep::{Freed, Sweep};
use super::touched::Touched;
use crate::error::{Error, Result};
use crate::registry::retention::Rules;
use crate::registry::store::Store;
use crate::world::nginx::Nginx;
use crate::world::objects::Trial;
use crate::world::watchdog::Watchdog;
use crate::world::{files, host};

/// What nginx calls the note of who asked for what, and where the collector is asked.
const LOG: &str = "touched.log";
pub(crate) const SOCKET: &str = "gate.sock";
/// What is known of the manifests of a store that is far away.
const KNOWN: &str = "manifests";
/// What an earlier note is called while it is read.
const EARLIER: &str = "touched.earlier.";
/// How long older requests may take to end: the longest push.
const OLDER: Duration = Duration::from_hours(6);

/// How a collection is to be done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Collection {
    /// The folder that it shares with nginx.
    pub folder: String,
    /// The process that is nginx's master.
    pub nginx: u32,
    /// Seconds that a key has to be listed.
    pub grace: u64,
    /// Seconds after which a manifest without a tag may go; if there are none, the rules say it.
    pub untagged: Option<u64>,
    /// Rules by which others may.
    #[serde(default)]
    pub rules: Rules,
    /// What stays all the same: `repository:tag`, or `repository@digest`.
    #[serde(default)]
    pub held: BTreeSet<String>,
    /// Whether it is only told what would go.
    pub dry_run: bool,
    /// How this program is started, for the watchdog.
    pub program: Vec<String>,
    #[serde(default)]
    pub limits: Limits,
    /// Elements of the protocol that are left out, by the tests that show what each is for.
    #[serde(default)]
    pub without: Vec<Element>,
}

/// What a collection may take of the machine that clients are served by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// How long it may take. What is not freed by then comes at the next run.
    pub seconds: Option<u64>,
    /// How many files of the store it asks for.
    pub per_second: Option<u32>,
}

/// What keeps a collection from breaking an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Element {
    /// nginx asks before it passes a request on.
    Gate,
    /// Older requests are waited for.
    Barrier,
    /// What was asked for stays.
    Touch,
}

/// What a collection found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Collected {
    pub manifests_freed: u64,
    pub blobs_freed: u64,
    pub bytes_freed: u64,
    /// What may go at a later run.
    pub manifests_waiting: u64,
    pub blobs_waiting: u64,
    pub bytes_waiting: u64,
    /// Seconds until the first of that, and the last, may go.
    pub next: u64,
    pub last: u64,
    /// Whether there is more than can be watched at once.
    pub is_capped: bool,
    /// Whether its time was over before all was freed that could be.
    #[serde(default)]
    pub is_cut: bool,
    /// Whether the bucket keeps what is deleted as earlier versions, with their space.
    #[serde(default)]
    pub keeps_versions: bool,
}

impl Collection {
    /// Does it; without a grace, what the first round lists goes in a second one.
    pub async fn run(&self, store: &Store) -> Result<Collected> {
        let store = &store.paced(self.limits.per_second);
        self.recall(store)?;
        let end = self.limits.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let first = self.round(store, end).await?;
        if self.dry_run || self.grace > 0 || first.next > 0 {
            return Ok(first);
        }
        let second = self.round(store, end).await?;
        Ok(Collected {
            manifests_freed: first.manifests_freed + second.manifests_freed,
            blobs_freed: first.blobs_freed + second.blobs_freed,
            bytes_freed: first.bytes_freed + second.bytes_freed,
            ..second
        })
    }

    async fn round(&self, store: &Store, end: Option<Instant>) -> Result<Collected> {
        let folder = PathBuf::from(&self.folder);
        let list = List::read(&folder)?;
        if self.dry_run {
            let marked = self.mark(store, &list, end).await?;
            self.remember(store)?;
            let next = Self::next(&list, &marked, &|_| false);
            return Ok(self.collected(&next, &marked, Freed::default()));
        }
        let keys: Vec<Key> = list.0.keys().cloned().collect();
        let work = async |touched: &Touched, nginx: &Nginx| self.under_the_gate(store, list, end, touched, nginx).await;
        let (collected, trial) = self.guarded(store, keys, work).await?;
        Ok(Collected { keeps_versions: trial.keeps_versions, ..collected })
    }

    /// Takes over what an earlier run found out of manifests.
    pub(super) fn recall(&self, store: &Store) -> Result<()> {
        if store.objects.is_far() { store.known.read(&Path::new(&self.folder).join(KNOWN)) } else { Ok(()) }
    }

    /// Keeps it for a later run.
    pub(super) fn remember(&self, store: &Store) -> Result<()> {
        if store.objects.is_far() { store.known.write(&Path::new(&self.folder).join(KNOWN)) } else { Ok(()) }
    }

    /// Does something that requests about these keys, or about tags, wait for. Older requests are over by then.
    pub(super) async fn guarded<T>(
        &self,
        store: &Store,
        keys: Vec<Key>,
        work: impl AsyncFnOnce(&Touched, &Nginx) -> Result<T>,
    ) -> Result<(T, Trial)> {
        let folder = PathBuf::from(&self.folder);
        let _lock = files::lock_folder_now(&folder)?.ok_or_else(|| {
            Error::new("another collection of this registry is under way")
                .hint("run the command again when it has ended")
        })?;
        let trial = store.objects.try_out()?;
        let is_deaf = self.is_without(Element::Touch);
        let touched = Arc::new(Touched::new(keys.into_iter(), is_deaf));
        let gate = (!self.is_without(Element::Gate)).then(|| open_gate(&folder, &touched)).transpose()?;
        let well = touched.clone();
        let watchdog =
            [&self.program[..], &["agent".to_owned(), "--watch".to_owned(), std::process::id().to_string()]].concat();
        let _watchdog = Watchdog::start(&watchdog, move || !well.hangs())?;
        let nginx = Nginx::of(self.nginx)?;
        set_aside(&folder)?;
        self.barrier(&nginx).await?;
        let done = work(&touched, &nginx).await;
        drop(gate);
        done.map(|done| (done, trial))
    }

    fn is_without(&self, element: Element) -> bool {
        self.without.contains(&element)
    }

    async fn under_the_gate(
        &self,
        store: &Store,
        mut list: List,
        end: Option<Instant>,
        touched: &Touched,
        nginx: &Nginx,
    ) -> Result<Collected> {
        let folder = Path::new(&self.folder);
        // All of nginx knows the list as it stands on the disk.
        let known = now();
        list.0.values_mut().filter(|listed| listed.since == 0).for_each(|listed| listed.since = known);
        heed(folder, &list, touched)?;
        let until = now() - i64::try_from(self.grace.saturating_mul(1000)).unwrap_or(i64::MAX);
        let mut freed = Freed::default();
        let sweep = Sweep { store, touched, list: &list, until, end };
        let mut marked = self.mark(store, &list, end).await?;
        self.remember(store)?;
        if let Err(error) = sweep.manifests(&marked, &mut freed) {
            return Err(freed.before(error));
        }
        if freed.manifests > 0 {
            marked = self.mark(store, &list, None).await?;
        }
        if let Err(error) = sweep.blobs(&marked, &mut freed) {
            return Err(freed.before(error));
        }
        // What is gone is no garbage any more.
        let marked = if freed == Freed::default() { marked } else { self.mark(store, &list, None).await? };
        let next = Self::next(&list, &marked, &|key| touched.is_touched(key));
        let next = self.publish(folder, nginx, &list, next).await?;
        forget_earlier(folder)?;
        Ok(self.collected(&next, &marked, freed))
    }

    async fn barrier(&self, nginx: &Nginx) -> Result<()> {
        if self.is_without(Element::Barrier) {
            return nginx.reload().await.map(drop);
        }
        nginx.reload_and_wait(self.limits.seconds.map_or(OLDER, Duration::from_secs)).await
    }

    async fn mark(&self, store: &Store, list: &List, end: Option<Instant>) -> Result<Marked> {
        let nanoseconds = |seconds: u64| host::now().unix_timestamp_nanos() - i128::from(seconds) * 1_000_000_000;
        let (rules, held) = (self.rules.clone(), self.held.clone());
        let untagged = Untagged { before: self.untagged.map(nanoseconds), rules, held, now: nanoseconds(0) };
        Marked::mark(store, &untagged, &|digest| list.0.contains_key(&Key::Blob(*digest)), end).await
    }

    /// The list of what may go later: what was listed and not asked for keeps its time.
    fn next(list: &List, marked: &Marked, is_touched: &dyn Fn(&Key) -> bool) -> List {
        let mut known = BTreeMap::new();
        let mut fresh = BTreeMap::new();
        for (key, fingerprint) in marked.garbage() {
            match list.0.get(&key).filter(|listed| listed.fingerprint == fingerprint && !is_touched(&key)) {
                Some(listed) => drop(known.insert(key, *listed)),
                None if known.len() + fresh.len() < CAP => drop(fresh.insert(key, Listed { since: 0, fingerprint })),
                None => {}
            }
        }
        while known.len() + fresh.len() > CAP && fresh.pop_last().is_some() {}
        known.extend(fresh);
        List(known)
    }

    /// Makes nginx watch the new list. Only when all of nginx knows a key does its time begin.
    async fn publish(&self, folder: &Path, nginx: &Nginx, list: &List, mut next: List) -> Result<List> {
        let is_known = next.0.keys().all(|key| list.0.contains_key(key));
        if !is_known {
            next.write(folder)?;
            self.barrier(nginx).await?;
        }
        let known = now();
        next.0.values_mut().filter(|listed| listed.since == 0).for_each(|listed| listed.since = known);
        next.write(folder)?;
        Ok(next)
    }

    fn collected(&self, next: &List, marked: &Marked, freed: Freed) -> Collected {
        let mut collected = Collected {
            manifests_freed: freed.manifests,
            blobs_freed: freed.blobs,
            bytes_freed: freed.bytes,
            is_capped: next.0.len() >= CAP,
            is_cut: freed.is_cut,
            ..Collected::default()
        };
        for (key, _) in marked.garbage() {
            match key {
                Key::Blob(digest) => {
                    collected.blobs_waiting += 1;
                    collected.bytes_waiting += marked.blobs.size(&digest).unwrap_or_default();
                }
                Key::Manifest(..) => collected.manifests_waiting += 1,
                Key::Tag(..) => {}
            }
        }
        let now = now();
        let left = |listed: &Listed| {
            let passed = if listed.since == 0 { 0 } else { (now - listed.since).max(0) / 1000 };
            self.grace.saturating_sub(u64::try_from(passed).unwrap_or_default())
        };
        collected.next = next.0.values().map(left).min().unwrap_or_default();
        collected.last = next.0.values().map(left).max().unwrap_or_default();
        collected
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    i64::try_from(host::now().unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}

/// Begins to answer nginx, in a thread of its own: a deletion never waits for an answer, nor an answer for a disk.
fn open_gate(folder: &Path, touched: &Arc<Touched>) -> Result<Gate> {
    let path = folder.join(SOCKET);
    files::remove(&path)?;
    let failed = |error: std::io::Error| files::failed("listen on", &path, &error);
    let listener = std::os::unix::net::UnixListener::bind(&path).map_err(failed)?;
    files::set_mode(&path, 0o666)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let touched = touched.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map(|runtime| {
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener)?;
                tokio::select! {
                    () = gate::serve(listener, touched) => {}
                    _ = stopped => {}
                }
                Ok::<_, std::io::Error>(())
            })
        })
    });
    Ok(Gate { path, stop: Some(stop), thread: Some(thread) })
}

type Thread = std::thread::JoinHandle<std::io::Result<std::io::Result<()>>>;

struct Gate {
    path: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<Thread>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(files::remove(&self.path));
        drop(self.stop.take());
        drop(self.thread.take().map(Thread::join));
    }
}

/// Moves the note of who asked away; nginx begins a new one when it reads its configuration.
fn set_aside(folder: &Path) -> Result<()> {
    let log = folder.join(LOG);
    if !files::exists(&log) {
        return Ok(());
    }
    let number = host::now().unix_timestamp_nanos();
    files::rename(&log, &folder.join(format!("{EARLIER}{number}")))
}

fn earlier(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = files::names(folder)?.into_iter().filter(|name| name.starts_with(EARLIER));
    Ok(names.map(|name| folder.join(name)).collect())
}

/// Takes over who asked for what after it was listed.
fn heed(folder: &Path, list: &List, touched: &Touched) -> Result<()> {
    for path in earlier(folder)? {
        files::lines(&path, &mut |line| {
            let (time, key) = line.split_once(' ').unwrap_or_default();
            // Seconds with milliseconds, at the end of the request.
            let time: i64 = time.replace('.', "").parse().unwrap_or(i64::MAX);
            match Key::read(key) {
                Some(key) if list.0.get(&key).is_some_and(|listed| time >= listed.since) => touched.note([key]),
                Some(_) => {}
                None => touched.note_everything(),
            }
        })?;
    }
    Ok(())
}

fn forget_earlier(folder: &Path) -> Result<()> {
    earlier(folder)?.iter().try_for_each(|path| files::remove(path))
}
