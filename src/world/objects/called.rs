//! Calls that are waited for by the thread that makes them, while a thread of their own carries them out: [`Caller`].

use std::sync::mpsc::{Receiver, channel};

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// A thread for calls.
#[derive(Debug)]
pub(super) struct Caller(Option<Runtime>);

impl Caller {
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(|error| {
            Error::new(format!("cannot start a thread: {error}"))
                .hint("raise the limit of processes: `ulimit -u` shows it")
        })
    }

    /// Begins with something whose result comes later.
    pub fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Receiver<T> {
        let (sender, receiver) = channel();
        if let Some(runtime) = &self.0 {
            runtime.spawn(async move { drop(sender.send(work.await)) });
        }
        receiver
    }
}

/// Waits for a result, which has a limit of time of its own.
pub(super) fn wait<T>(receiver: &Receiver<T>) -> Result<T> {
    receiver.recv().map_err(|_| Error::new("a thread ended before its work was done"))
}

impl Drop for Caller {
    fn drop(&mut self) {
        // It may be dropped where nothing may be waited for.
        self.0.take().map(Runtime::shutdown_background).unwrap_or_default();
    }
}
