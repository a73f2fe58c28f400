//! Which name stands at a place of an unfinished command line: [`Position`].

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Command};

/// What is named there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Position {
    Deployment,
    /// A playbook, or a deployment.
    Target,
    /// An image of the registry that stands before it.
    Image {
        registry: String,
    },
    /// An image of the engine.
    EngineImage,
    /// `REGISTRY/REPOSITORY:TAG`
    Place,
}

/// The verbs after which a playbook stands, or a deployment. Their commands are made only when they are carried out.
const TARGETED: [&str; 4] = ["apply", "plan", "render", "graph"];

/// What is named after these words, the first of which is the program; none for a flag, a verb, or what has no known names.
pub(super) fn after(root: &Command, words: &[String], current: &str) -> Option<Position> {
    let (mut command, mut verb) = (root, "");
    let mut typed: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut count, mut flags_end) = (0, false);
    let mut rest = words.iter().skip(1).map(String::as_str);
    while let Some(word) = rest.next() {
        if !flags_end && word.starts_with('-') && word.len() > 1 {
            flags_end = word == "--";
            // The value of a flag is the next word, which may be the one that is asked for.
            if takes_next(root, command, word) && rest.next().is_none() {
                return None;
            }
        } else if let Some(inner) = command.find_subcommand(word) {
            if verb.is_empty() {
                verb = inner.get_name();
            }
            (command, count) = (inner, 0);
        } else {
            let place = positional(command, count)?;
            typed.insert(place.get_id().as_str(), word);
            count += 1;
        }
    }
    if current.starts_with('-') && !flags_end {
        return None;
    }
    if TARGETED.contains(&command.get_name()) {
        return Some(Position::Target);
    }
    let place = positional(command, count)?;
    let name = place.get_value_names().and_then(|names| names.first()).map(clap::builder::Str::as_str);
    match (place.get_id().as_str(), name, verb) {
        ("deployment" | "registry", ..) | ("from" | "to", Some("FROM" | "TO"), _) => Some(Position::Deployment),
        ("from" | "to", Some("SOURCE" | "TARGET"), _) => Some(Position::Place),
        ("image", _, "push") => Some(Position::EngineImage),
        ("image", _, "images") => {
            typed.get("registry").map(|registry| Position::Image { registry: (*registry).to_owned() })
        }
        _ => None,
    }
}

/// The argument that stands at a place; the last one may stand there again and again.
fn positional(command: &Command, count: usize) -> Option<&Arg> {
    let again = |arg: &&Arg| {
        matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|n| n.max_values() > 1)
    };
    command.get_positionals().nth(count).or_else(|| command.get_positionals().last().filter(again))
}

/// Whether the word after a flag is its value.
fn takes_next(root: &Command, command: &Command, word: &str) -> bool {
    if word.contains('=') {
        return false;
    }
    let long = word.strip_prefix("--");
    let short = word.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(|_| long.is_none());
    let is_it =
        |arg: &&Arg| (long.is_some() && arg.get_long() == long) || (short.is_some() && arg.get_short() == short);
    let found = command.get_arguments().find(is_it).or_else(|| root.get_arguments().find(is_it));
    found.is_some_and(|arg| arg.get_action().takes_values())
}
