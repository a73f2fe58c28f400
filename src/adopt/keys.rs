//! The keys of a configuration, and which hold a secret.

use crate::formats::yaml::{Content, Node};

/// What a registry calls something, and the input that stands for it here.
pub(super) type Keys = &'static [(&'static str, &'static str)];

/// The value of a key, be it the mapping's own or merged into it by `<<`.
pub(super) fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Content::Map(entries) = &node.value else { return None };
    if let Some((_, value)) = entries.iter().find(|(found, _)| found.text == key) {
        return Some(value);
    }
    let (_, merged) = entries.iter().find(|(found, _)| found.text == "<<")?;
    match &merged.value {
        Content::List(all) => all.iter().find_map(|one| get(one, key)),
        _ => get(merged, key),
    }
}

pub(super) fn text(node: Option<&Node>) -> Option<String> {
    match &node?.value {
        Content::Scalar { text, plain: true } if ["", "~", "null"].contains(&text.as_str()) => None,
        Content::Scalar { text, .. } if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Whether a key or a variable of that name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    ["secret", "password", "accountkey", "ossaccesskey"].iter().any(|word| name.contains(word))
}
