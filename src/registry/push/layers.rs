//! Whether a registry has what an image needs, or can take it over from another repository of its own.

use super::{Push, locked};
use crate::error::Result;
use crate::registry::client::{Begun, Digest, Upload};

impl Push<'_> {
    /// Whether a repository has a blob, or has it now by a mount.
    pub(super) async fn ensure(&self, repository: &str, digest: &Digest, known_in: Option<String>) -> Result<bool> {
        let key = (repository.to_owned(), digest.clone());
        if locked(&self.state).there.contains(&key) {
            return Ok(true);
        }
        let mut there = self.registry.has_blob(repository, digest).await?.is_some();
        let from = locked(&self.state).seen.get(digest).cloned().or(known_in);
        if let Some(from) = from.filter(|from| !there && from != repository) {
            match self.registry.mount(repository, digest, &from).await? {
                Begun::Mounted => there = true,
                // The other repository does not have it any more, or the registry mounts nothing.
                Begun::Upload(upload) => locked(&self.state).begun.push(upload),
            }
        }
        if there {
            self.note_there(repository, digest);
        }
        Ok(there)
    }

    /// An upload to a repository: one that was begun already, or a new one.
    pub(super) async fn begin(&self, repository: &str) -> Result<Upload> {
        let begun = {
            let begun = &mut locked(&self.state).begun;
            let at = begun.iter().position(|upload| upload.repository() == repository);
            at.map(|at| begun.swap_remove(at))
        };
        match begun {
            Some(upload) => Ok(upload),
            None => self.registry.upload(repository).await,
        }
    }

    pub(super) fn note_there(&self, repository: &str, digest: &Digest) {
        let mut state = locked(&self.state);
        state.there.insert((repository.to_owned(), digest.clone()));
        state.seen.insert(digest.clone(), repository.to_owned());
    }

    /// What a layer's content became in this push or an earlier one: its digest and size in the registry.
    pub(super) fn layer(&self, content: &Digest) -> Option<(Digest, u64)> {
        let now = locked(&self.state).layers.get(content).cloned();
        now.or_else(|| locked(&self.cache).layer(self.method, content))
    }

    /// Whether a repository has a layer by its content, or has it now by a mount.
    pub(super) async fn ensure_layer(&self, repository: &str, content: &Digest) -> Result<bool> {
        let Some((digest, _)) = self.layer(content) else { return Ok(false) };
        let seen = locked(&self.cache).seen(self.method, content, self.registry.name()).map(str::to_owned);
        self.ensure(repository, &digest, seen).await
    }
}
