//! `provision gc`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::flags::{deployment, wait};
use crate::cli::matches::{flag_is_set, text, word, words};
use crate::cli::time;
use crate::command::gc::{self, Wanted};
use crate::error::{Error, Result};
use crate::registry::garbage::Limits;
use crate::session::Session;

/// Seconds of ten years: more is a mistake.
const LONGEST: u64 = 3650 * 86400;

pub(crate) struct Gc {
    deployment: String,
    wanted: Wanted,
    /// Images that are put back, none for a list of them; nothing is collected then.
    undelete: Option<Vec<String>>,
}

impl Arguments for Gc {
    const NAME: &'static str = "gc";
    const ABOUT: &'static str = "Free the space of what no image of a registry needs, while it goes on serving";

    fn options(command: Command) -> Command {
        let duration = |name: &'static str, help: &'static str| Arg::new(name).long(name).value_name("TIME").help(help);
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        command.args([
            deployment(),
            flag("dry-run", "Only list what can be freed"),
            duration(
                "grace",
                "How long data must be listed and unused before it is freed; longer than the longest push",
            )
            .default_value("24h"),
            flag("now", "Free everything at once; a push that is under way may fail and need a retry")
                .conflicts_with("grace"),
            duration("untagged", "Also delete manifests without a tag that are older than this, such as `30d`"),
            Arg::new("undelete")
                .long("undelete")
                .value_name("IMAGE")
                .num_args(0..)
                .conflicts_with_all(["dry-run", "now", "untagged"])
                .help("Put back images that were removed and are not freed yet; without IMAGE: list them"),
            wait(),
        ])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let grace = if flag_is_set(matches, "now") { 0 } else { seconds(matches, "grace")?.unwrap_or_default() };
        let wanted = Wanted {
            grace,
            untagged: seconds(matches, "untagged")?,
            dry_run: flag_is_set(matches, "dry-run"),
            limits: Limits::default(),
        };
        let undelete = matches.contains_id("undelete").then(|| words(matches, "undelete"));
        Ok(Self { deployment: text(matches, "deployment"), wanted, undelete })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        match self.undelete {
            Some(images) => Box::pin(gc::undelete::run(session, &self.deployment, &images)).await?,
            None => Box::pin(gc::run(session, &self.deployment, self.wanted)).await?,
        }
        Ok(DONE)
    }
}

fn seconds(matches: &ArgMatches, name: &str) -> Result<Option<u64>> {
    let Some(given) = word(matches, name) else { return Ok(None) };
    time::seconds(given).filter(|seconds| *seconds <= LONGEST).map(Some).ok_or_else(|| {
        Error::usage(format!("`--{name} {given}` is not a time")).hint("write `90m`, `24h` or `30d`, ten years at most")
    })
}
