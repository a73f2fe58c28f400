//! The images of a registry: what each tag is, and what that takes: [`Image`], [`list`].
//!
//! What has a digest never changes, so what was learnt of one is kept between runs: [`Known`].

mod details;
mod known;

use futures_util::stream::{self, StreamExt, TryStreamExt};

pub(crate) use details::{Details, configuration};
pub(crate) use known::Known;

use super::client::Registry;
use crate::error::Result;
use crate::text::pattern;

/// How many requests are under way at once; the client lets fewer through to a registry.
const AT_ONCE: usize = 16;

/// A tag and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    pub repository: String,
    pub tag: String,
    pub digest: String,
    pub details: Details,
}

/// The repositories whose names fit a pattern, with their tags, sorted. Those without a tag are left out.
pub(crate) async fn names(registry: &Registry, wanted: &str) -> Result<Vec<(String, Vec<String>)>> {
    let mut repositories = registry.catalog().await?;
    repositories.retain(|name| pattern::fits(wanted, name));
    let tags = stream::iter(repositories).map(|repository| async move {
        let mut tags = registry.tags(&repository).await?.unwrap_or_default();
        tags.sort();
        Ok::<_, crate::error::Error>((repository, tags))
    });
    let mut found: Vec<(String, Vec<String>)> = tags.buffer_unordered(AT_ONCE).try_collect().await?;
    found.retain(|(_, tags)| !tags.is_empty());
    found.sort();
    Ok(found)
}

/// Every image whose repository fits a pattern, sorted by repository and tag. A tag that goes meanwhile is left out.
pub(crate) async fn list(registry: &Registry, wanted: &str, known: &Known) -> Result<Vec<Image>> {
    let tags = names(registry, wanted).await?.into_iter();
    let tags = tags.flat_map(|(repository, tags)| tags.into_iter().map(move |tag| (repository.clone(), tag)));
    let looks = stream::iter(tags).map(|(repository, tag)| look(registry, repository, tag, known));
    let found: Vec<Option<Image>> = looks.buffered(AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// What a tag is; none if there is no such tag.
pub(crate) async fn look(registry: &Registry, repository: String, tag: String, known: &Known) -> Result<Option<Image>> {
    let Some(found) = registry.look_up(&repository, &tag).await? else { return Ok(None) };
    let digest = found.digest.as_str().to_owned();
    let details = match known.get(&digest) {
        Some(details) => details,
        None => match details::read(registry, &repository, &digest).await? {
            Some(details) => known.keep(&digest, details),
            None => return Ok(None),
        },
    };
    Ok(Some(Image { repository, tag, digest, details }))
}
