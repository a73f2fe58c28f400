//! `provision push`.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use super::{Arguments, DONE};
use crate::cli::flags::registry;
use crate::cli::matches::{flag_is_set, text, word, words};
use crate::command::push::{self, From, Wanted};
use crate::error::{Error, Result};
use crate::registry::push::{Method, Program};
use crate::session::Session;
use crate::world::typed;

pub(crate) struct Push {
    wanted: Wanted,
}

impl Arguments for Push {
    const NAME: &'static str = "push";
    const ABOUT: &'static str = "Push images of the engine, or of a file, to a registry, each layer once";

    fn options(command: Command) -> Command {
        command
            .arg(registry("registry", "REGISTRY"))
            .arg(
                Arg::new("image")
                    .value_name("IMAGE")
                    .action(ArgAction::Append)
                    .required_unless_present_any(["all", "match"])
                    .conflicts_with_all(["all", "match"])
                    .help("An image as `docker images` shows it; in the registry it has the same name"),
            )
            .arg(
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .conflicts_with("match")
                    .help("Push all images that have a name"),
            )
            .arg(
                Arg::new("match")
                    .long("match")
                    .value_name("PATTERN")
                    .action(ArgAction::Append)
                    .help("Push the images whose names match, such as `team/*`; can be given several times"),
            )
            .arg(Arg::new("as").long("as").value_name("PREFIX").help("Put this before their names in the registry"))
            .arg(Arg::new("from").long("from").value_name("SOURCE").value_hint(ValueHint::AnyPath).help(
                "Push from `podman`, `containerd`, `oci:FOLDER` or `docker-archive:FILE` [default: the Docker engine]",
            ))
            .arg(
                Arg::new("platform")
                    .long("platform")
                    .value_name("OS/ARCHITECTURE")
                    .action(ArgAction::Append)
                    .help("Push only this platform of images for several; can be given several times"),
            )
            .arg(
                Arg::new("compression")
                    .long("compression")
                    .value_name("METHOD")
                    .value_parser(PossibleValuesParser::new(["gzip", "zstd"]))
                    .default_value("gzip")
                    .help("Compress layers by this method; engines before 23 cannot read zstd"),
            )
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let given = word(matches, "from");
        given.map_or(Ok(()), |_| typed::only_here("--from"))?;
        let from = match given.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            None => From::Engine,
            Some(("podman", "")) => From::Program(Program::Podman),
            Some(("containerd", "")) => From::Program(Program::Containerd),
            Some(("oci", folder)) if !folder.is_empty() => From::Layout(folder.to_owned()),
            Some(("docker-archive", file)) if !file.is_empty() => From::Archive(file.to_owned()),
            Some(_) => {
                return Err(Error::usage(format!("`--from {}` is no source of images", given.unwrap_or_default()))
                    .hint("write `podman`, `containerd`, `oci:FOLDER` or `docker-archive:FILE`; without `--from` it is the Docker engine"));
            }
        };
        let mut patterns = words(matches, "match");
        if flag_is_set(matches, "all") {
            patterns.push("*".to_owned());
        }
        let wanted = Wanted {
            registry: text(matches, "registry"),
            images: words(matches, "image"),
            patterns,
            prefix: word(matches, "as").map(str::to_owned),
            from,
            platforms: words(matches, "platform"),
            method: if word(matches, "compression") == Some("zstd") { Method::Zstd } else { Method::Gzip },
        };
        Ok(Self { wanted })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        Box::pin(push::run(session, self.wanted)).await.map(|()| DONE)
    }
}
