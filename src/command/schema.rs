//! `provision schema`: the JSON Schema of a playbook, for editors.

use serde_json::{Value as Json, json};

use crate::language::input::InputType;
use crate::report::line;
use crate::resource::{Entry, KINDS};

/// The name of an input or a resource.
const NAME: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";

pub(crate) fn run() {
    let text = serde_json::to_string_pretty(&schema()).expect("a schema has text keys only");
    line(&text);
}

pub(super) fn schema() -> Json {
    let types = InputType::NAMES;
    let mut kinds: Vec<Json> = KINDS.iter().map(resource).collect();
    kinds.push(include());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A playbook of provision",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "about": { "type": "string", "description": "One sentence for `--help`." },
            "inputs": {
                "type": "object",
                "propertyNames": { "pattern": NAME },
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["type"],
                    "properties": {
                        "type": { "enum": types },
                        "of": { "enum": types, "description": "The type of the items of a list." },
                        "default": { "description": "Without one, the input must be given." },
                        "about": { "type": "string" },
                        "choices": { "type": "array", "items": { "type": "string" } },
                        "instead": {
                            "type": "object",
                            "description": "Playbooks that stand in for this one, by the choice.",
                            "additionalProperties": { "type": "string" },
                        },
                        "group": { "type": "string", "description": "The heading of its flag in `--help`." },
                        "when": { "type": "string", "description": "An expression of inputs: where it means something." },
                    },
                },
            },
            "variables": {
                "type": "object",
                "description": "Variables of the environment, or of a file given with `--env-file`, that stand for inputs.",
                "additionalProperties": { "anyOf": [variable(), { "type": "array", "items": variable() }] },
            },
            "values": {
                "type": "object",
                "description": "Expressions with a name.",
                "propertyNames": { "pattern": NAME },
                "additionalProperties": { "type": "string" },
            },
            "rules": { "type": "array", "items": rule() },
            "resources": { "type": "array", "items": { "oneOf": kinds } },
            "outputs": { "type": "object", "additionalProperties": { "type": "string" } },
        },
    })
}

/// One kind as an item of `resources`: its fields, its own key, the keys that every resource has, and its outputs, which a validator
/// takes for an annotation.
fn resource(kind: &Entry) -> Json {
    let mut schema = loosened(kind.schema().clone());
    let Some(object) = schema.as_object_mut() else { return schema };
    object.insert("description".to_owned(), json!(kind.about));
    object.remove("title");
    object.insert("additionalProperties".to_owned(), json!(false));
    let properties = object.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(kind.name.to_owned(), json!({ "type": "string", "pattern": NAME }));
        properties.insert("when".to_owned(), json!({ "type": "string", "description": "An expression of inputs." }));
        properties.insert("after".to_owned(), after());
    }
    let outputs = kind.outputs.iter().map(|output| (output.name.to_owned(), json!({ "secret": output.secret })));
    object.insert("x-outputs".to_owned(), outputs.collect());
    if let Some(required) = object.entry("required").or_insert_with(|| json!([])).as_array_mut() {
        required.push(json!(kind.name));
    }
    schema
}

/// Names of other resources, or an expression of inputs that yields them.
fn after() -> Json {
    json!({ "anyOf": [
        { "type": "array", "items": { "type": "string" } },
        { "type": "string", "pattern": "\\{\\{" },
    ] })
}

fn variable() -> Json {
    json!({
        "type": "object",
        "additionalProperties": false,
        "anyOf": [{ "required": ["input"] }, { "required": ["note"] }],
        "properties": {
            "input": { "type": "string", "pattern": NAME },
            "values": {
                "type": "object",
                "description": "What its values are called here; others are taken as they are.",
                "additionalProperties": { "type": "string" },
            },
            "note": { "type": "string", "description": "What a user should know of it." },
            "file-only": { "type": "boolean", "description": "Whether it counts in a file alone, and not in the environment." },
            "when": { "type": "string", "description": "An expression of inputs: where it counts." },
        },
    })
}

fn rule() -> Json {
    let word = |word: &str, description: &str| {
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["when", word],
            "properties": {
                "when": { "type": "string", "description": "An expression of inputs." },
                word: { "type": "string", "description": description },
                "hint": { "type": "string", "description": "What to do." },
            },
        })
    };
    json!({ "oneOf": [
        word("refuse", "Why these inputs do not go together."),
        word("warn", "What a user should know of them."),
    ] })
}

fn include() -> Json {
    json!({
        "type": "object",
        "description": "Another playbook as a part of this one.",
        "additionalProperties": false,
        "required": ["playbook"],
        "properties": {
            "playbook": { "type": "string" },
            "as": { "type": "string", "description": "The name of its outputs in expressions." },
            "inputs": { "type": "object" },
            "when": { "type": "string" },
            "after": after(),
        },
    })
}

/// A field that wants a number or a list can also hold an expression, which is a text.
fn loosened(schema: Json) -> Json {
    match schema {
        Json::Object(mut object) => {
            object.retain(|key, _| !key.starts_with("x-"));
            let object: serde_json::Map<String, Json> =
                object.into_iter().map(|(key, value)| (key, loosened(value))).collect();
            let open =
                matches!(object.get("type").and_then(Json::as_str), Some("integer" | "number" | "boolean" | "array"));
            if open {
                json!({ "anyOf": [object, { "type": "string", "pattern": "\\{\\{" }] })
            } else {
                Json::Object(object)
            }
        }
        Json::Array(items) => Json::Array(items.into_iter().map(loosened).collect()),
        other => other,
    }
}
