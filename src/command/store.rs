//! The store of a registry that was set up here: where it is, and how a job gets there: [`carry_out`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::deployment::Record;
use crate::error::{Error, Result};
use crate::registry::job::{Job, Said, Task};
use crate::session::{Prepared, Session, playbook_of};
use crate::world::engine::{Engine, Helper};
use crate::world::itself::{self, FOLDER};

/// Whom a registry in a container runs as.
const USER: &str = "65532:65532";
/// Where the folder is that a collection and nginx share.
pub(crate) const WATCH: &str = "/run/watch";
/// The registry's configuration, and what stands in it where it has a cache.
const CONFIG: &str = "/etc/provision/config.yml";
const CACHE: &[u8] = b"blobdescriptor";
/// The configuration of the nginx in front of it, and what stands in it where it tells who asks for which key, or pushes which tag.
const NGINX: &str = "/etc/provision/nginx.conf";
const KEYS: &[u8] = b"X-Watch-Key";
const TAGS: &[u8] = b"X-Watch-Tag";
/// Where such a registry keeps its store.
const ROOT: &str = "/var/lib/registry";

/// A deployment whose registry has a store that can be read.
pub(crate) struct Place {
    pub prepared: Prepared,
    pub inputs: BTreeMap<String, Json>,
}

impl Place {
    /// Finds the deployment.
    ///
    /// # Errors
    /// It is no registry, or one whose store is not read here.
    pub fn find(session: &Session, name: &str) -> Result<Self> {
        let prepared = session.reopen(name)?;
        let record = &prepared.record;
        if record.kept {
            return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
                .hint(format!("`provision apply {name}` takes the data up again")));
        }
        if record.playbook.name != "registry" {
            let what = format!(
                "the deployment `{name}` was made by the playbook `{}`, not by `registry`",
                record.playbook.name
            );
            return Err(Error::new(what).hint("`provision list` shows which deployments are registries"));
        }
        let inputs = playbook_of(record)?.settle(&record.inputs)?;
        let place = Self { prepared, inputs };
        match place.input("flavor") {
            "local" => Ok(place),
            flavor => Err(Error::new(format!("the store of `{name}` is of the flavor `{flavor}`, which is not read here"))
                .hint("stop pushes, then run `registry garbage-collect --dry-run` of the registry's own image beside the store")),
        }
    }

    /// Whether a deployment has such a store.
    pub fn is_one(record: &Record) -> Result<bool> {
        let flavor = |inputs: BTreeMap<String, Json>| inputs.get("flavor").and_then(Json::as_str) == Some("local");
        Ok(record.playbook.name == "registry" && flavor(playbook_of(record)?.settle(&record.inputs)?))
    }

    pub fn input(&self, name: &str) -> &str {
        self.inputs.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    pub fn is_on_host(&self) -> bool {
        self.input("on") == "host"
    }

    fn root(&self) -> &str {
        if self.is_on_host() { self.input("data-folder") } else { ROOT }
    }

    /// Does something with the store where it is: on this host, or beside the registry's container.
    pub async fn carry_out(&self, task: Task) -> Result<Said> {
        let job = Job { root: self.root().to_owned(), task };
        if self.is_on_host() {
            return job.carry_out(&|_| {}).await.checked();
        }
        Box::pin(self.in_helper(&job)).await
    }

    async fn in_helper(&self, job: &Job) -> Result<Said> {
        let run = &self.prepared.run;
        let name = run.store.name();
        let engine = run.engine().await?;
        let container = format!("{name}-registry");
        let found = engine.container(&container).await?.ok_or_else(|| missing(&container, name))?;
        let mounts = found.mounts.unwrap_or_default();
        let volume = mounts.into_iter().find(|mount| mount.destination.as_deref() == Some(ROOT));
        let volume =
            volume.and_then(|mount| mount.name).ok_or_else(|| missing(&format!("{container}: {ROOT}"), name))?;
        let (mut volumes, mut processes_of) = (vec![(volume, ROOT.to_owned(), true)], None);
        let itself = itself::read()?;
        let mut job = job.clone();
        let asks = if matches!(job.task, Task::Retain(..)) { TAGS } else { KEYS };
        if let Some(collection) = job.task.collection() {
            let proxy = format!("{name}-proxy");
            let watch = self.watched(engine, &proxy, asks).await?;
            volumes[0].2 = collection.dry_run;
            volumes.push((watch, WATCH.to_owned(), false));
            processes_of = Some(proxy);
            collection.program.clone_from(&itself.command);
        }
        let job = &job;
        let text =
            serde_json::to_vec(job).map_err(|error| Error::new(format!("cannot write the job down: {error}")))?;
        let command = itself.command.iter().map(String::as_str);
        let helper = Helper {
            name: format!("{name}-helper"),
            deployment: name.to_owned(),
            labels: BTreeMap::new(),
            image: found.image.unwrap_or_default(),
            user: USER.to_owned(),
            command: command.chain(["agent", &format!("{FOLDER}/job.json")]).map(str::to_owned).collect(),
            files: itself.archive("job.json", &text)?,
            volumes,
            processes_of,
            network: None,
            powers: Vec::new(),
            is_held: false,
        };
        let mut last = None;
        let mut line = |text: &str| last = serde_json::from_str::<Said>(text).ok().or_else(|| last.take());
        let words = Box::pin(run.interruptible(engine.help(&helper, &mut line))).await?;
        let said = last.ok_or_else(|| {
            Error::new(format!("the helper of `{name}` ended without a result"))
                .detail(words.lines().map(str::to_owned))
                .hint("the engine's host needs the same kind of processor as this one; run the command there")
        })?;
        said.checked()
    }
}

impl Place {
    /// The volume that a collection and nginx share, once both containers are such that a collection breaks nothing.
    async fn watched(&self, engine: &Engine, proxy: &str, asks: &[u8]) -> Result<String> {
        let name = self.prepared.run.store.name();
        let hint = format!("`provision apply {name}` makes the change; then run the command again");
        let found = engine.container(proxy).await?.ok_or_else(|| missing(proxy, name))?;
        let mount =
            found.mounts.unwrap_or_default().into_iter().find(|mount| mount.destination.as_deref() == Some(WATCH));
        let volume = mount.and_then(|mount| mount.name).ok_or_else(|| {
            Error::new(format!("nginx in front of `{name}` does not watch what goes yet")).hint(hint.clone())
        })?;
        let config = engine.download(proxy, NGINX).await?.unwrap_or_default();
        if !config.windows(asks.len()).any(|window| window == asks) {
            return Err(
                Error::new(format!("nginx in front of `{name}` does not tell all that is pushed yet")).hint(hint)
            );
        }
        let config = engine.download(&format!("{name}-registry"), CONFIG).await?.unwrap_or_default();
        if config.windows(CACHE.len()).any(|window| window == CACHE) {
            return Err(Error::new(format!(
                "the registry of `{name}` keeps what it knows of layers in memory, and goes on serving what is gone"
            ))
            .hint(hint));
        }
        let checked = ["nginx", "-t", "-q", "-c", NGINX].map(str::to_owned);
        let ended = engine.execute(proxy, &checked).await?;
        if ended.code != 0 {
            return Err(Error::new(format!("nginx of `{name}` refuses its configuration"))
                .detail(ended.output.lines().map(str::to_owned))
                .hint(format!("`provision apply {name}` writes it anew")));
        }
        Ok(volume)
    }
}

fn missing(what: &str, name: &str) -> Error {
    Error::new(format!("`{what}` is not there"))
        .hint(format!("`provision plan {name}` shows what is missing, `provision apply {name}` makes it"))
}
