//! What a JSON Schema says of one value, and a value as it says.

use serde_json::Value as Json;

use super::Want;

/// The schema of the value itself, where a field may also be left out (`anyOf` with null).
pub(super) fn required_schema(schema: &Json) -> &Json {
    let choices = schema.get("anyOf").and_then(Json::as_array);
    choices.into_iter().flatten().find(|choice| !has_type(choice, "null")).unwrap_or(schema)
}

pub(super) fn has_type(schema: &Json, name: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(only)) => only == name,
        Some(Json::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    }
}

pub(super) fn want(schema: &Json) -> Want {
    match schema {
        _ if has_type(schema, "string") || !allowed(schema).is_empty() => Want::Text,
        _ if has_type(schema, "integer") => Want::Integer,
        _ if has_type(schema, "number") => Want::Number,
        _ if has_type(schema, "boolean") => Want::Boolean,
        _ => Want::Any,
    }
}

/// The texts that a schema allows, if it lists them.
pub(super) fn allowed(schema: &Json) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let one_of = schema.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    listed.chain(one_of.filter_map(|choice| choice.get("const")?.as_str())).collect()
}

pub(super) fn literal(text: &str, want: Want) -> Option<Json> {
    match want {
        Want::Text | Want::Any => Some(Json::from(text)),
        Want::Integer => text.parse::<i64>().ok().map(Json::from),
        Want::Number => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Json::from),
        Want::Boolean => text.parse::<bool>().ok().map(Json::from),
    }
}

pub(super) fn coerce(value: Json, want: Want) -> Option<Json> {
    match (want, &value) {
        (_, Json::Null) => None,
        (Want::Any, _)
        | (Want::Text, Json::String(_))
        | (Want::Number, Json::Number(_))
        | (Want::Boolean, Json::Bool(_)) => Some(value),
        (Want::Text, Json::Number(_) | Json::Bool(_)) => Some(Json::from(value.to_string())),
        (Want::Integer, Json::Number(number)) => number.is_i64().then_some(value),
        (_, Json::String(text)) => literal(text, want),
        _ => None,
    }
}
