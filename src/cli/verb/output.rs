//! `provision output`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::deployment;
use crate::cli::matches::{style, text, word};
use crate::command::output;
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Output {
    deployment: String,
    key: Option<String>,
    style: Style,
}

impl Arguments for Output {
    const NAME: &'static str = "output";
    const ABOUT: &'static str = "Print the outputs of a deployment, or one of them";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        command.args([deployment(), Arg::new("key").value_name("KEY").help("Which output")])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let key = word(matches, "key").map(str::to_owned);
        Ok(Self { deployment: text(matches, "deployment"), key, style: style(matches) })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        output::run(&self.deployment, self.key.as_deref(), self.style)?;
        Ok(DONE)
    }
}
