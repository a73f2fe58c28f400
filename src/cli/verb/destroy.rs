//! `provision destroy`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, engine_moved, wait, yes};
use crate::cli::matches::{flag_is_set, text};
use crate::command::{destroy, unused};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Destroy {
    deployment: String,
    keep_data: bool,
    unused: bool,
}

impl Arguments for Destroy {
    const NAME: &'static str = "destroy";
    const ABOUT: &'static str = "Remove everything that a deployment owns";

    fn options(command: Command) -> Command {
        let keep_data = Arg::new("keep-data")
            .long("keep-data")
            .action(ArgAction::SetTrue)
            .help("Keep volumes, and the secrets that open them, for the next run");
        let unused =
            Arg::new("unused").long("unused").action(ArgAction::SetTrue).conflicts_with("keep-data").help(
                "Remove only the data that the deployment no longer uses, such as the images of an earlier store",
            );
        let delete_data = Arg::new("delete-data")
            .long("delete-data")
            .value_name("BUCKET")
            .action(ArgAction::Append)
            .help("Delete all objects of this bucket, in all versions, and the bucket [may be repeated]");
        command.args([deployment(), keep_data, unused, delete_data, engine_moved(), yes(), wait()])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self {
            deployment: text(matches, "deployment"),
            keep_data: flag_is_set(matches, "keep-data"),
            unused: flag_is_set(matches, "unused"),
        })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        if self.unused {
            unused::run(session, &self.deployment).await?;
        } else {
            destroy::run(session, &self.deployment, self.keep_data).await?;
        }
        Ok(DONE)
    }
}
