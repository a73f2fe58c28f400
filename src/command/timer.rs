//! The timer that runs `provision maintain`: one for all deployments in one folder, as long as one of them wants it.

use std::time::Instant;

use crate::deployment::upkeep::is_off;
use crate::deployment::{self, Store};
use crate::error::Result;
use crate::event::Event;
use crate::resource::change::Action;
use crate::resource::run::Run;
use crate::session::Prepared;
use crate::world::files;
use crate::world::timer::{Scheduler, State, Timer};

/// What it is called in a plan.
const KIND: &str = "timer";
const RESOURCE: &str = "maintain";

/// What has to be done to the timer, if one of these wants it.
async fn needed(is_wanted: bool) -> Result<Option<(Timer, Option<Scheduler>, Action)>> {
    let timer = Timer::of_this_folder()?;
    let Some(scheduler) = Scheduler::of_this_host() else {
        return Ok(is_wanted.then_some((timer, None, Action::Create)));
    };
    let action = match (timer.state(scheduler).await?, is_wanted) {
        (State::Missing, true) => Action::Create,
        (State::Differs, true) => Action::Update,
        (State::Differs | State::Installed, false) => Action::Delete,
        (State::Missing, false) | (State::Installed, true) => return Ok(None),
    };
    Ok(Some((timer, Some(scheduler), action)))
}

/// Whether a deployment of this folder wants the timer, leaving out one.
fn others_want_it(except: &str) -> Result<bool> {
    let names = deployment::lasting_names()?;
    let wants = |name: &String| Store::existing(name).is_ok_and(|(_, record)| record.is_looked_after());
    Ok(names.iter().filter(|name| *name != except).any(wants))
}

/// Whether what a run does has nothing to do with the timer.
fn is_apart(store: &Store) -> bool {
    is_off() || store.lease().is_some() || store.is_rendering()
}

/// What a run of this deployment would do to the timer.
pub(super) async fn planned(prepared: &Prepared) -> Result<Option<(Action, Event)>> {
    let store = &prepared.run.store;
    if is_apart(store) {
        return Ok(None);
    }
    let is_wanted = prepared.record.is_looked_after() || others_want_it(store.name())?;
    let Some((_, Some(_), action)) = needed(is_wanted).await? else { return Ok(None) };
    let reason = match action {
        Action::Create => "runs `provision maintain` once a day",
        Action::Update => "it is stopped, or has other settings",
        _ => "no deployment needs it",
    };
    let (resource, reason) = (RESOURCE.to_owned(), Some(reason.to_owned()));
    Ok(Some((action, Event::Planned { resource, kind: KIND, action: action.word(), fields: Vec::new(), reason })))
}

/// Makes the timer as the deployments of this folder want it, and gives how much that changed. What fails is told, and is no failure of
/// the deployment; that there can be none here is told by a run that changes something, and not by each.
pub(super) async fn settle(run: &Run, changed: usize) -> usize {
    if is_apart(&run.store) {
        return 0;
    }
    match Box::pin(settled(run, changed > 0)).await {
        Ok(changed) => usize::from(changed),
        Err(error) => {
            let hint = error.next_step().map(|hint| format!(" ({hint})")).unwrap_or_default();
            run.events.note(None, format!("cannot set the timer: {error}{hint}; run `provision maintain` once a day yourself, or certificates expire"));
            0
        }
    }
}

async fn settled(run: &Run, is_telling: bool) -> Result<bool> {
    let started = Instant::now();
    let home = files::state_home()?;
    // Two runs may come to their ends at once. After the last `destroy` there is no folder.
    let _lock = if files::is_folder(&home) { Some(files::lock_folder(&home, true)?) } else { None };
    let Some((timer, scheduler, action)) = needed(others_want_it("")?).await? else { return Ok(false) };
    let Some(scheduler) = scheduler else {
        if is_telling {
            run.events.note(None, "this host runs neither systemd nor cron: run `provision maintain` once a day yourself, or certificates expire");
        }
        return Ok(false);
    };
    if action == Action::Delete {
        timer.remove().await?;
    } else {
        let advice = timer.install(scheduler).await?;
        advice.into_iter().for_each(|advice| run.events.note(None, advice));
        run.events.note(
            None,
            format!("`provision maintain` now runs once a day; `{}` shows its output", timer.log(scheduler)),
        );
    }
    run.events.send(Event::Finished {
        resource: RESOURCE.to_owned(),
        kind: KIND,
        action: action.done(),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(true)
}
