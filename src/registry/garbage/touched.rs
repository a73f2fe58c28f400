//! Who asked for what: [`Touched`], which the collection and its gate share.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::key::Key;

/// How long after its beginning a deletion may go on with another file. nginx waits longer for the gate.
pub(crate) const HOLD: Duration = Duration::from_secs(5);
/// How long keys may be held at most: for the last file of a deletion, and for an answer of a store that does not come.
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    /// What the list has: nothing else is of interest.
    listed: BTreeSet<Key>,
    touched: BTreeSet<Key>,
    /// Somebody asked in a form that may mean any key.
    everything: bool,
    locked: Option<(BTreeSet<Key>, Instant)>,
    /// Whether what is asked for may go all the same: only for the tests that show what comes of it.
    is_deaf: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Touched {
    state: Mutex<State>,
    unlocked: Notify,
}

impl Touched {
    pub fn new(listed: impl Iterator<Item = Key>, is_deaf: bool) -> Self {
        let state = State { listed: listed.collect(), is_deaf, ..State::default() };
        Self { state: Mutex::new(state), unlocked: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody asks for these keys.
    pub fn note(&self, keys: impl IntoIterator<Item = Key>) {
        let mut state = self.state();
        for key in keys {
            let is_wanted = state.listed.contains(&key) || matches!(key, Key::Tag(..));
            if is_wanted && !state.is_deaf {
                state.touched.insert(key);
            }
        }
    }

    pub fn note_everything(&self) {
        let mut state = self.state();
        state.everything = !state.is_deaf;
    }

    /// Waits until none of these keys is being deleted. From then on, none of them will be.
    pub async fn pass(&self, keys: &[Key]) {
        self.note(keys.iter().cloned());
        loop {
            let unlocked = self.unlocked.notified();
            tokio::pin!(unlocked);
            unlocked.as_mut().enable();
            if !self.state().locked.as_ref().is_some_and(|(locked, _)| keys.iter().any(|key| locked.contains(key))) {
                return;
            }
            unlocked.await;
        }
    }

    /// The same for whoever may mean any key.
    pub async fn pass_everything(&self) {
        self.note_everything();
        loop {
            let unlocked = self.unlocked.notified();
            tokio::pin!(unlocked);
            unlocked.as_mut().enable();
            if self.state().locked.is_none() {
                return;
            }
            unlocked.await;
        }
    }

    pub fn is_touched(&self, key: &Key) -> bool {
        let state = self.state();
        state.everything || state.touched.contains(key)
    }

    /// Deletes a key while nobody can ask for it; false if somebody has asked.
    pub fn delete<E>(&self, key: &Key, work: impl FnOnce(&dyn Fn() -> bool) -> Result<(), E>) -> Result<bool, E> {
        Ok(self.delete_all([key.clone()], |_, in_time| work(in_time))?.is_some())
    }

    /// The same for several, of which those that somebody has asked for are left out; none if that are all.
    pub fn delete_all<T, E>(
        &self,
        keys: impl IntoIterator<Item = Key>,
        work: impl FnOnce(&BTreeSet<Key>, &dyn Fn() -> bool) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        let going: BTreeSet<Key> = {
            let mut state = self.state();
            let is_asked_for = |key: &Key| state.everything || state.touched.contains(key);
            let going: BTreeSet<Key> = keys.into_iter().filter(|key| !is_asked_for(key)).collect();
            if going.is_empty() {
                return Ok(None);
            }
            state.locked = Some((going.clone(), Instant::now()));
            going
        };
        let begun = Instant::now();
        let done = work(&going, &|| begun.elapsed() < HOLD);
        self.state().locked = None;
        self.unlocked.notify_waiters();
        done.map(Some)
    }

    /// Whether a key is held for longer than a deletion takes.
    pub fn hangs(&self) -> bool {
        self.state().locked.as_ref().is_some_and(|(_, since)| since.elapsed() > LONGEST)
    }
}
