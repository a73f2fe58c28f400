//! The readers of events: for people, and for programs. Only here is anything printed.
#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

mod human;
mod json;

use std::io::Write;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::Error;
use crate::event::Event;
use crate::secret::Secret;
use crate::world::terminal;

/// How a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Text,
    Json,
}

/// Tells every event of `work` until it has ended.
pub async fn tell<T>(mut events: UnboundedReceiver<Event>, style: Style, work: impl Future<Output = T>) -> T {
    let mut human = human::Human::new();
    let mut tell = move |event: &Event| match style {
        Style::Json => line(&json::line(event)),
        Style::Text => human.tell(event),
    };
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => tell(&event),
            result = &mut work => break result,
        }
    };
    while let Ok(event) = events.try_recv() {
        tell(&event);
    }
    result
}

/// Prints what was asked for.
pub(crate) fn line(text: &str) {
    // A closed pipe, as behind `head`, is the reader's choice.
    drop(writeln!(std::io::stdout(), "{text}"));
}

/// Prints a text as it is, without a line end of our own.
pub(crate) fn text(text: &str) {
    drop(write!(std::io::stdout(), "{text}"));
}

/// Prints an error.
pub fn error(error: &Error, style: Style) {
    if style == Style::Json {
        line(&json::error(error));
    }
    eprintln!("{}", error.render());
}

/// Asks for something that is not shown while it is typed; empty after Ctrl-C. None if there is nobody to ask.
pub(crate) fn ask_hidden(question: &str) -> Option<Secret> {
    if !terminal::is_there() {
        return None;
    }
    let answer = terminal::read_hidden(|| {
        eprint!("{question}: ");
        drop(std::io::stderr().flush());
    });
    eprintln!();
    Some(Secret::new(answer.unwrap_or_default()))
}

/// Asks a question that is answered with `yes`. None if there is nobody to ask.
pub(crate) fn ask(question: &str) -> Option<bool> {
    if !terminal::is_there() {
        return None;
    }
    eprint!("{question} Type `yes` to go on: ");
    drop(std::io::stderr().flush());
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim() == "yes")
}
