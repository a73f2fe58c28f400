//! What a verb is about: a built-in playbook, a playbook file, or a deployment, with the inputs that were given.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{ArgMatches, Command};

use super::flags::{input_flags, input_id, shared_flags};
use super::matches::{word, words};
use super::refusal::Refusal;
use crate::deployment::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::language::given;
use crate::language::input::Input;
use crate::language::playbook::{self, Playbook, builtin_names};
use crate::language::variables::Listed;
use crate::resource::NAMES;
use crate::session::Target;
use crate::text::shell;
use crate::world::brought::Brought;
use crate::world::files;

/// The target of a verb: a built-in playbook, a playbook file, or a deployment with the playbook that made it.
pub(super) fn chosen(
    verb: &str,
    matches: &ArgMatches,
    flags: impl Fn(Command) -> Command,
) -> std::result::Result<(ArgMatches, Target), Refusal> {
    let (word, inner) = matches.subcommand().expect("a subcommand is required");
    if builtin_names().contains(&word) {
        return Ok((inner.clone(), builtin_target(word, inner)?));
    }
    let Named { playbook, path, brought, deployment } = named(word)?;
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
    target.brought = brought;
    target.again = deployment.is_some();
    target.name = target.name.or(deployment);
    Ok((inner, target))
}

/// The playbook that a word stands for which is no built-in one: with its file, and the deployment that was meant.
struct Named {
    playbook: Playbook,
    path: Option<String>,
    brought: Option<Brought>,
    deployment: Option<String>,
}

fn named(word: &str) -> Result<Named> {
    if word.contains('/') || has_ending(word, &["yml", "yaml"]) {
        if let Some(brought) = Brought::fetch(word)? {
            let playbook = Playbook::file_as(word, &brought.path().to_string_lossy(), NAMES)?;
            return Ok(Named { playbook, path: None, brought: Some(brought), deployment: None });
        }
        return Ok(Named {
            playbook: Playbook::file(word, NAMES)?,
            path: Some(files::absolute(word)?),
            brought: None,
            deployment: None,
        });
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
    Ok(Named { playbook, path: record.playbook.path, brought: None, deployment: Some(word.to_owned()) })
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
    Ok(Target { playbook, path, brought: None, given, environment, name, again: false, root: None, warnings })
}

/// The target of a built-in playbook that was typed as a verb.
pub(super) fn builtin_target(name: &str, matches: &ArgMatches) -> Result<Target> {
    target(builtin(name)?, None, matches)
}

fn builtin(name: &str) -> Result<Playbook> {
    Playbook::builtin(name, NAMES)
        .unwrap_or_else(|| Err(Error::new(format!("there is no playbook `{name}`")).hint("`provision list` shows all")))
}

/// A verb whose next word is a playbook, a file, or a deployment.
pub(super) fn targets(verb: Command, flags: fn(Command) -> Command) -> Command {
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
pub(super) fn playbook_verb(name: &'static str, flags: fn(Command) -> Command) -> Command {
    Command::new(name).about(playbook::builtin_about(name)).defer(flags)
}

/// Adds the inputs of the built-in playbook that the command is named after.
pub(super) fn with_inputs(command: Command) -> Command {
    let playbook = builtin(command.get_name()).expect("a built-in playbook is valid, as the tests hold");
    input_flags(command, &playbook)
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
