//! `provision list`.

use clap::{ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::matches::style;
use crate::command::list;
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct List {
    style: Style,
}

impl Arguments for List {
    const NAME: &'static str = "list";
    const ABOUT: &'static str = "List playbooks and deployments";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        command
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { style: style(matches) })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        list::run(self.style)?;
        Ok(DONE)
    }
}
