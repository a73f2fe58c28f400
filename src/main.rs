//! Reads the command line, runs it, and ends with its exit code.
#![expect(clippy::disallowed_methods, clippy::exit, reason = "only here may the process end")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use provision::cli::{self, Refusal, Stopper};
use provision::event::Events;
use provision::report;

/// What a process ends with that was stopped by a signal: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    cli::keep_memory_private();
    let (stopper, stopped) = (Stopper::default(), Arc::new(AtomicBool::new(false)));
    let invocation = cli::arguments(std::env::args_os()).map_err(Refusal::Error).and_then(|arguments| {
        stop_from_there(&stopper, &stopped);
        cli::parse(arguments)
    });
    let code = match invocation {
        Ok(invocation) => carry_out(invocation, &stopper, &stopped),
        Err(refusal) => refuse(refusal, &stopper),
    };
    cli::end_there(code);
    ExitCode::from(code)
}

/// Tells why a command line is not carried out, or the help that it asks for.
fn refuse(refusal: Refusal, stopper: &Stopper) -> u8 {
    stopper.end();
    let code = match refusal {
        Refusal::Parser(error) => {
            if error.use_stderr() {
                report::beside(&error.render().to_string());
            } else {
                // Help, in which nothing foreign is left.
                drop(error.print());
            }
            u8::try_from(error.exit_code()).unwrap_or(2)
        }
        Refusal::Error(error) => {
            report::error(&error, report::Style::Text);
            if error.is_usage() { 2 } else { 1 }
        }
    };
    report::told_now();
    code
}

fn carry_out(invocation: cli::Invocation, stopper: &Stopper, stopped: &Arc<AtomicBool>) -> u8 {
    stop_on_signals(stopper.clone(), stopped.clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can always be made");
    let code = runtime.block_on(run(invocation, stopper, stopped));
    // Whoever reads what is printed may take their time; a signal ends that at once.
    stopper.end();
    report::told_now();
    // What is asked of a name server, for instance, is not waited for any more.
    runtime.shutdown_background();
    code
}

async fn run(invocation: cli::Invocation, stopper: &Stopper, stopped: &AtomicBool) -> u8 {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    let style = invocation.style;
    match report::tell(receiver, style, invocation.run(Events::new(sender), stopper.clone())).await {
        Ok(code) => code,
        Err(error) => {
            report::error(&error, style);
            if stopped.load(Ordering::SeqCst) {
                INTERRUPTED
            } else if error.is_usage() {
                2
            } else {
                1
            }
        }
    }
}

/// Hands on the signals that ask to end. Where nothing is left to stop, the process ends.
fn stop_on_signals(stopper: Stopper, stopped: Arc<AtomicBool>) {
    cli::hear_signals(move |signal| stop(&stopper, &stopped, signal));
}

/// The same for what comes from the machine where the command was typed, if that is another one.
fn stop_from_there(stopper: &Stopper, stopped: &Arc<AtomicBool>) {
    let (ended, stopper, stopped) = (stopper.clone(), stopper.clone(), stopped.clone());
    cli::hear_there(
        move |signal| stop(&stopper, &stopped, signal),
        // What is left to be printed is read by nobody any more.
        move || {
            if ended.is_ended() {
                std::process::exit(i32::from(INTERRUPTED));
            }
        },
    );
}

fn stop(stopper: &Stopper, stopped: &AtomicBool, signal: cli::Signal) {
    stopped.store(true, Ordering::SeqCst);
    if !stopper.stop(signal) {
        cli::end_there(INTERRUPTED);
        std::process::exit(i32::from(INTERRUPTED));
    }
}
