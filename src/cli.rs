//! The command line: verbs, and a subcommand for each playbook, whose inputs are its flags.

mod ci;
mod flags;
mod instead;
mod matches;
mod refusal;
mod time;
mod unnamed;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::pin::Pin;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::command;
use crate::command::adopt::Wanted as Adopted;
use crate::command::backup::Sealing;
use crate::command::restore::Opening;
use crate::deployment::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::event::Events;
use crate::language::given;
use crate::language::input::Input;
use crate::language::playbook::{self, Playbook, builtin_names};
use crate::language::variables::Listed;
use crate::report::Style;
use crate::resource::NAMES;
use crate::resource::run::{Anew, Images, Options, Wanted};
use crate::secret::Secret;
use crate::session::{Session, Target};
use crate::text::shell;
use crate::world::files;
pub use crate::world::process::keep_memory_private;
pub use crate::world::signals::hear as hear_signals;
pub use crate::world::stop::{Signal, Stopper};
use flags::{
    adopt_flags, apply_flags, backup_flags, delete_data, deployment, engine_moved, fsck_flags, graph_flags,
    input_flags, input_id, keep_data, plan_flags, render_flags, restore_flags, shared_flags, users_task, users_verbs,
    wait, what, yes,
};
use matches::{flag_is_set, word, words};
pub use refusal::Refusal;

/// What the process ends with.
const DONE: u8 = 0;
const CHANGES: u8 = 3;

/// The verbs that do nothing but print: they have failed if that cannot be written.
const PRINTERS: [&str; 6] = ["graph", "output", "secrets", "list", "schema", "completions"];

/// A command line that was understood.
pub struct Invocation {
    verb: String,
    matches: ArgMatches,
    target: Option<Target>,
    /// How the run is told.
    pub style: Style,
}

/// Understands a command line.
///
/// # Errors
/// What is wrong with it, or with the playbook that it names.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> std::result::Result<Invocation, Refusal> {
    let arguments = unnamed::complete(instead::redirect(arguments.collect()))?;
    let matches = command().try_get_matches_from(&arguments).map_err(|error| unnamed::explain(error, &arguments))?;
    let Some((verb, inner)) = matches.subcommand() else {
        return Err(Error::usage("a verb or a playbook is missing").into());
    };
    // `ci` has verbs of its own.
    let (step, inner) = match inner.subcommand() {
        Some((step, inner)) if verb == "ci" => (Some(step), inner),
        _ => (None, inner),
    };
    let (matches, target) = match verb {
        "apply" => chosen(verb, inner, apply_flags)?,
        "plan" => chosen(verb, inner, plan_flags)?,
        "render" => chosen(verb, inner, render_flags)?,
        "graph" => chosen(verb, inner, graph_flags)?,
        "ci" if step.is_some() => (inner.clone(), None),
        name if builtin_names().contains(&name) => (inner.clone(), Some(target(builtin(name)?, None, inner)?)),
        _ => (inner.clone(), None),
    };
    let style = if matches.get_one::<String>("output").is_some_and(|style| style == "json") {
        Style::Json
    } else {
        Style::Text
    };
    let verb = step.map_or_else(|| verb.to_owned(), |step| format!("{verb} {step}"));
    Ok(Invocation { verb, matches, target, style })
}

/// The target of a verb: a built-in playbook, a playbook file, or a deployment with the playbook that made it.
fn chosen(
    verb: &str,
    matches: &ArgMatches,
    flags: impl Fn(Command) -> Command,
) -> std::result::Result<(ArgMatches, Option<Target>), Refusal> {
    let (word, inner) = matches.subcommand().expect("a subcommand is required");
    if builtin_names().contains(&word) {
        return Ok((inner.clone(), Some(target(builtin(word)?, None, inner)?)));
    }
    let (playbook, path, deployment) = named(word)?;
    let rest = inner.get_many::<OsString>("").into_iter().flatten().cloned();
    let command = Command::new(word.to_owned()).about(crate::report::clean_line(&playbook.about));
    let command = shared_flags(input_flags(flags(command), &playbook));
    let inner = command.no_binary_name(true).bin_name(format!("provision {verb} {word}")).try_get_matches_from(rest)?;
    let mut target = target(playbook, path, &inner)?;
    if let (Some(deployment), Some(other)) = (&deployment, &target.name) {
        return Err(Error::usage(format!("`{deployment}` is a deployment, so `--name {other}` cannot name another"))
            .hint(format!(
                "`{}` is about that one; `--name` goes with a playbook",
                shell::line(["provision", verb, other])
            ))
            .into());
    }
    target.again = deployment.is_some();
    target.name = target.name.or(deployment);
    Ok((inner, Some(target)))
}

