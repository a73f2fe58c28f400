//! `provision completions`.

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use super::{Arguments, DONE, command};
use crate::error::Result;
use crate::report;
use crate::session::Session;

/// What makes a shell complete names as well: of deployments, and of a registry's images.
const BASH: &str = include_str!("completions/names.bash");
const ZSH: &str = include_str!("completions/names.zsh");
const FISH: &str = include_str!("completions/names.fish");

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
        let Some(shell) = self.shell else { return Ok(DONE) };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command(), "provision", &mut script);
        let script = String::from_utf8_lossy(&script);
        report::text(&match shell {
            Shell::Bash => format!("{script}\n{BASH}"),
            // Its last lines tell the shell which function completes: that is another one now.
            Shell::Zsh => format!("{}{ZSH}", script.split("if [ \"$funcstack[1]\"").next().unwrap_or_default()),
            Shell::Fish => format!("{script}\n{FISH}"),
            _ => script.into_owned(),
        });
        Ok(DONE)
    }
}
