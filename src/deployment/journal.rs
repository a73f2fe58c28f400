//! The steps of a run and how each is taken back: [`Journal`].
//!
//! It is kept in memory, so it serves a failing step and Ctrl-C. Every entry is plain data and is recorded before its step
//! is taken: a journal on disk is this file's business alone.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::Result;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub id: String,
    pub kind: String,
    pub undo: Json,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<Vec<Entry>>,
    /// The resources of which a step could not be taken back.
    left: Mutex<BTreeSet<String>>,
}

impl Journal {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a step down before it is taken.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "a journal on disk can fail to write, and then the step must not be taken"
    )]
    pub fn record(&self, id: &str, kind: &str, undo: Json) -> Result<()> {
        self.entries().push(Entry { id: id.to_owned(), kind: kind.to_owned(), undo });
        Ok(())
    }

    /// Takes all entries out, the latest first.
    pub fn take(&self) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut *self.entries());
        entries.reverse();
        entries
    }

    /// Notes that a step of a resource could not be taken back, so something of it may exist.
    pub fn leave(&self, id: &str) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
    }

    pub fn is_left(&self, id: &str) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }
}
