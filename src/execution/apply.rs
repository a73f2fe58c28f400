//! Carries out a plan: everything whose needs are met at once, and all of it or nothing: [`apply`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::graph::{Graph, Id};
use crate::execution::plan::{Known, Plan, at, decode, located, visit};
use crate::resource::change::{Action, Change};
use crate::resource::run::Run;
use crate::resource::{At, Entry, Outputs, Owned};

/// Why a run failed, and what has become of all that it had done.
pub(crate) struct Failure {
    pub error: Error,
    pub left: Left,
}

/// How a run that failed leaves the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// All was taken back.
    AsBefore,
    /// Not all could be taken back.
    Between,
    /// As the playbook says; a check has failed that does not depend on what was changed.
    Unchecked,
    /// As the playbook says, but for something that is no longer used and could not be removed.
    AsWanted,
}

/// Carries out a plan and gives the outputs of every resource.
///
/// What the playbook no longer names goes last, once nothing can need it any more: no step back, and no container that its
/// successor has replaced.
///
/// # Errors
/// The first failure; by then every step of this run has been taken back, as far as that could be done. Only what comes to an end by
/// itself stays renewed where the failure is of something else: a disk that is full would cost the certificate as well.
pub(crate) async fn apply(
    graph: &Graph,
    plan: &Plan,
    run: &Arc<Run>,
) -> std::result::Result<BTreeMap<Id, Outputs>, Failure> {
    let known = Known::default();
    match carry_out(graph, plan, run, &known).await {
        Ok(()) => {
            settle(run).await;
            let removed = delete(plan, run).await;
            removed.map_err(|error| Failure { error, left: Left::AsWanted })?;
            Ok(known.into_inner())
        }
        Err(error) if error.is_aside() && plan.renews(graph) && plan.is_done(&known) => {
            settle(run).await;
            Err(Failure { error, left: Left::Unchecked })
        }
        Err(error) => {
            let left = if undo(run).await { Left::AsBefore } else { Left::Between };
            Err(Failure { error, left })
        }
    }
}

/// Does all that a plan has to do with resources and gives their outputs; after a failure all stays as it is then.
pub(crate) async fn attempt(graph: &Graph, plan: &Plan, run: &Arc<Run>) -> Result<BTreeMap<Id, Outputs>> {
    let known = Known::default();
    carry_out(graph, plan, run, &known).await?;
    Ok(known.into_inner())
}

async fn carry_out(graph: &Graph, plan: &Plan, run: &Arc<Run>, known: &Known) -> Result<()> {
    let step = |id: Id| async move { Box::pin(work(graph, plan, run, &id, known)).await };
    visit(graph, |vertex| &vertex.needs, step).await
}

/// How often a resource is looked at anew because something came or went while it was worked on.
const LOOKS: usize = 3;

async fn work(graph: &Graph, plan: &Plan, run: &Arc<Run>, id: &Id, known: &Known) -> Result<()> {
    let kind = graph.nodes[id].kind;
    let started = Instant::now();
    let mut looks = 1;
    let result = loop {
        match step(graph, plan, run, id, known).await {
            Err(error) if error.is_moved() && looks < LOOKS && !run.is_cancelled() => looks += 1,
            result => break result,
        }
    };
    match result {
        Ok(None) => Ok(()),
        Ok(Some(action)) => {
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            run.events.send(Event::Finished {
                resource: id.clone(),
                kind: kind.name,
                action: action.done(),
                milliseconds,
            });
            Ok(())
        }
        Err(error) => {
            let error = located(graph, id, error);
            run.events.send(failed(id, kind.name, &error));
            Err(error)
        }
    }
}

/// Looks at a resource as it is now and carries out what it needs; none if it needs nothing.
async fn step(graph: &Graph, plan: &Plan, run: &Arc<Run>, id: &Id, known: &Known) -> Result<Option<Action>> {
    run.check_cancelled()?;
    let (kind, at, planned) = (graph.nodes[id].kind, at(graph, run, id), &plan.changes[id]);
    let spec = decode(graph, id, known, &at)?;
    let mut examined = if kind.follows && planned.action == Action::Check {
        crate::resource::Examined::to_check()
    } else {
        (kind.examine)(&spec, &at).await?
    };
    if planned.action == Action::Check {
        examined.change = planned.clone();
    }
    covers(plan, graph, run, id, &examined.change)?;
    if !examined.change.is_change() {
        known.insert(id, examined.outputs);
        return Ok(None);
    }
    let action = examined.change.action;
    run.events.send(Event::Started { resource: id.clone(), kind: kind.name, action: action.word() });
    let outputs = (kind.apply)(&spec, examined, &at).await?;
    known.insert(id, outputs);
    Ok(Some(action))
}

