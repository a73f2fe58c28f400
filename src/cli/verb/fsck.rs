//! `provision fsck`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, differs};
use crate::cli::flags::deployment;
use crate::cli::matches::{flag_is_set, text, word};
use crate::command::fsck;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Fsck {
    deployment: String,
    deep: bool,
    repair_from: Option<String>,
}

impl Arguments for Fsck {
    const NAME: &'static str = "fsck";
    const ABOUT: &'static str = "Check that every image of a registry is complete; exit code 3 if one is not";

    fn options(command: Command) -> Command {
        let deep = Arg::new("deep").long("deep").action(ArgAction::SetTrue);
        let repair = Arg::new("repair-from").long("repair-from").value_name("REGISTRY");
        command.arg(deployment()).arg(deep.help("Read every byte and compare it with its digest")).arg(
            repair.help(
                "Put back what is damaged and this registry has, by digest: a deployment, or `https://HOST[:PORT]`",
            ),
        )
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self {
            deployment: text(matches, "deployment"),
            deep: flag_is_set(matches, "deep"),
            repair_from: word(matches, "repair-from").map(str::to_owned),
        })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(fsck::run(session, &self.deployment, self.deep, self.repair_from.as_deref())).await.map(differs)
    }
}
