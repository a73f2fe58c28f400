//! `provision tunnel`.

use clap::{Arg, ArgMatches, Command, value_parser};

use super::Arguments;
use crate::cli::matches::{text, word, words};
use crate::command::tunnel::{self, Wanted};
use crate::error::{Error, Result};
use crate::session::Session;

pub(crate) struct Tunnel {
    wanted: Wanted,
}

impl Arguments for Tunnel {
    const NAME: &'static str = "tunnel";
    const ABOUT: &'static str = "Reach the registry of another host at `localhost`, by ssh";

    fn options(command: Command) -> Command {
        let port = |name: &'static str| {
            Arg::new(name).long(name).value_name("PORT").value_parser(value_parser!(u16).range(1..))
        };
        let registry = Arg::new("registry").value_name("REGISTRY").required(true);
        let address = Arg::new("far-address").long("far-address").value_name("ADDRESS");
        let line = Arg::new("command").value_name("COMMAND").last(true).num_args(1..);
        command.args([
            registry.help("Name of a deployment on another host, or that host: `ssh://USER@HOST:PORT`"),
            port("port").default_value("5000").help("Port of this machine, on its loopback"),
            port("far-port").help("Port of the registry there [default: as the deployment has it, or 5000]"),
            address.help("Address of the registry as its host reaches it [default: its loopback]"),
            line.help("Command to run, such as `docker push localhost:5000/app`; without one it stays until Ctrl-C"),
        ])
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let port = |name: &str| matches.get_one::<u16>(name).copied();
        let far_address = word(matches, "far-address").map(str::to_owned);
        let is_plain = |address: &String| address.chars().all(|c| c.is_ascii_alphanumeric() || ".-:_".contains(c));
        if let Some(wrong) = far_address.as_ref().filter(|address| address.is_empty() || !is_plain(address)) {
            return Err(Error::usage(format!("`--far-address {wrong}` is no address"))
                .hint("write a name or an address without a port, such as `10.0.0.5`"));
        }
        let wanted = Wanted {
            registry: text(matches, "registry"),
            port: port("port").unwrap_or_default(),
            far_port: port("far-port"),
            far_address,
            command: words(matches, "command"),
        };
        Ok(Self { wanted })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(tunnel::run(session, &self.wanted)).await
    }
}
