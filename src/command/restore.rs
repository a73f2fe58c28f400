//! `provision restore`: sets up a deployment from a backup, with its data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::apply;
use super::turn::{Halt, Turn};
use crate::deployment::backup::{Key, Reader, Restore};
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::graph::Graph;
use crate::execution::plan::Plan;
use crate::language::given;
use crate::language::input::condition;
use crate::resource::Kind;
use crate::resource::docker::container::ContainerKind;
use crate::session::{Prepared, Session, playbook_of};
use crate::text::json;
use crate::world::aws::{Aws, Place};
use crate::world::proxy::Proxies;
use crate::world::stop::Stopper;
use crate::world::typed::Source;
use crate::world::unfinished::Unfinished;
use crate::world::{files, typed};

/// What a backup is opened with, as the command line says it; with neither, the passphrase is asked for.
pub(crate) struct Opening {
    pub identity: Option<String>,
    pub passphrase_file: Option<String>,
}

const FOLDER: &str = "deployment";
const RECORD: &str = "deployment/deployment.json";
/// How a backup in a bucket is named.
const BUCKET: &str = "s3://";

pub(crate) async fn run(session: &Session, name: &str, file: &str, opening: Opening, set: &[String]) -> Result<()> {
    let started = Instant::now();
    // Told before anybody types a passphrase; who works on it just now may be taking it away.
    session.alone(name, "restore", async |_| Ok(unused(name).map(drop)?)).await?;
    let reader = Arc::new(open(file, &opening, &session.stopper).await?);
    tell_verified(session, file, started)?;
    let mut record = record(&reader, file)?;
    let mut playbook = playbook_of(&record)?;
    playbook.inputs.iter_mut().for_each(|input| input.by_set = true);
    let given = given::set::read(&playbook, set)?;
    for input in &playbook.inputs {
        let typed: Vec<String> = set.iter().filter_map(|text| input.set_to(text).map(str::to_owned)).collect();
        input.warnings(&typed).into_iter().for_each(|text| session.events.send(Event::Warning { text }));
    }
    let fresh = given.keys().cloned().collect();
    record.inputs.extend(given);
    condition::check(&playbook.inputs, &playbook.settle(&record.inputs)?, &fresh)?;
    session.alone(name, "restore", async |turn| within(session, name, &reader, &record, turn, started).await).await
}

/// Tells that a backup was read to its end.
pub(super) fn tell_verified(session: &Session, file: &str, started: Instant) -> Result<()> {
    session.events.send(Event::Finished {
        resource: if file.starts_with(BUCKET) { file.to_owned() } else { typed::shown(file)? },
        kind: "file",
        action: "verified",
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(())
}

pub(super) async fn within(
    session: &Session,
    name: &str,
    reader: &Arc<Reader>,
    record: &Record,
    turn: &Turn,
    started: Instant,
) -> std::result::Result<(), Halt> {
    let store = unused(name)?;
    let id = store.id().to_owned();
    let record = Record {
        id,
        outputs: BTreeMap::new(),
        engine: None,
        proxies: None,
        restoring: true,
        upkeep: record.upkeep.clone().in_this_environment(),
        ..record.clone()
    };
    match unpack(reader, &store, record) {
        Ok(record) => Ok(set_up(session, reader.clone(), store, record, turn, started).await?),
        Err(error) => {
            turn.forget(&store)?;
            Err(error.into())
        }
    }
}

/// The folder of a deployment that there is not yet.
fn unused(name: &str) -> Result<Store> {
    match Store::open(name)? {
        (_, Some(earlier)) => Err(exists(name, &earlier)),
        (store, None) => Ok(store),
    }
}

fn exists(name: &str, earlier: &Record) -> Error {
    let (what, hint) = if earlier.restoring {
        (
            "exists already: an earlier restore of it was interrupted",
            "it holds a part of the backup only: destroy that deployment, or restore under another name",
        )
    } else if earlier.kept {
        ("exists already: it was destroyed, and its data was kept", "restore beside it, under another name")
    } else {
        ("exists already", "restore beside it, under another name")
    };
    Error::new(format!("the deployment `{name}` {what}")).hint(format!("nothing was changed; {hint}"))
}

fn unread(error: Error) -> Error {
    error.or_hint("check the path; nothing was changed")
}

/// An object as a file without a name, in the cache of this host.
async fn fetched(object: &str) -> Result<Source> {
    let (bucket, key) =
        object.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()).ok_or_else(|| {
            Error::usage(format!("`{BUCKET}{object}` names no object")).hint("write it as in `s3://BUCKET/KEY`")
        })?;
    let aws = Aws::connect(&Place::default(), None, &Proxies::of_environment()?, None).await?;
    let cache = files::cache_home()?;
    files::make_folder(&cache, 0o700)?;
    let file = Unfinished::create(&cache.join(format!(".restore.{}", std::process::id())))?;
    aws.get_file(bucket, key, &mut file.writer()?).await?;
    file.reader().map(Source::Here)
}

/// Opens a backup, and asks for what opens it if need be.
pub(super) async fn open(file: &str, opening: &Opening, stopper: &Stopper) -> Result<Reader> {
    let source = match file.strip_prefix(BUCKET) {
        Some(object) => fetched(object).await?,
        None => typed::reader(file).map_err(unread)?,
    };
    let sealed = Reader::sealed(source, file)?;
    let key = match (&opening.identity, &opening.passphrase_file) {
        (Some(path), _) => Key::identities(&typed::text_apart(path, stopper).await.map_err(unread)?, path)?,
        (None, Some(path)) => Key::Passphrase(typed::secret_apart(path, "passphrase", stopper).await.map_err(unread)?),
        (None, None) if sealed.wants_passphrase() => {
            let asked = crate::report::ask_hidden(&format!("Passphrase of `{file}`"), stopper).await?;
            Key::Passphrase(asked.ok_or_else(|| {
                Error::usage("no terminal to ask for the passphrase")
                    .hint("give `--passphrase-file FILE`, where `-` is the standard input")
            })?)
        }
        (None, None) => {
            return Err(Error::usage(format!("`{file}` is encrypted to recipients"))
                .hint("give the key of one of them: `--identity FILE`"));
        }
    };
    Reader::open(sealed, &key)
}

pub(super) fn record(reader: &Reader, file: &str) -> Result<Record> {
    let content = reader.entry(RECORD)?.unwrap_or_default();
    json::read(&content).map_err(|why| Error::new(format!("`{file}`: its entry `{RECORD}` cannot be read: {why}")))
}

/// Writes the deployment's folder as it was. Its record comes first: by that, whatever happens next is found again.
fn unpack(reader: &Reader, store: &Store, record: Record) -> Result<Record> {
    store.save(&record)?;
    let record = Record {
        playbook: crate::deployment::PlaybookRecord {
            path: own_path(reader, store, &record)?,
            ..record.playbook.clone()
        },
        ..record
    };
    let moved = record.playbook.path.as_deref().is_some_and(|path| Path::new(path).starts_with(store.path("playbook")));
    for key in reader.names(FOLDER) {
        if key == "deployment.json" || (key.starts_with("playbook/") && !moved) {
            continue;
        }
        if !Path::new(key).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::new(format!("the backup holds a file of an impossible name: `{key}`")));
        }
        let content = reader.entry(&format!("{FOLDER}/{key}"))?.unwrap_or_default();
        store.put_bytes(key, &content)?;
    }
    store.save(&record)?;
    Ok(record)
}

