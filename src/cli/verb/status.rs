//! `provision status`.

use clap::{ArgMatches, Command};

use super::{Arguments, differs};
use crate::cli::flags::deployment;
use crate::cli::matches::word;
use crate::command::status;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Status {
    deployment: Option<String>,
}

impl Arguments for Status {
    const NAME: &'static str = "status";
    const ABOUT: &'static str = "Show the state of all deployments, or of one; exit code 3 if something is wrong";

    fn options(command: Command) -> Command {
        command.arg(deployment().required(false).help("Name of the deployment [default: an overview of all]"))
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: word(matches, "deployment").map(str::to_owned) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        status::run(session, self.deployment.as_deref()).await.map(differs)
    }
}
