//! `provision agent`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::matches::text;
use crate::command::agent;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Agent {
    file: String,
}

impl Arguments for Agent {
    const NAME: &'static str = "agent";
    const ABOUT: &'static str = "Do a job in a helper container";

    fn options(command: Command) -> Command {
        command.hide(true).arg(Arg::new("file").required(true))
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { file: text(matches, "file") })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        agent::run(&self.file).await?;
        Ok(DONE)
    }
}
