#![expect(clippy::disallowed_methods, reason = "a test damages files")]

use std::collections::{BTreeMap, BTreeSet};

use super::{Damages, check};
use crate::registry::store::sample::{Dice, Sample};
use crate::registry::store::{Digest, Item};

fn damages(sample: &Sample, deep: bool) -> Damages {
    check::all(&sample.store(), deep).unwrap().1
}

/// The images that a manifest of a repository is known by.
fn names(sample: &Sample, repository: &str, manifest: &Digest) -> BTreeSet<String> {
    let tags = sample.tags.iter().filter(|((name, _), _)| name == repository);
    let names: BTreeSet<String> = tags
        .filter(|(_, tagged)| sample.reach([**tagged]).contains(manifest))
        .map(|((_, tag), _)| format!("{repository}:{tag}"))
        .collect();
    if names.is_empty() { BTreeSet::from([format!("{repository}@{manifest}")]) } else { names }
}

/// The images that need a blob, in one repository or in all.
fn needing(sample: &Sample, only: Option<&str>, blob: &Digest) -> BTreeSet<String> {
    let linked = sample.revisions.iter().filter(|(name, _)| only.is_none_or(|only| only == name));
    linked
        .filter(|(_, manifest)| manifest == blob || sample.manifests[manifest].blobs.contains(blob))
        .flat_map(|(name, manifest)| names(sample, name, manifest))
        .collect()
}

/// What has to be told of damage to a file; none where no image needs it.
fn expected(sample: &Sample, path: &str) -> Option<BTreeSet<String>> {
    let found = match Item::of(path) {
        Item::Blob(digest) => needing(sample, None, &digest),
        Item::Layer { repository, digest } => needing(sample, Some(repository), &digest),
        // One that is there and is no link is known by itself, one that is missing only by what leads to it.
        Item::Revision { repository, digest } if sample.path(path).exists() => names(sample, repository, &digest),
        Item::Revision { repository, digest } => {
            let linked = sample.revisions.iter().filter(|(name, _)| name == repository);
            let parents = linked.filter(|(_, parent)| sample.manifests[parent].children.contains(&digest));
            let by_index = parents.flat_map(|(name, parent)| names(sample, name, parent));
            let tags = sample.tags.iter().filter(|((name, _), tagged)| name == repository && **tagged == digest);
            tags.map(|((name, tag), _)| format!("{name}:{tag}")).chain(by_index).collect()
        }
        Item::Current { repository, tag } => BTreeSet::from([format!("{repository}:{tag}")]),
        // An earlier push of the tag may be gone: that is no damage.
        Item::Index { repository, tag, digest } => {
            let current = sample.tags.get(&(repository.to_owned(), tag.to_owned())) == Some(&digest);
            let told = current || sample.path(path).exists();
            told.then(|| BTreeSet::from([format!("{repository}:{tag}")]))?
        }
        _ => return None,
    };
    (!found.is_empty()).then_some(found)
}

/// Damages a file in one of the ways that its kind has, and says how.
fn damage(sample: &Sample, path: &str, content: &[u8], dice: &mut Dice) -> &'static str {
    let is_blob = matches!(Item::of(path), Item::Blob(_));
    let ways: &[&str] =
        if is_blob { &["missing", "longer", "shorter", "other"] } else { &["missing", "empty", "nonsense"] };
    let way = *dice.pick(ways);
    let at = sample.path(path);
    match way {
        "missing" => std::fs::remove_file(at).unwrap(),
        "empty" => std::fs::write(at, b"").unwrap(),
        "nonsense" => std::fs::write(at, b"sha256:0").unwrap(),
        "longer" => std::fs::write(at, [content, b"x"].concat()).unwrap(),
        "shorter" => std::fs::write(at, &content[..content.len() - 1]).unwrap(),
        _ => {
            let mut changed = content.to_vec();
            let byte = dice.below(changed.len());
            changed[byte] ^= 1;
            std::fs::write(at, changed).unwrap();
        }
    }
    way
}

#[test]
fn a_store_without_damage_has_none() {
    for seed in 0..30 {
        let sample = Sample::new(seed);
        for deep in [false, true] {
            assert_eq!(damages(&sample, deep), BTreeMap::new(), "store {seed}");
        }
    }
}

/// A thousand single damages: each is found, at its file, with every image that has it and no other.
#[test]
fn each_damage_is_found_and_named() {
    let mut tried = 0;
    let mut ways: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0.. {
        let sample = Sample::new(seed);
        let mut dice = Dice::new(seed + 7);
        let files: Vec<String> = sample.files();
        for _ in 0..10 {
            let path = dice.pick(&files);
            let content = std::fs::read(sample.path(path)).unwrap();
            let way = damage(&sample, path, &content, &mut dice);
            let Some(images) = expected(&sample, path) else {
                std::fs::write(sample.path(path), content).unwrap();
                continue;
            };
            let found = damages(&sample, true);
            let told = found.iter().find(|(damage, _)| damage.path == *path);
            let (_, named) = told.unwrap_or_else(|| panic!("store {seed}, {way}: {path} is not in {found:?}"));
            assert_eq!(*named, images, "store {seed}, {way}: {path}");
            assert_eq!(found.len(), 1, "store {seed}, {way}: {path}: {found:?}");
            std::fs::write(sample.path(path), content).unwrap();
            *ways.entry(way).or_default() += 1;
            tried += 1;
        }
        if tried >= 1000 {
            break;
        }
    }
    assert!(ways.len() == 6 && ways.values().all(|count| *count > 50), "{ways:?}");
}
