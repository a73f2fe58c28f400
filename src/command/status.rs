//! `provision status`: all deployments at a glance, or each resource of one as it is now.

use super::overview;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::plan::Plan;
use crate::resource::change::Action;
use crate::session::Session;

/// Tells the state of each resource of a deployment, then of the deployment, or that of all; true if something is not as it
/// should be.
pub(crate) async fn run(session: &Session, name: Option<&str>) -> Result<bool> {
    let Some(name) = name else { return overview::all(session).await };
    let prepared = session.reopen(name)?;
    if prepared.record.kept {
        return Err(Error::new(format!("the deployment `{name}` was destroyed, and its data was kept"))
            .hint(format!("`provision apply {name}` takes the data up again")));
    }
    let plan = Plan::make(&prepared.graph, &prepared.run, &prepared.record.kinds).await?;
    for id in &prepared.graph.order {
        let change = &plan.changes[id];
        let state = match change.action {
            Action::Unchanged => "ok",
            Action::Create => "missing",
            Action::Check if change.fields.is_empty() => "unknown",
            _ => "differs",
        };
        prepared.run.events.send(Event::Status {
            resource: id.clone(),
            kind: prepared.graph.nodes[id].kind.name,
            state: state.to_owned(),
            fields: change.events(),
            reason: change.reason.clone(),
        });
    }
    let wrong = overview::one(session, &prepared, &plan).await?;
    Ok(wrong || !plan.is_empty())
}
