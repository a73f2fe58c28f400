//! The store of a registry: once a week, whether every image is whole.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Care, Task};
use crate::command::store::Place;
use crate::deployment::measured::Measured;
use crate::error::{Error, Result};
use crate::registry::job::{Said, Task as Job};
use crate::world::host;

pub(super) const TASK: Task = Task { name: "store", run: |care| Box::pin(examine(care)) };

/// How long an examination counts.
const WEEK: Duration = Duration::days(7);

async fn examine(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, .. } = care;
    let (store, now) = (&prepared.run.store, host::now());
    let last = Measured::read(store).examined.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
    // One found to be damaged is looked at every day, until it is whole.
    let is_told = Measured::read(store).told.contains(TASK.name);
    if !is_told && last.is_some_and(|last| (Duration::ZERO..WEEK).contains(&(now - last))) {
        return Ok(None);
    }
    if !Place::is_one(&prepared.record)? {
        return Ok(None);
    }
    let place = Place::find(session, name)?;
    let Said::Examined(findings) = Box::pin(place.carry_out(Job::Fsck { deep: false })).await?.checked()? else {
        return Err(Error::new("the check of the store gave no result"));
    };
    let mut measured = Measured::read(store);
    measured.examined = now.replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
    measured.keep(store);
    match findings.damages.len() {
        0 => Ok(Some(format!("checked {} tags, no damage", findings.tags))),
        count => Err(Error::new(format!("the store has {count} damaged files"))
            .hint(format!("`provision fsck {name}` lists the damage and how to repair it"))),
    }
}
