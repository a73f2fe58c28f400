//! The proof of a copy: each tag of both sides compared by digest.

use futures_util::StreamExt;
use serde::Serialize;

use super::{Copier, Pair};
use crate::error::Result;
use crate::registry::client::Digest;

/// How many tags are compared at once.
const AT_ONCE: usize = 8;

/// One tag at the source and at the target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub repository: String,
    pub tag: String,
    /// The same at the target, where it has another name.
    pub target: String,
    pub source_digest: Option<Digest>,
    pub target_digest: Option<Digest>,
    pub state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Same,
    /// The target has another image under the tag.
    Different,
    /// The target has no such tag.
    Missing,
    /// The source has it no more.
    Gone,
}

impl Copier {
    /// Compares tags as both sides have them now.
    pub async fn compare(&self, pairs: &[Pair]) -> Result<Vec<Row>> {
        let rows: Vec<Result<Row>> =
            futures_util::stream::iter(pairs.iter().map(|pair| self.compared(pair))).buffered(AT_ONCE).collect().await;
        rows.into_iter().collect()
    }

    /// What of an image the source itself does not have, so that nobody can pull it there either; none if it is whole.
    pub async fn lacking(&self, repository: &str, reference: &str) -> Result<Option<String>> {
        let mut pending = vec![reference.to_owned()];
        while let Some(reference) = pending.pop() {
            let Some(manifest) = self.from.manifest(repository, &reference).await? else {
                return Ok(Some(format!("the manifest {reference} is missing")));
            };
            if manifest.is_index() {
                pending.extend(manifest.manifests()?.into_iter().map(|child| child.digest.to_string()));
                continue;
            }
            for blob in manifest.blobs()? {
                if self.from.has_blob(repository, &blob.digest).await?.is_none() {
                    return Ok(Some(format!("the layer {} is missing", blob.digest)));
                }
            }
        }
        Ok(None)
    }

    async fn compared(&self, pair: &Pair) -> Result<Row> {
        let ((repository, tag), (target, target_tag)) = (&pair.from, &pair.to);
        let (source, found) =
            futures_util::future::try_join(self.from.look_up(repository, tag), self.to.look_up(target, target_tag))
                .await?;
        let (source, found) = (source.map(|source| source.digest), found.map(|found| found.digest));
        let state = match (&source, &found) {
            (Some(source), Some(found)) if source == found => State::Same,
            (Some(_), Some(_)) => State::Different,
            (Some(_), None) => State::Missing,
            (None, _) => State::Gone,
        };
        Ok(Row {
            repository: repository.clone(),
            tag: tag.clone(),
            target: format!("{target}:{target_tag}"),
            source_digest: source,
            target_digest: found,
            state,
        })
    }
}
