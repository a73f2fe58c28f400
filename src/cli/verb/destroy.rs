//! `provision destroy`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, engine_moved, wait, yes};
use crate::cli::matches::{flag_is_set, text};
use crate::command::destroy;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Destroy {
    deployment: String,
    keep_data: bool,
}

impl Arguments for Destroy {
    const NAME: &'static str = "destroy";
    const ABOUT: &'static str = "Remove everything that a deployment owns";

    fn options(command: Command) -> Command {
        let keep_data = Arg::new("keep-data")
            .long("keep-data")
            .action(ArgAction::SetTrue)
            .help("Keep volumes, and the secrets that open them, for the next run");
        let delete_data = Arg::new("delete-data")
            .long("delete-data")
            .value_name("BUCKET")
            .action(ArgAction::Append)
            .help("Delete all objects of this bucket, in all versions, and the bucket [may be repeated]");
        command.args([deployment(), keep_data, delete_data, engine_moved(), yes(), wait()])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: text(matches, "deployment"), keep_data: flag_is_set(matches, "keep-data") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        destroy::run(session, &self.deployment, self.keep_data).await?;
        Ok(DONE)
    }
}
