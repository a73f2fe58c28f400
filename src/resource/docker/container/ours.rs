//! Which container of the engine stands for a resource: the one that bears its labels, whatever it is called.

use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum};

use super::{carrier, predecessor, successor};
use crate::error::Result;
use crate::resource::{At, Owned};
use crate::world::engine::{ID, RESOURCE};

/// The container of a resource, else the one that has its name.
pub(super) async fn find(name: &str, at: &At) -> Result<Option<ContainerInspectResponse>> {
    let engine = at.engine().await?;
    let named = engine.container(name).await?;
    if named.as_ref().is_some_and(|found| is_ours(found, at)) {
        return Ok(named);
    }
    let owned = engine.containers_of(at.store().id()).await?;
    let aside = [successor(name), predecessor(name), carrier(name)];
    let renamed = owned.iter().filter(|found| {
        found.labels.as_ref().and_then(|labels| labels.get(RESOURCE)) == Some(&at.id) && !aside.contains(&called(found))
    });
    match renamed.max_by_key(|found| rank(found)).and_then(|found| found.id.as_deref()) {
        Some(id) => Ok(engine.container(id).await?.or(named)),
        None => Ok(named),
    }
}

pub(super) fn is_ours(found: &ContainerInspectResponse, at: &At) -> bool {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.and_then(|labels| labels.get(ID)).is_some_and(|id| id == at.store().id())
}

/// Its name as users write it.
pub(super) fn name(found: &ContainerInspectResponse) -> String {
    found.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned()
}

fn called(found: &ContainerSummary) -> String {
    // An old link is a name as well, with the other container's in front.
    let names = found.names.iter().flatten().map(|name| name.trim_start_matches('/'));
    names.min_by_key(|name| name.matches('/').count()).unwrap_or_default().to_owned()
}

/// Of several, the one that runs counts, and then the newest.
fn rank(found: &ContainerSummary) -> (bool, i64) {
    (found.state == Some(ContainerSummaryStateEnum::RUNNING), found.created.unwrap_or_default())
}

/// Everything that bears the deployment's label. Of several for one resource all but one are left over, whatever they are
/// called by now.
pub(super) async fn owned(at: &At) -> Result<Vec<Owned>> {
    let mut found = at.engine().await?.containers_of(at.store().id()).await?;
    // The one that has the name that it was given comes first.
    let given = |found: &ContainerSummary| {
        let id = found.labels.as_ref().and_then(|labels| labels.get(RESOURCE)).cloned().unwrap_or_default();
        let name = called(found);
        (name == At { id, ..at.clone() }.default_name(), name.starts_with(at.store().name()))
    };
    let aside = |name: &str| [".new", ".old", ".carry", ".owners"].iter().any(|end| name.ends_with(end));
    found.sort_by_key(|found| std::cmp::Reverse((!aside(&called(found)), given(found), rank(found))));
    let mut seen = std::collections::BTreeSet::new();
    let owned = found.into_iter().map(|container| {
        let name = called(&container);
        let mut owned = At::owned(container.labels.as_ref(), container.id, Some(name), false);
        if aside(&owned.label) || !seen.insert(owned.id.clone()) {
            // Left over from a run that was killed: no resource of the playbook stands for it.
            owned.id.push_str(" (left over)");
        }
        owned
    });
    Ok(owned.collect())
}
