//! The verbs: [`Verb`]. A new one is one file in `verb/` and one line in the table below.
//!
//! The file has a type with the options that the verb has, which implements [`Arguments`], or [`Targeted`] where the first
//! word is a playbook, a file or a deployment. What it does stands in `command/`. Options that several verbs share are in
//! `flags`; what they mean for the run is read by `shared`.

use clap::{ArgMatches, Command};

use super::flags::shared_flags;
use super::refusal::Refusal;
use super::shared::Shared;
use super::target::{self, playbook_verb, targets, with_inputs};
use crate::error::{Error, Result};
use crate::language::playbook::builtin_names;
use crate::session::{Session, Target};

/// What the process ends with.
pub(super) const DONE: u8 = 0;
const CHANGES: u8 = 3;

/// The exit code of a verb that says whether something differs.
fn differs(differs: bool) -> u8 {
    if differs { CHANGES } else { DONE }
}

/// What was typed of one verb: which options it has, how they are read, and what it does.
trait Arguments: Sized {
    const NAME: &'static str;
    const ABOUT: &'static str;
    /// Whether it does nothing but print: it has failed if that cannot be written.
    const PRINTS: bool = false;

    /// Adds its options to its command.
    fn options(command: Command) -> Command;

    /// Reads its options.
    ///
    /// # Errors
    /// What is wrong with one, as a mistake of usage.
    fn read(matches: &ArgMatches) -> Result<Self>;

    /// Carries it out; gives the exit code.
    async fn run(self, session: &Session) -> Result<u8>;
}

/// The same of a verb whose first word is a playbook, a file, or a deployment.
trait Targeted: Sized {
    const NAME: &'static str;
    const ABOUT: &'static str;
    const PRINTS: bool = false;

    /// Adds its options to a command that has the playbook's inputs as well.
    fn options(command: Command) -> Command;

    fn read(target: Target, matches: &ArgMatches) -> Result<Self>;

    async fn run(self, session: &Session) -> Result<u8>;
}

macro_rules! verbs {
    (targeted: $($first:ident::$First:ident),*; others: $($module:ident::$Name:ident),* $(,)?) => {
        mod ci;
        $(mod $first;)*
        $(mod $module;)*

        /// A verb with its options.
        pub(super) enum Verb {
            Ci(ci::Ci),
            $($First($first::$First),)*
            $($Name($module::$Name),)*
        }

        impl Verb {
            /// Reads what was typed after a verb or a playbook.
            ///
            /// # Errors
            /// What is wrong with it, or with the playbook that it names.
            pub fn read(name: &str, matches: &ArgMatches) -> std::result::Result<(Self, Shared), Refusal> {
                match name {
                    "ci" => ci::Ci::read(matches).map(|(ci, shared)| (Self::Ci(ci), shared)),
                    $($first::$First::NAME => {
                        let (matches, target) = target::chosen(name, matches, $first::$First::options)?;
                        Ok((Self::$First($first::$First::read(target, &matches)?), Shared::read(&matches)))
                    })*
                    $($module::$Name::NAME => Ok((Self::$Name($module::$Name::read(matches)?), Shared::read(matches))),)*
                    playbook => {
                        let target = target::builtin_target(playbook, matches)?;
                        Ok((Self::Apply(apply::Apply::read(target, matches)?), Shared::read(matches)))
                    }
                }
            }

            /// Carries it out; gives the exit code.
            pub async fn run(self, session: &Session) -> Result<u8> {
                let prints = match &self {
                    Self::Ci(_) => false,
                    $(Self::$First(_) => $first::$First::PRINTS,)*
                    $(Self::$Name(_) => $module::$Name::PRINTS,)*
                };
                let code = match self {
                    // Each in a box of its own: together they would be as large as the largest.
                    Self::Ci(ci) => Box::pin(ci.run(session)).await,
                    $(Self::$First(verb) => Box::pin(verb.run(session)).await,)*
                    $(Self::$Name(verb) => Box::pin(verb.run(session)).await,)*
                }?;
                if prints {
                    crate::report::written().await?;
                }
                Ok(code)
            }
        }

        /// The commands of all verbs but the playbooks'.
        fn commands() -> Vec<Command> {
            vec![
                $(Command::new($first::$First::NAME).about($first::$First::ABOUT).defer(|verb| {
                    targets(verb, |command| with_inputs($first::$First::options(command)))
                }),)*
                $($module::$Name::options(Command::new($module::$Name::NAME).about($module::$Name::ABOUT)),)*
            ]
        }
    };
}

verbs! {
    targeted: apply::Apply, plan::Plan, render::Render, graph::Graph;
    others:
        adopt::Adopt,
        destroy::Destroy,
        rotate::Rotate,
        status::Status,
        output::Output,
        secrets::Secrets,
        maintain::Maintain,
        push::Push,
        copy::Copy,
        migrate::Migrate,
        tunnel::Tunnel,
        drill::Drill,
        du::Du,
        fsck::Fsck,
        gc::Gc,
        retention::Retention,
        agent::Agent,
        users::Users,
        images::Images,
        backup::Backup,
        restore::Restore,
        list::List,
        schema::Schema,
        complete::Complete,
        completions::Completions,
}

/// The whole command line.
pub(super) fn command() -> Command {
    let mut command = Command::new("provision")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Set up and run private registries, certificates and WordPress")
        .subcommand_required(true)
        .arg_required_else_help(true);
    command = shared_flags(command);
    for name in builtin_names() {
        command = command.subcommand(match name {
            "ci" => playbook_verb(name, |command| with_inputs(ci::Ci::options(command))),
            _ => playbook_verb(name, |command| with_inputs(apply::Apply::options(command))),
        });
    }
    command.subcommands(commands())
}

/// Reads a command line that was completed.
pub(super) fn read(matches: &ArgMatches) -> std::result::Result<(Verb, Shared), Refusal> {
    let (name, matches) = matches.subcommand().ok_or_else(|| Error::usage("a verb or a playbook is missing"))?;
    Verb::read(name, matches)
}
