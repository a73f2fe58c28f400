//! `provision rotate`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, wait};
use crate::cli::matches::text;
use crate::command::rotate;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Rotate {
    deployment: String,
}

impl Arguments for Rotate {
    const NAME: &'static str = "rotate";
    const ABOUT: &'static str = "Replace keys, certificates or the authority without downtime";

    fn options(command: Command) -> Command {
        let what = Arg::new("what")
            .long("what")
            .value_name("WHAT")
            .required(true)
            .value_parser(["keys", "certificates", "authority"])
            .help("keys: access keys of S3; certificates: all issued certificates; authority: the root that clients trust and everything below it");
        command.args([deployment(), what, wait()])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { deployment: text(matches, "deployment") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        rotate::run(session, &self.deployment).await?;
        Ok(DONE)
    }
}
