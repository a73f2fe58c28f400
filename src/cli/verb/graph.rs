//! `provision graph`.

use clap::{ArgMatches, Command};

use super::{DONE, Targeted};
use crate::cli::flags::{SHARED, name_flag};
use crate::command::graph;
use crate::error::Result;
use crate::session::{Session, Target};

pub(crate) struct Graph {
    target: Target,
}

impl Targeted for Graph {
    const NAME: &'static str = "graph";
    const ABOUT: &'static str = "Print the graph of a playbook, for Graphviz";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        command.arg(name_flag().display_order(SHARED - 1))
    }

    fn read(target: Target, _: &ArgMatches) -> Result<Self> {
        Ok(Self { target })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        graph::run(session, &self.target)?;
        Ok(DONE)
    }
}
