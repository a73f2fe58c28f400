//! Variables of other tools that stand for inputs, in the environment or in a file as `docker run --env-file` reads it:
//! [`gather`].
//!
//! Which there are, a playbook says; its entry `"*"` stands for all of a file that have none. A flag goes before a file, a file
//! before what an earlier run was given, and that before the environment.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::event::Events;
use crate::language::input::condition::Condition;
use crate::language::input::{Input, InputType};
use crate::language::playbook::{Playbook, Variable};
use crate::world::{host, typed};

/// The name of the entry for all variables that have none.
const REST: &str = "*";

type Inputs = BTreeMap<String, Json>;

/// A variable that is set, and where.
#[derive(Clone)]
struct Set {
    value: String,
    place: String,
    in_file: bool,
}

/// The variables of files.
#[derive(Clone, Default)]
pub(crate) struct Listed(BTreeMap<String, Set>);

impl Listed {
    /// Reads files with variables, the later before the earlier.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that names no variable.
    pub fn read(paths: &[String]) -> Result<Self> {
        let mut listed = BTreeMap::new();
        for path in paths {
            listed.extend(read(path)?);
        }
        Ok(Self(listed))
    }
}

/// Puts together the inputs of a run; also tells which of them are given for it.
///
/// # Errors
/// A value that its input does not take.
pub(crate) fn gather(
    playbook: &Playbook,
    remembered: Inputs,
    flags: Inputs,
    environment: Option<&Listed>,
    events: &Events,
) -> Result<(Inputs, BTreeSet<String>)> {
    let mut given = remembered;
    let mut fresh: BTreeSet<String> = flags.keys().cloned().collect();
    given.extend(flags);
    let Some(Listed(listed)) = environment else { return Ok((given, fresh)) };
    for variable in &playbook.variables {
        let Some(set) = listed.get(&variable.name).cloned().or_else(|| in_environment(variable)) else {
            continue;
        };
        if set.value.is_empty() || idle(variable, playbook, &given)?.is_some() {
            continue;
        }
        if let Some(input) = variable.input.as_deref().and_then(|name| playbook.input(name)) {
            if fresh.contains(&input.name) || (given.contains_key(&input.name) && !set.in_file) {
                continue;
            }
            given.insert(input.name.clone(), take(variable, &set, input, events)?);
            fresh.insert(input.name.clone());
        }
        if let Some(note) = &variable.note {
            events.note(None, format!("`{}` {}: {note}", variable.name, set.place));
        }
    }
    if let Some(rest) = rest(playbook, &given)? {
        let unclaimed = unclaimed(listed, playbook, &given)?;
        if !unclaimed.is_empty() && !fresh.contains(&rest.name) {
            let (names, lines): (Vec<&str>, Vec<String>) = unclaimed.into_iter().unzip();
            events.note(None, format!("taken into `{}`: {}", rest.given_by(), names.join(", ")));
            given.insert(rest.name.clone(), Json::from(lines.concat()));
            fresh.insert(rest.name.clone());
        }
        return Ok((given, fresh));
    }
    for (name, set) in listed.iter().filter(|(_, set)| !set.value.is_empty()) {
        if let Some(why) = unused(name, playbook, &given)? {
            events.note(None, format!("`{name}` {} is not used: {why}", set.place));
        }
    }
    Ok((given, fresh))
}

/// The input that holds all variables of a file which stand for nothing else, a line each.
fn rest<'a>(playbook: &'a Playbook, given: &Inputs) -> Result<Option<&'a Input>> {
    let Some(variable) = playbook.variables.iter().find(|variable| variable.name == REST) else { return Ok(None) };
    let input = variable.input.as_deref().and_then(|name| playbook.input(name));
    Ok(if idle(variable, playbook, given)?.is_none() { input } else { None })
}

/// The variables that stand for nothing else: the name, and the line that sets it.
fn unclaimed<'a>(
    listed: &'a BTreeMap<String, Set>,
    playbook: &Playbook,
    given: &Inputs,
) -> Result<Vec<(&'a str, String)>> {
    let mut found = Vec::new();
    for (name, set) in listed {
        if unused(name, playbook, given)?.is_some() {
            found.push((name.as_str(), format!("{name}={}\n", set.value)));
        }
    }
    Ok(found)
}

/// Why a variable of a file counts for nothing, if it does.
fn unused(name: &str, playbook: &Playbook, given: &Inputs) -> Result<Option<String>> {
    let mut why = Some(format!("`provision {}` does not use it", playbook.name));
    for variable in playbook.variables.iter().filter(|variable| variable.name == name) {
        match idle(variable, playbook, given)? {
            None => return Ok(None),
            Some(condition) => why = Some(format!("it requires {}", condition.told(&playbook.inputs))),
        }
    }
    Ok(why)
}

/// The condition that keeps a variable from counting, if one does.
fn idle<'a>(variable: &'a Variable, playbook: &'a Playbook, given: &Inputs) -> Result<Option<&'a Condition>> {
    let mut values: Inputs =
        playbook.inputs.iter().filter_map(|input| Some((input.name.clone(), input.default.clone()?))).collect();
    values.extend(given.clone());
    let of_input =
        variable.input.as_deref().and_then(|name| playbook.input(name)).and_then(|input| input.when.as_ref());
    for condition in variable.when.iter().chain(of_input) {
        if !condition.holds(&playbook.inputs, &values)? {
            return Ok(Some(condition));
        }
    }
    Ok(None)
}

/// The value that an input gets of a variable; it is told, unless it is a secret.
fn take(variable: &Variable, set: &Set, input: &Input, events: &Events) -> Result<Json> {
    let text = variable.values.get(&set.value).unwrap_or(&set.value);
    // A secret is taken as it stands: an `@` in front of it names no file.
    let (value, shown) = if input.is_secret() {
        (Json::from(text.as_str()), input.shown())
    } else {
        let value = input.parse(text).map_err(|error| {
            error
                .within(format!("`{}` {}, which stands for `{}`", variable.name, set.place, input.given_by()))
                .into_usage()
        })?;
        (value, input.typed(text))
    };
    let value = if input.kind == InputType::List { Json::from(vec![value]) } else { value };
    events.note(None, format!("`{}` {} became `{shown}`", variable.name, set.place));
    Ok(value)
}

fn in_environment(variable: &Variable) -> Option<Set> {
    let name = Some(&variable.name).filter(|_| !variable.file_only)?;
    host::variable(name).map(|value| Set { value, place: "in the environment".to_owned(), in_file: false })
}

/// Reads a file of lines `NAME=VALUE`, as they stand, without quotes; a `NAME` alone is looked up in the environment.
fn read(path: &str) -> Result<BTreeMap<String, Set>> {
    let text = typed::read_text(path)?;
    let mut found = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line.trim_end(), host::variable(line.trim_end())),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            // The line is not shown: it may hold a password.
            return Err(Error::usage(format!("line {} of `{path}` names no variable", index + 1))
                .hint("write `NAME=VALUE`, without `export`, spaces around `=`, or quotes"));
        }
        let place = format!("of `{path}`");
        found.insert(name.to_owned(), Set { value: value.unwrap_or_default(), place, in_file: true });
    }
    Ok(found)
}
