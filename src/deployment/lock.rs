//! Who works on a deployment: [`Lock`].
//!
//! Its file stands outside the deployment's folder, which comes and goes. While it is held the file says by whom. It stays if its
//! holder did not come to its end, or if something of a deployment that is gone may still appear on an engine: with its id.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::names::{check_name, root};
use crate::error::Result;
use crate::world::{files, host, lock};

/// How a line with the id of a deployment that is gone begins.
const GONE: &str = "gone: ";

/// The lock of a deployment, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: lock::Lock,
    folder: PathBuf,
    /// When it was taken.
    pub since: Instant,
    /// Whether something that an engine was asked for may still be under way: it was when the last holder was killed.
    open: AtomicBool,
    /// The id of a deployment of this name that is gone, as long as something of it may appear.
    gone: Mutex<Option<String>>,
}

/// What came of an attempt to take the lock of a deployment.
pub(crate) enum Attempt {
    Taken(Lock),
    /// Who has it.
    Held(String),
}

fn path(name: &str) -> Result<PathBuf> {
    Ok(files::state_home()?.join("locks").join(name))
}

fn gone_in(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix(GONE))
}

/// The words of a holder.
fn holder_in(text: &str) -> Option<&str> {
    text.lines().next().filter(|line| !line.is_empty() && !line.starts_with(GONE))
}

/// The id of a deployment of this name that is gone, if something of it may still appear.
pub(super) fn gone(name: &str) -> Result<Option<String>> {
    Ok(gone_in(&lock::words(&path(name)?)).map(str::to_owned))
}

/// Who works on a deployment, or did and came to no end.
pub(crate) struct Holder {
    pub words: String,
    pub works: bool,
}

/// Who has the lock of a deployment or was killed while they had it, found out without taking it.
pub(crate) fn holder(name: &str) -> Result<Option<Holder>> {
    let path = path(name)?;
    let found = lock::words(&path);
    Ok(holder_in(&found).map(|words| Holder { words: words.to_owned(), works: lock::is_held(&path) }))
}

/// Tries to take the lock of a deployment, whether or not there is one of this name.
pub(crate) fn attempt(name: &str, verb: &str) -> Result<Attempt> {
    check_name(name)?;
    let folder = root()?.join(name);
    let words = |found: &str| {
        let gone = gone_in(found).map(|id| format!("{GONE}{id}\n")).unwrap_or_default();
        format!("`provision {verb}` of {}\n{gone}", host::whoami())
    };
    let file = match lock::attempt(&path(name)?, words)? {
        lock::Attempt::Taken(file) => file,
        lock::Attempt::Held(words) => return Ok(Attempt::Held(holder_in(&words).unwrap_or_default().to_owned())),
    };
    let open = AtomicBool::new(holder_in(&file.found).is_some());
    let gone = Mutex::new(gone_in(&file.found).map(str::to_owned));
    Ok(Attempt::Taken(Lock { file, folder, since: Instant::now(), open, gone }))
}

impl Lock {
    /// Whether something that an engine was asked for may still be under way.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Says whether something may still be under way when it is given back.
    pub fn leave_open(&self, open: bool) {
        self.open.store(open, Ordering::SeqCst);
    }

    /// Remembers the id of a deployment whose folder goes, since something of it may still appear.
    pub fn remember(&self, id: &str) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let is_there = files::exists(Path::new(&self.folder));
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner).take().filter(|_| !is_there);
        match gone {
            // The words of this holder stay: by them the next one knows.
            _ if self.is_open() => {}
            Some(id) => drop(self.file.write(&format!("{GONE}{id}\n"))),
            None => self.file.remove(!is_there),
        }
    }
}
