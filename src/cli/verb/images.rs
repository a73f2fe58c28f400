//! `provision images`.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Arguments, DONE};
use crate::cli::matches::{flag_is_set, style, text, word, words};
use crate::command::images::{self, Sort, Task};
use crate::error::Result;
use crate::report::Style;
use crate::session::Session;

pub(crate) struct Images {
    registry: String,
    task: Task,
    /// Whether it is not asked before something goes.
    yes: bool,
    style: Style,
}

impl Arguments for Images {
    const NAME: &'static str = "images";
    const ABOUT: &'static str = "List, search, show and delete the images of any registry";
    const PRINTS: bool = true;

    fn options(command: Command) -> Command {
        let verb = |name: &'static str, about: &'static str| Command::new(name).about(about);
        let registry = Arg::new("registry").value_name("REGISTRY").required(true);
        let wanted = Arg::new("match").long("match").value_name("PATTERN").default_value("*");
        let sort = Arg::new("sort").long("sort").value_name("BY").value_parser(["name", "size", "age"]);
        let names = Arg::new("names").long("names").action(ArgAction::SetTrue).help("Print names only");
        let looked_for = Arg::new("word").value_name("WORD").required(true);
        let some = || image().num_args(1..);
        command
            .arg(registry.help("Name of a deployment, or the address of any registry: `https://HOST:PORT`"))
            .subcommand(verb("list", "List all images (default)").args([
                wanted.help("Only repositories that match, such as `team/*`"),
                sort.default_value("name").help("Order of the list"),
                names,
            ]))
            .subcommand(
                verb("search", "Search names, labels and annotations")
                    .arg(looked_for.help("Text to find; `*` and `?` are wildcards")),
            )
            .subcommand(verb("show", "Show the manifest, layers and history of an image").arg(image()))
            .subcommand(verb("delete", "Delete images, with all tags of the same digest").args([
                some(),
                dry_run(),
                yes(),
            ]))
            .subcommand(verb("untag", "Remove tags, and keep the other tags of the same digest").args([
                some(),
                dry_run(),
                yes(),
            ]))
            .subcommand(verb("hold", "Keep images from being removed, by retention too").arg(some()))
            .subcommand(verb("unhold", "Let images be removed again").arg(some()))
            .disable_help_subcommand(true)
    }

    fn read(matches: &ArgMatches) -> Result<Self> {
        let yes = matches.subcommand().is_some_and(|(_, matches)| flag_is_set(matches, "yes"));
        Ok(Self { registry: text(matches, "registry"), task: task(matches), yes, style: style(matches) })
    }

    async fn run(self, session: &Session) -> Result<u8> {
        let session = Session { yes: self.yes, ..session.clone() };
        images::run(&session, &self.registry, self.task, self.style).await?;
        Ok(DONE)
    }
}

fn image() -> Arg {
    Arg::new("image").value_name("IMAGE").required(true).help("`REPOSITORY:TAG` or `REPOSITORY@DIGEST`")
}

fn dry_run() -> Arg {
    Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Only show what would be removed")
}

fn yes() -> Arg {
    Arg::new("yes").short('y').long("yes").action(ArgAction::SetTrue).help("Remove without asking")
}

/// What is to be done with the images of a registry.
fn task(matches: &ArgMatches) -> Task {
    let all = Task::List { wanted: "*".to_owned(), sort: Sort::Name, names_only: false };
    let Some((verb, matches)) = matches.subcommand() else { return all };
    let (images, only_told) = (words(matches, "image"), flag_is_set(matches, "dry-run"));
    match verb {
        "list" => {
            let sort = match word(matches, "sort") {
                Some("size") => Sort::Size,
                Some("age") => Sort::Age,
                _ => Sort::Name,
            };
            Task::List { wanted: text(matches, "match"), sort, names_only: flag_is_set(matches, "names") }
        }
        "search" => Task::Search { word: text(matches, "word") },
        "show" => Task::Show { image: text(matches, "image") },
        "delete" => Task::Delete { images, only_told },
        "hold" | "unhold" => Task::Hold { images, held: verb == "hold" },
        _ => Task::Untag { images, only_told },
    }
}
