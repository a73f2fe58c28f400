//! `provision completions`.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Arguments, DONE, command};
use crate::error::Result;
use crate::report;
use crate::session::Session;

pub(crate) struct Completions {
    shell: Option<Shell>,
}

impl Arguments for Completions {
    const NAME: &'static str = "completions";
    const ABOUT: &'static str = "Print a completion script";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        let shell = Arg::new("shell").required(true).value_parser(value_parser!(Shell)).help("Shell");
        command.arg(shell)
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        Ok(Self { shell: matches.get_one::<Shell>("shell").copied() })
    }

    async fn run(self, _: &Session) -> Result<u8> {
        if let Some(shell) = self.shell {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "provision", &mut script);
            report::text(&String::from_utf8_lossy(&script));
        }
        Ok(DONE)
    }
}
