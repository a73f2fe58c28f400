//! Takes tags away while nobody can push them: what a plan of retention lists, and nothing else.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::collection::Collection;
use super::key::Key;
use super::sweep::held_up;
use super::touched::Touched;
use crate::error::{Error, Result};
use crate::registry::retention::{Gone, Planned, Retention};
use crate::registry::store::{Digest, Link, Store, layout};
use crate::world::host;
use crate::world::objects::Goes;

impl Collection {
    /// Takes the tags away, or only lists them in a dry run.
    ///
    /// # Errors
    /// Something else would go than was agreed to, or a tag was pushed meanwhile. The error tells how many are gone.
    pub async fn retain(&self, store: &Store, retention: &Retention) -> Result<Planned> {
        let now = || i64::try_from(host::now().unix_timestamp_nanos()).unwrap_or_default();
        let store = &store.paced(self.limits.per_second);
        self.recall(store)?;
        if self.dry_run {
            let planned = Planned::make(store, retention, now()).await?;
            return self.remember(store).map(|()| planned);
        }
        let work = async |touched: &Touched, _: &_| {
            let planned = Planned::make(store, retention, now()).await?;
            check(&planned, retention.agreed.as_deref())?;
            let mut removed = Planned { gone: Vec::new(), ..planned.clone() };
            for (done, gone) in planned.gone.iter().enumerate() {
                if remove(store, touched, gone)? {
                    removed.gone.push(gone.clone());
                } else if retention.agreed.is_some() {
                    return Err(Error::new(format!("`{}` has changed since the plan was made", gone.image()))
                        .hint(format!("{done} of {} tags are gone; make another plan", planned.gone.len())));
                }
            }
            self.remember(store)?;
            Ok(removed)
        };
        self.guarded(store, Vec::new(), work).await.map(|(removed, _)| removed)
    }
}

/// How many tags go without a question at most: so many, or a part of all. More may come of a clock that jumped.
const UNASKED: usize = 10;
const PART: usize = 4;

/// Fails unless exactly what was agreed to goes; where nobody was asked, if that is more than goes on an ordinary day.
pub(super) fn check(planned: &Planned, agreed: Option<&[Gone]>) -> Result<()> {
    let (gone, all) = (&planned.gone, usize::try_from(planned.tags).unwrap_or(usize::MAX));
    let Some(agreed) = agreed else {
        if gone.len() <= UNASKED.max(all / PART) {
            return Ok(());
        }
        return Err(Error::new(format!(
            "{} of {all} tags would go at once by the rules of retention, and none did",
            gone.len()
        ))
        .hint("`provision retention NAME plan` lists them, and removes them if you agree"));
    };
    let differs = |one: &[Gone], other: &[Gone]| {
        let known: BTreeSet<_> = other.iter().map(Gone::identity).collect();
        one.iter().find(|gone| !known.contains(&gone.identity())).map(Gone::image)
    };
    let (more, less) = (differs(gone, agreed), differs(agreed, gone));
    let what = match (more, less) {
        (None, None) => return Ok(()),
        (Some(image), _) => format!("`{image}` would go as well by now"),
        (None, Some(image)) => format!("`{image}` has changed, or would stay by now"),
    };
    Err(Error::new(format!("the plan does not hold any more: {what}")).hint("nothing was removed; make another plan"))
}

/// Takes one tag away; false if it is not any more what it was.
pub(super) fn remove(store: &Store, touched: &Touched, gone: &Gone) -> Result<bool> {
    let (repository, tag) = (&gone.repository, &gone.tag);
    let current = layout::current(repository, tag);
    let key = Key::Tag(repository.clone(), tag.clone());
    let mut is_same = false;
    let done = touched.delete(&key, |in_time| {
        let link = store.link(&current)?;
        let pushed = store.objects.look(&current)?.map(|found| found.modified);
        is_same = Digest::read(&gone.digest).is_some_and(|digest| link == Link::Digest(digest))
            && pushed == Some(gone.pushed.into());
        if !is_same {
            return Ok(());
        }
        let mut walk = store.objects.walk(&format!("repositories/{repository}/_manifests/tags/{tag}"));
        let mut paths = Vec::new();
        while let Some(entry) = walk.next()? {
            paths.push(entry.path);
        }
        // Its link at last: if the run ends before, the tag is as it was.
        paths.retain(|path| *path != current);
        let above = format!("repositories/{repository}/_manifests/tags");
        let goes: Vec<Goes> = paths.iter().map(|path| Goes { path, above: &above }).collect();
        let last = [Goes { path: &current, above: &above }];
        for some in goes.chunks(store.objects.at_once()).chain([&last[..]]) {
            if !in_time() {
                return Err(held_up());
            }
            store.objects.delete(some).failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    })?;
    Ok(done && is_same)
}
