//! `provision maintain`.

use clap::{ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, wait};
use crate::cli::matches::{style, word};
use crate::command::maintain;
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Maintain {
    deployment: Option<String>,
    style: Style,
}

impl Arguments for Maintain {
    const NAME: &'static str = "maintain";
    const ABOUT: &'static str =
        "Do the maintenance that is due: renew certificates, back up, check the store and disk space";

    fn options(command: Command) -> Command {
        command.args([deployment().required(false).help("Name of the deployment [default: all]"), wait()])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: word(matches, "deployment").map(str::to_owned), style: style(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        maintain::run(session, self.deployment.as_deref(), self.style).await?;
        Ok(DONE)
    }
}