/// Where the playbook's file is: where it was, if it and all that it reads are there as they were, else in the folder.
fn own_path(reader: &Reader, store: &Store, record: &Record) -> Result<Option<String>> {
    let (Some(path), Some(below)) = (&record.playbook.path, &reader.contents.file) else { return Ok(None) };
    let root = PathBuf::from(path.strip_suffix(below.as_str()).unwrap_or("/nonexistent"));
    for name in reader.names("deployment/playbook") {
        let kept = reader.entry(&format!("deployment/playbook/{name}"))?;
        // What cannot be read there is as good as not there.
        let there = files::read(&root.join(name)).ok().flatten().map(|found| found.content);
        if there != kept {
            return Ok(Some(store.path("playbook").join(below).display().to_string()));
        }
    }
    Ok(Some(path.clone()))
}

async fn set_up(
    session: &Session,
    reader: Arc<Reader>,
    store: Store,
    record: Record,
    turn: &Turn,
    started: Instant,
) -> Result<()> {
    let run = session.restoring(store, Restore::new(reader.clone()));
    let ready = async {
        let playbook = playbook_of(&record)?;
        let values = playbook.settle(&record.inputs)?;
        let mut graph = Graph::build(playbook, values, run.store.name(), run.store.is_rendering())?;
        let mut dumped = BTreeSet::new();
        for part in &reader.contents.parts {
            if !graph.nodes.contains_key(&part.container) {
                return Err(Error::new(format!(
                    "with these inputs the playbook has no container `{}`, and the backup holds its volume `{}`",
                    part.container, part.volume
                ))
                .hint("nothing was changed; restore it with the inputs that it had, and change them afterwards"));
            }
            dumped.extend(part.dump.as_ref().map(|_| part.container.clone()));
        }
        // A container that serves while the database is empty would make a new site.
        graph.put_first(&dumped, ContainerKind::NAME)?;
        let plan = Plan::make(&graph, &run, &record.kinds).await?;
        graph.outputs(&plan.known)?;
        Ok((graph, plan))
    };
    let (graph, plan) = match ready.await {
        Ok(ready) => ready,
        Err(error) => {
            turn.forget(&run.store)?;
            return Err(error);
        }
    };
    if let Some(path) = record.playbook.path.as_ref().filter(|path| Path::new(path).starts_with(run.store.path(""))) {
        run.events.note(None, format!("the playbook's own file is `{path}` now"));
    }
    apply::carry_out(&plan, Prepared { graph, run: run.clone(), earlier: None, record }, turn, started).await?;
    match run.restore.as_ref().map(Restore::untaken).unwrap_or_default().as_slice() {
        [] => Ok(()),
        volumes => Err(Error::new(format!("the backup holds volumes that no container took: {}", volumes.join(", ")))
            .hint("everything else is restored; `age -d FILE | tar x` opens the backup")),
    }
}
