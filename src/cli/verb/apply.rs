//! `provision apply`.

use clap::{ArgMatches, Command};

use super::{DONE, Targeted};
use crate::cli::flags::{SHARED, engine_moved, images, name_flag, proxy, renew, wait, yes};
use crate::cli::upkeep;
use crate::command::apply;
use crate::error::Result;
use crate::session::{Session, Target};

pub(crate) struct Apply {
    target: Target,
}

impl Targeted for Apply {
    const NAME: &'static str = "apply";
    const ABOUT: &'static str = "Apply a playbook file";

    fn options(command: Command) -> Command {
        [name_flag(), images(), renew(), proxy(), engine_moved(), yes(), wait()]
            .into_iter()
            .chain(upkeep::flags())
            .fold(command, |command, flag| command.arg(flag.display_order(SHARED - 1)))
    }

    fn read(target: Target, _: &ArgMatches) -> Result<Self> {
        Ok(Self { target })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        apply::run(session, self.target, "apply").await?;
        Ok(DONE)
    }
}
