//! `provision drill`: whether a backup could be restored, by restoring it beside what it was made of, and removing all of it again.

mod blog;
mod inputs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::restore::{self, Opening};
use super::store::Place;
use super::{destroy, fsck};
use crate::deployment::backup::Reader;
use crate::deployment::upkeep::Upkeep;
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::job::{Said, Task};
use crate::session::{Session, playbook_of};
use crate::text::size::readable;

/// The mark of a deployment that a drill has made: the next drill may remove it.
const MARK: &str = "drill";
/// How the names of such deployments begin, and how long one may be.
const PREFIX: &str = "drill-";
const LONGEST: usize = 40;

/// What was found in the end.
pub(crate) struct Drilled {
    /// Whether all of it is as it should be.
    pub whole: bool,
    /// What was looked at, in words.
    pub words: String,
}

/// Drills a backup, and tells what differs; true if anything does.
pub(crate) async fn run(session: &Session, file: &str, opening: Opening) -> Result<bool> {
    let drilled = drill(session, file, &opening).await?;
    session.events.note(None, drilled.words);
    Ok(!drilled.whole)
}

/// Restores a backup beside, compares, and removes all of it.
///
/// # Errors
/// It cannot be opened or restored, or what was restored cannot be removed again.
pub(crate) async fn drill(session: &Session, file: &str, opening: &Opening) -> Result<Drilled> {
    let started = Instant::now();
    let session = Session { yes: true, ..session.clone() };
    let reader = Arc::new(restore::open(file, opening, &session.stopper).await?);
    restore::tell_verified(&session, file, started)?;
    let record = restore::record(&reader, file)?;
    if let Some(why) = outside(&record)? {
        let words = format!("`{file}`: every file in it is as it was written; nothing was restored, because {why}");
        return Ok(Drilled { whole: true, words });
    }
    let name = name(&reader.contents.deployment);
    sweep(&session, &name).await?;
    let record = beside(&record)?;
    let outcome = set_up_and_compare(&session, &name, &reader, &record, started).await;
    let removed = sweep(&session, &name).await;
    let found = match (outcome, removed) {
        (Ok(found), Ok(())) => found,
        (Err(error), Ok(())) => return Err(error.within(format!("the drill of `{file}`"))),
        (_, Err(error)) => {
            return Err(error
                .within("what the drill restored is not all removed")
                .hint(format!("`provision destroy {name} --yes` removes it, and so does the next drill")));
        }
    };
    let Compared { what, wrong } = found;
    for text in &wrong {
        session.events.send(Event::Finding {
            danger: "differs",
            place: file.to_owned(),
            what: text.clone(),
            consequence: "a restore of this backup would not be what was backed up",
            remedy: "make another backup and drill that; `provision fsck` tells whether the registry itself is whole"
                .to_owned(),
        });
    }
    let seconds = started.elapsed().as_secs();
    let verdict = match wrong.len() {
        0 => "all as it should be".to_owned(),
        1 => "1 difference".to_owned(),
        count => format!("{count} differences"),
    };
    let words = format!("drill of `{file}`: {verdict}; {what}; restored, compared and removed in {seconds} s");
    Ok(Drilled { whole: wrong.is_empty(), words })
}

/// What was compared, and what of it differs.
struct Compared {
    what: String,
    wrong: Vec<String>,
}

async fn set_up_and_compare(
    session: &Session,
    name: &str,
    reader: &Arc<Reader>,
    record: &Record,
    started: Instant,
) -> Result<Compared> {
    session
        .alone(name, "drill", async |turn| {
            let (store, _) = Store::open(name)?;
            store.put(MARK, "made by a drill, and removed by the next one")?;
            restore::within(session, name, reader, record, turn, started).await
        })
        .await?;
    match record.playbook.name.as_str() {
        "blog" => blog::compare(session, name).await,
        _ => registry(session, name).await,
    }
}

/// Reads every byte of a restored registry's store. Its login, a push and a pull were tried when it was restored.
async fn registry(session: &Session, name: &str) -> Result<Compared> {
    let place = Place::find(session, name)?;
    let Said::Examined(findings) = Box::pin(place.carry_out(Task::Fsck { deep: true })).await?.checked()? else {
        return Err(Error::new("the examination gave no findings"));
    };
    let wrong = findings.damages.iter().map(|(damage, images)| {
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        format!("{}: {}", fsck::place(damage, &images), damage.what)
    });
    let what = format!(
        "{} tags, {} manifests and {} blobs ({}), every byte compared with its digest",
        findings.tags,
        findings.manifests,
        findings.blobs,
        readable(findings.bytes)
    );
    Ok(Compared { what, wrong: wrong.collect() })
}

/// Why a backup is not restored beside what it was made of, if it is not.
fn outside(record: &Record) -> Result<Option<String>> {
    let playbook = &record.playbook;
    if playbook.path.is_some() || !["registry", "blog"].contains(&playbook.name.as_str()) {
        let why = "a drill knows which inputs of `registry` and `blog` to change for it, and this is another playbook";
        return Ok(Some(why.to_owned()));
    }
    let inputs = playbook_of(record)?.settle(&record.inputs)?;
    let text = |name: &str| inputs.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    if playbook.name == "registry" && text("flavor") != "local" {
        return Ok(Some(format!(
            "its images are in a store outside (`--flavor {}`), which a drill neither writes to nor owns",
            text("flavor")
        )));
    }
    if text("on") == "host" {
        return Ok(Some("it is a service of the host, and a second one beside it would take its place".to_owned()));
    }
    if !text("data-volume").is_empty() {
        return Ok(Some(format!(
            "its images are in `{}`, which is used where it is and not in the backup",
            text("data-volume")
        )));
    }
    Ok(None)
}

/// The record as one of a deployment that is in nobody's way.
fn beside(record: &Record) -> Result<Record> {
    let playbook = playbook_of(record)?;
    let mut inputs = record.inputs.clone();
    inputs.extend(inputs::beside(&playbook)?);
    let upkeep = Upkeep::none();
    Ok(Record { inputs, outputs: BTreeMap::new(), upkeep, ..record.clone() })
}

/// The name of the restored deployment.
fn name(deployment: &str) -> String {
    let mut name = format!("{PREFIX}{deployment}");
    name.truncate(LONGEST);
    name
}

/// Removes what a drill has made, this one or one that was killed.
async fn sweep(session: &Session, name: &str) -> Result<()> {
    let (store, record) = Store::open(name)?;
    let is_ours = store.get(MARK)?.is_some();
    match record {
        None if is_ours => session.alone(name, "drill", async |turn| Ok(turn.forget(&store)?)).await,
        None => Ok(()),
        Some(_) if is_ours => Box::pin(destroy::run(session, name, false)).await,
        Some(_) => Err(Error::new(format!("there is a deployment `{name}` that no drill has made"))
            .hint("a drill restores under that name; destroy that deployment first, or give it another name")),
    }
}
