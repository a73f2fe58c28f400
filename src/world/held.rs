//! Whether somebody still holds this process: the other end of its standard input.

use std::io::Read;
use std::thread;

use tokio::sync::oneshot;

/// Is told once the other end of the standard input is closed.
pub(crate) fn released() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while std::io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
        drop(sender);
    });
    receiver
}
