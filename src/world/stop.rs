//! How a process that is asked to end goes about it: [`Stopper`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::{Error, Result};

/// A signal that asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP, as a terminal that goes away sends it.
    Hangup,
}

/// Whether a run was told to stop, and who waits for that.
#[derive(Debug, Default)]
pub(crate) struct Cancel {
    cancelled: AtomicBool,
    wake: Notify,
}

impl Cancel {
    /// Asks the run to stop before its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(stopped()) } else { Ok(()) }
    }

    /// Waits for something long, unless the run is told to stop first. Only what may be left half done is waited for here.
    pub async fn interruptible<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let woken = self.wake.notified();
        self.check()?;
        tokio::select! {
            result = work => result,
            () = woken => Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::new("stopped before it was done")
}

/// Stops a run that is under way, or passes signals on to the command that the run is for.
#[derive(Clone, Default)]
pub struct Stopper(Arc<Inner>);

#[derive(Default)]
struct Inner {
    run: Mutex<Option<Arc<Cancel>>>,
    asked: AtomicBool,
    ended: AtomicBool,
    listener: Mutex<Option<UnboundedSender<Signal>>>,
}

impl Stopper {
    /// Asks the run to stop and to take back what it did. False if there is none yet or it was asked already: then the
    /// process is to end at once.
    pub fn stop(&self, signal: Signal) -> bool {
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener.as_ref() {
            // One that does not listen any more is about to end.
            let _ = listener.send(signal);
            return true;
        }
        let first = !self.0.asked.swap(true, Ordering::SeqCst);
        let ended = self.0.ended.load(Ordering::SeqCst);
        let run = self.0.run.lock().unwrap_or_else(PoisonError::into_inner);
        first && !ended && run.as_ref().map(|run| run.cancel()).is_some()
    }

    /// From now on there is nothing left to stop.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether nothing is left to stop.
    pub fn is_ended(&self) -> bool {
        self.0.ended.load(Ordering::SeqCst)
    }

    /// Waits for a person, or for a file that may be a pipe.
    ///
    /// # Errors
    /// The process was asked to end instead.
    pub(crate) async fn or_end<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let mut signals = self.listen();
        let answer = tokio::select! {
            answer = answer => Ok(answer),
            // Another signal, as one that a program around this one passes on, changes nothing any more.
            Some(_) = signals.recv() => return Err(Error::new("interrupted while waiting for an answer")),
        };
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        answer
    }

    /// This run is the one to stop from now on.
    pub(crate) fn begin(&self, run: Arc<Cancel>) {
        let mut current = self.0.run.lock().unwrap_or_else(PoisonError::into_inner);
        let run = current.insert(run);
        // Asked for just before: then it was the last one that was told.
        if self.0.asked.load(Ordering::SeqCst) {
            run.cancel();
        }
    }

    /// From now on signals stop no run, but are read here.
    pub(crate) fn listen(&self) -> UnboundedReceiver<Signal> {
        let (sender, receiver) = unbounded_channel();
        *self.0.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }
}
