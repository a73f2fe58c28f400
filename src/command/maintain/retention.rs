//! Tags that go by the rules of retention, once a plan by them was confirmed.

use super::garbage::LIMITS;
use super::{Care, Task};
use crate::command::{gc, retention};
use crate::error::Result;
use crate::registry::retention::{Kept, Retention};

pub(super) const TASK: Task = Task { name: "retention", run: |care| Box::pin(remove(care)) };

async fn remove(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, .. } = care;
    let kept = Kept::read(&prepared.run.store)?;
    if !kept.is_confirmed {
        return Ok(None);
    }
    gc::check(&prepared.record, name)?;
    let retention = Retention { rules: kept.rules, held: kept.held, agreed: None };
    // Where nothing goes, nothing is touched.
    let listed = Box::pin(retention::carry_out(session, name, retention.clone(), LIMITS, true)).await?;
    if listed.gone.is_empty() {
        return Ok(None);
    }
    let _lock = session.lock(name, "maintain").await?;
    retention::remember(&prepared.run.store, &listed.gone)?;
    let planned = Box::pin(retention::carry_out(session, name, retention, LIMITS, false)).await?;
    Ok(Some(format!("removed {} of {} tags", planned.gone.len(), planned.tags)))
}