/// The playbook that a word stands for which is no built-in one: with its file, and the deployment that was meant.
fn named(word: &str) -> Result<(Playbook, Option<String>, Option<String>)> {
    if word.contains('/') || has_ending(word, &["yml", "yaml"]) {
        return Ok((Playbook::file(word, NAMES)?, Some(files::absolute(word)?), None));
    }
    let record = match Store::open(word) {
        Ok((_, Some(record))) => record,
        // A word that cannot be a deployment's name is none of the three either.
        Err(error) if !error.is_usage() => return Err(error),
        _ => return Err(unknown(word)?),
    };
    let playbook = match &record.playbook.path {
        Some(path) => Playbook::file(path, NAMES)?,
        None => builtin(&record.playbook.name)?,
    };
    Ok((playbook, record.playbook.path, Some(word.to_owned())))
}

fn unknown(word: &str) -> Result<Error> {
    let deployments = crate::deployment::names()?;
    let known: std::collections::BTreeSet<&str> =
        builtin_names().into_iter().chain(deployments.iter().map(String::as_str)).collect();
    let known: Vec<&str> = known.into_iter().collect();
    Ok(Error::new(format!("`{word}` is not a playbook, a deployment or a `.yml` file"))
        .hint(did_you_mean(word, &known)))
}

fn has_ending(word: &str, endings: &[&str]) -> bool {
    std::path::Path::new(word)
        .extension()
        .is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

/// The inputs that were given, by flags before a file of inputs, and the deployment's name.
fn target(mut playbook: Playbook, path: Option<String>, matches: &ArgMatches) -> Result<Target> {
    for input in &mut playbook.inputs {
        input.by_set = !has_flag(matches, input);
    }
    let mut given = match word(matches, "inputs") {
        Some(path) => given::file::read(&playbook, path)?,
        None => BTreeMap::new(),
    };
    let set = given::set::read(&playbook, &words(matches, "set"))?;
    for input in playbook.inputs.iter().filter(|input| !input.by_set) {
        let Some(values) = matches.get_many::<String>(&input_id(input)) else { continue };
        if set.contains_key(&input.name) {
            return Err(Error::usage(format!("`{0}` is given twice: by `--{0}` and by `--set`", input.name))
                .hint("leave one of them out"));
        }
        given.insert(input.name.clone(), input.flag(values)?);
    }
    given.extend(set);
    let environment = Some(Listed::read(&words(matches, "env-file"))?);
    let name = matches.get_one::<String>("name").cloned();
    let warnings = playbook.inputs.iter().flat_map(|input| input.warnings(&typed(matches, input))).collect();
    Ok(Target { playbook, path, given, environment, name, again: false, root: None, warnings })
}

fn command() -> Command {
    let mut command = Command::new("provision")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Set up and run private registries, certificates and WordPress")
        .subcommand_required(true)
        .arg_required_else_help(true);
    command = shared_flags(command);
    for name in builtin_names() {
        command = command.subcommand(match name {
            "ci" => playbook_verb(name, |command| with_inputs(ci::flags(command))),
            _ => playbook_verb(name, |command| with_inputs(apply_flags(command))),
        });
    }
    command
        .subcommand(
            verb("apply", "Apply a playbook file")
                .defer(|verb| targets(verb, |command| with_inputs(apply_flags(command)))),
        )
        .subcommand(
            verb("plan", "Show the changes that a run would make")
                .defer(|verb| targets(verb, |command| with_inputs(plan_flags(command)))),
        )
        .subcommand(
            verb("render", "Write the files of a host installation into a folder, and list the remaining commands")
                .defer(|verb| targets(verb, |command| with_inputs(render_flags(command)))),
        )
        .subcommand(
            verb("graph", "Print the graph of a playbook, for Graphviz")
                .defer(|verb| targets(verb, |command| with_inputs(graph_flags(command)))),
        )
        .subcommand(adopt_flags(verb(
            "adopt",
            "Inspect a host whose registry was set up by hand, and write the inputs that take it over",
        )))
        .subcommands(verbs_of_deployments())
        .subcommand(verb("list", "List playbooks and deployments"))
        .subcommand(verb("schema", "Print the JSON Schema of a playbook"))
        .subcommand(
            verb("completions", "Print a completion script")
                .arg(Arg::new("shell").required(true).value_parser(value_parser!(Shell)).help("Shell")),
        )
}

fn verb(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about)
}

