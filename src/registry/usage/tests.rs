#![expect(clippy::disallowed_methods, reason = "a test looks at files")]

use std::collections::BTreeSet;

use super::*;
use crate::registry::images::Details;
use crate::registry::store::sample::Sample;

fn of(sample: &Sample) -> Usage {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Usage::of_store(&sample.store())).unwrap()
}

fn bytes(sample: &Sample, digests: &mut dyn Iterator<Item = &Digest>) -> u64 {
    digests
        .into_iter()
        .map(|digest| std::fs::metadata(sample.path(&digest.data())).map_or(0, |found| found.len()))
        .sum()
}

/// Eight random stores, by a rule that is written down in another way.
#[test]
fn the_space_of_each_repository_is_what_its_manifests_reach() {
    let mut shared = 0;
    for seed in 0..8 {
        let sample = Sample::new(seed);
        let usage = of(&sample);
        let names: BTreeSet<&String> = sample.revisions.iter().map(|(name, _)| name).collect();
        let reached = |wanted: &dyn Fn(&str) -> bool| {
            let here = sample.revisions.iter().filter(|(name, _)| wanted(name));
            sample.reach(here.map(|(_, digest)| *digest))
        };
        assert_eq!(usage.repositories.iter().map(|share| &share.repository).collect::<BTreeSet<_>>(), names, "{seed}");
        for share in &usage.repositories {
            let (here, others) = (reached(&|name| name == share.repository), reached(&|name| name != share.repository));
            assert_eq!(share.bytes, bytes(&sample, &mut here.iter()), "{seed} {share:?}");
            assert_eq!(share.own_bytes, bytes(&sample, &mut here.difference(&others)), "{seed} {share:?}");
            let tags = sample.tags.keys().filter(|(name, _)| *name == share.repository).count();
            assert_eq!(share.tags, tags as u64, "{seed} {share:?}");
            shared += share.bytes - share.own_bytes;
        }
        assert_eq!(usage.bytes, bytes(&sample, &mut reached(&|_| true).iter()), "{seed}");
        let unneeded = usage.unneeded.unwrap();
        let all = Blobs::list(&sample.store()).unwrap().bytes();
        assert_eq!(usage.bytes + unneeded.bytes, all, "{seed}: all that is there is needed or not");
        assert!(unneeded.untagged_bytes <= usage.bytes, "{seed}");
    }
    assert!(shared > 0, "no store had anything that two repositories share");
}

#[test]
fn of_images_what_several_have_is_counted_once() {
    let image = |repository: &str, tag: &str, contents: &[(&str, u64)]| Image {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: format!("sha256:{tag}"),
        details: Details {
            contents: contents.iter().map(|(digest, bytes)| ((*digest).to_owned(), *bytes)).collect(),
            ..Details::default()
        },
    };
    let usage = Usage::of_images(&[
        image("a", "1", &[("base", 1000), ("x", 10)]),
        image("a", "2", &[("base", 1000), ("x", 10), ("y", 5)]),
        image("b", "1", &[("base", 1000), ("z", 1)]),
    ]);
    let share =
        |repository: &str, tags, bytes, own_bytes| Share { repository: repository.to_owned(), tags, bytes, own_bytes };
    assert_eq!(usage.repositories, [share("a", 2, 1015, 15), share("b", 1, 1001, 1)]);
    assert_eq!((usage.bytes, usage.unneeded), (1016, None));
}
