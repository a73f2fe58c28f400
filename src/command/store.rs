//! The store of a registry that was set up here: where it is, and how a job gets there: [`carry_out`].

mod bucket;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use bollard::models::ContainerInspectResponse;
use serde_json::Value as Json;

use crate::deployment::Record;
use crate::error::{Error, Result};
use crate::registry::job::{Job, Said, Task};
use crate::session::{Prepared, Session, playbook_of};
use crate::world::engine::{Engine, Helper};
use crate::world::files;
use crate::world::itself::{self, FOLDER};
use crate::world::proxy::Proxies;
use bucket::Location;

/// Whom a registry in a container runs as.
const USER: &str = "65532:65532";
/// Where the folder is that a collection and nginx share.
pub(crate) const WATCH: &str = "/run/watch";
/// The registry's configuration, and what stands in it where it has a cache.
const CONFIG: &str = "/etc/provision/config.yml";
const CACHE: &[u8] = b"blobdescriptor";
/// The same of a registry that is a service of this host.
const CONFIG_OF_HOST: &str = "/etc/docker/registry/config.yml";
/// The authorities that its store is trusted by, if it was given any.
const AUTHORITY: &str = "/etc/provision/store-ca.crt";
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
            "local" | "s3" => Ok(place),
            "inmemory" => Err(Error::new(format!("`{name}` keeps all images in memory, where nothing else can look at them"))
                .hint("`--flavor local` keeps images on a disk")),
            flavor => Err(Error::new(format!("the store of `{name}` is of the flavor `{flavor}`, which is not read here"))
                .hint("stop pushes, then run `registry garbage-collect --dry-run` of the registry's own image beside the store")),
        }
    }

    /// Whether a deployment has such a store.
    pub fn is_one(record: &Record) -> Result<bool> {
        let inputs = playbook_of(record)?.settle(&record.inputs)?;
        let flavor = inputs.get("flavor").and_then(Json::as_str);
        Ok(record.playbook.name == "registry" && matches!(flavor, Some("local" | "s3")))
    }

    pub fn input(&self, name: &str) -> &str {
        self.inputs.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    pub fn is_on_host(&self) -> bool {
        self.input("on") == "host"
    }

    fn is_bucket(&self) -> bool {
        self.input("flavor") == "s3"
    }

    /// Does something with the store where it is: on this host, or beside the registry's container.
    pub async fn carry_out(&self, task: Task) -> Result<Said> {
        if !self.is_on_host() {
            return Box::pin(self.in_helper(task)).await;
        }
        let job = if self.is_bucket() {
            let config = Path::new(CONFIG_OF_HOST);
            let text = files::read_through(config)?.ok_or_else(|| missing(CONFIG_OF_HOST, self.name()))?;
            let proxies = self.prepared.run.proxies()?;
            let Location { address, root } = Location::read(CONFIG_OF_HOST, &text, None, proxies)?;
            Job { root, bucket: Some(address), task }
        } else {
            Job { root: self.input("data-folder").to_owned(), bucket: None, task }
        };
        Box::pin(job.carry_out(&|_| {})).await.checked()
    }

    fn name(&self) -> &str {
        self.prepared.run.store.name()
    }

    /// The job with the address of the store, and what of it a helper is given: its volume, or its network.
    async fn place(&self, engine: &Engine, task: Task, found: &ContainerInspectResponse) -> Result<(Job, Reach)> {
        let name = self.name();
        let container = format!("{name}-registry");
        if !self.is_bucket() {
            let mut mounts = found.mounts.iter().flatten();
            let volume = mounts.find(|mount| mount.destination.as_deref() == Some(ROOT));
            let volume = volume.and_then(|mount| mount.name.clone());
            let volume = volume.ok_or_else(|| missing(&format!("{container}: {ROOT}"), name))?;
            return Ok((Job { root: ROOT.to_owned(), bucket: None, task }, Reach::Volume(volume)));
        }
        let config = format!("`{CONFIG}` of `{container}`");
        let text = inside(engine, &container, CONFIG).await?.ok_or_else(|| missing(&config, name))?;
        let authority = inside(engine, &container, AUTHORITY).await?;
        let authority = authority.map(|pem| String::from_utf8_lossy(&pem).into_owned());
        // As the registry's container has it: one that only the host itself reaches is none for containers.
        let proxies = self.prepared.run.proxies()?;
        let proxies = if proxies.on_loopback().is_some() { Proxies::default() } else { proxies };
        let Location { address, root } = Location::read(&config, &text, authority, proxies)?;
        let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let network = networks.and_then(|networks| networks.keys().min().cloned());
        let network = network.ok_or_else(|| missing(&format!("the network of `{container}`"), name))?;
        Ok((Job { root, bucket: Some(address), task }, Reach::Network(network)))
    }

    async fn in_helper(&self, task: Task) -> Result<Said> {
        let run = &self.prepared.run;
        let name = run.store.name();
        let engine = run.engine().await?;
        let container = format!("{name}-registry");
        let found = engine.container(&container).await?.ok_or_else(|| missing(&container, name))?;
        let (mut job, reach) = self.place(engine, task, &found).await?;
        let (mut volumes, mut processes_of, mut network) = (Vec::new(), None, None);
        match reach {
            Reach::Volume(volume) => volumes.push((volume, ROOT.to_owned(), !matches!(job.task, Task::Discard(_)))),
            Reach::Network(name) => network = Some(name),
        }
        let itself = itself::read()?;
        let asks = if matches!(job.task, Task::Retain(..)) { TAGS } else { KEYS };
        if let Some(collection) = job.task.collection() {
            let proxy = format!("{name}-proxy");
            let watch = self.watched(engine, &proxy, asks).await?;
            volumes.iter_mut().for_each(|(_, _, only_read)| *only_read = collection.dry_run);
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
            files: itself.archive("job.json", &text, USER)?,
            volumes,
            processes_of,
            network,
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

/// What a helper is given to get at a store.
enum Reach {
    Volume(String),
    Network(String),
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

/// The content of a file in a container; none if it is not there.
async fn inside(engine: &Engine, container: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(archive) = engine.download(container, path).await? else { return Ok(None) };
    let failed = |error| Error::new(format!("cannot read `{path}` in the container `{container}`: {error}"));
    for entry in tar::Archive::new(archive.as_slice()).entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            // It is in memory already, whole.
            entry.read_to_end(&mut content).map_err(failed)?;
            return Ok(Some(content));
        }
    }
    Ok(None)
}