/// The verbs that are about one deployment.
fn verbs_of_deployments() -> [Command; 10] {
    let key = |help: &'static str| Arg::new("key").value_name("KEY").help(help);
    [
        verb("destroy", "Remove everything that a deployment owns").args([
            deployment(),
            keep_data(),
            delete_data(),
            engine_moved(),
            yes(),
            wait(),
        ]),
        verb("rotate", "Replace keys, certificates or the authority without downtime").args([
            deployment(),
            what(),
            wait(),
        ]),
        verb("status", "Show the state of all deployments, or of one; exit code 3 if something is wrong")
            .arg(deployment().required(false).help("Name of the deployment [default: an overview of all]")),
        verb("output", "Print the outputs of a deployment, or one of them").args([deployment(), key("Which output")]),
        verb("secrets", "Print the secrets of a deployment, or one of them").args([deployment(), key("Which secret")]),
        fsck_flags(verb("fsck", "Check that every image of a registry is complete; exit code 3 if one is not")),
        verb("agent", "Do a job in a helper container").hide(true).arg(Arg::new("file").required(true)),
        users_verbs(verb("users", "Manage the users who may log in to a registry")),
        backup_flags(verb("backup", "Back up the data, keys and secrets of a deployment into one encrypted file")),
        restore_flags(verb("restore", "Restore a deployment and its data from a backup")),
    ]
}

fn builtin(name: &str) -> Result<Playbook> {
    Playbook::builtin(name, NAMES)
        .unwrap_or_else(|| Err(Error::new(format!("there is no playbook `{name}`")).hint("`provision list` shows all")))
}

/// A verb whose next word is a playbook, a file, or a deployment.
fn targets(verb: Command, flags: fn(Command) -> Command) -> Command {
    let mut verb = verb
        .subcommand_required(true)
        .arg_required_else_help(true)
        .allow_external_subcommands(true)
        .subcommand_value_name("PLAYBOOK|FILE|DEPLOYMENT")
        .subcommand_help_heading("Playbooks");
    for name in builtin_names() {
        verb = verb.subcommand(playbook_verb(name, flags));
    }
    verb.disable_help_subcommand(true)
}

/// The command of a built-in playbook. Its flags are read from the playbook only when they are needed, since most runs
/// need those of one.
fn playbook_verb(name: &'static str, flags: fn(Command) -> Command) -> Command {
    Command::new(name).about(playbook::builtin_about(name)).defer(flags)
}

/// Adds the inputs of the built-in playbook that the command is named after.
fn with_inputs(command: Command) -> Command {
    let playbook = builtin(command.get_name()).expect("a built-in playbook is valid, as the tests hold");
    input_flags(command, &playbook)
}

impl Invocation {
    /// Carries the command out and gives the exit code.
    ///
    /// # Errors
    /// Whatever went wrong, as a user should read it.
    pub fn run(self, events: Events, stopper: Stopper) -> Pin<Box<dyn Future<Output = Result<u8>>>> {
        // In a box, it is compiled once and here: not once more with the program.
        Box::pin(self.carry_out(events, stopper))
    }

