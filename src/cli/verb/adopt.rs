//! `provision adopt`.

use clap::{Arg, ArgMatches, Command, ValueHint};

use super::{Arguments, DONE};
use crate::cli::matches::{text, words};
use crate::command::adopt::{self, Wanted};
use crate::error::Result;
use crate::session::Session;

pub(crate) struct Adopt(Wanted);

impl Arguments for Adopt {
    const NAME: &'static str = "adopt";
    const ABOUT: &'static str =
        "Inspect a host whose registry was set up by hand, and write the inputs that take it over";

    fn options(command: Command) -> Command {
        let paths = Arg::new("paths")
            .value_name("PATH")
            .num_args(0..)
            .value_hint(ValueHint::AnyPath)
            .help("More files and folders to inspect, such as one with a policy, or the container of the registry");
        let root = Arg::new("root")
            .long("root")
            .value_name("DIR")
            .default_value("/")
            .value_hint(ValueHint::DirPath)
            .help("Root of the host to inspect, such as a mounted disk");
        let out = Arg::new("out")
            .long("out")
            .value_name("FILE")
            .default_value("./registry.inputs.yml")
            .value_hint(ValueHint::FilePath)
            .help("File for the inputs; it must not exist");
        command.args([paths, root, out])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let (root, out) = (text(matches, "root"), text(matches, "out"));
        Ok(Self(Wanted { paths: words(matches, "paths"), root, out }))
    }

    async fn run(self, session: &Session) -> Result<u8> {
        adopt::run(session, &self.0).await?;
        Ok(DONE)
    }
}
