//! The flags: those of a playbook's inputs, and those that verbs share.

use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};
use serde_json::Value as Json;

use super::hosts;
use super::matches::word;
use crate::command::restore::Opening;
use crate::language::input::{Input, InputType};
use crate::language::playbook::Playbook;
use crate::report::clean_line;

/// Where the flags that every playbook has stand in a help: after its own.
pub(super) const SHARED: usize = 900;

/// The flags that every verb has.
pub(super) fn shared_flags(command: Command) -> Command {
    let output = Arg::new("output")
        .long("output")
        .global(true)
        .value_name("FORM")
        .value_parser(["text", "json"])
        .default_value("text");
    let verbose = Arg::new("verbose").short('v').long("verbose").global(true).action(ArgAction::SetTrue);
    let command = command
        .arg(output.display_order(SHARED).help("Output format"))
        .arg(verbose.display_order(SHARED).help("Show each request to the engine"));
    hosts::flags(command)
}

/// Adds the inputs of a playbook to a verb that has all of its own options. Where a name is both, the flag is the option, and
/// the input is given by `--set`.
pub(super) fn input_flags(command: Command, playbook: &Playbook) -> Command {
    let command = if playbook.inputs.is_empty() { command } else { command.args([inputs_file(), set()]) };
    let command = if playbook.variables.is_empty() { command } else { command.arg(env_file()) };
    let (hidden, free): (Vec<&Input>, Vec<&Input>) =
        playbook.inputs.iter().partition(|input| is_option(&command, &input.name));
    let command = free.into_iter().fold(command, |command, input| command.arg(flag(input)));
    if hidden.is_empty() {
        return command;
    }
    let width = hidden.iter().map(|input| input.name.len()).max().unwrap_or_default();
    let lines = hidden.iter().map(|input| format!("\n  {:width$}  {}", input.name, help(input)));
    let title = "Inputs with the name of an option, set by `--set NAME=VALUE` or in the `--inputs` file:";
    command.after_help(format!("{title}{}", lines.collect::<String>()))
}

/// Whether a verb has an option of that name. `help` and those of every verb are added to it only later.
fn is_option(command: &Command, name: &str) -> bool {
    ["help", "output", "verbose"].iter().chain(&hosts::NAMES).any(|option| *option == name)
        || command.get_arguments().any(|option| option.get_long() == Some(name))
}

/// The id of an input's flag. No option's id has a colon in it, so that neither is ever read for the other.
pub(super) fn input_id(input: &Input) -> String {
    format!("input:{}", input.name)
}

pub(super) fn set() -> Arg {
    Arg::new("set")
        .long("set")
        .value_name("INPUT=VALUE")
        .action(ArgAction::Append)
        .display_order(SHARED)
        .help("Set an input by its name, such as `--set port=5001` [may be repeated]")
}

fn inputs_file() -> Arg {
    Arg::new("inputs")
        .long("inputs")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .display_order(SHARED)
        .help("Read inputs from this YAML file, one `INPUT: VALUE` per line; flags override it")
}

fn env_file() -> Arg {
    Arg::new("env-file")
        .long("env-file")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .action(ArgAction::Append)
        .display_order(SHARED)
        .help(
            "Read variables of other tools from this file, in the format of `docker run --env-file` [may be repeated]",
        )
}

/// What the help says of an input.
fn help(input: &Input) -> String {
    let mut help = input.about.clone();
    if !input.choices.is_empty() {
        let title = if input.kind == InputType::Choice { "one of" } else { "such as" };
        help = format!("{help} [{title}: {}]", input.choices.join(", "));
    }
    match &input.default {
        Some(Json::String(text)) if text.is_empty() => {}
        Some(Json::Array(items)) if items.is_empty() => {}
        Some(Json::String(text)) => help = format!("{help} [default: {text}]"),
        Some(value) => help = format!("{help} [default: {value}]"),
        None => help = format!("{help} [needed]"),
    }
    if input.kind == InputType::List {
        help.push_str(" [may be repeated]");
    }
    // A playbook may be somebody else's.
    clean_line(&help)
}

