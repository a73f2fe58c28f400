//! Whether a tag stays by the rules of its repository: [`verdicts`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rules::{Keep, Rules};
use crate::registry::store::Digest;
use crate::text::duration;
use crate::text::pattern;

/// A tag as it stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tagged {
    pub digest: Digest,
    /// Its last push, in nanoseconds since 1970.
    pub pushed: i64,
}

/// What belongs to an image that is gone goes a day after its own last push: it may have been pushed first.
const ATTACHED: Duration = Duration::from_hours(24);

/// The tags of a repository that go, each with the reason.
pub(super) fn verdicts(
    rules: &Rules,
    held: &BTreeSet<String>,
    repository: &str,
    tags: &BTreeMap<String, Tagged>,
    revisions: &dyn Fn(&Digest) -> bool,
    now: i64,
) -> BTreeMap<String, String> {
    let keeps: Vec<(usize, &str, &Keep)> = rules
        .about(repository)
        .filter_map(|(number, rule)| Some((number, rule.repositories.as_str(), rule.keep.as_ref()?)))
        .collect();
    if keeps.is_empty() {
        return BTreeMap::new();
    }
    let is_held = |tag: &str, digest: &Digest| {
        held.contains(&format!("{repository}:{tag}")) || held.contains(&format!("{repository}@{digest}"))
    };
    let mut images: Vec<(&String, &Tagged)> = tags.iter().filter(|(tag, _)| subject(tag).is_none()).collect();
    // The last push first; of two at the same time the later name.
    images.sort_by_key(|(tag, tagged)| std::cmp::Reverse((tagged.pushed, *tag)));
    let mut gone = BTreeMap::new();
    for (rank, (tag, tagged)) in images.into_iter().enumerate() {
        let stays = keeps.iter().any(|(_, _, keep)| keep.keeps(tag, tagged, rank, now));
        if !stays && !is_held(tag, &tagged.digest) {
            let reasons: Vec<String> = keeps
                .iter()
                .map(|(number, name, keep)| format!("rule {number} (`{name}`) keeps {}", keep.told()))
                .collect();
            gone.insert(tag.clone(), reasons.join("; "));
        }
    }
    for (tag, tagged) in tags {
        let age = Duration::from_nanos(u64::try_from(now - tagged.pushed).unwrap_or_default());
        if let Some(subject) = subject(tag)
            && !revisions(&subject)
            && age > ATTACHED
            && !is_held(tag, &tagged.digest)
        {
            gone.insert(tag.clone(), "the image that it belongs to is gone".to_owned());
        }
    }
    gone
}

impl Keep {
    fn keeps(&self, tag: &str, tagged: &Tagged, rank: usize, now: i64) -> bool {
        let age = u64::try_from(now - tagged.pushed).unwrap_or_default() / 1_000_000_000;
        self.last.is_some_and(|last| rank < last)
            || self.tags.iter().any(|wanted| pattern::fits(wanted, tag))
            || self.younger.is_some_and(|younger| age < younger)
    }

    fn told(&self) -> String {
        let last = self.last.map(|last| format!("the last {last}"));
        let tags = (!self.tags.is_empty()).then(|| self.tags.join(" "));
        let younger = self.younger.map(|younger| format!("those younger than {}", duration::readable(younger)));
        last.into_iter().chain(tags).chain(younger).collect::<Vec<_>>().join(", ")
    }
}

/// The manifest that a tag belongs to by its name: `sha256-DIGEST`, and what tools for signatures put after it.
pub(super) fn subject(tag: &str) -> Option<Digest> {
    let rest = tag.strip_prefix("sha256-")?;
    let (hex, after) = rest.split_at_checked(64)?;
    Digest::of_hex(hex).filter(|_| after.is_empty() || after.starts_with('.'))
}
