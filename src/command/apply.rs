//! `provision NAME` and `provision apply FILE`: makes the world as the playbook says.

use std::collections::BTreeMap;
use std::time::Instant;

use super::timer;
use super::turn::{Halt, Turn};
use crate::error::Result;
use crate::event::Event;
use crate::execution::apply::{Failure, Left};
use crate::execution::graph::{Graph, Id};
use crate::execution::plan::Plan;
use crate::execution::unused;
use crate::resource::Outputs;
use crate::resource::run::Run;
use crate::session::{Prepared, Session, Target};
use crate::world::near;
use crate::world::wire::Authority;

/// What is said where nobody can be asked.
const HINT: &str = "`--yes` says yes; `--name` sets up another deployment beside this one";
/// How often a run begins anew because something came or went that a run which was killed had asked for.
const ATTEMPTS: usize = 3;

pub(crate) async fn run(session: &Session, target: Target, verb: &str) -> Result<()> {
    let started = Instant::now();
    session.alone(target.deployment(), verb, async |turn| within(session, &target, turn, started).await).await
}

/// Makes the world as the target says. After a run that was killed it looks once more when nothing of that one is under way.
pub(super) async fn within(
    session: &Session,
    target: &Target,
    turn: &Turn,
    started: Instant,
) -> std::result::Result<(), Halt> {
    let mut attempts = 1;
    loop {
        match once(session, target, turn, started, true).await {
            Err(Halt::Failed(error)) if turn.lock.is_open() && error.is_moved() && attempts < ATTEMPTS => {
                attempts += 1;
                turn.quiet().await;
            }
            Err(halt) => return Err(halt),
            Ok(()) => break,
        }
    }
    if turn.lock.is_open() {
        turn.quiet().await;
        once(session, target, turn, started, false).await?;
        turn.lock.leave_open(false);
    }
    Ok(())
}

/// Plans and carries out. If nothing changes, that is said only if it is `told`.
async fn once(
    session: &Session,
    target: &Target,
    turn: &Turn,
    started: Instant,
    told: bool,
) -> std::result::Result<(), Halt> {
    let prepared = session.prepare(target)?;
    let Prepared { graph, run, earlier, .. } = &prepared;
    let mut record = prepared.record.clone();
    let plan = Plan::make(graph, run, &record.kinds).await?;
    // A mistake in an output must be told before anything is changed.
    graph.outputs(&plan.known)?;
    record.kinds.extend(kinds(graph));
    record.note_engine(run.engine_identity());
    target.keep_files(&run.store)?;
    if plan.is_empty() {
        record.outputs = graph.outputs(&plan.known)?;
        if earlier.as_ref() != Some(&record) {
            run.store.save(&record)?;
        }
        tell_clients(graph, run, &plan.known);
        if told {
            let changed = timer::settle(run, 0).await;
            finish(run, record.outputs, changed, started, "done");
        }
        return Ok(());
    }
    graph.warn(run);
    turn.may_delete(plan.data(), HINT)?;
    Ok(carry_out(&plan, prepared, turn, started).await?)
}

fn kinds(graph: &Graph) -> impl Iterator<Item = String> {
    graph.nodes.values().map(|vertex| vertex.kind.name.to_owned())
}

/// Carries out a plan that changes something.
pub(super) async fn carry_out(plan: &Plan, prepared: Prepared, turn: &Turn, started: Instant) -> Result<()> {
    let Prepared { graph, run, earlier, mut record } = prepared;
    record.kinds.extend(kinds(&graph));
    record.note_engine(run.engine_identity());
    let changed = plan.changes.values().filter(|change| change.is_change()).count() + plan.deletions.len();
    tell_changes(plan, &graph, &run);
    run.store.save(&record)?;
    match crate::execution::apply::apply(&graph, plan, &run).await {
        Ok(known) => {
            record.outputs = graph.outputs(&known)?;
            tell_clients(&graph, &run, &known);
            record.restoring = false;
            run.store.save(&record)?;
            if earlier.is_some() {
                let noted = unused::note(&graph, &run, &record.kinds).await;
                noted.unwrap_or_else(|error| run.events.note(None, error.to_string()));
            }
            let changed = changed + timer::settle(&run, changed).await;
            finish(&run, record.outputs, changed, started, "done");
            Ok(())
        }
        Err(Failure { error, left: Left::Unchecked }) => {
            finish(
                &run,
                BTreeMap::new(),
                changed,
                started,
                "done, and it stays; a check fails that does not depend on it",
            );
            Err(error)
        }
        Err(Failure { error, left: Left::AsWanted }) => {
            let outcome =
                "done, but for something that is no longer used and could not be removed; run again to remove it";
            finish(&run, BTreeMap::new(), changed, started, outcome);
            Err(error)
        }
        Err(Failure { error, left: Left::AsBefore }) => {
            restore(&run, earlier.as_ref(), turn);
            let outcome = if run.is_cancelled() {
                "stopped; everything is as it was before"
            } else {
                "failed; everything is as it was before"
            };
            finish(&run, BTreeMap::new(), 0, started, outcome);
            Err(error)
        }
        Err(Failure { error, left: Left::Between }) => {
            // The record stays: by its mark the next run finds what is left.
            turn.lock.leave_open(true);
            let outcome = if run.restore.is_some() {
                "failed; rollback incomplete, and the deployment is not complete"
            } else {
                "failed; rollback incomplete; run again to continue"
            };
            finish(&run, BTreeMap::new(), 0, started, outcome);
            Err(error)
        }
    }
}

/// Tells the machine where the command was typed what its clients are to trust, if that is another one.
fn tell_clients(graph: &Graph, run: &Run, known: &BTreeMap<Id, Outputs>) {
    let Some(near) = near::get() else { return };
    let ids = graph.order.iter().filter(|id| graph.nodes[*id].kind.for_clients);
    let authorities = ids.filter_map(|id| {
        let outputs = known.get(id)?;
        let hosts = outputs.get("hosts")?.as_array()?;
        let hosts = hosts.iter().filter_map(|host| host.as_str().map(str::to_owned)).collect();
        Some(Authority { hosts, certificate: outputs.get("certificate")?.as_str()?.to_owned() })
    });
    near.authorities(run.store.name(), authorities.collect());
}

/// Tells what is going to happen to things that exist; new ones are told as they are made.
fn tell_changes(plan: &Plan, graph: &Graph, run: &Run) {
    use crate::resource::change::Action::{Replace, Update};
    let changes = graph.order.iter().map(|id| (id, &plan.changes[id]));
    for (id, change) in changes.filter(|(_, change)| matches!(change.action, Update | Replace)) {
        run.events.send(change.event(graph, id));
    }
}

/// Puts the record back as it was; a deployment that never came to be leaves no folder.
fn restore(run: &Run, earlier: Option<&crate::deployment::Record>, turn: &Turn) {
    let restored = match earlier {
        Some(record) => run.store.save(record),
        None => turn.forget(&run.store),
    };
    if let Err(error) = restored {
        run.events.note(None, error.to_string());
    }
}

fn finish(run: &Run, outputs: BTreeMap<String, String>, changed: usize, started: Instant, outcome: &'static str) {
    let deployment = run.store.name().to_owned();
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.events.send(Event::Summary { deployment: deployment.clone(), changed, milliseconds, outcome });
    if !outputs.is_empty() {
        run.events.send(Event::Outputs { deployment, outputs });
    }
}
