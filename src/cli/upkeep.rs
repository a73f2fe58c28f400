//! The flags of upkeep, which every deployment has, and what they ask for.

use clap::{Arg, ArgAction, ArgMatches, ValueHint, value_parser};

use super::matches::{word, words};
use crate::deployment::upkeep::Asked;
use crate::error::Result;
use crate::secret::Secret;
use crate::world::typed;

pub(super) fn flags() -> [Arg; 8] {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Maintenance (kept for later runs)")
    };
    [
        flag("maintain", "yes|no", "Run `provision maintain` daily by a timer [default: yes]")
            .value_parser(["yes", "no"])
            .hide_possible_values(true),
        flag("backup-to", "FOLDER|URL", "Write a daily backup to this folder, or to s3://BUCKET/PREFIX; `none` stops it")
            .value_hint(ValueHint::DirPath),
        flag(
            "backup-recipient",
            "RECIPIENT",
            "Encrypt daily backups to this age recipient (`age1…`) [may be repeated]",
        )
        .action(ArgAction::Append),
        flag("keep", "NUMBER", "Number of daily backups to keep [default: 7]")
            .value_parser(value_parser!(u32).range(1..=10000)),
        flag(
            "notify",
            "URL|COMMAND|@FILE",
            "Send failures of maintenance as JSON, by POST to a URL or on standard input of a command; `none` stops it",
        ),
        flag("gc", "yes|no", "Free what no image of a registry needs, daily [default: yes; only listed where an earlier version set it up]")
            .value_parser(["yes", "no"])
            .hide_possible_values(true),
        flag("drill", "HOW", "Restore the last backup beside once a month, compare it and remove it: `monthly`; `none` stops it")
            .value_parser(["monthly", "none"])
            .hide_possible_values(true),
        flag("drill-key", "FILE", "The age identity that opens daily backups for `--drill`")
            .value_hint(ValueHint::FilePath),
    ]
}

/// What a command line asks for, as far as nothing has to be read for it.
pub(super) fn asked(matches: &ArgMatches) -> Asked {
    Asked {
        maintain: word(matches, "maintain").map(|text| text == "yes"),
        backup_to: word(matches, "backup-to").map(str::to_owned),
        recipients: words(matches, "backup-recipient"),
        keep: matches.try_get_one::<u32>("keep").ok().flatten().copied(),
        notify: word(matches, "notify").map(Secret::new),
        gc: word(matches, "gc").map(|text| text == "yes"),
        drill: word(matches, "drill").map(str::to_owned),
        drill_key: word(matches, "drill-key").map(str::to_owned),
    }
}

/// The same with a receiver that stands in a file.
///
/// # Errors
/// The file cannot be read.
pub(super) fn settled(asked: Asked) -> Result<Asked> {
    match asked.notify.as_ref().and_then(|text| text.expose().strip_prefix('@')) {
        Some(file) => Ok(Asked { notify: Some(typed::secret_in(file, "receiver")?), ..asked }),
        None => Ok(asked),
    }
}
