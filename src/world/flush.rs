//! Files reach the disk in groups: what is written while a group is being flushed goes with the next one: [`flush`].

use std::fs::File;
use std::io::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// How many files of a group are flushed at the same time; the file system writes its own journal once for all of them.
const AT_ONCE: usize = 16;

/// How many steps have to begin together for their files to be flushed in groups.
const MANY: usize = 16;

/// Whether so many steps have begun together.
static TOGETHER: AtomicBool = AtomicBool::new(false);

/// Tells how many steps begin together. The files of a few are flushed one after the other, so that these steps end in the
/// order in which they began.
pub(crate) fn steps_begin(count: usize) {
    TOGETHER.fetch_or(count > MANY, Ordering::Relaxed);
}

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
    if !TOGETHER.load(Ordering::Relaxed) {
        return file.sync_all();
    }
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
        let group = {
            let mut queue = queue();
            if queue.waiting.is_empty() {
                queue.busy = false;
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        let share = group.len().div_ceil(AT_ONCE);
        let flushed: Vec<Result<()>> = thread::scope(|scope| {
            let parts = group.chunks(share).map(|part| {
                let work = move || part.iter().map(|(file, _)| file.sync_all()).collect::<Vec<_>>();
                thread::Builder::new().spawn_scoped(scope, work).map_err(|_| part)
            });
            let parts: Vec<_> = parts.collect();
            let ended = parts.into_iter().map(|part| match part {
                Ok(thread) => thread.join().unwrap_or_default(),
                // Without a thread more it is done here.
                Err(part) => part.iter().map(|(file, _)| file.sync_all()).collect(),
            });
            ended.flatten().collect()
        });
        // In the order in which they asked, so that two runs tell the same. Whoever has stopped waiting needs no answer.
        group.into_iter().zip(flushed).for_each(|((_, answer), result)| drop(answer.send(result)));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test acts on the world")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_of_many_is_answered_and_one_that_fails_is_told() {
        let folder = tempfile::tempdir().unwrap();
        steps_begin(MANY + 1);
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
