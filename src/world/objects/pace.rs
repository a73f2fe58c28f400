//! How often files of a store are asked for: [`Pace`].

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often files are asked for at most, all users of a store together.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    pub fn new(per_second: u32) -> Self {
        Self { apart: Duration::from_secs(1) / per_second.max(1), next: Mutex::new(Instant::now()) }
    }

    /// How long it is until the next one may be asked for. Whoever asks has taken that turn.
    pub fn turn(&self) -> Duration {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*next).max(now);
        *next = turn + self.apart;
        turn - now
    }
}
