//! `provision plan`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Targeted, differs};
use crate::cli::flags::{SHARED, engine_moved, images, name_flag, proxy, renew};
use crate::cli::matches::flag_is_set;
use crate::cli::upkeep;
use crate::command::plan;
use crate::error::Result;
use crate::session::{Session, Target};

pub(crate) struct Plan {
    target: Target,
    /// Whether changes give an exit code of their own.
    exit_code: bool,
}

impl Targeted for Plan {
    const NAME: &'static str = "plan";
    const ABOUT: &'static str = "Show the changes that a run would make";

    fn options(command: Command) -> Command {
        let exit_code =
            Arg::new("exit-code").long("exit-code").action(ArgAction::SetTrue).help("Exit with 3 if there are changes");
        [name_flag(), images(), renew(), proxy(), engine_moved(), exit_code]
            .into_iter()
            .chain(upkeep::flags())
            .fold(command, |command, flag| command.arg(flag.display_order(SHARED - 1)))
    }

    fn read(target: Target, matches: &ArgMatches) -> Result<Self> {
        Ok(Self { target, exit_code: flag_is_set(matches, "exit-code") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        let changes = plan::run(session, self.target).await?;
        Ok(differs(changes && self.exit_code))
    }
}
