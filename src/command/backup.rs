//! `provision backup`: all of a deployment that cannot be made again, in one encrypted file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use time::format_description::well_known::Rfc3339;

use crate::deployment::Store;
use crate::deployment::backup::{Contents, FORMAT, Key, Part, Pieces, Reader, Seal, Whole, Writer};
use crate::deployment::measured::{Backup, Measured};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::plan::{Known, at, decode, located};
use crate::formats::yaml::Source;
use crate::report::ask_hidden;
use crate::resource::docker::volume::VolumeKind;
use crate::resource::run::Run;
use crate::resource::{At, KINDS, Kind, Thing};
use crate::session::{Prepared, Session};
use crate::text::size::readable;
use crate::world::files;
use crate::world::stop::Stopper;
use crate::world::typed::{self, Unfinished};

/// Bytes between two words of how far it is.
const NEWS: u64 = 1 << 20;

/// What a backup is encrypted with, as the command line says it; with neither, a passphrase is asked for.
pub(crate) struct Sealing {
    pub recipients: Vec<String>,
    pub passphrase_file: Option<String>,
}

/// Writes a key that opens backups into a new file, and prints whom to encrypt for.
pub(crate) fn new_key(file: &str) -> Result<()> {
    typed::refuse_existing(file)?;
    let (key, recipient) = Key::pair();
    typed::write(file, format!("# public key: {recipient}\n{}\n", key.expose()).as_bytes(), 0o600, false)?;
    crate::report::text(&format!("{recipient}\n"));
    Ok(())
}

/// A part with the means to read it.
struct Planned {
    part: Part,
    kind: &'static crate::resource::Entry,
    spec: std::sync::Arc<Thing>,
    at: At,
}

pub(crate) async fn run(session: &Session, name: &str, file: &str, sealing: Sealing) -> Result<()> {
    let started = Instant::now();
    let path = PathBuf::from(typed::shown(file)?);
    typed::refuse_existing(file)?;
    Store::existing(name)?;
    // Asked for before the lock is taken: somebody else may work meanwhile.
    let seal = sealing.ask(&session.stopper).await?;
    let _lock = session.lock(name, "backup").await?;
    let unfinished = Unfinished::create(&path.to_string_lossy())?;
    within(session, name, (&path, unfinished), seal, started, async |_, whole| whole.publish()).await
}

/// Writes a backup into a file that was begun, and has it published once it is whole.
pub(super) async fn within(
    session: &Session,
    name: &str,
    (path, unfinished): (&Path, Unfinished),
    seal: Seal,
    started: Instant,
    publish: impl AsyncFnOnce(&Run, Unfinished) -> Result<()>,
) -> Result<()> {
    let prepared = session.reopen(name)?;
    if prepared.record.kept {
        return Err(Error::new(format!(
            "the deployment `{name}` was destroyed; what was kept of it has no containers to be read through"
        ))
        .hint(format!("`provision apply {name}` takes the data up again; then run the command again")));
    }
    let run = prepared.run.clone();
    let parts = parts(&prepared).await?;
    let (own, main) = playbook_files(&prepared);
    let kept = kept(&run.store)?;
    let contents = Contents {
        format: FORMAT,
        deployment: name.to_owned(),
        playbook: prepared.record.playbook.name.clone(),
        file: main,
        time: run.now.format(&Rfc3339).unwrap_or_default(),
        provision: env!("CARGO_PKG_VERSION").to_owned(),
        parts: parts.iter().map(|planned| planned.part.clone()).collect(),
    };
    let fail = |error: io::Error| files::failed("write", path, &error);
    let (encryptor, key) = seal.encryptor()?;
    let seconds = u64::try_from(run.now.unix_timestamp()).unwrap_or_default();
    let mut writer = Writer::new(unfinished.writer()?, encryptor, &contents, seconds).map_err(fail)?;
    for (name, content) in kept.iter().chain(&own) {
        writer.entry(&format!("deployment/{name}"), content).map_err(fail)?;
    }
    for planned in &parts {
        planned.write(&mut writer, path).await?;
    }
    writer.finish().map_err(fail)?;
    let bytes = verify(&unfinished, path, &key, &run)?;
    run.check_cancelled()?;
    publish(&run, unfinished).await?;
    let mut measured = Measured::read(&run.store);
    measured.backup = Some(Backup { file: path.display().to_string(), bytes, time: contents.time });
    measured.keep(&run.store);
    finish(&run, path, bytes, parts.len(), started);
    Ok(())
}

