//! `provision retention`.

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, wait};
use crate::cli::matches::{flag_is_set, style, text};
use crate::command::retention::{self, Task};
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Retention {
    deployment: String,
    task: Task,
    /// Whether it is not asked before tags go.
    yes: bool,
    style: Style,
}

impl Arguments for Retention {
    const NAME: &'static str = "retention";
    const ABOUT: &'static str = "Remove tags of a registry by rules that say which stay";

    fn options(command: Command) -> Command {
        let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        command
            .arg(deployment())
            .arg(wait().global(true))
            .subcommand_required(true)
            .subcommand(
                verb("set", "Take the rules from a file; nothing is removed before a plan was confirmed").arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .required(true)
                        .value_hint(ValueHint::FilePath)
                        .help("Rules in YAML; `none` removes the rules"),
                ),
            )
            .subcommand(verb("show", "Print the rules, and which images are held"))
            .subcommand(
                verb("plan", "List the tags to remove, and ask whether to do it now and daily")
                    .args([flag("dry-run", "Only list"), flag("yes", "Remove without asking").short('y')]),
            )
            .disable_help_subcommand(true)
            .after_help(EXAMPLE)
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let inner = matches.subcommand();
        let yes = inner.is_some_and(|(_, matches)| flag_is_set(matches, "yes"));
        let task = match inner {
            Some(("set", matches)) => Task::Set { file: text(matches, "file") },
            Some(("plan", matches)) => Task::Plan { only_told: flag_is_set(matches, "dry-run") },
            _ => Task::Show,
        };
        Ok(Self { deployment: text(matches, "deployment"), task, yes, style: style(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        let session = Session { yes: self.yes, ..session.clone() };
        Box::pin(retention::run(&session, &self.deployment, self.task, self.style)).await?;
        Ok(DONE)
    }
}

const EXAMPLE: &str = "\
A file of rules:
  - repositories: \"team/*\"        # a tag stays if one of these holds for it
    keep: { last: 10, tags: [\"v*\", latest], younger: 30d }
    untagged: 30d                 # manifests without a tag go 30 days after their last push
All rules that fit a repository count. What one keeps stays; a repository without a rule keeps all.";
