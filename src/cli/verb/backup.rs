//! `provision backup`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{backup_file, deployment, passphrase_file, wait};
use crate::cli::matches::{text, word, words};
use crate::command::backup::{self, Sealing};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Backup {
    deployment: String,
    file: String,
    sealing: Sealing,
}

impl Arguments for Backup {
    const NAME: &'static str = "backup";
    const ABOUT: &'static str = "Back up the data, keys and secrets of a deployment into one encrypted file";

    fn options(command: Command) -> Command {
        let recipient = Arg::new("recipient")
            .long("recipient")
            .value_name("RECIPIENT")
            .action(ArgAction::Append)
            .conflicts_with("passphrase-file")
            .help("Encrypt to this age recipient (`age1…`) instead of a passphrase [may be repeated]");
        command
            .arg(deployment())
            .arg(backup_file("File to write; it must not exist"))
            .arg(recipient)
            .arg(passphrase_file("Read the passphrase from this file; `-` is standard input"))
            .arg(wait())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let passphrase_file = word(matches, "passphrase-file").map(str::to_owned);
        let sealing = Sealing { recipients: words(matches, "recipient"), passphrase_file };
        Ok(Self { deployment: text(matches, "deployment"), file: text(matches, "file"), sealing })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        backup::run(session, &self.deployment, &self.file, self.sealing).await?;
        Ok(DONE)
    }
}
