//! A drill of the last backup, once a month, where that is asked for.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Care, Task};
use crate::command::drill;
use crate::command::restore::Opening;
use crate::deployment::measured::Measured;
use crate::error::{Error, Result};
use crate::world::host;

pub(super) const TASK: Task = Task { name: "drill", run: |care| Box::pin(practise(care)) };

/// How long a drill counts.
const MONTH: Duration = Duration::days(30);

async fn practise(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, .. } = care;
    let upkeep = &prepared.record.upkeep;
    let (Some(_), Some(key)) = (&upkeep.drill, &upkeep.drill_key) else { return Ok(None) };
    let (store, now) = (&prepared.run.store, host::now());
    let measured = Measured::read(store);
    let last = measured.drilled.as_deref().and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    // One that failed is done again every day, until it succeeds.
    let failed = measured.told.contains(TASK.name);
    if !failed && last.is_some_and(|last| (Duration::ZERO..MONTH).contains(&(now - last))) {
        return Ok(None);
    }
    let Some(backup) = measured.backup else {
        return Err(
            Error::new("there is no backup to drill yet").hint(format!("`provision maintain {name}` writes one"))
        );
    };
    let opening = Opening { identity: Some(key.clone()), passphrase_file: None };
    let drilled = Box::pin(drill::drill(session, &backup.file, &opening)).await?;
    let mut measured = Measured::read(store);
    measured.drilled = now.replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
    measured.keep(store);
    if drilled.whole {
        return Ok(Some(drilled.words));
    }
    Err(Error::new(drilled.words)
        .hint(format!("`provision drill {} --identity {key}` lists the differences", backup.file)))
}
