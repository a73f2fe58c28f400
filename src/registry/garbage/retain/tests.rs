use std::collections::BTreeMap;

use super::super::key::Key;
use super::super::list::{List, Listed};
use super::super::mark::{Marked, Untagged};
use super::super::sweep::{Freed, Sweep};
use super::super::touched::Touched;
use super::{check, remove};
use crate::registry::fsck;
use crate::registry::retention::{Gone, Planned, Retention, Rules};
use crate::registry::store::sample::{Dice, Sample};
use crate::registry::store::{Digest, Repositories, Store};

/// Nanoseconds.
const DAY: i64 = 86400 * 1_000_000_000;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Now, in nanoseconds since 1970: the samples were just written.
fn now() -> i64 {
    i64::try_from(crate::world::host::now().unix_timestamp_nanos()).unwrap()
}

/// Takes the tags of a plan away, and then all that is left over, whatever its age.
fn carry_out(store: &Store, plan: &Planned, retention: &Retention) {
    let nobody = Touched::new(std::iter::empty(), false);
    for gone in &plan.gone {
        assert!(remove(store, &nobody, gone).unwrap(), "{gone:?}");
    }
    let (rules, held) = (retention.rules.clone(), retention.held.clone());
    let untagged = Untagged { before: None, rules, held, now: i128::MAX / 2 };
    let mark = || run(Marked::mark(store, &untagged, &|_| true, None)).unwrap();
    let marked = mark();
    let list = List(marked.garbage().map(|(key, fingerprint)| (key, Listed { since: 1, fingerprint })).collect());
    let touched = Touched::new(list.0.keys().cloned(), false);
    let sweep = Sweep { store, touched: &touched, list: &list, until: 2, end: None };
    let mut freed = Freed::default();
    sweep.manifests(&marked, &mut freed).unwrap();
    sweep.blobs(&mark(), &mut freed).unwrap();
}

/// Rules at random, some of which fit nothing.
fn random(dice: &mut Dice) -> Rules {
    let mut text = String::new();
    for _ in 0..=dice.below(3) {
        let mut keep = Vec::new();
        if dice.chance(50) {
            keep.push(format!("last: {}", 1 + dice.below(3)));
        }
        if dice.chance(40) {
            keep.push(format!("tags: [\"{}\"]", dice.pick(&["v1", "v*", "*2", "x"])));
        }
        if dice.chance(40) || keep.is_empty() {
            keep.push(format!("younger: {}d", 1 + dice.below(5)));
        }
        let repositories = dice.pick(&["*", "app", "app*", "team/*", "none"]);
        let untagged = if dice.chance(50) { ", untagged: 1s" } else { "" };
        text.push_str(&format!(
            "- {{ repositories: \"{repositories}\", keep: {{ {} }}{untagged} }}\n",
            keep.join(", ")
        ));
    }
    Rules::read("rules.yml", &text).unwrap()
}

