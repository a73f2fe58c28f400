//! What several hosts tell at the same time, each with its name: [`labelled`].

use serde_json::{Value as Json, json};

use super::printer::Style;

/// The fields of events that name something of a host.
const NAMES: [&str; 2] = ["resource", "deployment"];

/// A word of the printer's with the name of a host before what it is about.
pub(super) fn labelled(word: Json, host: &str, style: Style) -> Json {
    let Json::Object(fields) = word else { return word };
    let fields = fields.into_iter().map(|(kind, value)| match (kind.as_str(), value) {
        ("Event", Json::Array(mut parts)) => {
            let Some(event) = parts.first_mut() else { return (kind, Json::Array(parts)) };
            if style == Style::Json {
                event["host"] = Json::from(host);
                return ("Json".to_owned(), Json::from(event.to_string()));
            }
            name(event, host);
            (kind, Json::Array(parts))
        }
        ("Json", Json::String(text)) => {
            let told = serde_json::from_str::<Json>(&text).map(|told| match told {
                Json::Object(mut fields) => {
                    fields.insert("host".to_owned(), Json::from(host));
                    Json::Object(fields)
                }
                other => json!({ "host": host, "told": other }),
            });
            (kind, Json::from(told.map_or(text, |told| told.to_string())))
        }
        (_, Json::String(text)) if !text.trim().is_empty() => {
            let lines: String = text.split_inclusive('\n').map(|line| format!("{host}: {line}")).collect();
            (kind, Json::from(lines))
        }
        (_, value) => (kind, value),
    });
    Json::Object(fields.collect())
}

/// Puts the host's name before what an event is about.
fn name(event: &mut Json, host: &str) {
    for field in NAMES {
        if let Some(Json::String(name)) = event.get_mut(field) {
            *name = format!("{host}/{name}");
        }
    }
    for text in ["text"] {
        if let Some(Json::String(told)) = event.get_mut(text) {
            *told = format!("{host}: {told}");
        }
    }
    if let Some(Json::Array(rows)) = event.get_mut("deployments") {
        rows.iter_mut().for_each(|row| name(row, host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_has_the_name_of_its_host() {
        for (word, style, wanted) in [
            (json!({ "Line": "a\nb" }), Style::Text, json!({ "Line": "far: a\nfar: b" })),
            (json!({ "Aside": "\n" }), Style::Text, json!({ "Aside": "\n" })),
            (
                json!({ "Event": [{ "event": "plan", "deployment": "registry", "create": 1 }, "Text"] }),
                Style::Text,
                json!({ "Event": [{ "event": "plan", "deployment": "far/registry", "create": 1 }, "Text"] }),
            ),
            (
                json!({ "Event": [{ "event": "overview", "deployments": [{ "deployment": "x" }] }, "Text"] }),
                Style::Text,
                json!({ "Event": [{ "event": "overview", "deployments": [{ "deployment": "far/x" }] }, "Text"] }),
            ),
            (
                json!({ "Event": [{ "event": "note" }, "Json"] }),
                Style::Json,
                json!({ "Json": "{\"event\":\"note\",\"host\":\"far\"}" }),
            ),
            (json!({ "Json": "[1]" }), Style::Json, json!({ "Json": "{\"host\":\"far\",\"told\":[1]}" })),
        ] {
            assert_eq!(labelled(word, "far", style), wanted);
        }
    }
}
