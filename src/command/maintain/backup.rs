//! The backups that are made by themselves, once a day, into a folder or a bucket; the oldest of them go.

use std::path::Path;
use std::time::Instant;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::shelf::Shelf;
use super::{Care, Task};
use crate::command::backup;
use crate::deployment::Store;
use crate::deployment::backup::Seal;
use crate::deployment::measured::Measured;
use crate::error::{Error, Result};
use crate::resource::run::Run;
use crate::text::size::readable;
use crate::world::host;
use crate::world::typed::Unfinished;

pub(super) const TASK: Task = Task { name: "backup", run: |care| Box::pin(write(care)) };

/// How old the last one has to be. The timer's delay differs from day to day.
const DAY: Duration = Duration::hours(16);
const ENDING: &str = ".backup.age";

async fn write(care: &Care<'_>) -> Result<Option<String>> {
    let Care { session, name, prepared, .. } = care;
    let upkeep = &prepared.record.upkeep;
    let Some(shelf) = upkeep.backup_to.as_deref().map(Shelf::of) else { return Ok(None) };
    let (run, now) = (&prepared.run, host::now());
    let store = &run.store;
    let last = Measured::read(store).backup.filter(|last| is_fresh(&last.time, now));
    if let Some(name) = last.as_ref().and_then(|last| shelf.name_of(&last.file))
        && shelf.names(run).await?.iter().any(|known| known == name)
    {
        return Ok(None);
    }
    let seal = Seal::recipients(&upkeep.recipients)?;
    let stamp = now.format(format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap_or_default();
    let file = format!("{}{stamp}{ENDING}", beginning(store));
    let shown = shelf.shown(&file);
    {
        let _lock = session.lock(name, "maintain").await?;
        let publish = async |run: &Run, whole: Unfinished| Box::pin(shelf.publish(run, &file, whole)).await;
        let begun = (Path::new(&shown), shelf.begin(&file)?);
        Box::pin(backup::within(session, name, begun, seal, Instant::now(), publish)).await?;
    }
    let removed = thin_out(&shelf, run, upkeep.keep()).await?;
    let bytes = Measured::read(store).backup.map(|last| last.bytes).unwrap_or_default();
    let gone = if removed == 0 { String::new() } else { format!(", removed {removed} older") };
    Ok(Some(format!("wrote `{shown}` ({}){gone}", readable(bytes))))
}

fn is_fresh(time: &str, now: OffsetDateTime) -> bool {
    let last = OffsetDateTime::parse(time, &Rfc3339).ok();
    last.is_some_and(|last| (Duration::ZERO..DAY).contains(&(now - last)))
}

/// How the names of this deployment's backups begin: its id tells it from one of the same name elsewhere that writes into the same folder.
fn beginning(store: &Store) -> String {
    format!("{}-{}-", store.name(), &store.id()[..8.min(store.id().len())])
}

/// The backups of this deployment beside the newest ones.
fn older(names: Vec<String>, beginning: &str, keep: usize) -> Vec<String> {
    let is_stamp = |stamp: &str| {
        stamp.len() == 16
            && stamp.char_indices().all(|(at, c)| match at {
                8 => c == 'T',
                15 => c == 'Z',
                _ => c.is_ascii_digit(),
            })
    };
    let is_ours =
        |name: &String| name.strip_prefix(beginning).and_then(|rest| rest.strip_suffix(ENDING)).is_some_and(is_stamp);
    let mut ours: Vec<String> = names.into_iter().filter(is_ours).collect();
    ours.sort();
    ours.truncate(ours.len().saturating_sub(keep.max(1)));
    ours
}

async fn thin_out(shelf: &Shelf, run: &Run, keep: usize) -> Result<usize> {
    let older = older(shelf.names(run).await?, &beginning(&run.store), keep);
    for name in &older {
        shelf.remove(run, name).await.map_err(|error: Error| error.within("an older backup"))?;
    }
    Ok(older.len())
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn only_the_oldest_of_its_own_go() {
        let names = [
            "a-1-20260101T000000Z.backup.age",
            "a-1-20260103T000000Z.backup.age",
            "a-1-20260102T000000Z.backup.age",
            "a-1-20260102T000000Z.backup.age.copy",
            "a-1-2026010XT000000Z.backup.age",
            "a-1-b-20260102T000000Z.backup.age",
            "a-2-20250101T000000Z.backup.age",
            "holiday.jpg",
        ];
        let names = || names.map(str::to_owned).to_vec();
        assert_eq!(older(names(), "a-1-", 2), ["a-1-20260101T000000Z.backup.age"]);
        assert_eq!(older(names(), "a-1-", 3), Vec::<String>::new());
        // The newest one always stays.
        assert_eq!(older(names(), "a-1-", 0).len(), 2);
    }
}
