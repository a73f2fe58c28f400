//! `provision gc`: frees what no image of a registry needs, while it goes on serving.

use super::store::{Place, WATCH};
use crate::error::{Error, Result};
use crate::registry::garbage::{Collected, Collection};
use crate::registry::job::{Said, Task};
use crate::session::Session;
use crate::text::size::readable;

/// How a collection is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Seconds.
    pub grace: u64,
    pub untagged: Option<u64>,
    pub dry_run: bool,
}

pub(crate) async fn run(session: &Session, name: &str, wanted: Wanted) -> Result<()> {
    check(&Place::find(session, name)?, name)?;
    let _lock = session.lock(name, "gc").await?;
    let place = Place::find(session, name)?;
    if wanted.grace == 0 && !wanted.dry_run {
        session.events.note(None, "a push that is under way may get an error and need a retry; no image is broken");
    }
    let collection = Collection {
        folder: format!("{WATCH}/keys"),
        // In a container, nginx is the first process.
        nginx: 1,
        grace: wanted.grace,
        untagged: wanted.untagged,
        dry_run: wanted.dry_run,
        program: Vec::new(),
        without: Vec::new(),
    };
    let Said::Collected(collected) = place.carry_out(Task::Collect(collection)).await?.checked()? else {
        return Err(Error::new("the collection gave no result"));
    };
    told(&collected, wanted).into_iter().for_each(|text| session.events.note(None, text));
    Ok(())
}

/// Fails for a registry beside which nothing can be collected safely.
pub(super) fn check(place: &Place, name: &str) -> Result<()> {
    let refuse = |what: String, hint: String| Err(Error::new(what).hint(hint));
    if !place.input("redis").is_empty() {
        return refuse(
            format!("`{name}` keeps what it knows of layers in Redis, and goes on serving what is gone"),
            format!("`provision registry --name {name} --redis ''` takes that away; then run the command again"),
        );
    }
    if !place.input("mirror-of").is_empty() {
        return refuse(
            format!("`{name}` passes pulls on, and fetches what is missing behind nginx's back"),
            "what it keeps expires by itself: `--mirror-ttl` says when".to_owned(),
        );
    }
    if place.is_on_host() {
        return refuse(
            format!("`{name}` runs on the host, where `provision gc` does not collect"),
            "stop pushes, then run `docker-registry garbage-collect /etc/docker/registry/config.yml` as its user"
                .to_owned(),
        );
    }
    Ok(())
}

fn told(collected: &Collected, wanted: Wanted) -> Vec<String> {
    let count = |manifests: u64, blobs: u64, bytes: u64| {
        let manifests =
            if manifests == 0 { String::new() } else { format!("{manifests} manifests without a tag and ") };
        format!("{manifests}{blobs} blobs ({})", readable(bytes))
    };
    let freed = count(collected.manifests_freed, collected.blobs_freed, collected.bytes_freed);
    let waiting = count(collected.manifests_waiting, collected.blobs_waiting, collected.bytes_waiting);
    let nothing_waits = collected.manifests_waiting + collected.blobs_waiting == 0;
    let mut lines = Vec::new();
    if !wanted.dry_run {
        lines.push(format!("freed {freed}"));
    }
    if nothing_waits {
        lines.push("images need all that is there: nothing is left to free".to_owned());
    } else {
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
