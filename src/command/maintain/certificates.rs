//! Certificates, and the authorities that issue them: made anew when a third of their life is left.

use std::time::Instant;

use time::Duration;

use super::{Care, Task};
use crate::command::apply;
use crate::error::{Error, Result};
use crate::resource::pki::certificate;
use crate::session::Target;
use crate::world::host;

pub(super) const TASK: Task = Task { name: "certificates", run: |care| Box::pin(renew(care)) };

/// The kinds that come to an end by themselves.
const KINDS: [&str; 2] = ["authority", "certificate"];
/// How close the end of one may come before somebody has to know.
const CLOSE: Duration = Duration::days(14);

async fn renew(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, plan } = care;
    let graph = &prepared.graph;
    let is_due = |id: &&String| KINDS.contains(&graph.nodes[*id].kind.name) && plan.changes[*id].is_change();
    let due: Vec<&str> = graph.order.iter().filter(is_due).map(String::as_str).collect();
    if !due.is_empty() {
        let started = Instant::now();
        let target = || Target::again(name, &prepared.record);
        let work = async |turn: &_| apply::within(session, &target()?, turn, started).await;
        session.alone(name, "maintain", work).await?;
    }
    let store = &prepared.run.store;
    match certificate::first_end(store)? {
        Some(end) if end - host::now() < CLOSE => Err(Error::new(format!("a certificate ends on {}", end.date()))
            .hint(format!("`provision rotate {name} --what certificates` issues it anew"))),
        Some(end) if !due.is_empty() => {
            Ok(Some(format!("renewed {}, the first ends on {}", due.join(", "), end.date())))
        }
        _ => Ok((!due.is_empty()).then(|| format!("renewed {}", due.join(", ")))),
    }
}
