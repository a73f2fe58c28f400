//! The command line: verbs, and a subcommand for each playbook, whose inputs are its flags.

mod flags;
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

use crate::error::Result;
use crate::event::Events;
use crate::report::Style;
pub use crate::world::process::keep_memory_private;
pub use crate::world::signals::hear as hear_signals;
pub use crate::world::stop::{Signal, Stopper};
pub use refusal::Refusal;
use shared::Shared;
use verb::Verb;

/// A command line that was understood.
pub struct Invocation {
    verb: Verb,
    shared: Shared,
    /// How the run is told.
    pub style: Style,
}

/// Understands a command line.
///
/// # Errors
/// What is wrong with it, or with the playbook that it names.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Invocation, Refusal> {
    let arguments = unnamed::complete(instead::redirect(arguments.collect()))?;
    let matches =
        verb::command().try_get_matches_from(&arguments).map_err(|error| unnamed::explain(error, &arguments))?;
    let (verb, shared) = verb::read(&matches)?;
    Ok(Invocation { verb, style: shared.style, shared })
}

impl Invocation {
    /// Carries the command out and gives the exit code.
    ///
    /// # Errors
    /// Whatever went wrong, as a user should read it.
    pub fn run(self, events: Events, stopper: Stopper) -> Pin<Box<dyn Future<Output = Result<u8>>>> {
        // In a box, it is compiled once and here: not once more with the program.
        Box::pin(async { self.verb.run(&self.shared.session(events, stopper)?).await })
    }
}
