//! Takes away what nobody needs any more: [`reap`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use super::job::clear_buckets;
use super::name::is_name;
use crate::deployment::lease::{Claim, Claimed, Lease, Standing, claimed, remove};
use crate::deployment::leased;
use crate::deployment::lock::Lock;
use crate::error::Result;
use crate::world::engine::Engine;
use crate::world::{files, host, process};

/// How long an engine that was asked for something by a process that was killed may take until it is there, at least; and
/// how many times as long as it takes to remove things.
const QUIET: Duration = Duration::from_millis(1500);
const SLOWER: u32 = 4;
/// Milliseconds between two looks.
const PAUSE: u64 = 100;
/// How long things are tried to be removed.
const PATIENCE: Duration = Duration::from_mins(2);

/// A deployment that nobody needs any more.
#[derive(Debug, Default)]
pub(crate) struct Corpse {
    pub name: String,
    pub why: String,
    /// How many things of it were removed from the engine.
    pub things: usize,
    folder: Option<PathBuf>,
    settled: bool,
}

/// What is known of one deployment with a lease.
#[derive(Default)]
struct Known {
    name: String,
    claims: Vec<Claim>,
    folder: Option<PathBuf>,
    settled: bool,
}

/// Removes every deployment whose lease has ended: its things on this engine, whoever made them, and this user's folders.
///
/// It may run beside another one, and beside jobs that start: what they make has their claim from the first moment. `lock` takes
/// the lock of a deployment of this user; one for which it gives none is left to the next.
///
/// # Errors
/// What could not be removed; everything else is gone by then.
pub(crate) async fn reap(engine: &Engine, lock: impl AsyncFn(&str) -> Result<Option<Lock>>) -> Result<Vec<Corpse>> {
    let mut corpses = find(engine).await?;
    if !corpses.is_empty() {
        // A process that left things to a later claim may have done so, and ended, between the list and the look at it. Now
        // that it has ended, a second list has that claim.
        let mut sure = find(engine).await?;
        sure.retain(|id, _| corpses.contains_key(id));
        corpses = sure;
    }
    let lock = &lock;
    let removals = corpses.into_iter().map(|(id, mut corpse)| async move {
        let Some(folder) = &corpse.folder else {
            corpse.things = bury(engine, &id, corpse.settled).await?;
            return Ok(Some(corpse));
        };
        let Some(lock) = lock(&corpse.name).await? else { return Ok(None) };
        corpse.things = bury(engine, &id, corpse.settled).await?;
        if files::exists(folder) {
            clear_buckets(&corpse.name).await?;
            remove_folder(folder).await?;
        }
        // Nothing of it can appear any more that would have to be known.
        lock.leave_open(false);
        Ok(Some(corpse))
    });
    join_all(removals).await.into_iter().filter_map(Result::transpose).collect()
}

/// The deployments whose every claim has ended, by their ids.
async fn find(engine: &Engine) -> Result<BTreeMap<String, Corpse>> {
    let (here, now) = (process::here(), host::now().unix_timestamp());
    let mut corpses = BTreeMap::new();
    let known = known(engine).await?;
    // Looked for after the claims: each container that has made one runs by then, or has ended.
    let in_containers = known.values().flat_map(|known| &known.claims).any(|claim| claim.container.is_some());
    let running = if in_containers { engine.running_containers().await? } else { Vec::new() };
    let running: BTreeSet<String> = running.into_iter().filter_map(|found| found.id).collect();
    for (id, known) in known {
        let mut why = "its folder is incomplete".to_owned();
        let ended = known.claims.iter().all(|claim| {
            match claim.standing(&here, process::see, |container| running.contains(container), now) {
                Standing::Holds => false,
                standing => {
                    let what = if standing == Standing::Expired { "has expired" } else { "has lost its owner" };
                    why = format!("the lease of {}@{} {what}", claim.user, claim.place.host);
                    true
                }
            }
        });
        if ended {
            let Known { name, folder, settled, .. } = known;
            corpses.insert(id, Corpse { name, why, things: 0, folder, settled });
        }
    }
    Ok(corpses)
}

/// Every deployment with a lease, by its id: from this user's folders, and from what is on the engine.
async fn known(engine: &Engine) -> Result<BTreeMap<String, Known>> {
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for (folder, lease) in leased(is_name)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = Some(folder);
        match lease {
            Some(lease) if lease.engine == engine.address() => {
                let Lease { id, claim, later, settled, .. } = lease;
                let claims = [claim].into_iter().chain(later).collect();
                known.insert(id, Known { name, claims, folder, settled });
            }
            Some(_) => {}
            // Nothing is asked of an engine before the lease is written.
            None => drop(known.insert(name.clone(), Known { name, folder, settled: true, claims: Vec::new() })),
        }
    }
    for Claimed { id, deployment, claim, .. } in claimed(engine, None).await? {
        let entry = known.entry(id).or_default();
        entry.name = deployment;
        entry.claims.push(claim);
    }
    Ok(known)
}

/// Removes everything of a deployment until nothing more appears; gives how many things there were.
///
/// A process can be killed between a request and its answer, and then the engine goes on with it. Where that may be so,
/// nothing more is expected when nothing has appeared for a while.
async fn bury(engine: &Engine, id: &str, settled: bool) -> Result<usize> {
    let begun = Instant::now();
    let mut last = Instant::now();
    let mut quiet = if settled { Duration::ZERO } else { QUIET };
    let mut count = 0;
    loop {
        let found = claimed(engine, Some(id)).await?;
        if found.is_empty() && last.elapsed() >= quiet {
            return Ok(count);
        }
        if found.is_empty() {
            host::sleep(PAUSE).await;
            continue;
        }
        last = Instant::now();
        match remove(engine, &found).await {
            Ok(()) => count += found.len(),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            // Another reaper has begun with it, or the engine is still making it.
            Err(_) => host::sleep(PAUSE).await,
        }
        if !settled {
            quiet = quiet.max(last.elapsed() * SLOWER);
        }
        last = Instant::now();
    }
}

/// Removes a folder that somebody else may be removing too.
async fn remove_folder(folder: &Path) -> Result<()> {
    let mut removed = files::remove_folder(folder);
    for _ in 0..20 {
        if removed.is_ok() || !files::exists(folder) {
            return Ok(());
        }
        host::sleep(PAUSE).await;
        removed = files::remove_folder(folder);
    }
    removed
}
