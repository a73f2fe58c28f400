//! Stand-ins for values that are known only once a resource has been applied.

/// The mark around the name of the resource.
const UNKNOWN: char = '\u{e000}';

/// A stand-in for an output that is known only after `id` has been applied.
pub(crate) fn unknown(id: &str) -> String {
    format!("{UNKNOWN}{id}{UNKNOWN}")
}

pub(crate) fn is_unknown(text: &str) -> bool {
    text.contains(UNKNOWN)
}

/// The resource whose output the first stand-in of a text is; none if all of it is known.
pub(crate) fn awaited(text: &str) -> Option<&str> {
    text.split(UNKNOWN).nth(1)
}

/// A sentence without the marks of what is not known yet.
pub(crate) fn plain(text: String) -> String {
    if !is_unknown(&text) {
        return text;
    }
    let parts = text.split(UNKNOWN).enumerate();
    let told = parts.map(|(at, part)| if at % 2 == 1 { format!("(known after {part})") } else { part.to_owned() });
    told.collect()
}
