//! What is told on another host, as it is told here: [`Via`].

use serde_json::{Value as Json, json};

use super::printer::Style;

/// The fields of events that name something of a host.
const NAMES: [&str; 2] = ["resource", "deployment"];

/// How another host was reached.
pub(crate) struct Via {
    /// Its name, where it is one of several.
    pub label: Option<String>,
    /// The words that name it on a command line.
    pub typed: String,
    pub style: Style,
}

impl Via {
    /// A word of the printer's as it is told here: a command that is printed can be pasted here.
    pub(super) fn carried(&self, mut word: Json) -> Json {
        // What was asked for, such as a password, stays as it is.
        if let Some(text) = word.get("Json").and_then(Json::as_str) {
            if let Ok(mut told) = serde_json::from_str::<Json>(text) {
                self.paste(&mut told);
                word["Json"] = Json::from(told.to_string());
            }
        } else if word.get("Text").is_none() {
            self.paste(&mut word);
        }
        match &self.label {
            Some(label) => labelled(word, label, self.style),
            None => word,
        }
    }

    fn paste(&self, told: &mut Json) {
        match told {
            Json::String(text) => {
                let program = format!("provision {} ", self.typed);
                *text = text.replace("`provision ", &format!("`{program}"));
                if let Some(rest) = text.strip_prefix("provision ") {
                    *text = format!("{program}{rest}");
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.paste(item)),
            Json::Object(fields) => fields.values_mut().for_each(|value| self.paste(value)),
            _ => {}
        }
    }
}

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
    fn commands_are_told_as_they_are_typed_here() {
        let via = Via { label: None, typed: "--host far".to_owned(), style: Style::Text };
        for (word, wanted) in [
            (
                json!({ "Aside": "hint: `provision list` or `sudo x`" }),
                json!({ "Aside": "hint: `provision --host far list` or `sudo x`" }),
            ),
            (
                json!({ "Event": [{ "outputs": { "login": "provision secrets x" } }, "Text"] }),
                json!({ "Event": [{ "outputs": { "login": "provision --host far secrets x" } }, "Text"] }),
            ),
            (json!({ "Text": "`provision x`" }), json!({ "Text": "`provision x`" })),
            (
                json!({ "Json": "{\"hint\":\"`provision x`\"}" }),
                json!({ "Json": "{\"hint\":\"`provision --host far x`\"}" }),
            ),
        ] {
            assert_eq!(via.carried(word), wanted);
        }
    }

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
