use std::collections::BTreeSet;

use super::rules::{Keep, Rule};
use super::{Gone, Planned, Retention, Rules};
use crate::registry::store::sample::Sample;
use crate::registry::store::{Digest, layout};

const DAY: i64 = 86400 * 1_000_000_000;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn rules(text: &str) -> Rules {
    Rules::read("rules.yml", text).unwrap()
}

fn planned(sample: &Sample, rules: &Rules, held: &[&str], now: i64) -> Planned {
    let held = held.iter().map(|image| (*image).to_owned()).collect();
    run(Planned::make(&sample.store(), &Retention { rules: rules.clone(), held, agreed: None }, now)).unwrap()
}

/// Now, in nanoseconds since 1970: the samples were just written.
fn now() -> i64 {
    i64::try_from(crate::world::host::now().unix_timestamp_nanos()).unwrap()
}

fn names(planned: &Planned) -> BTreeSet<String> {
    planned.gone.iter().map(Gone::image).collect()
}

#[test]
fn a_file_of_rules_is_read() {
    let read = rules(
        "- repositories: \"team/*\"\n  keep: { last: 3, tags: [\"v*\", latest], younger: 12h }\n- repositories: \"*\"\n  untagged: 30d\n",
    );
    let keep = Keep { last: Some(3), tags: vec!["v*".to_owned(), "latest".to_owned()], younger: Some(43200) };
    let first = Rule { repositories: "team/*".to_owned(), keep: Some(keep), untagged: None };
    let second = Rule { repositories: "*".to_owned(), keep: None, untagged: Some(30 * 86400) };
    assert_eq!(read, Rules(vec![first, second]));
    assert_eq!(
        (read.untagged("other"), read.about("other").count(), read.about("team/x").count()),
        (Some(2_592_000), 1, 2)
    );
}

#[test]
fn a_mistake_in_a_file_of_rules_is_shown_with_its_place() {
    let cases = [
        ("", "", 1),
        ("[]", "has no rules", 0),
        ("repositories: x", "are a list", 1),
        ("- x", "a rule is a mapping", 1),
        ("- untagged: 3d", "names its `repositories`", 1),
        ("- repositories: \"*\"", "says nothing", 1),
        ("- repositories: \"*\"\n  keep: {}", "keeps nothing", 2),
        ("- repositories: \"*\"\n  keep: { tags: [] }", "keeps nothing", 2),
        ("- repositories: \"*\"\n  keep: { last: 0 }", "a number from 1", 2),
        ("- repositories: \"*\"\n  keep: { last: -1 }", "a number from 1", 2),
        ("- repositories: \"*\"\n  keep: { lasts: 3 }", "`keep` has no `lasts`", 2),
        ("- repositories: \"*\"\n  keep: { younger: 30 }", "`30` is no time", 2),
        ("- repositories: \"*\"\n  untagged: 99999d", "is no time", 2),
        ("- repositories: \"*\"\n  delete: all", "a rule has no `delete`", 2),
        ("- repositories: [a]\n  untagged: 1d", "here stands one text", 1),
    ];
    for (text, what, line) in cases {
        let error = Rules::read("rules.yml", text).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(what), "{text}: {error}");
        assert!(error.next_step().is_some() || text.is_empty(), "{text}: {error}");
        let shown = format!("{error:?}");
        assert!(line == 0 || shown.contains(&format!("line: {line}")), "{text}: {shown}");
    }
}

/// A registry with tags `v0` to `v9` of one image each, pushed a day apart, `v9` today.
fn ladder() -> Sample {
    let mut sample = Sample::empty();
    for number in 0..10 {
        let image = sample.image("app", None);
        sample.tag("app", &format!("v{number}"), image);
        sample.date("app", &format!("v{number}"), now() - (9 - number) * DAY);
    }
    sample
}

#[test]
fn each_rule_keeps_what_it_says() {
    let sample = ladder();
    let gone = |text: &str, held: &[&str]| {
        let names = names(&planned(&sample, &rules(text), held, now()));
        names.into_iter().map(|name| name.trim_start_matches("app:v").to_owned()).collect::<String>()
    };
    let rule = |keep: &str| format!("- {{ repositories: app, keep: {{ {keep} }} }}\n");
    assert_eq!(gone(&rule("last: 3"), &[]), "0123456");
    assert_eq!(gone(&rule("younger: 36h"), &[]), "01234567");
    assert_eq!(gone(&rule("tags: [v1, \"v*5\"]"), &[]), "02346789");
    assert_eq!(gone(&rule("last: 3, tags: [v1]"), &[]), "023456", "one that holds is enough");
    assert_eq!(gone(&format!("{}{}", rule("last: 1"), rule("tags: [v0]")), &[]), "12345678", "keep wins");
    assert_eq!(gone(&rule("last: 3").replace("app", "other"), &[]), "", "what no rule names stays");
    assert_eq!(gone("- { repositories: app, untagged: 1d }", &[]), "", "a rule about others");
    assert_eq!(gone(&rule("last: 8"), &["app:v0"]), "1");
    let digest = sample.tags[&("app".to_owned(), "v1".to_owned())];
    assert_eq!(gone(&rule("last: 8"), &[&format!("app@{digest}")]), "0");
    // A clock that went back makes nothing old.
    let early = planned(&sample, &rules(&rule("younger: 1h")), &[], now() - 100 * DAY);
    assert_eq!(names(&early), BTreeSet::new());
}

#[test]
fn what_goes_is_listed_with_its_rule_and_what_only_it_needs() {
    let sample = ladder();
    let plan = planned(&sample, &rules("- { repositories: app, keep: { last: 9 } }"), &[], now());
    let [gone] = &plan.gone[..] else { panic!("{plan:?}") };
    assert_eq!((gone.image().as_str(), plan.tags), ("app:v0", 10));
    assert_eq!(gone.rule, "rule 1 (`app`) keeps the last 9");
    let digest = Digest::read(&gone.digest).unwrap();
    let others = sample.tags.values().filter(|other| **other != digest).copied();
    let own = &sample.reach([digest]) - &sample.reach(others);
    assert_eq!(gone.bytes, own.iter().map(|digest| sample.size(digest)).sum::<u64>());
    assert_eq!(plan.lasting, BTreeSet::from(["app".to_owned()]));
}

/// A tag of a tool for signatures goes with its image, not by a rule.
#[test]
fn a_signature_stays_as_long_as_its_image() {
    let mut sample = ladder();
    let image = sample.tags[&("app".to_owned(), "v5".to_owned())];
    let signature = sample.image("app", None);
    let tag = format!("sha256-{}.sig", image.hex());
    sample.tag("app", &tag, signature);
    sample.date("app", &tag, now() - 9 * DAY);
    let rule = rules("- { repositories: app, keep: { last: 1 } }");
    let gone = names(&planned(&sample, &rule, &[], now()));
    assert!(gone.contains("app:v5") && gone.len() == 9, "its manifest is still there: {gone:?}");
    sample.remove(&layout::revision("app", &image));
    assert!(names(&planned(&sample, &rule, &[], now())).contains(&format!("app:{tag}")));
}
