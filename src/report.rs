//! The readers of events: for people, and for programs. Only here is anything printed.

mod clean;
mod human;
mod json;
mod output;
mod overview;
mod printer;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::secret::Secret;
use crate::world::stop::Stopper;
use crate::world::terminal;
pub(crate) use clean::clean_line;
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
pub(crate) fn json(value: &serde_json::Value) {
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
    drop(reached().await);
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
    output::check()
}

/// Asks for something that is not shown while it is typed. None if there is nobody to ask.
///
/// # Errors
/// The process was asked to end instead.
pub(crate) async fn ask_hidden(question: &str, stopper: &Stopper) -> Result<Option<Secret>> {
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
    if !terminal::is_there() {
        return Ok(None);
    }
    let answer = stopper.or_end(async {
        print(Word::Aside(format!("{question} Type `yes` to go on: ")));
        terminal::line().await
    });
    let answer = answer.await.inspect_err(|_| print(Word::Aside("\n".to_owned())))?;
    Ok(answer.map(|answer| answer.trim() == "yes"))
}
