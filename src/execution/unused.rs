//! Data that the playbook no longer names: it stays, and is told of, until it is said to go: [`note`].

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::execution::graph::Graph;
use crate::resource::run::Run;
use crate::resource::{At, Entry, Owned, with_also};
use crate::text::shell::quoted;

/// Whether it stays though the playbook no longer names it.
pub(super) fn stays((kind, owned): &(&'static Entry, Owned)) -> bool {
    kind.stays && (owned.data || owned.is_aside())
}

/// Each as a sentence.
pub(super) fn told(unused: &[(&'static Entry, Owned)], name: &str) -> Vec<String> {
    let told = unused.iter().map(|(kind, owned)| {
        format!(
            "the {} `{}` is no longer used: it stays as it is; `provision destroy {} --unused` deletes it",
            kind.name,
            owned.label,
            quoted(name)
        )
    });
    told.collect()
}

/// What no resource of the graph names.
pub(super) fn gone(owned: Vec<(&'static Entry, Owned)>, graph: &Graph) -> Vec<(&'static Entry, Owned)> {
    let is_gone = |(kind, owned): &(&'static Entry, Owned)| {
        graph.nodes.get(&owned.id).is_none_or(|vertex| vertex.kind.name != kind.name)
    };
    owned.into_iter().filter(is_gone).collect()
}

/// Everything of the given kinds that the deployment owns, in the order of the table of kinds.
pub(crate) async fn owned(run: &Arc<Run>, kinds: &BTreeSet<&str>) -> Result<Vec<(&'static Entry, Owned)>> {
    let found = futures_util::future::join_all(with_also(kinds).map(|kind| async move {
        let at = At { id: String::new(), kind: kind.name, run: run.clone() };
        let owned = (kind.owned)(&at).await?;
        Ok::<_, Error>(owned.into_iter().map(move |owned| (kind, owned)).collect::<Vec<_>>())
    }));
    let found: Result<Vec<_>> = found.await.into_iter().collect();
    Ok(found?.into_iter().flatten().collect())
}

/// Tells what is no longer used after a run: a resource may have turned to another thing in it.
pub(crate) async fn note(graph: &Graph, run: &Arc<Run>, kinds: &BTreeSet<String>) -> Result<()> {
    let used = kinds.iter().map(String::as_str);
    let used = used.filter(|name| crate::resource::find(name).is_some_and(|kind| kind.stays)).collect();
    let mut unused = gone(owned(run, &used).await?, graph);
    unused.retain(stays);
    told(&unused, run.store.name()).into_iter().for_each(|text| run.events.note(None, text));
    Ok(())
}
