//! Policies of IAM, compared by what they allow, action by action.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::resource::change::Field;

/// The most characters that all inline policies of a user may have, white space not counted (IAM's documented limit).
const LONGEST: usize = 2048;

/// Fails if a text is no policy that IAM would take.
pub(super) fn check(document: &str) -> Result<()> {
    let policy: Json = serde_json::from_str(document)
        .map_err(|error| Error::new(format!("the policy is no JSON: {error}")).hint("give `policy` or `template`"))?;
    if policy.get("Statement").is_none() {
        return Err(Error::new("the policy has no `Statement`")
            .hint(r#"write `{"Version": "2012-10-17", "Statement": [ … ]}`"#));
    }
    let length = document.chars().filter(|c| !c.is_whitespace()).count();
    if length > LONGEST {
        return Err(Error::new(format!("the policy has {length} characters, and IAM takes {LONGEST}")));
    }
    Ok(())
}

/// One or several texts of a statement; sets, so order does not count.
fn texts(value: Option<&Json>) -> BTreeSet<String> {
    match value {
        Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        Some(Json::String(text)) => BTreeSet::from([text.clone()]),
        _ => BTreeSet::new(),
    }
}

/// What a policy says of each action, as a plan shows it.
fn grants(document: &str) -> BTreeMap<String, String> {
    let Ok(policy) = serde_json::from_str::<Json>(document) else { return BTreeMap::new() };
    let statements = match policy.get("Statement") {
        Some(Json::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
        None => Vec::new(),
    };
    let mut grants: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for statement in &statements {
        let resources: Vec<String> = texts(statement.get("Resource")).into_iter().collect();
        let condition = statement.get("Condition").map_or(String::new(), |condition| format!(" if {condition}"));
        let word = if statement.get("Effect").and_then(Json::as_str) == Some("Deny") { "denied on " } else { "" };
        // What this language cannot show is still a difference.
        let odd: Vec<&str> =
            ["NotAction", "NotResource", "Principal"].into_iter().filter(|key| statement.get(*key).is_some()).collect();
        let odd = if odd.is_empty() { String::new() } else { format!(" with {}", odd.join(", ")) };
        let mut actions = texts(statement.get("Action"));
        actions.extend(texts(statement.get("NotAction")).into_iter().map(|action| format!("all but {action}")));
        for action in actions {
            let grant = format!("{word}{}{condition}{odd}", resources.join(" "));
            grants.entry(action).or_default().insert(grant);
        }
    }
    let shown = |grants: BTreeSet<String>| grants.into_iter().collect::<Vec<_>>().join("; ");
    grants.into_iter().map(|(action, grants)| (action, shown(grants))).collect()
}

/// How two policies differ, action by action.
pub(super) fn compare(found: &str, wanted: &str) -> Vec<Field> {
    let (found, wanted) = (grants(found), grants(wanted));
    let actions: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let text = |grants: &BTreeMap<String, String>, action: &str| grants.get(action).cloned().unwrap_or_default();
    let differ = actions
        .into_iter()
        .filter_map(|action| Field::compare(format!("policy.{action}"), &text(&found, action), &text(&wanted, action)));
    differ.collect()
}

#[cfg(test)]
mod tests {
    use super::{check, compare};

    const WANTED: &str = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/p/*"},
        {"Effect":"Allow","Action":"s3:ListBucket","Resource":["arn:aws:s3:::b"],"Condition":{"StringLike":{"s3:prefix":["p/*"]}}}]}"#;

    fn told(found: &str) -> Vec<String> {
        let shown = |field: crate::resource::change::Field| format!("{}: {} → {}", field.name, field.old, field.new);
        compare(found, WANTED).into_iter().map(shown).collect()
    }

    #[test]
    fn a_policy_is_compared_action_by_action() {
        assert_eq!(told(WANTED), Vec::<String>::new());
        // The order of statements and actions, and how a single one is written, mean nothing.
        let same = r#"{"Statement":[{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":"arn:aws:s3:::b","Condition":{"StringLike":{"s3:prefix":["p/*"]}}},
            {"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":["arn:aws:s3:::b/p/*"]}]}"#;
        assert_eq!(told(same), Vec::<String>::new());
        let cases = [
            (WANTED.replace(r#","s3:PutObject""#, ""), "policy.s3:PutObject: (none) → arn:aws:s3:::b/p/*"),
            (
                WANTED.replace("s3:PutObject", "s3:*"),
                "policy.s3:*: arn:aws:s3:::b/p/* → (none)|policy.s3:PutObject: (none) → arn:aws:s3:::b/p/*",
            ),
            (
                WANTED.replace(r#","Condition":{"StringLike":{"s3:prefix":["p/*"]}}"#, ""),
                r#"policy.s3:ListBucket: arn:aws:s3:::b → arn:aws:s3:::b if {"StringLike":{"s3:prefix":["p/*"]}}"#,
            ),
        ];
        for (found, fields) in cases {
            assert_eq!(told(&found).join("|"), fields);
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        assert!(check(WANTED).is_ok());
        for (document, why) in
            [("", "no JSON"), ("{}", "no `Statement`"), (&WANTED.replace("p/*", &"p".repeat(2100)), "IAM takes")]
        {
            let told = check(document).expect_err(why).to_string();
            assert!(told.contains(why), "{told}");
        }
    }
}
