//! `provision drill`.

use clap::{ArgMatches, Command};

use super::{Arguments, differs};
use crate::cli::flags::{backup_file, images, opened, opening, wait};
use crate::cli::matches::text;
use crate::command::drill;
use crate::command::restore::Opening;
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Drill {
    file: String,
    opening: Opening,
}

impl Arguments for Drill {
    const NAME: &'static str = "drill";
    const ABOUT: &'static str =
        "Restore a backup beside its deployment, compare it, and remove it again; exit code 3 if anything differs";

    fn options(command: Command) -> Command {
        command.arg(backup_file("The backup")).args(opening()).arg(images()).arg(wait())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { file: text(matches, "file"), opening: opened(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(drill::run(session, &self.file, self.opening)).await.map(differs)
    }
}