impl Sealing {
    async fn ask(self, stopper: &Stopper) -> Result<Seal> {
        if !self.recipients.is_empty() {
            return Seal::recipients(&self.recipients);
        }
        if let Some(file) = self.passphrase_file {
            return typed::secret_apart(&file, "passphrase", stopper).await.map(Seal::Passphrase);
        }
        let Some(passphrase) = ask_hidden("Passphrase for the backup", stopper).await? else {
            return Err(Error::usage("no terminal to ask for a passphrase")
                .hint("give `--passphrase-file FILE`, where `-` is the standard input, or `--recipient age1…`"));
        };
        if passphrase.expose().is_empty() {
            return Err(Error::usage("no passphrase was given").hint("no backup was written"));
        }
        if ask_hidden("The same again", stopper).await?.as_ref() != Some(&passphrase) {
            return Err(Error::usage("the passphrases differ").hint("no backup was written; run the command again"));
        }
        Ok(Seal::Passphrase(passphrase))
    }
}

/// Everything that has to be read from the engine, dumps first: what a database names is then in the volumes read after it.
async fn parts(prepared: &Prepared) -> Result<Vec<Planned>> {
    let Prepared { graph, run, .. } = prepared;
    let known = Known::default();
    let mut parts: BTreeMap<String, Planned> = BTreeMap::new();
    for id in &graph.order {
        let kind = graph.nodes[id].kind;
        let at = at(graph, run, id);
        let spec = std::sync::Arc::new(decode(graph, id, &known, &at)?);
        let held = (kind.backup)(&spec, &at).await.map_err(|error| located(graph, id, error))?;
        known.insert(id, held.outputs);
        for part in held.parts {
            let dumped = parts.get(&part.volume).is_some_and(|other| other.part.dump.is_some());
            if !dumped && (part.dump.is_some() || !parts.contains_key(&part.volume)) {
                let planned = Planned { part, kind, spec: spec.clone(), at: at.clone() };
                parts.insert(planned.part.volume.clone(), planned);
            }
        }
    }
    unread(&parts, prepared).await?;
    let mut parts: Vec<Planned> = parts.into_values().collect();
    parts.sort_by_key(|planned| planned.part.dump.is_none());
    Ok(parts)
}

/// Tells which volumes with data no container mounts, so that they cannot be read.
async fn unread(parts: &BTreeMap<String, Planned>, prepared: &Prepared) -> Result<()> {
    let Prepared { run, record, .. } = prepared;
    // Other kinds need no engine.
    let volumes: BTreeSet<&str> =
        record.kinds.iter().map(String::as_str).filter(|kind| *kind == VolumeKind::NAME).collect();
    let owned = crate::execution::unused::owned(run, &volumes).await?;
    for (_, volume) in owned.iter().filter(|(_, volume)| volume.data && !parts.contains_key(&volume.id)) {
        let text =
            format!("the volume `{}` is mounted by no container of the playbook and is not backed up", volume.label);
        run.events.note(Some(&volume.id), text);
    }
    Ok(())
}

