//! The thread that prints. Whoever reads slowly, or not at all, holds up nothing but this: what is to be printed waits here.

use std::io::{ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::oneshot;

use super::clean::{clean, clean_json};
use super::human::Human;
use super::{Style, json};
use crate::error::Error;
use crate::event::Event;
use crate::world::terminal;

/// What is to be printed, in its order.
pub(super) enum Word {
    Event(Box<Event>, Style),
    /// A line of what was asked for.
    Line(String),
    /// What was asked for, as it is: a program may read it.
    Text(String),
    /// A line of JSON.
    Json(String),
    /// What stands beside it, on standard error.
    Aside(String),
    /// Tells that everything before it is printed.
    Reached(oneshot::Sender<()>),
}

/// Why standard output could not be written, if it could not. One that was closed, as behind `head`, is the reader's choice.
static LOST: Mutex<Option<String>> = Mutex::new(None);

pub(super) fn print(word: Word) {
    static PRINTER: OnceLock<Option<Sender<Word>>> = OnceLock::new();
    let printer = PRINTER.get_or_init(|| {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("printer".to_owned());
        thread.spawn(move || serve(&receiver)).ok().map(|_| sender)
    });
    // Where no thread can be had, nothing is told, and the work goes on.
    let _ = printer.as_ref().map(|printer| printer.send(word));
}

fn serve(words: &Receiver<Word>) {
    let mut human = Human::new();
    for word in words {
        match word {
            Word::Event(event, Style::Text) => human.tell(&event),
            Word::Event(event, Style::Json) => out(&clean_json(&json::line(&event))),
            Word::Line(text) => out(&clean(&text)),
            Word::Json(text) => out(&clean_json(&text)),
            Word::Text(text) if terminal::is_shown() => write_out(clean(&text).as_bytes()),
            Word::Text(text) => write_out(text.as_bytes()),
            Word::Aside(text) => aside(&clean(&text)),
            Word::Reached(told) => drop(told.send(())),
        }
    }
}

/// Prints a clean line of what was asked for.
pub(super) fn out(text: &str) {
    write_out(format!("{text}\n").as_bytes());
}

fn write_out(bytes: &[u8]) {
    let mut output = std::io::stdout();
    if let Err(error) = output.write_all(bytes).and_then(|()| output.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
    }
}

/// Prints a clean text to standard error; nobody may be there to read it.
pub(super) fn aside(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Waits until everything is printed.
pub(super) fn reached() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    print(Word::Reached(sender));
    receiver
}

/// Fails if something that was asked for could not be printed.
pub(super) fn check() -> Result<(), Error> {
    match LOST.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        None => Ok(()),
        Some(reason) => {
            let reason = reason.split(" (os error").next().unwrap_or(reason).to_lowercase();
            Err(Error::new(format!("cannot write to standard output: {reason}"))
                .hint("run the command again with its output elsewhere"))
        }
    }
}
