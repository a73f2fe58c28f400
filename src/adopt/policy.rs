//! Policies of IAM that allow more than a registry needs.

use serde_json::Value as Json;

use super::Finding;

const BROAD: &str =
    "whoever holds the key may read, change and delete all of it, the bucket and every backup in it too";

/// Whether a text looks like a policy at all.
pub(super) fn is_policy(text: &str) -> bool {
    text.trim_start().starts_with('{') && text.contains("\"Statement\"")
}

/// What a policy allows that it should not.
pub(super) fn findings(path: &str, text: &str) -> Vec<Finding> {
    let policy: Json = match serde_json::from_str(text) {
        Ok(policy) => policy,
        Err(error) => {
            let what = format!("a policy that is no JSON (line {}, column {})", error.line(), error.column());
            return vec![
                Finding::low(path, what, "IAM does not take it, and what the key may do stands elsewhere")
                    .remedy("writes a policy of its own"),
            ];
        }
    };
    let wide: Vec<String> = list(&policy["Statement"]).into_iter().filter_map(wide).collect();
    if wide.is_empty() {
        return Vec::new();
    }
    let remedy = "gives the registry a user of its own that may list the bucket, and read, write and delete its objects, no more";
    vec![Finding::high(path, format!("a policy that allows {}", wide.join("; ")), BROAD).remedy(remedy)]
}

fn list(value: &Json) -> Vec<&Json> {
    match value {
        Json::Array(items) => items.iter().collect(),
        Json::Null => Vec::new(),
        one => vec![one],
    }
}

/// What is too wide about a statement, if anything is.
fn wide(statement: &Json) -> Option<String> {
    if statement["Effect"] != "Allow" {
        return None;
    }
    let pick = |field: &str, words: &[&str]| -> Vec<String> {
        let found = list(&statement[field]).into_iter().filter_map(Json::as_str);
        found.filter(|word| words.contains(word)).map(|word| format!("`{word}`")).collect()
    };
    let actions = pick("Action", &["*", "s3:*"]);
    let resources = pick("Resource", &["*", "arn:aws:s3:::*"]);
    match (actions.is_empty(), resources.is_empty()) {
        (true, true) => None,
        (false, true) => Some(actions.join(", ")),
        (true, false) => Some(format!("its actions on {}", resources.join(", "))),
        (false, false) => Some(format!("{} on {}", actions.join(", "), resources.join(", "))),
    }
}