impl Planned {
    async fn write(&self, writer: &mut Writer, path: &Path) -> Result<()> {
        let Self { part, kind, spec, at } = self;
        let (run, started) = (&at.run, Instant::now());
        run.check_cancelled()?;
        let resource = part.volume.clone();
        run.events.send(Event::Started { resource: resource.clone(), kind: "volume", action: "back up" });
        let fail = |error: io::Error| files::failed("write", path, &error);
        let mut pieces = Pieces::new(writer, part.entry());
        let mut whole = Whole::default();
        let (mut done, mut told) = (0, 0);
        let mut sink = |bytes: &[u8]| {
            if part.dump.is_none() {
                whole.push(bytes)?;
            }
            done += bytes.len() as u64;
            if done - told >= NEWS {
                told = done;
                let text = format!("back up {}", readable(done));
                run.events.send(Event::Progress { resource: resource.clone(), text, done, total: 0 });
            }
            pieces.push(bytes).map_err(fail)
        };
        let read = run.interruptible((kind.read)(part, spec, at, &mut sink)).await;
        read.map_err(|error| error.within(format!("volume `{}`", part.volume)))?;
        if part.dump.is_none() && !whole.is_whole() {
            return Err(Error::new(format!("volume `{}`: a file became shorter while it was read", part.volume)).hint(
                "no backup was written; run the command again, or let a program make a dump: `backup:` in the playbook",
            ));
        }
        pieces.finish().map_err(fail)?;
        run.events.send(Event::Finished {
            resource,
            kind: "volume",
            action: "backed up",
            milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        Ok(())
    }
}

/// What is kept in the deployment's folder and is not about this host alone.
fn kept(store: &Store) -> Result<Vec<(String, Vec<u8>)>> {
    let mut kept = Vec::new();
    for key in store.keys()? {
        let folder = key.split('/').next().unwrap_or_default();
        let elsewhere = KINDS.iter().any(|kind| kind.of_this_host && kind.name == folder);
        if elsewhere || ["lock", "pending", "playbook"].contains(&folder) {
            continue;
        }
        let found = files::read(&store.path(&key))?;
        kept.extend(found.map(|found| (key, found.content)));
    }
    Ok(kept)
}

/// The files of a user's own playbook as they are to stand below `deployment/`, and which of them is the playbook itself.
fn playbook_files(prepared: &Prepared) -> (Vec<(String, Vec<u8>)>, Option<String>) {
    let record = &prepared.record.playbook;
    let Some(path) = &record.path else { return (Vec::new(), None) };
    let main = plain(Path::new(path));
    let mut texts: BTreeMap<PathBuf, &str> =
        prepared.graph.files.iter().map(|(path, text)| (plain(path), text.as_str())).collect();
    let source = Source::joined(path.as_str(), record.text.as_str());
    // Its parts stand beside it.
    let beside = |file: &str| main.with_file_name(Path::new(file).file_name().unwrap_or_default());
    texts.extend(source.each().map(|(file, text)| (beside(file), text)));
    // The nearest folder above all of them, so that they find each other by the same names.
    let folder = main.ancestors().skip(1).find(|folder| texts.keys().all(|path| path.starts_with(folder)));
    let folder = folder.unwrap_or(Path::new("/")).to_path_buf();
    let below = |path: &Path| path.strip_prefix(&folder).unwrap_or(path).to_string_lossy().into_owned();
    let files = texts.iter().map(|(path, text)| (format!("playbook/{}", below(path)), text.as_bytes().to_vec()));
    (files.collect(), Some(below(&main)))
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

/// Reads back what was written, and gives its size.
fn verify(unfinished: &Unfinished, path: &Path, key: &Key, run: &Run) -> Result<u64> {
    let started = Instant::now();
    let shown = path.display().to_string();
    let file = unfinished.reader()?;
    let bytes = file.size();
    let verified = Reader::sealed(file, &shown).and_then(|sealed| Reader::open(sealed, key));
    verified.map_err(|error| {
        Error::new(format!("what was written cannot be read back: {error}"))
            .hint("no backup was written; check that disk, and its memory, or write to another one")
    })?;
    run.events.send(Event::Finished {
        resource: shown,
        kind: "file",
        action: "verified",
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(bytes)
}

fn finish(run: &Run, path: &Path, bytes: u64, changed: usize, started: Instant) {
    let deployment = run.store.name().to_owned();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.events.send(Event::Summary { deployment: deployment.clone(), changed, milliseconds, outcome: "backed up" });
    let outputs = [("file", path.display().to_string()), ("size", readable(bytes))];
    let outputs = outputs.map(|(name, value)| (name.to_owned(), value)).into();
    run.events.send(Event::Outputs { deployment, outputs });
}
