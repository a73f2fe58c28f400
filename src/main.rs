//! Reads the command line, runs it, and ends with its exit code.
#![expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "only here may the process end, and only here and in apply may a task be spawned"
)]

use std::process::ExitCode;

use provision::cli::{self, Refusal, Stopper};
use provision::event::Events;
use provision::report;

/// What a process ends with that was stopped by SIGINT (128 + 2).
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(Refusal::Parser(error)) => {
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(Refusal::Error(error)) => {
            report::error(&error, report::Style::Text);
            return ExitCode::from(if error.is_usage() { 2 } else { 1 });
        }
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can always be made");
    ExitCode::from(runtime.block_on(run(invocation)))
}

async fn run(invocation: cli::Invocation) -> u8 {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let style = invocation.style;
    let stopper = Stopper::default();
    let work = report::tell(receiver, style, invocation.run(Events::new(sender), stopper.clone()));
    let signals = stop_on_signals(&stopper);
    let mut stopped = false;
    let result = {
        tokio::pin!(work, signals);
        tokio::select! {
            result = &mut work => result,
            () = &mut signals => { stopped = true; work.await }
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report::error(&error, style);
            if stopped {
                INTERRUPTED
            } else if error.is_usage() {
                2
            } else {
                1
            }
        }
    }
}

/// Waits for SIGINT or SIGTERM and asks the run to stop. The second one ends the process at once.
async fn stop_on_signals(stopper: &Stopper) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    if !stopper.stop() {
        std::process::exit(i32::from(INTERRUPTED));
    }
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        std::process::exit(i32::from(INTERRUPTED));
    });
}
