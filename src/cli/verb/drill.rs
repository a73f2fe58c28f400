//! `provision drill`.

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::{Arguments, differs};
use crate::cli::flags::{backup_file, images, passphrase_file, wait};
use crate::cli::matches::{text, word};
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
        let identity = Arg::new("identity")
            .long("identity")
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .conflicts_with("passphrase-file")
            .help("Decrypt with the age identity in this file");
        command
            .arg(backup_file("The backup"))
            .arg(identity)
            .arg(passphrase_file("Read the passphrase from this file; `-` is standard input"))
            .arg(images())
            .arg(wait())
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let own = |name: &str| word(matches, name).map(str::to_owned);
        let opening = Opening { identity: own("identity"), passphrase_file: own("passphrase-file") };
        Ok(Self { file: text(matches, "file"), opening })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(drill::run(session, &self.file, self.opening)).await.map(differs)
    }
}
