//! Holding images: retention, `delete` and `untag` leave them alone.

use std::collections::BTreeSet;

use super::Reference;
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::registry::client::Registry;
use crate::registry::retention::Kept;
use crate::session::Session;

/// Holds images, or lets them go.
pub(super) async fn change(session: &Session, registry: &Registry, images: &[Reference], held: bool) -> Result<()> {
    let Some(name) = registry.nature().deployment.clone() else {
        return Err(Error::new(format!(
            "`{}` is no deployment of this host, and what is held is kept with one",
            registry.name()
        ))
        .hint("`provision list` shows the deployments"));
    };
    for image in images.iter().filter(|_| held) {
        registry.look_up(&image.repository, &image.reference).await?.ok_or_else(|| image.missing(registry))?;
    }
    let _lock = session.lock(&name, "images").await?;
    let store = Store::existing(&name)?.0;
    let mut all = Kept::read(&store)?.held;
    for image in images {
        let shown = image.shown();
        let is_news = if held { all.insert(shown.clone()) } else { all.remove(&shown) };
        let word = if held { "held" } else { "not held" };
        session.events.note(None, format!("{shown} is {word}{}", if is_news { "" } else { " already" }));
    }
    Kept::hold(&store, &all)
}

/// What is held of a registry; nothing of one that is no deployment.
pub(super) fn held(registry: &Registry) -> Result<BTreeSet<String>> {
    let Some(name) = &registry.nature().deployment else { return Ok(BTreeSet::new()) };
    Ok(Kept::read(&Store::existing(name)?.0)?.held)
}

/// Fails if one of these images is held, by a tag or by its digest.
pub(super) fn check(held: &BTreeSet<String>, images: &[String]) -> Result<()> {
    match images.iter().find(|image| held.contains(*image)) {
        None => Ok(()),
        Some(image) => Err(Error::new(format!("`{image}` is held"))
            .hint(format!("nothing was removed; `provision images REGISTRY unhold {image}` lets it go"))),
    }
}
