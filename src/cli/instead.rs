//! A choice for which another playbook stands: `registry --api v1` is `registry-v1`.

use std::ffi::OsString;

use crate::language::playbook::{Playbook, builtin_names};
use crate::resource::NAMES;

/// The command line with the playbook that was meant: its name takes the place of the one that was typed, and the flag goes,
/// so that the flags beside it are those of the playbook which is carried out.
pub(super) fn redirect(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = first_word(&arguments, 1);
    let words = first..arguments.len().min(first + 2);
    let Some(at) = words.into_iter().find(|at| named(&arguments[*at]).is_some()) else { return arguments };
    let Some(name) = named(&arguments[at]) else { return arguments };
    let Some(Ok(playbook)) = Playbook::builtin(name, NAMES) else { return arguments };
    for input in playbook.inputs.iter().filter(|input| !input.instead.is_empty()) {
        let Some((place, width, value)) = flag(&arguments, at, &input.name) else { continue };
        let Some(playbook) = input.instead.get(&value) else { continue };
        arguments.drain(place..place + width);
        arguments[at] = playbook.into();
    }
    arguments
}

/// Where, from a place on, the first word stands that is no flag of all verbs.
pub(super) fn first_word(arguments: &[OsString], mut at: usize) -> usize {
    while let Some(word) = arguments.get(at).and_then(|word| word.to_str()).filter(|word| word.starts_with('-')) {
        at += if word == "--output" { 2 } else { 1 };
    }
    at
}

fn named(word: &OsString) -> Option<&'static str> {
    builtin_names().into_iter().find(|name| word == name)
}

/// Where an input is given, by its flag or by `--set`, how many words that takes, and the value.
fn flag(arguments: &[OsString], from: usize, name: &str) -> Option<(usize, usize, String)> {
    let flag = format!("--{name}");
    let of = |text: &str, start: &str| Some(text.strip_prefix(start)?.strip_prefix('=')?.to_owned());
    for (at, word) in arguments.iter().enumerate().skip(from + 1) {
        let word = word.to_str()?;
        let next = || arguments.get(at + 1)?.to_str();
        if word == "--" {
            return None;
        }
        if word == flag {
            return Some((at, 2, next()?.to_owned()));
        }
        if word == "--set"
            && let Some(value) = of(next()?, name)
        {
            return Some((at, 2, value));
        }
        if let Some(value) = of(word, &flag).or_else(|| of(&of(word, "--set")?, name)) {
            return Some((at, 1, value));
        }
    }
    None
}
