//! Work on a deployment that nobody else works on meanwhile: [`Turn`].
//!
//! Whatever a change rests on is read within a turn. A turn does not last over a question: it is given up, and in the next one
//! everything is read anew.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::deployment::Store;
use crate::deployment::lock::{Attempt, Lock, attempt};
use crate::deployment::measured::Measured;
use crate::error::{Error, Result};
use crate::session::Session;
use crate::world::host;

/// How long an engine may take, at least, until what it was asked for is there.
const QUIET: Duration = Duration::from_millis(1500);
/// Milliseconds between two attempts to take a lock.
const PAUSE: u64 = 50;
/// How long a holder may take to write down who it is.
const MOMENT: Duration = Duration::from_millis(500);

/// A deployment's lock, and what the user has agreed to lose.
pub(crate) struct Turn {
    pub lock: Lock,
    agreed: BTreeSet<String>,
    yes: bool,
}

/// Why work came to no end.
pub(crate) enum Halt {
    Failed(Error),
    /// The user is to be asked whether this data may be deleted.
    Asked {
        data: Vec<String>,
        hint: &'static str,
    },
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Turn {
    /// Goes on if all of this data may be deleted.
    pub fn may_delete(&self, data: Vec<String>, hint: &'static str) -> std::result::Result<(), Halt> {
        if self.yes || data.iter().all(|one| self.agreed.contains(one)) {
            return Ok(());
        }
        Err(Halt::Asked { data, hint })
    }

    /// Waits until an engine that was asked for something by a process which was killed has most likely done it.
    pub async fn quiet(&self) {
        let rest = QUIET.saturating_sub(self.lock.since.elapsed());
        host::sleep(u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)).await;
    }

    /// Whether that time is over, or there was no such process.
    pub fn is_quiet(&self) -> bool {
        !self.lock.is_open() || self.lock.since.elapsed() >= QUIET
    }

    /// Removes the folder of a deployment. What may still appear of it stays known by its id.
    pub fn forget(&self, store: &Store) -> Result<()> {
        store.forget()?;
        Measured::forget(store.name());
        if self.lock.is_open() {
            self.lock.remember(store.id());
            self.lock.leave_open(false);
        }
        Ok(())
    }
}

impl Session {
    /// Does something to a deployment while nobody else does. It begins anew after a question.
    ///
    /// # Errors
    /// What failed; the answer was no, or nobody is there to be asked; or somebody else took too long.
    pub(crate) async fn alone<T>(
        &self,
        name: &str,
        verb: &str,
        work: impl AsyncFn(&Turn) -> std::result::Result<T, Halt>,
    ) -> Result<T> {
        let mut agreed = BTreeSet::new();
        loop {
            let turn = Turn { lock: self.lock(name, verb).await?, agreed, yes: self.yes };
            match Box::pin(work(&turn)).await {
                Ok(done) => return Ok(done),
                Err(Halt::Failed(error)) => return Err(error),
                Err(Halt::Asked { data, hint }) => {
                    agreed = turn.agreed;
                    drop(turn.lock);
                    self.confirm(&data, hint).await?;
                    agreed.extend(data);
                }
            }
        }
    }

    /// Takes a deployment's lock, and waits for whoever has it.
    pub(crate) async fn lock(&self, name: &str, verb: &str) -> Result<Lock> {
        let begun = Instant::now();
        let mut told = String::new();
        loop {
            let holder = match attempt(name, verb)? {
                Attempt::Taken(lock) => {
                    Store::recover(name)?;
                    return Ok(lock);
                }
                Attempt::Held(holder) => holder,
            };
            let waited = begun.elapsed();
            if waited >= self.wait.max(if holder.is_empty() { MOMENT } else { Duration::ZERO }) {
                return Err(busy(name, &holder, self.wait));
            }
            if !holder.is_empty() && holder != told && !self.wait.is_zero() {
                self.events.note(None, format!("waiting for {holder}, which works on `{name}`"));
                told = holder;
            }
            self.stopper.or_end(host::sleep(PAUSE)).await?;
        }
    }
}

fn busy(name: &str, holder: &str, waited: Duration) -> Error {
    let holder = if holder.is_empty() { "another process" } else { holder };
    let (time, hint) = match waited.as_secs() {
        0 => (String::new(), "`--wait 5m` waits until that has ended".to_owned()),
        seconds => (
            format!(", for {seconds} s and more"),
            "run the command again later, or let it wait longer: `--wait 1h`".to_owned(),
        ),
    };
    Error::new(format!("deployment `{name}` is being worked on by {holder}{time}")).hint(hint)
}
