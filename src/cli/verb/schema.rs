//! `provision schema`.

use clap::{ArgMatches, Command};

use super::{Arguments, DONE};
use crate::command::schema;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Schema;

impl Arguments for Schema {
    const NAME: &'static str = "schema";
    const ABOUT: &'static str = "Print the JSON Schema of a playbook";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        command
    }

    fn read(_: &ArgMatches) -> Result<Self> {
        Ok(Self)
    }

    async fn run(self, _: &Session) -> Result<u8> {
        schema::run();
        Ok(DONE)
    }
}
