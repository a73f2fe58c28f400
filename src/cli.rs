//! The command line: verbs, and a subcommand for each playbook, whose inputs are its flags.

mod flags;
mod hosts;
mod instead;
mod matches;
mod position;
mod refusal;
mod shared;
mod target;
mod time;
mod unnamed;
mod upkeep;
mod verb;

use std::ffi::OsString;
use std::pin::Pin;

use crate::command::elsewhere::{self, Wanted};
use crate::error::Result;
use crate::event::Events;
use crate::report::Style;
use crate::world::near;
pub use crate::world::process::keep_memory_private;
pub use crate::world::signals::hear as hear_signals;
pub use crate::world::stop::{Signal, Stopper};
pub use refusal::Refusal;
use shared::Shared;
use verb::Verb;

/// What the command line of the far end of a connection is.
const FAR: &str = "far";

/// A command line that was understood.
pub struct Invocation {
    work: Work,
    /// How the run is told.
    pub style: Style,
}

/// What a command line asks for.
enum Work {
    Here(Box<Verb>, Box<Shared>),
    Elsewhere(Wanted),
}

/// The words of a command line: those of this process, or where it is the far end of a connection those that were typed there.
///
/// # Errors
/// It is the far end of nothing.
pub fn arguments(own: impl Iterator<Item = OsString>) -> Result<Vec<OsString>> {
    let own: Vec<OsString> = own.collect();
    if own.len() != 2 || own[1] != FAR {
        return Ok(own);
    }
    let typed = near::attach()?;
    Ok(own.into_iter().take(1).chain(typed.into_iter().map(OsString::from)).collect())
}

/// Hears what the machine says where the command was typed, if that is another one; `idle` is called again and again once the
/// connection with it is lost.
pub fn hear_there(told: impl Fn(Signal) + Send + Sync + 'static, idle: impl Fn() + Send + Sync + 'static) {
    if let Some(near) = near::get() {
        near.hear(told, Box::new(idle));
    }
}

/// Tells that machine the exit code of this process, which is about to end.
pub fn end_there(code: u8) {
    if let Some(near) = near::get() {
        near.ended(code);
    }
}

/// Understands a command line.
///
/// # Errors
/// What is wrong with it, or with the playbook that it names.
pub fn parse(arguments: Vec<OsString>) -> std::result::Result<Invocation, Refusal> {
    if let Some(wanted) = hosts::take(&arguments)? {
        return Ok(Invocation { style: wanted.style, work: Work::Elsewhere(wanted) });
    }
    let arguments = unnamed::complete(instead::redirect(arguments))?;
    let matches =
        verb::command().try_get_matches_from(&arguments).map_err(|error| unnamed::explain(error, &arguments))?;
    let (verb, shared) = verb::read(&matches)?;
    Ok(Invocation { style: shared.style, work: Work::Here(Box::new(verb), Box::new(shared)) })
}

impl Invocation {
    /// Carries the command out and gives the exit code.
    ///
    /// # Errors
    /// Whatever went wrong, as a user should read it.
    pub fn run(self, events: Events, stopper: Stopper) -> Pin<Box<dyn Future<Output = Result<u8>>>> {
        // In a box, it is compiled once and here: not once more with the program.
        Box::pin(async {
            match self.work {
                Work::Here(verb, shared) => verb.run(&shared.session(events, stopper)?).await,
                Work::Elsewhere(wanted) => elsewhere::run(wanted, &events, &stopper).await,
            }
        })
    }
}
