//! `provision complete`, which the completion scripts run.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Arguments, DONE, command};
use crate::cli::matches::words;
use crate::cli::position::{self, Position};
use crate::command::complete::{self, Names};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Complete {
    names: Option<Names>,
    current: String,
}

impl Arguments for Complete {
    const NAME: &'static str = "complete";
    const ABOUT: &'static str = "Print the names that may stand at the end of a command line";

    fn options(command: Command) -> Command {
        let index = Arg::new("index").required(true).value_parser(value_parser!(usize));
        let words = Arg::new("words").action(ArgAction::Append).num_args(0..).trailing_var_arg(true);
        command.hide(true).args([index, words.allow_hyphen_values(true)])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let mut words = words(matches, "words");
        words.truncate(matches.get_one::<usize>("index").copied().unwrap_or_default().saturating_add(1));
        let index = matches.get_one::<usize>("index").copied().unwrap_or_default();
        let current = if words.len() > index { words.pop().unwrap_or_default() } else { String::new() };
        let names = position::after(&command(), &words, &current).map(|position| match position {
            Position::Deployment => Names::Deployments,
            Position::Target => Names::Targets,
            Position::Image { registry } => Names::Images { registry },
            Position::EngineImage => Names::EngineImages,
            Position::Place => Names::Places,
        });
        Ok(Self { names, current })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        if let Some(names) = self.names {
            Box::pin(complete::run(session, names, &self.current)).await?;
        }
        Ok(DONE)
    }
}
