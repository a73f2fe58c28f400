//! `provision destroy`: removes what a deployment owns, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use super::Session;
use crate::change::Action;
use crate::deployment::{Record, Store};
use crate::error::Result;
use crate::event::Event;
use crate::plan::owned;
use crate::resource::{At, Entry, KINDS, Owned};
use crate::run::Run;

/// With `keep_data`, volumes stay, and the secrets that open them.
///
/// It goes by what exists with the deployment's mark, not by the playbook, so a playbook that changed or cannot be read any
/// more is no hindrance.
pub(crate) async fn run(session: &Session, name: &str, keep_data: bool) -> Result<()> {
    let started = Instant::now();
    let (store, record) = Store::existing(name)?;
    let run = session.run(store);
    let _lock = run.store.lock("destroy")?;
    let kinds: BTreeSet<&str> = record.kinds.iter().map(String::as_str).collect();
    let found = removable(&run, &kinds, keep_data).await?;
    // Secrets that open nothing any more are no loss.
    let data: Vec<String> = found
        .iter()
        .filter(|(kind, owned)| owned.data && kind.name != "secret")
        .map(|(kind, owned)| format!("{} {}", kind.name, owned.label))
        .collect();
    session.confirm(&data, "`--yes` says yes; `--keep-data` leaves volumes and their secrets for the next run").await?;
    let mut failure = None;
    for kind in KINDS.iter().rev() {
        let mine: Vec<&Owned> = found.iter().filter(|(of, _)| of.name == kind.name).map(|(_, owned)| owned).collect();
        let removed = join_all(mine.iter().map(|owned| remove(kind, owned, &run))).await;
        if let Some(error) = removed.into_iter().find_map(Result::err) {
            failure.get_or_insert(error);
        }
    }
    if let Some(error) = failure {
        return Err(error.hint("everything else is gone; run the command again to try the rest"));
    }
    if keep_data {
        run.store.save(&Record { kept: true, outputs: std::collections::BTreeMap::new(), ..record })?;
    } else {
        run.store.forget()?;
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    run.events.send(Event::Summary {
        deployment: name.to_owned(),
        changed: found.len(),
        milliseconds,
        outcome: if keep_data { "destroyed; its data is kept" } else { "destroyed" },
    });
    Ok(())
}

/// Everything that the deployment owns, if all of it may be removed. Kind after kind: with the credentials of another
/// account, the first of AWS tells so.
async fn removable(run: &Arc<Run>, kinds: &BTreeSet<&str>, keep_data: bool) -> Result<Vec<(&'static Entry, Owned)>> {
    let mut found = Vec::new();
    for kind in KINDS.iter().filter(|kind| kinds.contains(kind.name)) {
        for (kind, owned) in owned(run, &BTreeSet::from([kind.name])).await? {
            if keep_data && owned.data {
                continue;
            }
            let at = At { id: owned.id.clone(), kind: kind.name, run: run.clone() };
            (kind.may_remove)(&owned, &at).await?;
            found.push((kind, owned));
        }
    }
    Ok(found)
}

async fn remove(kind: &'static Entry, owned: &Owned, run: &Arc<Run>) -> Result<()> {
    let at = At { id: owned.id.clone(), kind: kind.name, run: run.clone() };
    let started = Instant::now();
    run.events.send(Event::Started { resource: owned.label.clone(), kind: kind.name, action: Action::Delete.word() });
    (kind.remove)(owned, &at).await?;
    run.events.send(Event::Finished {
        resource: owned.label.clone(),
        kind: kind.name,
        action: Action::Delete.done(),
        milliseconds: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(())
}
