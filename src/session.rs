//! What a verb works with: [`Session`], [`Target`] and [`Prepared`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::deployment::backup::Restore;
use crate::deployment::upkeep::Upkeep;
use crate::deployment::{PlaybookRecord, Record, Store};
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::execution::graph::Graph;
use crate::formats::yaml::Source;
use crate::language::input::{InputType, condition};
use crate::language::playbook::Playbook;
use crate::language::variables::{self, Listed};
use crate::registry::garbage::obstacle;
use crate::resource::NAMES;
use crate::resource::run::{Options, Run};
use crate::secret::Secret;
use crate::world::brought::Brought;
use crate::world::proxy::Proxies;
use crate::world::stop::Stopper;

/// What every verb is given: where to tell what happens, and how to go about it.
#[derive(Clone)]
pub struct Session {
    pub events: Events,
    pub(crate) options: Options,
    /// Whether a question is answered with yes.
    pub(crate) yes: bool,
    /// How long somebody else's work on the same deployment is waited for.
    pub(crate) wait: Duration,
    /// Lets the caller stop the run that is under way.
    pub(crate) stopper: Stopper,
}

/// Where the files of a playbook stand in the folder of its deployment, if they have no other place on this host.
const KEPT: &str = "playbook";

/// A playbook with the inputs that were given, and the deployment that it is about.
pub(crate) struct Target {
    pub playbook: Playbook,
    pub path: Option<String>,
    /// Its files, if they are of another machine: then they are kept in the folder of the deployment.
    pub brought: Option<Brought>,
    pub given: BTreeMap<String, Json>,
    /// The variables of files that stand for inputs; none if those of the environment do not count either.
    pub environment: Option<Listed>,
    /// The deployment's name; by default the playbook's.
    pub name: Option<String>,
    /// Whether it was named as a deployment, and not by its playbook: then there must be one.
    pub again: bool,
    /// The folder that files of a host are rendered into, if nothing is to be installed.
    pub root: Option<String>,
    /// What a user should know of the command line.
    pub warnings: Vec<String>,
}

impl Target {
    /// A deployment, to be carried out once more as it was.
    pub fn again(name: &str, record: &Record) -> Result<Self> {
        Ok(Self {
            playbook: playbook_of(record)?,
            path: record.playbook.path.clone(),
            brought: None,
            given: BTreeMap::new(),
            environment: None,
            name: Some(name.to_owned()),
            again: true,
            root: None,
            warnings: Vec::new(),
        })
    }

    pub fn deployment(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.playbook.name)
    }

    /// Keeps the playbook's files in the folder of the deployment, if they are of another machine.
    pub fn keep_files(&self, store: &Store) -> Result<()> {
        let files = self.brought.iter().flat_map(|brought| &brought.files);
        files.into_iter().try_for_each(|(name, content)| store.put_bytes(&format!("{KEPT}/{name}"), content))
    }
}

/// A target made ready: its graph, its run, and its record as it was and as it shall be.
pub(crate) struct Prepared {
    pub graph: Graph,
    pub run: Arc<Run>,
    pub earlier: Option<Record>,
    pub record: Record,
}

impl Session {
    /// Who is told of each request, if anybody is.
    pub(crate) fn watcher(&self) -> Option<Events> {
        self.options.verbose.then(|| self.events.clone())
    }

    pub(crate) fn run(&self, store: Store) -> Arc<Run> {
        self.begin(Run::new(store, self.events.clone(), self.options.clone()))
    }

    /// A run that puts volumes back from a backup.
    pub(crate) fn restoring(&self, store: Store, restore: Restore) -> Arc<Run> {
        self.begin(Run::new(store, self.events.clone(), self.options.clone()).restoring(restore))
    }

    fn begin(&self, run: Run) -> Arc<Run> {
        let run = Arc::new(run);
        self.stopper.begin(run.cancel.clone());
        run
    }

    /// Reads the deployment and builds the graph. Inputs that were not given are as they were at the last run.
    pub(crate) fn prepare(&self, target: &Target) -> Result<Prepared> {
        let name = target.deployment().to_owned();
        let (store, earlier) = if target.again {
            Store::existing(&name).map(|(store, record)| (store, Some(record)))?
        } else {
            Store::open(&name)?
        };
        if let Some(record) = earlier.as_ref().filter(|record| record.playbook.name != target.playbook.name) {
            return Err(Error::new(format!(
                "the deployment `{name}` was made by the playbook `{}`",
                record.playbook.name
            ))
            .hint(format!("give this one another name: `--name {name}-2`")));
        }
        earlier.as_ref().map_or(Ok(()), |record| record.check_whole(&name))?;
        let store = rendered(store, earlier.as_ref(), target.root.as_deref())?;
        target.warnings.iter().for_each(|text| self.events.send(Event::Warning { text: text.clone() }));
        let proxies = self.proxies(earlier.as_ref().and_then(|record| record.proxies.as_ref()))?;
        let store = store.through(proxies);
        let mut remembered = earlier.as_ref().map(|record| record.inputs.clone()).unwrap_or_default();
        remembered.retain(|input, _| target.playbook.input(input).is_some());
        let (mut given, fresh) = variables::gather(
            &target.playbook,
            remembered,
            target.given.clone(),
            target.environment.as_ref(),
            &self.events,
        )?;
        let values = target.playbook.settle(&given)?;
        condition::check(&target.playbook.inputs, &values, &fresh)?;
        // A path counts from the folder of the first run: a later run may be typed elsewhere.
        for input in target.playbook.inputs.iter().filter(|input| input.kind == InputType::Path) {
            given.insert(input.name.clone(), values[&input.name].clone());
        }
        let path = match &target.brought {
            Some(brought) => Some(brought.path_in(&store.path(KEPT))?),
            None => target.path.clone(),
        };
        let fresh = store.record_of(recorded(&target.playbook, path), given);
        let upkeep = earlier.as_ref().map(|record| record.upkeep.clone()).unwrap_or_default();
        let upkeep = upkeep.with(&self.options.upkeep)?.in_this_environment();
        let upkeep = self.collecting(upkeep, earlier.is_none(), &name, &target.playbook, &values)?;
        let record = match &earlier {
            Some(record) => Record { kinds: record.kinds.clone(), outputs: record.outputs.clone(), upkeep, ..fresh },
            None => Record { upkeep, ..fresh },
        };
        let graph = Graph::build(target.playbook.clone(), values, &name, store.is_rendering())?;
        Ok(Prepared { graph, run: self.run(store), earlier, record })
    }