fn flag(input: &Input) -> Arg {
    let flag = Arg::new(input_id(input)).long(input.name.clone()).help(help(input));
    let flag = match &input.group {
        Some(group) => flag.help_heading(clean_line(group)),
        None => flag,
    };
    match input.kind {
        InputType::Bool => flag.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL"),
        InputType::List => flag.action(ArgAction::Append).value_name(value_name(input.of)),
        InputType::Path => flag.value_hint(ValueHint::AnyPath).value_name("PATH"),
        InputType::Upload | InputType::File | InputType::Certificates => {
            flag.value_hint(ValueHint::FilePath).value_name("FILE")
        }
        kind => flag.value_name(value_name(kind)),
    }
}

fn value_name(kind: InputType) -> &'static str {
    match kind {
        InputType::Port => "PORT",
        InputType::Domain => "DOMAIN",
        InputType::Network => "ADDRESS",
        InputType::Email => "MAIL",
        InputType::Choice => "CHOICE",
        InputType::Path => "PATH",
        InputType::Upload | InputType::File | InputType::Certificates => "FILE",
        InputType::Size => "SIZE",
        InputType::Secret => "SECRET|@FILE|-",
        InputType::String | InputType::Bool | InputType::List => "TEXT",
    }
}

pub(super) fn engine_moved() -> Arg {
    Arg::new("engine-moved")
        .long("engine-moved")
        .action(ArgAction::SetTrue)
        .help("Use the current engine, although the deployment was made on another one")
}

pub(super) fn proxy() -> Arg {
    Arg::new("proxy")
        .long("proxy")
        .value_name("URL")
        .help("Proxy for stores and other registries, also used by containers: a URL, @FILE, none, or environment [default: as at the last run; at first HTTP_PROXY, HTTPS_PROXY and NO_PROXY]")
}

pub(super) fn yes() -> Arg {
    Arg::new("yes").short('y').long("yes").action(ArgAction::SetTrue).help("Delete data without asking")
}

/// How long somebody else's work on the same deployment is waited for.
pub(super) fn wait() -> Arg {
    Arg::new("wait")
        .long("wait")
        .value_name("TIME")
        .default_value("5m")
        .help("How long to wait for another run on the same deployment: 90s, 5m, 2h; 0 does not wait")
}

pub(super) fn name_flag() -> Arg {
    Arg::new("name").long("name").value_name("NAME").help("Name of this deployment [default: the name of the playbook]")
}

pub(super) fn images() -> Arg {
    Arg::new("images")
        .long("images")
        .value_name("HOW")
        .value_parser(["auto", "pull", "build"])
        .default_value("auto")
        .help("Source of images: auto pulls, and builds from Debian packages if no registry can be reached")
}

pub(super) fn renew() -> Arg {
    Arg::new("renew").long("renew").action(ArgAction::SetTrue).help("Issue new certificates")
}

pub(super) fn deployment() -> Arg {
    Arg::new("deployment").value_name("NAME").required(true).help("Name of the deployment (see `provision list`)")
}

pub(super) fn backup_file(help: &'static str) -> Arg {
    Arg::new("file").value_name("FILE").required(true).value_hint(ValueHint::FilePath).help(help)
}

pub(super) fn passphrase_file(help: &'static str) -> Arg {
    Arg::new("passphrase-file")
        .long("passphrase-file")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .help(format!("{help} [default: ask]"))
}

/// What a backup is opened with.
pub(super) fn opening() -> [Arg; 2] {
    let identity = Arg::new("identity")
        .long("identity")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .conflicts_with("passphrase-file")
        .help("Decrypt with the age identity in this file");
    [identity, passphrase_file("Read the passphrase from this file; `-` is standard input")]
}

/// What [`opening`] was given.
pub(super) fn opened(matches: &ArgMatches) -> Opening {
    let own = |name: &str| word(matches, name).map(str::to_owned);
    Opening { identity: own("identity"), passphrase_file: own("passphrase-file") }
}

/// A registry by its deployment or its address.
pub(super) fn registry(id: &'static str, name: &'static str) -> Arg {
    Arg::new(id).value_name(name).required(true).help("The registry: a deployment, or `https://HOST[:PORT]`")
}

pub(super) fn overwrite() -> Arg {
    Arg::new("overwrite")
        .long("overwrite")
        .action(ArgAction::SetTrue)
        .help("Replace a tag that means another image at the target")
}
