//! Files reach the disk in groups: what is written while a group is being flushed goes with the next one: [`flush`].

use std::fs::File;
use std::io::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// How many files of a group are flushed at the same time; the file system writes its own journal once for all of them.
const AT_ONCE: usize = 16;

/// Files that wait for the next group, each with who waits for it.
struct Queue {
    waiting: Vec<(Arc<File>, oneshot::Sender<Result<()>>)>,
    /// Whether a thread is at it.
    busy: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: Vec::new(), busy: false });

fn queue() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Flushes a file's content to the disk, together with those of others who ask at the same time.
pub(super) async fn flush(file: Arc<File>) -> Result<()> {
    let (answer, answered) = oneshot::channel();
    let idle = {
        let mut queue = queue();
        queue.waiting.push((file, answer));
        !std::mem::replace(&mut queue.busy, true)
    };
    if idle && thread::Builder::new().spawn(flush_all).is_err() {
        flush_all();
    }
    answered.await.unwrap_or_else(|_| Err(Error::other("it was not flushed")))
}

/// Flushes group after group until nothing waits.
fn flush_all() {
    loop {
        let mut group = {
            let mut queue = queue();
            if queue.waiting.is_empty() {
                queue.busy = false;
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        let share = group.len().div_ceil(AT_ONCE);
        thread::scope(|scope| {
            while !group.is_empty() {
                let part = group.split_off(group.len().saturating_sub(share));
                // Whoever has stopped waiting needs no answer.
                let work = move || part.into_iter().for_each(|(file, answer)| drop(answer.send(file.sync_all())));
                if group.is_empty() {
                    work();
                } else {
                    drop(thread::Builder::new().spawn_scoped(scope, work));
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_of_many_is_answered_and_one_that_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let new = |name: String| Arc::new(File::create(folder.path().join(name)).unwrap());
        let files = (0..500).map(|number| flush(new(number.to_string())));
        let flushed = futures_util::future::join_all(files).await;
        assert!(flushed.iter().all(Result::is_ok));
        // A device cannot be flushed.
        let device = Arc::new(File::open("/dev/null").unwrap());
        let (one, other) = futures_util::future::join(flush(device), flush(new("more".to_owned()))).await;
        assert!(one.is_err() && other.is_ok(), "{one:?} {other:?}");
    }
}
