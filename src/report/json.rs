//! Events as lines of JSON.

use crate::error::Error;
use crate::event::Event;

pub(super) fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("an event has text keys only")
}

/// The error that ends a run, as its last line.
pub(super) fn error(error: &Error) -> String {
    let place = error
        .place()
        .map(|place| serde_json::json!({ "file": place.file, "line": place.line, "column": place.column }));
    let value = serde_json::json!({
        "event": "error", "error": error.to_string(), "place": place, "hint": error.next_step(), "detail": error.lines(),
    });
    value.to_string()
}
