//! What all resources of one run share: the deployment, the engine, the events, the journal: [`Run`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::deployment::Store;
use crate::deployment::backup::Restore;
use crate::deployment::journal::Journal;
use crate::deployment::upkeep::Asked;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::secret::Secret;
use crate::text::shell::quoted;
use crate::world::aws::{Aws, Clients, Place};
use crate::world::engine::{Engine, Held, Identity};
use crate::world::host;
use crate::world::proxy::Proxies;
use crate::world::stop::Cancel;

/// Where images come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Images {
    /// Present, else pulled, else built where no registry can be reached.
    #[default]
    Auto,
    Pull,
    Build,
}

/// Which engine a deployment goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wanted {
    /// The one that it is on.
    #[default]
    Known,
    /// Whichever is reached now.
    Reached,
}

/// What is made anew, each of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    /// Every certificate that an authority issues.
    Certificates,
    /// Every authority's root, and so all under it.
    Authority,
    /// Every access key.
    Keys,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub images: Images,
    /// What is made anew though it is as it should be.
    pub anew: Option<Anew>,
    /// The buckets whose objects may be deleted.
    pub delete_data: Vec<String>,
    /// The engine, where another one is reached than it was on.
    pub engine: Wanted,
    /// The proxy that was asked for: a URL, `none`, or `environment`.
    pub proxy: Option<Secret>,
    /// What was asked for of its upkeep.
    pub upkeep: Asked,
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
    engine: OnceCell<(Engine, Option<Identity>)>,
    /// The folders that were made for files, by the kind of these, once they have been read.
    pub folders: Mutex<BTreeMap<&'static str, BTreeSet<PathBuf>>>,
    aws: Clients,
    /// What was told already.
    told: Mutex<BTreeSet<String>>,
    /// Helpers that go on until the run has ended, by the container that they are for.
    held: tokio::sync::Mutex<BTreeMap<String, Held>>,
    /// The ids of containers of others that this run stops, so that they hold no port any more.
    yielding: Mutex<BTreeSet<String>>,
    /// Lets it be told to stop.
    pub cancel: Arc<Cancel>,
}

impl Options {
    pub fn makes_anew(&self, what: Anew) -> bool {
        self.anew == Some(what)
    }
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
            told: Mutex::default(),
            held: tokio::sync::Mutex::default(),
            yielding: Mutex::default(),
            cancel: Arc::default(),
        }
    }

    /// The same run, as one that puts volumes back from a backup.
    pub fn restoring(self, restore: Restore) -> Self {
        Self { restore: Some(restore), ..self }
    }

    /// Has a helper go on until it is let go, or this process ends.
    pub async fn hold(&self, container: &str, helper: Held) {
        self.held.lock().await.insert(container.to_owned(), helper);
    }

    /// Lets the helper of a container go, if there is one.
    pub async fn let_go(&self, container: &str) -> Result<()> {
        let helper = self.held.lock().await.remove(container);
        match helper {
            Some(helper) => helper.release().await,
            None => Ok(()),
        }
    }

    /// Notes that these containers are stopped before anything of this run needs what they hold.
    pub fn yields(&self, ids: impl IntoIterator<Item = String>) {
        self.yielding.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }

    /// Whether a container is stopped by this run.
    pub fn is_yielding(&self, id: &str) -> bool {
        self.yielding.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// The engine, connected at the first use.
    pub async fn engine(&self) -> Result<&Engine> {
        Ok(&self.engine.get_or_try_init(|| self.connect()).await?.0)
    }

    /// The engine that was asked for anything, to be known again; none where a lease says which one it is.
    pub fn engine_identity(&self) -> Option<Identity> {
        let (engine, identity) = self.engine.get()?;
        identity.as_ref().map(|identity| Identity { api: engine.api(), ..identity.clone() })
    }

    /// Connects to the engine, which must be the one that the deployment is on.
    async fn connect(&self) -> Result<(Engine, Option<Identity>)> {
        let engine = Engine::connect(self.watcher())?;
        if let Some(lease) = self.store.lease() {
            lease.check_engine(engine.address())?;
            engine.check().await?;
            return Ok((engine, None));
        }
        let known = self.store.engine();
        engine.begin_with(known.and_then(|known| known.api));
        if let Some(known) = known.filter(|known| known.is_surely_at(engine.address())) {
            return Ok((engine.of(known), Some(known.clone())));
        }
        if known.is_none() {
            engine.check().await?;
        }
        let found = engine.identity().await?;
        match known {
            Some(known) if !known.is_same(&found) && self.options.engine == Wanted::Known => {
                Err(elsewhere(self.store.name(), known, &found))
            }
            _ => Ok((engine.of(&found), Some(found))),
        }
    }

    /// The clients of AWS, or of a store like it, made at the first use.
    pub async fn aws(&self, place: &Place) -> Result<Arc<Aws>> {
        self.aws.get(place, &self.proxies()?, self.watcher()).await
    }

    /// The proxies that requests leave this host through, and those of containers as well.
    pub fn proxies(&self) -> Result<Proxies> {
        self.store.proxies().map_or_else(Proxies::of_environment, |proxies| Ok(proxies.clone()))
    }

    /// Who is told of each request, if anybody is.
    pub fn watcher(&self) -> Option<Events> {
        self.options.verbose.then(|| self.events.clone())
    }

    /// Tells what a user should know, and that once however often it is found.
    pub fn note_once(&self, text: &str) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned()) {
            self.events.note(None, text);
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub fn check_cancelled(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Waits for something long, unless the run is told to stop first. Only what may be left half done is waited for here.
    pub async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.cancel.interruptible(work).await
    }
}

fn elsewhere(name: &str, known: &Identity, found: &Identity) -> Error {
    let back = match &known.context {
        Some(context) => {
            let context = quoted(context);
            format!("`DOCKER_CONTEXT={context}` or `docker context use {context}`")
        }
        None => format!("`DOCKER_HOST={}`", quoted(&known.address)),
    };
    Error::new(format!(
        "the deployment `{name}` is on the engine {}, and this is another one: that {}",
        known.describe(),
        found.describe()
    ))
    .hint(format!(
        "{back} leads back to it; `--name {name}-2` sets up another deployment here; `--engine-moved` goes on here with this one, if that engine is gone for good or has moved"
    ))
}
