//! `provision restore`.

use clap::{ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{backup_file, deployment, images, opened, opening, set, wait};
use crate::cli::matches::{text, words};
use crate::command::restore::{self, Opening};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Restore {
    deployment: String,
    file: String,
    opening: Opening,
    set: Vec<String>,
}

impl Arguments for Restore {
    const NAME: &'static str = "restore";
    const ABOUT: &'static str = "Restore a deployment and its data from a backup";

    fn options(command: Command) -> Command {
        command
            .arg(deployment().help("Name of the restored deployment: the original name, or a new one"))
            .arg(backup_file("The backup"))
            .args(opening())
            .arg(set().help("Override an input of the playbook, such as `--set port=5001` [may be repeated]"))
            .arg(images())
            .arg(wait())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let (deployment, file) = (text(matches, "deployment"), text(matches, "file"));
        Ok(Self { deployment, file, opening: opened(matches), set: words(matches, "set") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        restore::run(session, &self.deployment, &self.file, self.opening, &self.set).await?;
        Ok(DONE)
    }
}
