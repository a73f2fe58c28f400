//! A second process that ends this one when it stops giving signs of life: [`Watchdog`].
//!
//! A process that is stopped or swapped out in the middle of a deletion must never go on with it, so it is killed.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};

/// How long nothing may come.
const SILENCE: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_millis(500);

pub(crate) struct Watchdog {
    child: Child,
}

impl Watchdog {
    /// Starts one by `command`, and gives it a sign of life for as long as `is_well` holds.
    pub fn start(command: &[String], is_well: impl Fn() -> bool + Send + 'static) -> Result<Self> {
        let failed = |error| Error::new(format!("cannot start the watchdog of the collection: {error}"));
        let (program, arguments) =
            command.split_first().ok_or_else(|| Error::new("there is no command for the watchdog"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let input = child.stdin.take();
        thread::spawn(move || input.map(|input| live(input, is_well)));
        Ok(Self { child })
    }
}

fn live(mut input: ChildStdin, is_well: impl Fn() -> bool) {
    loop {
        if is_well() && input.write_all(b".").is_err() {
            return;
        }
        thread::sleep(BEAT);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Is the watchdog of a process: kills it when nothing has come for ten seconds, and ends with it.
pub(crate) fn watch(process: u32) {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut byte = [0; 64];
        while std::io::stdin().read(&mut byte).is_ok_and(|count| count > 0) && sender.send(()).is_ok() {}
    });
    loop {
        match receiver.recv_timeout(SILENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let id = i32::try_from(process).ok().and_then(Pid::from_raw);
                // One that has ended needs no end.
                let _ = id.map(|id| kill_process(id, Signal::KILL));
                return;
            }
        }
    }
}
