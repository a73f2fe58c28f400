//! A file of inputs, which `--inputs` takes beside the flags: a YAML mapping of input to value.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Source};
use crate::language::input::{Input, InputType};
use crate::language::playbook::Playbook;
use crate::world::typed;

/// Reads a file of inputs for a playbook. A value is written as its flag takes it, and a list as a list.
///
/// # Errors
/// The file cannot be read or is no mapping, or an input is unknown or of another type: with its place. Of a line that may
/// hold a secret the value is not shown.
pub(crate) fn read(playbook: &Playbook, path: &str) -> Result<BTreeMap<String, Json>> {
    let text = typed::read_text(path)
        .map_err(|error| error.within("`--inputs`").into_usage().or_hint("it takes a file of lines `INPUT: VALUE`"))?;
    // YAML knows a text of comments alone as nothing at all.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    let source = Source::new(path, text);
    let node = Node::parse(&source).map_err(|error| error.veiled().into_usage())?;
    let Content::Map(entries) = node.value else {
        let place = source.place(node.span).veiled();
        return Err(Error::usage("the inputs are a mapping").at(place).hint("write a line `INPUT: VALUE` for each"));
    };
    entries.into_iter().map(|(key, node)| entry(playbook, &source, &key, &node)).collect()
}

fn entry(playbook: &Playbook, source: &Source, key: &Key, node: &Node) -> Result<(String, Json)> {
    let Some(input) = playbook.input(&key.text) else {
        let known: Vec<&str> = playbook.inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(Error::usage(format!("the playbook `{}` has no input `{}`", playbook.name, key.text))
            .at(source.place(key.span).veiled())
            .hint(did_you_mean(&key.text, &known)));
    };
    Ok((key.text.clone(), value(input, source, node)?))
}

fn value(input: &Input, source: &Source, node: &Node) -> Result<Json> {
    if input.kind != InputType::List {
        return scalar(input, source, node);
    }
    let Content::List(items) = &node.value else {
        let found = if input.is_secret() { node.describe_veiled() } else { node.describe() };
        let what = format!("`{}` wants a list, not {found}", input.name);
        let place = source.place(node.span);
        return Err(Error::usage(what)
            .at(if input.is_secret() { place.veiled() } else { place })
            .hint(format!("write `{}: [ONE, ANOTHER]`", input.name)));
    };
    items.iter().map(|item| scalar(input, source, item)).collect()
}

/// Reads a value, or one item of a list.
fn scalar(input: &Input, source: &Source, node: &Node) -> Result<Json> {
    let secret = input.is_secret();
    let place = || if secret { source.place(node.span).veiled() } else { source.place(node.span) };
    let Content::Scalar { text, .. } = &node.value else {
        let wanted = if input.kind == InputType::List { "one value an item" } else { "one value" };
        let found = if secret { node.describe_veiled() } else { node.describe() };
        let what = format!("`{}` wants {wanted}, not {found}", input.name);
        return Err(Error::usage(what).at(place()));
    };
    if secret && text == "-" {
        return Err(Error::usage(format!("`{}` cannot be read from the standard input here", input.name))
            .at(place())
            .hint("write the secret itself, or `\"@FILE\"` for a file that holds it"));
    }
    input.parse(text).map_err(|error| error.within(format!("`{}`", input.name)).at(place()).into_usage())
}
