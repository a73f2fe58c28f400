//! `provision destroy DEPLOYMENT --unused`: removes what stayed because it holds data and is no longer used.

use std::time::Instant;

use super::destroy;
use super::turn::{Halt, Turn};
use crate::event::Event;
use crate::execution::apply::remove;
use crate::execution::plan::Plan;
use crate::resource::At;
use crate::session::{Prepared, Session};

/// What is said where nobody can be asked.
const HINT: &str = "`--yes` says yes; a later setting that names it again uses it again";

pub(crate) async fn run(session: &Session, name: &str) -> crate::error::Result<()> {
    let started = Instant::now();
    session.alone(name, "destroy", async |turn| within(session, name, turn, started).await).await
}

async fn within(session: &Session, name: &str, turn: &Turn, started: Instant) -> Result<(), Halt> {
    let Prepared { graph, run, record, .. } = session.reopen(name)?;
    let unused = Plan::make(&graph, &run, &record.kinds).await?.unused;
    for (kind, owned) in &unused {
        let at = At { id: owned.id.clone(), kind: kind.name, run: run.clone() };
        (kind.may_remove)(owned, &at).await?;
    }
    turn.may_delete(destroy::data(&unused), HINT)?;
    for (kind, owned) in unused.iter().rev() {
        remove(kind, owned, &run).await?;
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (deployment, changed) = (name.to_owned(), unused.len());
    run.events.send(Event::Summary { deployment, changed, milliseconds, outcome: "done" });
    Ok(())
}
