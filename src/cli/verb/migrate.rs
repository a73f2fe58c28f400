//! `provision migrate`.

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use time::macros::format_description;

use super::{Arguments, differs};
use crate::cli::flags::{overwrite, registry};
use crate::cli::matches::{flag_is_set, text, word, words};
use crate::command::copy::{self, Migration, Wanted};
use crate::error::{Error, Result};
use crate::session::Session;

pub(crate) struct Migrate {
    migration: Migration,
}

impl Arguments for Migrate {
    const NAME: &'static str = "migrate";
    const ABOUT: &'static str =
        "Copy all images of a registry or a folder to another and compare both; exit code 3 if a tag differs";

    fn options(command: Command) -> Command {
        let pattern = |id: &'static str, help: &'static str| {
            Arg::new(id).long(id).value_name("PATTERN").action(ArgAction::Append).help(help)
        };
        command
            .arg(registry("from", "FROM").help("The registry: a deployment, or `https://HOST[:PORT]`; or `oci:FOLDER`"))
            .arg(registry("to", "TO").help("The same for the target; the folder is made if it is not there"))
            .arg(pattern(
                "match",
                "Copy only repositories whose names match, such as `team/*`; can be given several times",
            ))
            .arg(pattern("tags", "Copy only tags that match, such as `v*`; can be given several times"))
            .arg(
                Arg::new("since")
                    .long("since")
                    .value_name("DATE")
                    .help("Copy only images made on this day or later, such as 2026-01-31"),
            )
            .arg(overwrite())
            .arg(
                Arg::new("dry-run")
                    .long("dry-run")
                    .action(ArgAction::SetTrue)
                    .help("Say what would be copied, and copy nothing"),
            )
            .arg(
                Arg::new("report")
                    .long("report")
                    .value_name("FILE")
                    .value_hint(ValueHint::FilePath)
                    .help("Write the comparison of both registries to this file, in JSON"),
            )
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let since = word(matches, "since").map(|text| {
            let day = time::Date::parse(text, format_description!("[year]-[month]-[day]"));
            day.map(|day| day.midnight().assume_utc()).map_err(|_| {
                Error::usage(format!("`--since {text}` is no day")).hint("write it as in `--since 2026-01-31`")
            })
        });
        let (from, to) = (text(matches, "from"), text(matches, "to"));
        let migration = Migration {
            copy: Wanted { from, to, overwrite: flag_is_set(matches, "overwrite") },
            repositories: words(matches, "match"),
            tags: words(matches, "tags"),
            since: since.transpose()?,
            dry_run: flag_is_set(matches, "dry-run"),
            report: word(matches, "report").map(str::to_owned),
        };
        Ok(Self { migration })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(copy::migrate(session, self.migration)).await.map(differs)
    }
}
