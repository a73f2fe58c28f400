//! The readers of events: for people, and for programs. Only here is anything printed.

mod clean;
mod human;
mod json;
mod label;
mod output;
mod overview;
mod printer;

use serde_json::Value as Json;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::secret::Secret;
use crate::world::apart::apart;
use crate::world::stop::Stopper;
use crate::world::{near, terminal};
pub(crate) use clean::clean_line;
pub(crate) use label::Via;
pub use printer::Style;
use printer::{Word, print, reached};

/// Tells every event of `work` until it has ended.
pub async fn tell<T>(mut events: UnboundedReceiver<Event>, style: Style, work: impl Future<Output = T>) -> T {
    let tell = |event: Event| print(Word::Event(Box::new(event), style));
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => tell(event),
            result = &mut work => break result,
        }
    };
    while let Ok(event) = events.try_recv() {
        tell(event);
    }
    result
}

/// Prints what was asked for.
pub(crate) fn line(text: &str) {
    print(Word::Line(text.to_owned()));
}

/// Prints a line of JSON.
pub(crate) fn json(value: &Json) {
    print(Word::Json(value.to_string()));
}

/// Prints a text as it is, without a line end of our own.
pub(crate) fn text(text: &str) {
    print(Word::Text(text.to_owned()));
}

/// Prints a text that is not what was asked for.
pub fn beside(text: &str) {
    print(Word::Aside(text.to_owned()));
}

/// Prints an error.
pub fn error(error: &Error, style: Style) {
    if style == Style::Json {
        print(Word::Json(json::error(error)));
    }
    print(Word::Aside(format!("{}\n", error.render())));
}

/// Waits until everything is printed, or its readers are gone.
pub async fn told() {
    match near::get() {
        None => drop(reached().await),
        Some(near) => tokio::select! {
            _ = reached() => {}
            () = near.lost() => {}
        },
    }
}

/// The same where nothing else is going on.
pub fn told_now() {
    drop(reached().blocking_recv());
}

/// Waits until what was asked for is printed.
///
/// # Errors
/// It could not be written, and not because its reader has read enough.
pub(crate) async fn written() -> Result<()> {
    told().await;
    near::get().map_or_else(output::check, near::Near::told)
}

/// Asks for something that is not shown while it is typed. None if there is nobody to ask.
///
/// # Errors
/// The process was asked to end instead.
pub(crate) async fn ask_hidden(question: &str, stopper: &Stopper) -> Result<Option<Secret>> {
    if near::get().is_some() {
        return asked_there(format!("{question}: "), true, stopper).await.map(|line| line.map(Secret::new));
    }
    if !terminal::is_there() {
        return Ok(None);
    }
    // Only now comes the question, so that nothing of the answer shows however soon it is typed.
    let hidden = terminal::hide();
    // Signals are heard before it can be answered: whoever ends the process gets the terminal back as it was.
    let answer = stopper.or_end(async {
        print(Word::Aside(format!("{question}: ")));
        terminal::line().await
    });
    let answer = answer.await;
    drop(hidden);
    print(Word::Aside("\n".to_owned()));
    Ok(Some(Secret::new(answer?.unwrap_or_default())))
}

/// Asks a question that is answered with `yes`. None if there is nobody to ask.
///
/// # Errors
/// The process was asked to end instead.
pub(crate) async fn ask(question: &str, stopper: &Stopper) -> Result<Option<bool>> {
    let answer = ask_shown(&format!("{question} Type `yes` to go on"), stopper).await?;
    Ok(answer.map(|answer| answer.trim() == "yes"))
}

/// Asks for a line. None if there is nobody to ask.
///
/// # Errors
/// The process was asked to end instead.
pub(crate) async fn ask_shown(question: &str, stopper: &Stopper) -> Result<Option<String>> {
    if near::get().is_some() {
        return asked_there(format!("{question}: "), false, stopper).await;
    }
    if !terminal::is_there() {
        return Ok(None);
    }
    let answer = stopper.or_end(async {
        print(Word::Aside(format!("{question}: ")));
        terminal::line().await
    });
    answer.await.inspect_err(|_| print(Word::Aside("\n".to_owned())))
}

/// Asks whoever sits where the command was typed.
async fn asked_there(question: String, hidden: bool, stopper: &Stopper) -> Result<Option<String>> {
    // What was told before stands above it.
    told().await;
    let ask = move || near::get().and_then(|near| near.line(&question, hidden));
    stopper.or_end(apart(ask)).await?
}

/// Tells what was told on another host. Of one of several, an overview is not told, but given back.
///
/// # Errors
/// It is nothing that can be told.
pub(crate) fn relay(word: Json, via: &Via) -> Result<Option<Json>> {
    let word = via.carried(word);
    if via.label.is_some() && word["Event"][0]["event"] == "overview" {
        return Ok(Some(word));
    }
    told_there(word).map(|()| None)
}

/// Tells the overviews of several hosts as one.
///
/// # Errors
/// They are nothing that can be told.
pub(crate) fn relay_overviews(words: Vec<Json>) -> Result<()> {
    let overviews: Vec<Json> = words.into_iter().map(|mut word| word["Event"][0].take()).collect();
    let rows: Vec<&Json> = overviews.iter().filter_map(|event| event["deployments"].as_array()).flatten().collect();
    let wrong: u64 = overviews.iter().filter_map(|event| event["wrong"].as_u64()).sum();
    if overviews.is_empty() {
        return Ok(());
    }
    let event = serde_json::json!({ "event": "overview", "deployments": rows, "wrong": wrong });
    told_there(serde_json::json!({ "Event": [event, Style::Text] }))
}

fn told_there(word: Json) -> Result<()> {
    let word = serde_json::from_value(word);
    word.map(print).map_err(|error| Error::new(format!("what another host tells cannot be understood: {error}")))
}

/// Prints what a command has printed.
pub(crate) fn bytes(bytes: Vec<u8>, beside: bool) {
    print(Word::Bytes(bytes, beside));
}
