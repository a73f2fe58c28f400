//! The flags of `provision ci` beside the inputs of its playbook, and what they ask for.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::DONE;
use crate::cli::flags::{SHARED, images, wait};
use crate::cli::matches::{flag_is_set, style, word, words};
use crate::cli::refusal::Refusal;
use crate::cli::shared::Shared;
use crate::cli::{target, time};
use crate::command::ci::{self, Form, Wanted};
use crate::error::{Error, Result};
use crate::report::Style;
use crate::session::{Session, Target};
use crate::world::{files, typed};

/// `provision ci`, which has verbs of its own.
pub(crate) enum Ci {
    /// What is wrong with the options is told in the form that was asked for.
    Run(Box<Target>, Result<Box<Wanted>>),
    Down(Option<String>),
    Reap,
}

impl Ci {
    pub fn options(command: Command) -> Command {
        let file = |name: &'static str, what: &'static str| {
            Arg::new(name).long(name).value_name(what).value_hint(ValueHint::AnyPath)
        };
        let seed = Arg::new("seed").long("seed").value_name("IMAGE").action(ArgAction::Append);
        let ttl = Arg::new("ttl").long("ttl").value_name("TIME").default_value("1h");
        let format = Arg::new("format").long("format").value_name("FORM").default_value("sh").conflicts_with("command");
        let own = [
            seed.help("Start with this image of the engine [may be repeated]"),
            file("seed-dir", "DIR").help("Start with the images of this OCI layout"),
            ttl.help("Lifetime once its owner cannot be checked: 90s, 10m, 2h"),
            Arg::new("keep-on-failure")
                .long("keep-on-failure")
                .action(ArgAction::SetTrue)
                .help("Keep the registry after a failure, until its lifetime ends"),
            file("logs", "DIR").help("Write the logs of its containers into this folder after a failure"),
            file("report", "FILE").help("Write a report: JUnit if the file ends in .xml, otherwise JSON"),
            format
                .value_parser(PossibleValuesParser::new(Form::WORDS))
                .help("Format of the environment if there is no command"),
            // Elsewhere a flag of this name is read, and not written.
            file("env-file", "FILE")
                .id("environment")
                .conflicts_with("command")
                .help("Append the environment to this file instead of printing it"),
            images(),
        ];
        let line = Arg::new("command").value_name("COMMAND").last(true).num_args(1..);
        let command = own.into_iter().fold(command, |command, flag| command.arg(flag.display_order(SHARED - 1)));
        command
            .arg(line.help("Command to run; without one the registry runs until `provision ci down`"))
            .subcommand(
                Command::new("down").about("Stop a registry that was started without a command").arg(wait()).arg(
                    Arg::new("deployment")
                        .value_name("NAME")
                        .help("Name of the registry [default: PROVISION_CI, or the only one]"),
                ),
            )
            .subcommand(
                Command::new("reap")
                    .about("Remove what has lost its owner or expired, of all users of this engine")
                    .arg(wait()),
            )
            .args_conflicts_with_subcommands(true)
            .disable_help_subcommand(true)
    }

    pub fn read(matches: &ArgMatches) -> std::result::Result<(Self, Shared), Refusal> {
        let own = |name: &str, matches: &ArgMatches| word(matches, name).map(str::to_owned);
        match matches.subcommand() {
            Some(("down", matches)) => Ok((Self::Down(own("deployment", matches)), Shared::read(matches))),
            Some((_, matches)) => Ok((Self::Reap, Shared::read(matches))),
            None => {
                let target = target::builtin_target("ci", matches)?;
                let wanted = wanted(matches, style(matches)).map(Box::new);
                Ok((Self::Run(Box::new(target), wanted), Shared::read(matches)))
            }
        }
    }

    pub async fn run(self, session: &Session) -> Result<u8> {
        match self {
            Self::Run(target, wanted) => return Box::pin(ci::run(session, *target, *wanted?)).await,
            Self::Down(name) => ci::down(session, name.as_deref()).await?,
            Self::Reap => ci::reap(session).await?,
        }
        Ok(DONE)
    }
}

/// What a command line asks for.
fn wanted(matches: &ArgMatches, style: Style) -> Result<Wanted> {
    if style == Style::Json {
        return Err(Error::usage("`--output json` does not go with `ci`: standard output is the command's")
            .hint("`--report FILE.json` writes a report; without a command, `--format json` prints the environment"));
    }
    let path = |name: &str, option: &str| {
        let absolute = |path: &str| typed::only_here(option).and_then(|()| files::absolute(path).map(PathBuf::from));
        word(matches, name).map(absolute).transpose()
    };
    Ok(Wanted {
        command: words(matches, "command"),
        lasting: seconds(word(matches, "ttl").unwrap_or_default())?,
        form: Form::parse(word(matches, "format").unwrap_or_default()),
        env_file: path("environment", "--env-file")?,
        keep_on_failure: flag_is_set(matches, "keep-on-failure"),
        logs: path("logs", "--logs")?,
        report: word(matches, "report").map(typed::shown).transpose()?,
        seeds: words(matches, "seed"),
        seed_folder: path("seed-dir", "--seed-dir")?,
    })
}

/// A time as `90s`, `10m` or `2h`, at least ten seconds and at most a week.
fn seconds(text: &str) -> Result<i64> {
    let wrong = |what: &str| {
        Err(Error::usage(format!("`--ttl {text}`: {what}"))
            .hint("write `90s`, `10m` or `2h`; ten seconds at least, a week at most"))
    };
    match time::seconds(text).map(i64::try_from) {
        Some(Ok(seconds)) if (10..=7 * 86400).contains(&seconds) => Ok(seconds),
        Some(_) => wrong("this duration is out of range"),
        None => wrong("not a duration"),
    }
}
