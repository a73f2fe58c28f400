use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::key::Key;
use super::list::{List, Listed};
use super::mark::{Marked, Untagged};
use super::sweep::{Freed, Sweep};
use super::touched::Touched;
use crate::registry::fsck;
use crate::registry::store::sample::Sample;
use crate::registry::store::{Digest, Item};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Every blob that is there.
fn blobs(sample: &Sample) -> BTreeSet<Digest> {
    let files = sample.files();
    let found = files.iter().filter_map(|path| match Item::of(path) {
        Item::Blob(digest) => Some(digest),
        _ => None,
    });
    found.collect()
}

/// What a repository keeps of its manifests, found by asking again and again: what a tag is, children, what is about these.
fn kept(sample: &Sample, repository: &str) -> BTreeSet<Digest> {
    let here: BTreeSet<Digest> =
        sample.revisions.iter().filter(|(name, _)| name == repository).map(|(_, digest)| *digest).collect();
    let tags = sample.tags.iter().filter(|((name, _), _)| name == repository);
    let mut kept: BTreeSet<Digest> = tags.map(|(_, digest)| *digest).collect();
    loop {
        let about = here
            .iter()
            .filter(|digest| sample.manifests[*digest].subject.is_some_and(|subject| kept.contains(&subject)));
        let children = kept.iter().flat_map(|digest| sample.manifests[digest].children.clone());
        let more: BTreeSet<Digest> = about.copied().chain(children).collect();
        if more.is_subset(&kept) {
            return kept;
        }
        kept.extend(more);
    }
}

/// The manifests that may go, with their repositories, and all that may go.
fn expected(sample: &Sample, untagged: Option<i128>) -> BTreeSet<Key> {
    let doomed = |name: &str, digest: &Digest| untagged == Some(i128::MAX) && !kept(sample, name).contains(digest);
    let (gone, stay): (Vec<_>, Vec<_>) = sample.revisions.iter().partition(|(name, digest)| doomed(name, digest));
    let needed = sample.reach(stay.iter().map(|(_, digest)| *digest));
    let free = blobs(sample).into_iter().filter(|digest| !needed.contains(digest)).map(Key::Blob);
    gone.into_iter().map(|(name, digest)| Key::Manifest(name.clone(), *digest)).chain(free).collect()
}

/// Two hundred random stores, by a rule that is written down in another way.
#[test]
fn what_may_go_is_what_nothing_needs() {
    let mut seen = 0;
    for seed in 0..200 {
        let sample = Sample::new(seed);
        for untagged in [None, Some(i128::MAX), Some(0)] {
            let marked = run(Marked::mark(&sample.store(), &untagged.into(), &|_| false, None)).unwrap();
            let found: BTreeSet<Key> = marked.garbage().map(|(key, _)| key).collect();
            assert_eq!(found, expected(&sample, untagged), "store {seed}, {untagged:?}");
            seen += found.len();
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// All that may go goes, nothing else does, and the store is whole.
#[test]
fn a_sweep_leaves_what_is_needed() {
    for seed in 0..40 {
        let sample = Sample::new(seed);
        let store = sample.store();
        for untagged in [None, Some(i128::MAX)] {
            let needed: BTreeSet<Digest> = &blobs(&sample)
                - &expected(&sample, untagged)
                    .into_iter()
                    .filter_map(|key| match key {
                        Key::Blob(digest) => Some(digest),
                        Key::Manifest(..) | Key::Tag(..) => None,
                    })
                    .collect();
            let marked = run(Marked::mark(&store, &untagged.into(), &|_| true, None)).unwrap();
            let list =
                List(marked.garbage().map(|(key, fingerprint)| (key, Listed { since: 1, fingerprint })).collect());
            let touched = Touched::new(list.0.keys().cloned(), false);
            let sweep = Sweep { store: &store, touched: &touched, list: &list, until: 2, end: None };
            let mut freed = Freed::default();
            sweep.manifests(&marked, &mut freed).unwrap();
            let again = run(Marked::mark(&store, &untagged.into(), &|_| true, None)).unwrap();
            sweep.blobs(&again, &mut freed).unwrap();
            assert_eq!(blobs(&sample), needed, "store {seed}");
            assert_eq!(freed.manifests + freed.blobs, list.0.len() as u64, "store {seed}");
            let findings = run(fsck::examine(&store, true)).unwrap();
            assert_eq!(findings.damages, Vec::new(), "store {seed}");
            assert_eq!(findings.orphans, 0, "store {seed}");
        }
    }
}

/// What somebody asked for stays, and so does what is not listed for long enough or was pushed again.
#[test]
fn what_is_asked_for_stays() {
    let sample = Sample::new(3);
    let store = sample.store();
    let marked = run(Marked::mark(&store, &Untagged::default(), &|_| true, None)).unwrap();
    let all: Vec<(Key, u64)> = marked.garbage().collect();
    assert!(all.len() > 3, "{all:?}");
    let list = |since: i64, change: u64| {
        List(
            all.iter()
                .map(|(key, print)| (key.clone(), Listed { since, fingerprint: print.wrapping_add(change) }))
                .collect(),
        )
    };
    let nobody = || Touched::new(all.iter().map(|(key, _)| key.clone()), false);
    let asked = nobody();
    asked.note(all.iter().map(|(key, _)| key.clone()));
    let everything = nobody();
    everything.note_everything();
    for (touched, list) in [
        (asked, list(1, 0)),
        (everything, list(1, 0)),
        (nobody(), list(3, 0)),
        (nobody(), list(0, 0)),
        (nobody(), list(1, 1)),
    ] {
        let mut freed = Freed::default();
        Sweep { store: &store, touched: &touched, list: &list, until: 2, end: None }
            .blobs(&marked, &mut freed)
            .unwrap();
        assert_eq!(freed, Freed::default());
    }
}

/// A collection whose time is over deletes nothing more, and one that reads slowly reads slowly.
#[test]
fn limits_are_kept() {
    let sample = Sample::new(3);
    let store = sample.store();
    let now = Some(Instant::now());
    let late = run(Marked::mark(&store, &Untagged::default(), &|_| true, now)).unwrap_err();
    assert!(late.to_string().contains("the time that a collection may take was over"), "{late}");
    let marked = run(Marked::mark(&store, &Untagged::default(), &|_| true, None)).unwrap();
    let list = List(marked.garbage().map(|(key, fingerprint)| (key, Listed { since: 1, fingerprint })).collect());
    let touched = Touched::new(list.0.keys().cloned(), false);
    let mut freed = Freed::default();
    Sweep { store: &store, touched: &touched, list: &list, until: 2, end: now }.blobs(&marked, &mut freed).unwrap();
    assert_eq!(freed, Freed { is_cut: true, ..Freed::default() });
    let slow = store.objects.clone().paced(100);
    let begun = Instant::now();
    (0..21).for_each(|_| drop(slow.look("nothing")));
    assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
}
