//! What no image of a registry needs: freed once a day where that is switched on, otherwise listed once a week.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::{Care, Task};
use crate::command::gc::{self, Wanted};
use crate::deployment::measured::Measured;
use crate::error::Result;
use crate::registry::garbage::Limits;
use crate::world::host;

pub(super) const TASK: Task = Task { name: "garbage", run: |care| Box::pin(collect(care)) };

/// How old the last collection has to be. The timer's delay differs from day to day.
const DAY: Duration = Duration::hours(16);
/// How long a list counts.
const WEEK: Duration = Duration::days(7);
/// Seconds that what goes has been listed for.
const GRACE: u64 = 24 * 3600;
/// An hour of a day, and about a tenth of what a disk does: clients come first.
pub(super) const LIMITS: Limits = Limits { seconds: Some(3600), per_second: Some(2000) };

async fn collect(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, .. } = care;
    let (store, now, is_on) = (&prepared.run.store, host::now(), prepared.record.upkeep.gc);
    if is_on == Some(false) || (is_on.is_none() && gc::check(&prepared.record, name).is_err()) {
        return Ok(None);
    }
    let pause = if is_on.is_some() { DAY } else { WEEK };
    let last = Measured::read(store).collected.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok());
    if last.is_some_and(|last| (Duration::ZERO..pause).contains(&(now - last))) {
        return Ok(None);
    }
    gc::check(&prepared.record, name)?;
    let wanted = Wanted { grace: GRACE, untagged: None, dry_run: is_on.is_none(), limits: LIMITS };
    let (mut lines, collected) = Box::pin(gc::collect(session, name, wanted, "maintain")).await?;
    let mut measured = Measured::read(store);
    measured.collected = now.replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok());
    measured.keep(store);
    let waiting = gc::waiting(&collected);
    if is_on.is_none() {
        return Ok(waiting.map(|waiting| {
            format!("no image needs {waiting}: `provision registry --name {name} --gc yes` frees that daily, `--gc no` lists it no more")
        }));
    }
    if waiting.is_none() && collected.manifests_freed + collected.blobs_freed == 0 {
        return Ok(None);
    }
    lines.extend(gc::told(&collected, wanted));
    Ok(Some(lines.join("; ")))
}
