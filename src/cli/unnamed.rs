//! The name of a deployment that was left out.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::instead;
use super::refusal::Refusal;
use crate::deployment::lasting_names;
use crate::error::Error;
use crate::text::shell;

/// The verbs after which a playbook may stand as well as a deployment.
const TARGETS: [&str; 3] = ["apply", "render", "graph"];

/// The command line with the name of the only deployment, where `plan` was typed without one.
pub(super) fn complete(mut arguments: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    let at = instead::first_word(&arguments, 1);
    if arguments.get(at).is_none_or(|verb| verb != "plan") {
        return Ok(arguments);
    }
    let next = after_shared(&arguments, at + 1);
    let is_flag = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with('-'));
    let asks = |word: &OsString| ["-h", "--help"].iter().any(|help| word == help);
    if arguments.get(next).is_some_and(|word| !is_flag(word)) || arguments[at..].iter().any(asks) {
        return Ok(arguments);
    }
    match lasting_names().unwrap_or_default().as_slice() {
        [] => {}
        [name] => arguments.insert(at + 1, name.into()),
        names => {
            return Err(Error::usage("`plan` needs the name of a deployment: there are several").hint(named(
                names,
                &words(&arguments, at),
                &[],
            )));
        }
    }
    Ok(arguments)
}

/// Where, from a place on, the first word stands that is no flag of all verbs, nor the value of one.
fn after_shared(arguments: &[OsString], mut at: usize) -> usize {
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()) {
        at += match word {
            "-v" | "--verbose" => 1,
            "--output" => 2,
            word if word.starts_with("--output=") => 1,
            _ => break,
        };
    }
    at
}

/// A mistake of the command line; where it is a name that was left out, the deployments that may be meant are told.
pub(super) fn explain(error: clap::Error, arguments: &[OsString]) -> Refusal {
    let at = instead::first_word(arguments, 1);
    let verb = arguments.get(at).and_then(|verb| verb.to_str()).unwrap_or_default();
    let names = lasting_names().unwrap_or_default();
    if names.is_empty() || verb == "restore" {
        return error.into();
    }
    let words = words(arguments, at);
    match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing)))
            if missing.iter().any(|missing| missing == "<NAME>") =>
        {
            let others: Vec<&str> = missing.iter().map(String::as_str).filter(|missing| *missing != "<NAME>").collect();
            Error::usage(format!("`{verb}` needs the name of a deployment")).hint(named(&names, &words, &others)).into()
        }
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand, _) if TARGETS.contains(&verb) => {
            let hint = format!("{}; `provision {verb} --help` lists the playbooks", named(&names, &words, &[]));
            Error::usage(format!("`{verb}` needs a playbook, a file, or a deployment")).hint(hint).into()
        }
        _ => error.into(),
    }
}

/// What was typed from the verb on.
fn words(arguments: &[OsString], verb: usize) -> Vec<String> {
    arguments[verb..].iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Which deployments there are, and the command with the first of them.
fn named(names: &[String], words: &[String], missing: &[&str]) -> String {
    let Some((verb, rest)) = words.split_first() else { return String::new() };
    let mut typed = vec!["provision", verb, &names[0]];
    typed.extend(rest.iter().map(String::as_str));
    let mut command = shell::line(typed);
    for missing in missing {
        // `--what <WHAT>` as it is to be typed.
        command.push_str(&format!(" {}", missing.replace(['<', '>'], "")));
    }
    let (which, example) = match names {
        [name] => (format!("the only one is `{name}`"), format!(": `{command}`")),
        names => (format!("there are `{}`", names.join("`, `")), format!("; for instance `{command}`")),
    };
    // Nobody is led to destroy something.
    if verb == "destroy" { which } else { which + &example }
}
