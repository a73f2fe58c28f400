//! The signals that ask this process to end.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::sync::mpsc::{Sender, channel};

use tokio::signal::unix::{SignalKind, signal};

use crate::world::stop::Signal;

/// The bit of SIGHUP, which has the number 1, in the masks of `/proc/PID/status`.
const HANGUP: u64 = 1;

/// Hears SIGINT, SIGTERM and SIGHUP on a thread of its own, so that they are heard whatever the others wait for. A SIGHUP that
/// is ignored, as under `nohup`, stays so. Returns once they are heard.
pub fn hear(told: impl FnMut(Signal) + Send + 'static) {
    let (sender, ready) = channel();
    let thread = std::thread::Builder::new().name("signals".to_owned());
    // Without a thread, signals end the process at once, as they do by themselves.
    if thread.spawn(move || serve(told, sender)).is_ok() {
        let _ = ready.recv();
    }
}

fn serve(mut told: impl FnMut(Signal), ready: Sender<()>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    runtime.block_on(async {
        let hear = |kind: SignalKind| signal(kind);
        let (Ok(mut interrupt), Ok(mut terminate)) = (hear(SignalKind::interrupt()), hear(SignalKind::terminate()))
        else {
            return;
        };
        let mut hangup = if ignores_hangup() { None } else { hear(SignalKind::hangup()).ok() };
        drop(ready);
        loop {
            told(tokio::select! {
                _ = interrupt.recv() => Signal::Interrupt,
                _ = terminate.recv() => Signal::Terminate,
                () = async { match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                } } => Signal::Hangup,
            });
        }
    });
}

/// Whether SIGHUP was ignored when this process was started (`proc_pid_status(5)`, `SigIgn`).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}