    async fn carry_out(self, events: Events, stopper: Stopper) -> Result<u8> {
        let matches = &self.matches;
        let wait = word(matches, "wait").map_or(Ok(0), time::wait)?;
        let (yes, wait) = (flag_is_set(matches, "yes"), Duration::from_secs(wait));
        // Read here, before anything is locked.
        let proxy = word(matches, "proxy").map(files::secret_argument).transpose()?.map(Secret::new);
        let session = Session { events, options: Options { proxy, ..options(matches) }, yes, wait, stopper };
        let (deployment, key) = (word(matches, "deployment").unwrap_or_default(), word(matches, "key"));
        let file = word(matches, "file").unwrap_or_default();
        let own = |name: &str| word(matches, name).map(str::to_owned);
        let differs = |differs: bool| if differs { CHANGES } else { DONE };
        let verb = self.verb.clone();
        match (verb.as_str(), self.target) {
            ("plan", Some(target)) => {
                let changes = command::plan::run(&session, target).await?;
                return Ok(differs(changes && flag_is_set(matches, "exit-code")));
            }
            ("render", Some(target)) => {
                command::render::run(&session, target, word(matches, "out").unwrap_or_default()).await?;
            }
            ("graph", Some(target)) => command::graph::run(&session, &target)?,
            ("ci", Some(target)) => return command::ci::run(&session, target, ci::wanted(matches, self.style)?).await,
            ("ci down", _) => command::ci::down(&session, word(matches, "deployment")).await?,
            ("ci reap", _) => command::ci::reap(&session).await?,
            (_, Some(target)) => command::apply::run(&session, target, "apply").await?,
            ("destroy", _) => command::destroy::run(&session, deployment, flag_is_set(matches, "keep-data")).await?,
            ("rotate", _) => command::rotate::run(&session, deployment).await?,
            ("fsck", _) => {
                return command::fsck::run(&session, deployment, flag_is_set(matches, "deep")).await.map(differs);
            }
            ("agent", _) => command::agent::run(file).await?,
            ("status", _) => return command::status::run(&session, word(matches, "deployment")).await.map(differs),
            ("adopt", _) => command::adopt::run(&session, &adopted(matches))?,
            ("backup", _) => {
                let sealing =
                    Sealing { recipients: words(matches, "recipient"), passphrase_file: own("passphrase-file") };
                command::backup::run(&session, deployment, file, sealing).await?;
            }
            ("restore", _) => {
                let opening = Opening { identity: own("identity"), passphrase_file: own("passphrase-file") };
                command::restore::run(&session, deployment, file, opening, &words(matches, "set")).await?;
            }
            ("users", _) => command::users::run(&session, deployment, users_task(matches), self.style).await?,
            ("output", _) => command::output::run(deployment, key, self.style)?,
            ("secrets", _) => command::secrets::run(deployment, key, self.style)?,
            ("list", _) => command::list::run(self.style)?,
            ("schema", _) => command::schema::run(),
            _ => completions(matches),
        }
        if PRINTERS.contains(&verb.as_str()) {
            crate::report::written().await?;
        }
        Ok(DONE)
    }
}

fn adopted(matches: &ArgMatches) -> Adopted {
    let own = |name: &str| word(matches, name).unwrap_or_default().to_owned();
    Adopted { paths: words(matches, "paths"), root: own("root"), out: own("out") }
}

/// What the command line gives an input, by its flag or by `--set`.
fn typed(matches: &ArgMatches, input: &Input) -> Vec<String> {
    let flag = if input.by_set { Vec::new() } else { words(matches, &input_id(input)) };
    let set = words(matches, "set").into_iter();
    flag.into_iter().chain(set.filter_map(|text| input.set_to(&text).map(str::to_owned))).collect()
}

/// Whether an input has a flag of its own here, and not an option of that name in its place.
fn has_flag(matches: &ArgMatches, input: &Input) -> bool {
    matches.try_contains_id(&input_id(input)).is_ok()
}

fn options(matches: &ArgMatches) -> Options {
    let images = match word(matches, "images") {
        Some("pull") => Images::Pull,
        Some("build") => Images::Build,
        _ => Images::Auto,
    };
    let anew = match word(matches, "what") {
        Some("keys") => Some(Anew::Keys),
        Some("authority") => Some(Anew::Authority),
        Some("certificates") => Some(Anew::Certificates),
        _ => flag_is_set(matches, "renew").then_some(Anew::Certificates),
    };
    Options {
        images,
        anew,
        delete_data: words(matches, "delete-data"),
        engine: if flag_is_set(matches, "engine-moved") { Wanted::Reached } else { Wanted::Known },
        proxy: None,
        verbose: flag_is_set(matches, "verbose"),
    }
}

fn completions(matches: &ArgMatches) {
    let Some(shell) = matches.get_one::<Shell>("shell") else { return };
    let mut script = Vec::new();
    clap_complete::generate(*shell, &mut command(), "provision", &mut script);
    crate::report::text(&String::from_utf8_lossy(&script));
}
