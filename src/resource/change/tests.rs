use super::*;
use crate::text::unknown::{is_unknown, unknown};

fn field(old: &str, new: &str) -> Option<(String, String)> {
    Field::compare("name", old, new).map(|field| (field.old, field.new))
}

#[test]
fn equal_values_are_no_difference() {
    for text in ["", "a", "größe", &unknown("db")] {
        assert_eq!(field(text, text), None);
    }
}

#[test]
fn a_difference_is_shown_as_old_and_new() {
    let shown = |old: &str, new: &str| Some((old.to_owned(), new.to_owned()));
    assert_eq!(field("a", "b"), shown("a", "b"));
    assert_eq!(field("", "b"), shown("(none)", "b"));
    assert_eq!(field("a", ""), shown("a", "(none)"));
    assert_eq!(field("a", &unknown("tls/ca")), shown("a", "(known after `tls/ca`)"));
    assert_eq!(field("a", &format!("b {} c {}", unknown("x"), unknown("y"))), shown("a", "(known after `x`)"));
}

#[test]
fn a_stand_in_is_known_as_one_wherever_it_stands() {
    assert!(is_unknown(&unknown("a")));
    assert!(is_unknown(&format!("http://{}:80", unknown("a"))));
    assert!(!is_unknown("http://a:80"));
}

#[test]
fn a_change_without_fields_is_none() {
    assert_eq!(Change::of(Action::Replace, Vec::new()), Change::unchanged());
    assert!(!Change::of(Action::Update, Vec::new()).is_change());
    let fields: Vec<Field> = Field::compare("mode", "0644", "0600").into_iter().collect();
    let change = Change::of(Action::Update, fields.clone()).because("it was edited");
    assert!(change.is_change());
    assert_eq!(
        (change.action, change.fields, change.reason.as_deref()),
        (Action::Update, fields, Some("it was edited"))
    );
    assert!(Change::new(Action::Check).is_change());
}

/// The words are what scripts read, so they are fixed.
#[test]
fn every_action_has_its_words() {
    use Action::{Check, Create, Delete, Replace, Unchanged, Update};
    let all = [Unchanged, Check, Update, Create, Replace, Delete];
    assert_eq!(all.map(Action::word), ["unchanged", "check", "update", "create", "replace", "delete"]);
    assert_eq!(all.map(Action::done), ["unchanged", "checked", "updated", "created", "replaced", "deleted"]);
    assert!(all.is_sorted());
}
