//! Reads the command line, runs it, and ends with its exit code.
#![expect(clippy::disallowed_methods, clippy::exit, reason = "only here may the process end")]

use std::cell::Cell;
use std::process::ExitCode;

use provision::cli::{self, Refusal, Signal, Stopper};
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
    let stopped = Cell::new(false);
    let result = tokio::select! {
        result = work => result,
        () = stop_on_signals(&stopper, &stopped) => unreachable!("signals are waited for as long as the process runs"),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report::error(&error, style);
            if stopped.get() {
                INTERRUPTED
            } else if error.is_usage() {
                2
            } else {
                1
            }
        }
    }
}

/// Waits for SIGINT and SIGTERM and hands them on. Where nothing is left to stop, the process ends.
async fn stop_on_signals(stopper: &Stopper, stopped: &Cell<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    loop {
        let signal = tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        };
        stopped.set(true);
        if !stopper.stop(signal) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    }
}
