//! `provision fsck`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, differs};
use crate::cli::flags::deployment;
use crate::cli::matches::{flag_is_set, text};
use crate::command::fsck;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Fsck {
    deployment: String,
    deep: bool,
}

impl Arguments for Fsck {
    const NAME: &'static str = "fsck";
    const ABOUT: &'static str = "Check that every image of a registry is complete; exit code 3 if one is not";

    fn options(command: Command) -> Command {
        command.arg(deployment()).arg(
            Arg::new("deep")
                .long("deep")
                .action(ArgAction::SetTrue)
                .help("Read every byte and compare it with its digest"),
        )
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: text(matches, "deployment"), deep: flag_is_set(matches, "deep") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(fsck::run(session, &self.deployment, self.deep)).await.map(differs)
    }
}
