//! `provision render`.

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::{DONE, Targeted};
use crate::cli::flags::{SHARED, name_flag, renew, wait};
use crate::cli::matches::text;
use crate::command::render;
use crate::error::Result;
use crate::session::{Session, Target};
use crate::world::typed;

pub(crate) struct Render {
    target: Target,
    out: String,
}

impl Targeted for Render {
    const NAME: &'static str = "render";
    const ABOUT: &'static str = "Write the files of a host installation into a folder, and list the remaining commands";

    fn options(command: Command) -> Command {
        let out = Arg::new("out")
            .long("out")
            .value_name("DIR")
            .required(true)
            .value_hint(ValueHint::DirPath)
            .help("Folder for the files of the host");
        [out, name_flag(), renew(), wait()]
            .into_iter()
            .fold(command, |command, flag| command.arg(flag.display_order(SHARED - 1)))
    }

    fn read(target: Target, matches: &ArgMatches) -> Result<Self> {
        typed::only_here("render --out")?;
        Ok(Self { target, out: text(matches, "out") })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        render::run(session, self.target, &self.out).await?;
        Ok(DONE)
    }
}
