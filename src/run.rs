//! What all resources of one run share: the deployment, the engine, the events, the journal: [`Run`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::{Notify, OnceCell};

use crate::backup::Restore;
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::journal::Journal;
use crate::world::aws::{Aws, Clients, Place};
use crate::world::engine::Engine;
use crate::world::host;

/// Where images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Images {
    /// Present, else pulled, else built where no registry can be reached.
    #[default]
    Auto,
    Pull,
    Build,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub images: Images,
    /// Whether every certificate is issued anew.
    pub renew: bool,
    /// Whether every access key is made anew.
    pub rotate_keys: bool,
    /// The buckets whose objects may be deleted.
    pub delete_data: Vec<String>,
    /// Whether each request to the engine is told.
    pub verbose: bool,
}

pub(crate) struct Run {
    pub store: Store,
    pub events: Events,
    pub journal: Journal,
    pub options: Options,
    /// The time of this run: one for all, so that a plan and its apply agree.
    pub now: OffsetDateTime,
    /// The backup that volumes are put back from.
    pub restore: Option<Restore>,
    engine: OnceCell<Engine>,
    /// The folders that were made for files, by the kind of these, once they have been read.
    pub folders: Mutex<BTreeMap<&'static str, BTreeSet<PathBuf>>>,
    aws: Clients,
    cancelled: AtomicBool,
    wake: Notify,
}

impl Run {
    pub fn new(store: Store, events: Events, options: Options) -> Self {
        Self {
            store,
            events,
            journal: Journal::default(),
            options,
            now: host::now(),
            restore: None,
            engine: OnceCell::new(),
            folders: Mutex::default(),
            aws: Clients::default(),
            cancelled: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// The same run, as one that puts volumes back from a backup.
    pub fn restoring(self, restore: Restore) -> Self {
        Self { restore: Some(restore), ..self }
    }

    /// The engine, connected at the first use.
    pub async fn engine(&self) -> Result<&Engine> {
        self.engine.get_or_try_init(|| Engine::connect(self.watcher())).await
    }

    /// The clients of AWS, or of a store like it, made at the first use.
    pub async fn aws(&self, place: &Place) -> Result<Arc<Aws>> {
        self.aws.get(place, self.watcher()).await
    }

    /// Who is told of each request, if anybody is.
    pub fn watcher(&self) -> Option<Events> {
        self.options.verbose.then(|| self.events.clone())
    }

    /// Asks the run to stop before its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub fn check_cancelled(&self) -> Result<()> {
        if self.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    /// Waits for something long, unless the run is told to stop first. Only what may be left half done is waited for here.
    pub async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let woken = self.wake.notified();
        self.check_cancelled()?;
        tokio::select! {
            result = work => result,
            () = woken => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::new("stopped before it was done")
}
