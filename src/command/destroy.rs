//! `provision destroy`: removes what a deployment owns, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::timer;
use super::turn::{Halt, Turn};
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::apply::remove;
use crate::resource::run::Run;
use crate::resource::{At, Entry, KINDS, Owned, with_also};
use crate::session::Session;
use crate::world::{host, near};

/// What is said where nobody can be asked.
const HINT: &str = "`--yes` says yes; `--keep-data` leaves volumes and their secrets for the next run";
/// How long something may stand in the way that goes by itself, such as another removal of the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same if a run was killed whose requests an engine may still be working on.
const MORE_PATIENCE: Duration = Duration::from_secs(30);
/// Milliseconds between two attempts.
const PAUSE: u64 = 100;

/// With `keep_data`, volumes stay, and the secrets that open them.
///
/// It goes by what exists with the deployment's mark, not by the playbook, so a playbook that changed or cannot be read any
/// more is no hindrance.
pub(crate) async fn run(session: &Session, name: &str, keep_data: bool) -> Result<()> {
    let started = Instant::now();
    Store::existing(name)?;
    session.alone(name, "destroy", async |turn| within(session, name, keep_data, turn, started).await).await
}

async fn within(
    session: &Session,
    name: &str,
    keep_data: bool,
    turn: &Turn,
    started: Instant,
) -> std::result::Result<(), Halt> {
    let (store, record) = Store::existing(name)?;
    let run = session.run(store);
    let kinds: BTreeSet<&str> = record.kinds.iter().map(String::as_str).collect();
    let found = removable(&run, &kinds, keep_data).await?;
    turn.may_delete(data(&found), HINT)?;
    let changed = clear(&run, &kinds, keep_data, found, turn).await?;
    if keep_data {
        run.store.save(&Record { kept: true, outputs: std::collections::BTreeMap::new(), ..record })?;
        turn.lock.leave_open(false);
    } else {
        turn.forget(&run.store)?;
    }
    if let Some(near) = near::get() {
        near.authorities(name, Vec::new());
    }
    let changed = changed + timer::settle(&run, 0).await;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.events.send(Event::Summary {
        deployment: name.to_owned(),
        changed,
        milliseconds,
        outcome: if keep_data { "destroyed; its data is kept" } else { "destroyed" },
    });
    Ok(())
}

/// What of it cannot be made again. Secrets that open nothing any more are no loss.
pub(super) fn data(found: &[(&'static Entry, Owned)]) -> Vec<String> {
    let data = found.iter().filter(|(kind, owned)| owned.data && kind.name != "secret");
    data.map(|(kind, owned)| format!("{} {}", kind.name, owned.label)).collect()
}

/// Removes what was found, and looks again until nothing more appears; gives how many things there were.
async fn clear(
    run: &Arc<Run>,
    kinds: &BTreeSet<&str>,
    keep_data: bool,
    mut found: Vec<(&'static Entry, Owned)>,
    turn: &Turn,
) -> std::result::Result<usize, Halt> {
    let (begun, mut removed) = (Instant::now(), BTreeSet::new());
    let patience = if turn.lock.is_open() { MORE_PATIENCE } else { PATIENCE };
    loop {
        let failure = remove_all(&found, run, &mut removed).await;
        let is_over = begun.elapsed() > patience;
        if let Some(error) = failure.filter(|error| is_over || !(error.is_moved() || turn.lock.is_open())) {
            let hint = "everything else is gone; run the command again to try the rest";
            return Err(error.hint(hint).into());
        }
        if !turn.is_quiet() && found.is_empty() {
            turn.quiet().await;
        }
        found = removable(run, kinds, keep_data).await?;
        // Some stores list a thing for a while after it was removed.
        let is_gone = |(kind, owned): &(&Entry, Owned)| removed.contains(&(kind.name, owned.handle.clone()));
        if found.iter().all(|one| is_over && is_gone(one)) && turn.is_quiet() {
            return Ok(removed.len());
        }
        turn.may_delete(data(&found), HINT)?;
        if !found.is_empty() {
            host::sleep(PAUSE).await;
        }
    }
}

/// Removes all that can be; the first failure comes back.
async fn remove_all(
    found: &[(&'static Entry, Owned)],
    run: &Arc<Run>,
    removed: &mut BTreeSet<(&'static str, String)>,
) -> Option<Error> {
    let mut failure = None;
    for kind in KINDS.iter().rev() {
        let mine: Vec<&Owned> = found.iter().filter(|(of, _)| of.name == kind.name).map(|(_, owned)| owned).collect();
        let results = join_all(mine.iter().map(|owned| remove(kind, owned, run))).await;
        for (owned, result) in mine.into_iter().zip(results) {
            match result {
                Ok(()) => drop(removed.insert((kind.name, owned.handle.clone()))),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
    }
    failure
}

/// Everything that the deployment owns, if all of it may be removed. Kind after kind: with the credentials of another
/// account, the first of AWS tells so.
async fn removable(run: &Arc<Run>, kinds: &BTreeSet<&str>, keep_data: bool) -> Result<Vec<(&'static Entry, Owned)>> {
    let mut found = Vec::new();
    for kind in with_also(kinds) {
        let at = At { id: String::new(), kind: kind.name, run: run.clone() };
        for owned in (kind.owned)(&at).await? {
            if keep_data && owned.data {
                continue;
            }
            let at = At { id: owned.id.clone(), ..at.clone() };
            (kind.may_remove)(&owned, &at).await?;
            found.push((kind, owned));
        }
    }
    Ok(found)
}
