//! The thread that prints. Whoever reads slowly, or not at all, holds up nothing but this: what is to be printed waits here.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::clean::{clean, clean_json};
use super::human::Human;
use super::json;
use super::output::{aside, out, write_aside, write_out};
use crate::event::Event;
use crate::world::{near, terminal};

/// How a run is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Style {
    Text,
    Json,
}

/// What is to be printed, in its order.
#[derive(Serialize, Deserialize)]
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
    /// Bytes that a command printed, as they are.
    Bytes(Vec<u8>, bool),
    /// Tells that everything before it is printed.
    #[serde(skip)]
    Reached(oneshot::Sender<()>),
}

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
        // Printed is what was typed elsewhere where it was typed.
        if let (Some(near), false) = (near::get(), matches!(word, Word::Reached(_))) {
            near.word(serde_json::to_value(&word).expect("a word has text keys only"));
            continue;
        }
        match word {
            Word::Event(event, Style::Text) => human.tell(&event),
            Word::Event(event, Style::Json) => out(&clean_json(&json::line(&event))),
            Word::Line(text) => out(&clean(&text)),
            Word::Json(text) => out(&clean_json(&text)),
            Word::Text(text) if terminal::is_shown() => write_out(clean(&text).as_bytes()),
            Word::Text(text) => write_out(text.as_bytes()),
            Word::Aside(text) => aside(&clean(&text)),
            Word::Bytes(bytes, beside) => {
                if beside {
                    write_aside(&bytes);
                } else {
                    write_out(&bytes);
                }
            }
            Word::Reached(told) => drop(told.send(())),
        }
    }
}

/// Waits until everything is printed.
pub(super) fn reached() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    print(Word::Reached(sender));
    receiver
}
