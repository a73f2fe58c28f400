//! Inputs as `--set` gives them: `INPUT=VALUE`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::language::input::InputType;
use crate::language::playbook::Playbook;

/// Reads what `--set` says; a list's items come one by one.
///
/// # Errors
/// No value, an unknown input, one that is given twice and is no list, or a value of another type.
pub(crate) fn read(playbook: &Playbook, set: &[String]) -> Result<BTreeMap<String, Json>> {
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for text in set {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Error::usage(format!("`--set {text}` has no value")).hint("write `--set INPUT=VALUE`"))?;
        texts.entry(name).or_default().push(value);
    }
    let known: Vec<&str> = playbook.inputs.iter().map(|input| input.name.as_str()).collect();
    let values = texts.into_iter().map(|(name, values)| {
        let input = playbook.input(name).ok_or_else(|| {
            Error::usage(format!("the playbook `{}` has no input `{name}`", playbook.name))
                .hint(did_you_mean(name, &known))
        })?;
        if input.kind != InputType::List && values.len() > 1 {
            return Err(Error::usage(format!("`--set {name}=…` is given twice")).hint("leave one of them out"));
        }
        Ok((name.to_owned(), input.flag(values)?))
    });
    values.collect()
}
