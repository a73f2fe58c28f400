//! What was learnt of manifests, kept between runs: [`Known`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Details;
use crate::error::Result;
use crate::world::files;

/// More than this is not kept: a file of about 64 MiB.
const MOST: usize = 100_000;

/// By digest. It is nothing that anybody needs: whatever cannot be read is learnt anew.
#[derive(Debug, Default)]
pub(crate) struct Known {
    details: Mutex<BTreeMap<String, Details>>,
    is_changed: AtomicBool,
}

fn path() -> Result<PathBuf> {
    Ok(files::state_home()?.join("cache").join("manifests.json"))
}

impl Known {
    pub fn read() -> Self {
        let found = path().and_then(|path| files::read(&path)).ok().flatten();
        let details = found.and_then(|found| serde_json::from_slice(&found.content).ok()).unwrap_or_default();
        Self { details: Mutex::new(details), is_changed: AtomicBool::new(false) }
    }

    pub(super) fn get(&self, digest: &str) -> Option<Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    pub(super) fn keep(&self, digest: &str, details: Details) -> Details {
        self.is_changed.store(true, Ordering::SeqCst);
        let mut all = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(digest.to_owned(), details.clone());
        details
    }

    /// Writes it down, as far as that is possible.
    pub fn write(&self) {
        let Ok(path) = path() else { return };
        let all = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_changed.load(Ordering::SeqCst) || all.len() > MOST {
            return;
        }
        if path.parent().is_some_and(|folder| files::make_folder(folder, 0o700).is_ok()) {
            drop(files::write_brief(&path, serde_json::json!(*all).to_string().as_bytes(), 0o600));
        }
    }
}
