//! JSON that may hold secrets: what is wrong with it is told with its place, and nothing of what stands there.

use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Reads JSON; the error reads on after the name of what it stands in.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| told(&error))
}

/// What an error says, without a word of the text: serde's own tells the value that it did not expect.
pub(crate) fn told(error: &serde_json::Error) -> String {
    let own = error.to_string();
    let what = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Io => "it cannot be read",
        Category::Syntax => "it is no JSON",
        // Names of fields that are missing are our own.
        Category::Data if own.starts_with("missing field") => own.split(" at line").next().unwrap_or(&own),
        Category::Data => "something else is expected",
    };
    match (error.line(), error.column()) {
        (0, _) => what.to_owned(),
        (line, column) => format!("{what} (line {line}, column {column})"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::read;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        #[expect(dead_code, reason = "only its reading counts")]
        number: u32,
    }

    #[test]
    fn no_error_tells_what_stands_there() {
        for (text, told) in [
            ("{\"number\": \"hunter2\"}", "something else is expected (line 1, column 20)"),
            ("{\"hunter2\": 1}", "something else is expected (line 1, column 10)"),
            ("{\"number\": hunter2}", "it is no JSON (line 1, column 12)"),
            ("{\"number\": \"hunter2", "it ends too early (line 1, column 19)"),
            ("\n{}", "missing field `number` (line 2, column 2)"),
            ("", "it ends too early (line 1, column 0)"),
        ] {
            assert_eq!(read::<Form>(text.as_bytes()).unwrap_err(), told);
        }
    }
}