fn failed(id: &str, kind: &'static str, error: &Error) -> Event {
    Event::Failed {
        resource: id.to_owned(),
        kind,
        error: error.to_string(),
        hint: error.next_step().map(str::to_owned),
        detail: error.lines().to_vec(),
    }
}

/// Tells what goes beyond what the plan said, where nothing that the plan changes explains it: what a run that was killed had
/// asked for may appear at any time. Fails if data would be lost of which the plan said nothing.
fn covers(plan: &Plan, graph: &Graph, run: &Run, id: &Id, found: &Change) -> Result<()> {
    let planned = &plan.changes[id];
    if found.data && !planned.data {
        return Err(Error::new(format!(
            "it changed since the plan was made: the plan said {}, and now it is {}, which deletes its data",
            planned.action.word(),
            found.action.word()
        ))
        .hint("run the command again: it makes a new plan"));
    }
    // Nothing that is needed makes a thing itself.
    let explained =
        planned.action != Action::Create && graph.nodes[id].needs.iter().any(|need| plan.touched.contains(need));
    if found.action > planned.action && !explained {
        let note = format!("since the plan was made: {}", found.reason.as_deref().unwrap_or("it changed"));
        run.events.send(found.clone().because(note).event(graph, id));
    }
    Ok(())
}

/// Removes what the playbook no longer names.
async fn delete(plan: &Plan, run: &Arc<Run>) -> Result<()> {
    for (kind, owned) in plan.deletions.iter().rev() {
        remove(kind, owned, run).await?;
    }
    Ok(())
}

/// Removes one thing that a deployment owns, and tells of it.
pub(crate) async fn remove(kind: &'static Entry, owned: &Owned, run: &Arc<Run>) -> Result<()> {
    let at = At { id: owned.id.clone(), kind: kind.name, run: run.clone() };
    let started = Instant::now();
    run.events.send(Event::Started { resource: owned.label.clone(), kind: kind.name, action: Action::Delete.word() });
    (kind.remove)(owned, &at).await?;
    run.events.send(Event::Finished {
        resource: owned.label.clone(),
        kind: kind.name,
        action: Action::Delete.done(),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(())
}

/// Takes every step of the run back, the latest first. One that fails is told, and the others go on; true if none failed.
async fn undo(run: &Arc<Run>) -> bool {
    let mut told: Vec<(Id, &'static str, Option<String>)> = Vec::new();
    let mut places: HashMap<Id, usize> = HashMap::new();
    for entry in run.journal.take() {
        let Some(kind) = crate::resource::find(&entry.kind) else { continue };
        let at = At { id: entry.id.clone(), kind: kind.name, run: run.clone() };
        let error = (kind.undo)(entry.undo, &at).await.err().map(|error| error.to_string());
        if error.is_some() {
            run.journal.leave(&entry.id);
        }
        let place = *places.entry(entry.id.clone()).or_insert(told.len());
        match told.get_mut(place) {
            Some((_, _, earlier)) => *earlier = earlier.take().or(error),
            None => told.push((entry.id, kind.name, error)),
        }
    }
    let clean = told.iter().all(|(_, _, error)| error.is_none());
    for (resource, kind, error) in told {
        run.events.send(Event::Undone { resource, kind, error });
    }
    clean
}

/// Lets go of what was kept for the way back.
async fn settle(run: &Arc<Run>) {
    for entry in run.journal.take() {
        let Some(kind) = crate::resource::find(&entry.kind) else { continue };
        let at = At { id: entry.id.clone(), kind: kind.name, run: run.clone() };
        if let Err(error) = (kind.settle)(entry.undo, &at).await {
            run.events.note(Some(&entry.id), format!("{error}; the next run tries again"));
        }
    }
}
