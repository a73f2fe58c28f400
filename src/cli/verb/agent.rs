//! `provision agent`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::matches::{text, word};
use crate::command::agent;
use crate::error::Result;
use crate::session::Session;

/// A job, or the process that is watched.
pub(crate) enum Agent {
    Job(String),
    Watch(String),
}

impl Arguments for Agent {
    const NAME: &'static str = "agent";
    const ABOUT: &'static str = "Do a job in a helper container";

    fn options(command: Command) -> Command {
        command.hide(true).args([
            Arg::new("file").required_unless_present("watch"),
            Arg::new("watch").long("watch").value_name("PROCESS"),
        ])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(match word(matches, "watch") {
            Some(process) => Self::Watch(process.to_owned()),
            None => Self::Job(text(matches, "file")),
        })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        match self {
            Self::Job(file) => agent::run(&file).await?,
            Self::Watch(process) => agent::watch(&process)?,
        }
        Ok(DONE)
    }
}
