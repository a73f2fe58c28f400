//! `provision plan`: what a run would do, without doing it.

use super::timer;
use crate::error::Result;
use crate::execution::plan::Plan;
use crate::session::{Session, Target};

/// Tells the plan; true if there is something to change.
pub(crate) async fn run(session: &Session, target: Target) -> Result<bool> {
    let prepared = session.prepare(&target)?;
    let plan = Plan::make(&prepared.graph, &prepared.run, &prepared.record.kinds).await?;
    prepared.graph.outputs(&plan.known)?;
    let timer = timer::planned(&prepared).await?;
    let changes = !plan.is_empty() || timer.is_some();
    plan.tell(&prepared.graph, &prepared.run, timer);
    Ok(changes)
}
