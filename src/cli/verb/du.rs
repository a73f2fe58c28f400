//! `provision du`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::registry;
use crate::cli::matches::{style, text, word};
use crate::command::du::{self, Sort};
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Du {
    registry: String,
    sort: Sort,
    style: Style,
}

impl Arguments for Du {
    const NAME: &'static str = "du";
    const ABOUT: &'static str = "Show what takes the space of a registry, and what garbage collection would free";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        let sort = Arg::new("sort").long("sort").value_name("BY").value_parser(["size", "name"]).default_value("size");
        command.args([registry("registry", "REGISTRY"), sort.help("Order of the repositories")])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let sort = if word(matches, "sort") == Some("name") { Sort::Name } else { Sort::Size };
        Ok(Self { registry: text(matches, "registry"), sort, style: style(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(du::run(session, &self.registry, self.sort, self.style)).await?;
        Ok(DONE)
    }
}
