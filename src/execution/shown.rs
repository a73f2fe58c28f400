//! The lines of files that a plan shows as changed: [`show`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::execution::graph::{Graph, Id};
use crate::resource::Outputs;
use crate::resource::change::Change;
use crate::resource::difference::{HIDDEN, Kept, PEM, Veil, lines};
use crate::text::unknown::is_unknown;

/// Turns the contents that differ into the lines that a plan shows.
pub(crate) fn show(changes: &mut BTreeMap<Id, Change>, graph: &Graph, known: &BTreeMap<Id, Outputs>) {
    let mut secrets = None;
    for (id, change) in changes.iter_mut().filter(|(_, change)| !change.texts.is_empty()) {
        let secrets = secrets.get_or_insert_with(|| graph.secrets(known));
        let rendered = graph.fields(id, known).and_then(|real| Ok((real, graph.veiled_fields(id, known)?)));
        for texts in std::mem::take(&mut change.texts) {
            let field = change.fields.iter_mut().find(|field| field.name == texts.field);
            let Some(field) = field else { continue };
            let (Kept::Text(old), Kept::Text(new)) = (&texts.old, &texts.new) else {
                (field.old, field.new) = (texts.old.told(), texts.new.told());
                continue;
            };
            // What is not known yet hides nothing, and what a certificate looks like tells nobody anything.
            if is_unknown(new.expose()) || new.expose().starts_with(PEM) {
                continue;
            }
            let stand_in = rendered.as_ref().ok().and_then(|(real, veiled)| stand_in(new.expose(), real, veiled));
            if let Some(veil) = stand_in.and_then(|stand_in| Veil::of(new.expose(), stand_in, secrets)) {
                change.lines.insert(texts.field, lines(old.expose(), new.expose(), &veil));
            } else {
                (field.old, field.new) = (HIDDEN.to_owned(), "(another secret)".to_owned());
            }
        }
    }
}

/// What a text among the fields of a resource becomes where other secrets stand in the place of the real ones.
fn stand_in<'a>(text: &str, real: &Json, veiled: &'a Json) -> Option<&'a str> {
    match (real, veiled) {
        (Json::String(found), Json::String(other)) => (found == text).then_some(other),
        (Json::Array(items), Json::Array(others)) => {
            items.iter().zip(others).find_map(|(item, other)| stand_in(text, item, other))
        }
        (Json::Object(fields), Json::Object(others)) => {
            fields.iter().find_map(|(name, field)| stand_in(text, field, others.get(name)?))
        }
        _ => None,
    }
}
