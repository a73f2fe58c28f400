//! `provision secrets`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::deployment;
use crate::cli::matches::{style, text, word};
use crate::command::secrets;
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Secrets {
    deployment: String,
    key: Option<String>,
    style: Style,
}

impl Arguments for Secrets {
    const NAME: &'static str = "secrets";
    const ABOUT: &'static str = "Print the secrets of a deployment, or one of them";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        command.args([deployment(), Arg::new("key").value_name("KEY").help("Which secret")])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let key = word(matches, "key").map(str::to_owned);
        Ok(Self { deployment: text(matches, "deployment"), key, style: style(matches) })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        secrets::run(&self.deployment, self.key.as_deref(), self.style)?;
        Ok(DONE)
    }
}
