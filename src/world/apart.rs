//! Work that blocks, such as reading a pipe that nobody writes to: it leaves the thread that everything else runs on.

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Does the work on a thread of its own. Whoever stops waiting leaves the thread behind, which ends with the process.
///
/// # Errors
/// No thread can be had.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let (sender, receiver) = oneshot::channel();
    let started = std::thread::Builder::new().spawn(move || drop(sender.send(work())));
    started.map_err(|error| {
        Error::new(format!("cannot start a thread: {error}")).hint("raise the limit of processes: `ulimit -u` shows it")
    })?;
    receiver.await.map_err(|_| Error::new("a thread ended before its work was done"))
}
