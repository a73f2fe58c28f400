//! `provision backup`.

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

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
    /// Where only a key is to be written.
    new_key: Option<String>,
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
        let new_key = Arg::new("new-key")
            .long("new-key")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .exclusive(true)
            .help("Only write a new key to this file and print its recipient, for `--backup-recipient`");
        let or_key = |flag: Arg| flag.required(false).required_unless_present("new-key");
        command
            .arg(or_key(deployment()))
            .arg(or_key(backup_file("File to write; it must not exist")))
            .arg(new_key)
            .arg(recipient)
            .arg(passphrase_file("Read the passphrase from this file; `-` is standard input"))
            .arg(wait())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let passphrase_file = word(matches, "passphrase-file").map(str::to_owned);
        let sealing = Sealing { recipients: words(matches, "recipient"), passphrase_file };
        Ok(Self {
            deployment: text(matches, "deployment"),
            file: text(matches, "file"),
            sealing,
            new_key: word(matches, "new-key").map(str::to_owned),
        })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        if let Some(file) = &self.new_key {
            backup::new_key(file)?;
            return Ok(DONE);
        }
        backup::run(session, &self.deployment, &self.file, self.sealing).await?;
        Ok(DONE)
    }
}