    /// Upkeep with what it is to do about garbage: a new registry is kept free of it wherever that is possible.
    fn collecting(
        &self,
        mut upkeep: Upkeep,
        is_new: bool,
        name: &str,
        playbook: &Playbook,
        values: &BTreeMap<String, Json>,
    ) -> Result<Upkeep> {
        let gc = match (obstacle::check(name, &playbook.name, values), self.options.upkeep.gc) {
            (Err(error), Some(true)) => return Err(error),
            (Err(error), None) if upkeep.gc == Some(true) => {
                self.events.note(None, format!("garbage is no longer collected: {error}"));
                None
            }
            (Ok(()), None) if is_new => Some(true),
            _ => upkeep.gc,
        };
        upkeep.gc = gc;
        Ok(upkeep)
    }

    /// The proxies that a deployment goes through: those that are asked for, else those of its last run, else this process's own.
    fn proxies(&self, earlier: Option<&Proxies>) -> Result<Option<Proxies>> {
        // Whether they can be understood matters to what goes through them only.
        let own = || Proxies::of_environment().ok().filter(|proxies| !proxies.is_empty());
        match self.options.proxy.as_ref().map(Secret::expose) {
            Some("none") => return Ok(Some(Proxies::default())),
            Some("environment") => return Ok(own()),
            Some(url) => return Proxies::of(url).map(Some),
            None => {}
        }
        if let (Some(earlier), Some(own)) = (earlier, own())
            && *earlier != own
        {
            self.events.note(None, "this deployment goes on with the proxies that it had, which are not those of the environment; `--proxy environment` takes them");
        }
        Ok(earlier.cloned().or_else(own))
    }

    /// The deployment of that name with its playbook and inputs as they were at its last run.
    pub(crate) fn reopen(&self, name: &str) -> Result<Prepared> {
        let (store, record) = Store::existing(name)?;
        record.check_whole(name)?;
        let playbook = playbook_of(&record)?;
        let values = playbook.settle(&record.inputs)?;
        let graph = Graph::build(playbook, values, name, store.is_rendering())?;
        Ok(Prepared { graph, run: self.run(store), earlier: Some(record.clone()), record })
    }

    /// Asks before data is destroyed.
    pub(crate) async fn confirm(&self, data: &[String], hint: &str) -> Result<()> {
        if data.is_empty() || self.yes {
            return Ok(());
        }
        let what = format!("this deletes data permanently: {}.", data.join(", "));
        match crate::report::ask(&what, &self.stopper).await? {
            Some(true) => Ok(()),
            Some(false) => Err(Error::new("nothing was done: the answer was not `yes`")),
            None => Err(Error::new(what.trim_end_matches('.').to_owned()).hint(hint)),
        }
    }
}

/// The playbook of a deployment's last run, as it was then.
pub(crate) fn playbook_of(record: &Record) -> Result<Playbook> {
    let record = &record.playbook;
    let name = record.path.clone().unwrap_or_else(|| format!("playbooks/{}.yml", record.name));
    let folder = record.path.as_deref().and_then(|path| Path::new(path).parent()).map(Path::to_path_buf);
    Playbook::parse(&record.name, &Source::joined(name, record.text.clone()), folder, NAMES)
}

fn recorded(playbook: &Playbook, path: Option<String>) -> PlaybookRecord {
    PlaybookRecord { name: playbook.name.clone(), path, text: playbook.source.text.clone() }
}

/// The deployment as one that is rendered into a folder, if that is asked for.
fn rendered(store: Store, earlier: Option<&Record>, root: Option<&str>) -> Result<Store> {
    let Some(root) = root else { return Ok(store) };
    let name = store.name().to_owned();
    let beside = format!("give this one another name: `--name {name}-2`");
    match earlier.map(|record| record.root.as_deref()) {
        Some(None) => Err(Error::new(format!("the deployment `{name}` is installed, and not rendered")).hint(beside)),
        Some(Some(other)) if other != root => {
            Err(Error::new(format!("the deployment `{name}` was rendered into `{other}`")).hint(beside))
        }
        _ => Ok(store.rendering(root)),
    }
}
