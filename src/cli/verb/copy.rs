//! `provision copy`.

use clap::{Arg, ArgMatches, Command};

use super::{Arguments, differs};
use crate::cli::flags::overwrite;
use crate::cli::matches::{flag_is_set, text};
use crate::command::copy::{self, Wanted};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Copy {
    wanted: Wanted,
}

impl Arguments for Copy {
    const NAME: &'static str = "copy";
    const ABOUT: &'static str = "Copy an image between registries and folders with its digest unchanged";

    fn options(command: Command) -> Command {
        let image = |id: &'static str, name: &'static str, help: &'static str| {
            Arg::new(id).value_name(name).required(true).help(help)
        };
        command
            .arg(image(
                "from",
                "SOURCE",
                "The image, as `REGISTRY/REPOSITORY[:TAG|@DIGEST]`, where REGISTRY is a deployment or `https://HOST[:PORT]`, or `oci:FOLDER[:TAG]`",
            ))
            .arg(image("to", "TARGET", "The name of the copy, in the same form"))
            .arg(overwrite())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let (from, to) = (text(matches, "from"), text(matches, "to"));
        Ok(Self { wanted: Wanted { from, to, overwrite: flag_is_set(matches, "overwrite") } })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(copy::copy(session, self.wanted)).await.map(differs)
    }
}
