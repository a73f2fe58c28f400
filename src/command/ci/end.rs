//! The end of what was brought up without a command, or was left behind: `provision ci down`, `provision ci reap`.

use crate::ci::access::NAME;
use crate::ci::{is_name, job, reap};
use crate::deployment::lease;
use crate::deployment::lock::{Attempt, Lock, attempt};
use crate::deployment::{self, Store};
use crate::error::{Error, Result, did_you_mean};
use crate::report;
use crate::session::Session;
use crate::world::engine::Engine;
use crate::world::host;

/// Ends one that was brought up without a command, or was kept after a failure.
pub(crate) async fn down(session: &Session, name: Option<&str>) -> Result<()> {
    let name = match name {
        Some(name) => name.to_owned(),
        None => the_one()?,
    };
    if !is_name(&name) {
        return Err(unknown(&name)?);
    }
    // Whoever works on it goes on with something that is there.
    let lock = session.lock(&name, "ci down").await?;
    let (store, record) = Store::open(&name)?;
    let engine = Engine::connect(session.watcher())?;
    store.lease().map_or(Ok(()), |lease| lease.check_engine(engine.address())).map_err(|error| error.within(&name))?;
    let mut ids: Vec<String> = lease::claimed(&engine, None)
        .await?
        .into_iter()
        .filter(|thing| thing.deployment == name)
        .map(|thing| thing.id)
        .collect();
    let known = record.is_some() || store.lease().is_some();
    ids.extend(known.then(|| store.id().to_owned()));
    ids.sort();
    ids.dedup();
    if ids.is_empty() {
        return Err(unknown(&name)?);
    }
    for id in ids {
        job::clear(&engine, &id).await?;
    }
    job::clear_buckets(&name).await?;
    store.forget()?;
    lock.leave_open(false);
    report::line(&format!("{name}: gone"));
    Ok(())
}

fn ours() -> Result<Vec<String>> {
    Ok(deployment::names()?.into_iter().filter(|name| is_name(name)).collect())
}

/// The one that is meant where no name is given.
fn the_one() -> Result<String> {
    if let Some(name) = host::variable(NAME) {
        return Ok(name);
    }
    let mut names = ours()?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => {
            Err(Error::new("there is no registry of `provision ci` to end").hint("`provision ci` brings one up"))
        }
        (Some(last), false) => {
            names.push(last);
            Err(Error::usage("there are several registries of `provision ci`")
                .hint(format!("name one: {}", names.join(", "))))
        }
    }
}

fn unknown(name: &str) -> Result<Error> {
    let names = ours()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = Error::new(format!("there is no registry `{name}` of `provision ci`"));
    Ok(error.hint(if names.is_empty() {
        "there are none; `provision ci` brings one up".to_owned()
    } else {
        did_you_mean(name, &names)
    }))
}

/// Removes whatever has lost its owner or outlived its time.
pub(crate) async fn reap(session: &Session) -> Result<()> {
    let engine = Engine::connect(session.watcher())?;
    let found = tokio::select! {
        found = reap::reap(&engine, async |name| session.lock(name, "ci reap").await.map(Some)) => found?,
        error = engine.falls_silent() => return Err(error.hint("run the command again once the engine answers")),
    };
    for corpse in &found {
        report::line(&format!("reaped  {} ({}; {} things on the engine)", corpse.name, corpse.why, corpse.things));
    }
    if found.is_empty() {
        report::line("nothing to reap");
    }
    Ok(())
}

/// The lock of a deployment that nobody works on.
async fn free(name: &str) -> Result<Option<Lock>> {
    match attempt(name, "ci")? {
        Attempt::Taken(lock) => Store::recover(name).map(|()| Some(lock)),
        Attempt::Held(_) => Ok(None),
    }
}

/// The same beside other work, which it does not hold up: what is not done at the end of that is left to the next.
pub(super) async fn reap_beside(session: &Session) {
    if let Ok(engine) = Engine::connect(None) {
        match reap::reap(&engine, free).await {
            Ok(found) => {
                for corpse in found {
                    session.events.note(None, format!("reaped {}: {}", corpse.name, corpse.why));
                }
            }
            Err(error) => session.events.note(None, format!("cannot remove what others left: {error}")),
        }
    }
    std::future::pending::<()>().await;
}