/// A thousand random registries: exactly what the plan lists goes, and what stays is whole, also once all that is left over is gone.
#[test]
fn what_stays_is_whole() {
    let (mut gone, mut stayed) = (0, 0);
    for seed in 0..1000 {
        let sample = Sample::new(seed);
        let mut dice = Dice::new(seed + 11);
        let tags: Vec<(String, String)> = sample.tags.keys().cloned().collect();
        for (repository, tag) in &tags {
            sample.date(repository, tag, now() - DAY * i64::try_from(dice.below(8)).unwrap());
        }
        let rules = random(&mut dice);
        let held = tags.iter().filter(|_| dice.chance(10)).map(|(name, tag)| format!("{name}:{tag}")).collect();
        let retention = Retention { rules, held, agreed: None };
        let store = sample.store();
        let plan = run(Planned::make(&store, &retention, now())).unwrap();
        carry_out(&store, &plan, &retention);
        let mut left: BTreeMap<(String, String), Digest> = sample.tags.clone();
        for one in &plan.gone {
            assert!(!retention.held.contains(&one.image()), "store {seed}");
            assert!(left.remove(&(one.repository.clone(), one.tag.clone())).is_some(), "store {seed}: {one:?}");
        }
        let mut found = BTreeMap::new();
        let mut repositories = Repositories::new(&store);
        while let Some(repository) = repositories.next(&mut |_, _, _| {}).unwrap() {
            for (tag, digest) in run(repository.tagged(&store)).unwrap() {
                found.insert((repository.name.clone(), tag.clone()), digest);
            }
        }
        assert_eq!(found, left, "store {seed}");
        let findings = run(fsck::examine(&store, seed % 10 == 0)).unwrap();
        assert_eq!(findings.damages, Vec::new(), "store {seed}");
        for digest in sample.reach(left.values().copied()) {
            assert!(store.objects.look(&digest.data()).unwrap().is_some(), "store {seed}: {digest}");
        }
        gone += plan.gone.len();
        stayed += left.len();
    }
    assert!(gone > 500 && stayed > 500, "{gone} {stayed}");
}

fn gone(number: i64, digest: &str) -> Gone {
    let (repository, tag) = ("app".to_owned(), format!("v{number}"));
    Gone { repository, tag, digest: digest.to_owned(), pushed: number, rule: String::new(), bytes: 0 }
}

/// Exactly what was agreed to goes, and without a question no more than on an ordinary day.
#[test]
fn a_plan_that_does_not_hold_any_more_is_not_carried_out() {
    let plan = |gone: &[Gone], tags: u64| Planned { gone: gone.to_vec(), tags, ..Planned::default() };
    let all: Vec<Gone> = (0..20).map(|number| gone(number, "a")).collect();
    let refused = |planned: &Planned, agreed: Option<&[Gone]>| check(planned, agreed).unwrap_err().to_string();
    assert!(check(&plan(&all, 20), Some(&all)).is_ok());
    assert!(refused(&plan(&all, 20), Some(&all[1..])).contains("`app:v0` would go as well by now"));
    assert!(refused(&plan(&all[1..], 20), Some(&all)).contains("`app:v0` has changed"));
    let pushed = [&[gone(0, "b")], &all[1..]].concat();
    assert!(refused(&plan(&pushed, 20), Some(&all)).contains("`app:v0` would go as well by now"));
    assert!(check(&plan(&all[..10], 10), None).is_ok() && check(&plan(&all, 80), None).is_ok());
    assert!(refused(&plan(&all, 79), None).contains("20 of 79 tags would go at once"));
}

/// One that was pushed since, or is being pushed, stays.
#[test]
fn a_tag_that_has_changed_stays() {
    let sample = Sample::new(3);
    let store = sample.store();
    let rules = Rules::read("rules.yml", "- { repositories: \"*\", keep: { tags: [none] } }").unwrap();
    let plan = run(Planned::make(&store, &Retention { rules, ..Retention::default() }, now())).unwrap();
    let nobody = || Touched::new(std::iter::empty(), false);
    let first = &plan.gone[0];
    let later = Gone { pushed: first.pushed + 1, ..first.clone() };
    let other = Gone { digest: Digest::of(b"other").to_string(), ..first.clone() };
    let asked = nobody();
    asked.note([Key::Tag(first.repository.clone(), first.tag.clone())]);
    for (touched, gone) in [(nobody(), &later), (nobody(), &other), (asked, first)] {
        assert!(!remove(&store, &touched, gone).unwrap(), "{gone:?}");
    }
    let again =
        run(Planned::make(&store, &Retention { rules: Rules::default(), ..Retention::default() }, now())).unwrap();
    assert_eq!((again.tags, again.gone.len()), (plan.tags, 0));
    assert!(remove(&store, &nobody(), first).unwrap());
    assert!(!remove(&store, &nobody(), first).unwrap(), "it is gone");
}
