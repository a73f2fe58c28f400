//! `provision gc`: frees what no image of a registry needs, while it goes on serving.

pub(crate) mod undelete;

use super::store::{Place, WATCH};
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::registry::garbage::pushes::Pushes;
use crate::registry::garbage::{Collected, Collection, Limits, obstacle};
use crate::registry::job::{Said, Task};
use crate::registry::retention::Kept;
use crate::session::{Session, playbook_of};
use crate::text::size::readable;

/// How many lines of nginx's log are looked at for the longest push.
const LINES: usize = 100_000;

/// How a collection is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Seconds; 0 frees at once.
    pub grace: u64,
    pub untagged: Option<u64>,
    pub dry_run: bool,
    pub limits: Limits,
}

pub(crate) async fn run(session: &Session, name: &str, wanted: Wanted) -> Result<()> {
    check_kind(name)?;
    let (mut lines, collected) = collect(session, name, wanted, "gc").await?;
    lines.extend(told(&collected, wanted));
    lines.into_iter().for_each(|text| session.events.note(None, text));
    Ok(())
}

/// Fails for what is no registry of ours, or none beside which nothing can be collected.
pub(super) fn check_kind(name: &str) -> Result<()> {
    if name.contains([':', '/']) {
        return Err(Error::new(format!("nothing is collected beside `{name}`: no nginx of `provision registry` stands in front of it"))
            .hint("`provision migrate` moves its images into a registry that has one; or stop pushes, and run `registry garbage-collect` where its store is"));
    }
    check(&Store::existing(name)?.1, name)
}

/// Fails for a registry beside which nothing can be collected safely.
pub(super) fn check(record: &Record, name: &str) -> Result<()> {
    obstacle::check(name, &record.playbook.name, &playbook_of(record)?.settle(&record.inputs)?)
}

/// Collects, and gives what has to be known of how, beside what came of it.
pub(super) async fn collect(
    session: &Session,
    name: &str,
    wanted: Wanted,
    verb: &str,
) -> Result<(Vec<String>, Collected)> {
    let _lock = session.lock(name, verb).await?;
    let place = Place::find(session, name)?;
    check(&place.prepared.record, name)?;
    let kept = Kept::read(&place.prepared.run.store)?;
    let mut lines = Vec::new();
    let mut grace = wanted.grace;
    if !wanted.dry_run && grace > 0 {
        let longest = longest_push(&place, name).await?;
        if longest > grace {
            lines.push(format!("a push took {}: that is the grace, instead of {}", duration(longest), duration(grace)));
            grace = longest;
        }
    } else if !wanted.dry_run {
        lines.push("a push that is under way may get an error and need a retry; no image is broken".to_owned());
    }
    let collection = Collection {
        folder: format!("{WATCH}/keys"),
        // In a container, nginx is the first process.
        nginx: 1,
        grace,
        untagged: wanted.untagged,
        rules: kept.confirmed(),
        held: kept.held,
        dry_run: wanted.dry_run,
        program: Vec::new(),
        limits: wanted.limits,
        without: Vec::new(),
    };
    let Said::Collected(collected) = place.carry_out(Task::Collect(collection)).await?.checked()? else {
        return Err(Error::new("the collection gave no result"));
    };
    Ok((lines, collected))
}

/// The seconds that the longest push took of those that nginx's log still has: what is about to be needed must not go meanwhile.
async fn longest_push(place: &Place, name: &str) -> Result<u64> {
    let engine = place.prepared.run.engine().await?;
    let mut pushes = Pushes::default();
    engine.logs(&format!("{name}-proxy"), LINES).await.iter().for_each(|line| pushes.note(line));
    Ok(pushes.longest())
}

/// What a collection leaves for a later one.
pub(super) fn waiting(collected: &Collected) -> Option<String> {
    let is_any = collected.manifests_waiting + collected.blobs_waiting > 0;
    is_any.then(|| count(collected.manifests_waiting, collected.blobs_waiting, collected.bytes_waiting))
}

fn count(manifests: u64, blobs: u64, bytes: u64) -> String {
    let manifests = if manifests == 0 { String::new() } else { format!("{manifests} manifests without a tag and ") };
    format!("{manifests}{blobs} blobs ({})", readable(bytes))
}

pub(super) fn told(collected: &Collected, wanted: Wanted) -> Vec<String> {
    let freed = count(collected.manifests_freed, collected.blobs_freed, collected.bytes_freed);
    let mut lines = Vec::new();
    if !wanted.dry_run {
        lines.push(format!("freed {freed}"));
    }
    let Some(waiting) = waiting(collected) else {
        lines.push("images need all that is there: nothing is left to free".to_owned());
        return lines;
    };
    let when = match (wanted.dry_run, collected.next, collected.last) {
        (true, ..) => "a run without `--dry-run` lists them, and a later one frees them".to_owned(),
        (_, 0, 0) => "the next run frees them unless somebody asks for them".to_owned(),
        (_, next, last) if next == last => {
            format!("a run in {} frees them unless somebody asks for them", duration(last))
        }
        (_, next, last) => {
            format!("runs in {} to {} free them unless somebody asks for them", duration(next), duration(last))
        }
    };
    lines.push(format!("no image needs {waiting}: {when}"));
    if collected.keeps_versions {
        lines.push(
            "the bucket keeps earlier versions of what was freed: their space comes free when its lifecycle lets them expire".to_owned(),
        );
    }
    if collected.is_cut {
        lines.push("the time that it may take was over: the next run frees the rest".to_owned());
    }
    if collected.is_capped {
        lines.push("there is more than nginx can watch at once: later runs list the rest".to_owned());
    }
    lines
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3600)),
    }
}
