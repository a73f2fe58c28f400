//! One look through all images, and a copy of what the other side lacks: [`Pass`].

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt;

use super::Carried;
use super::listing::{Listed, Listing};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::registry::client::{PROBED, Registry};
use crate::registry::copy::{Copied, Copier, Pair, Side, State};

/// How many images are copied at once.
const AT_ONCE: usize = 6;
/// How many names of a kind are told.
const TOLD: usize = 20;

/// An image: its repository, and its tag or digest.
type Place = (String, String);

pub(super) struct Pass {
    from: Registry,
    copier: Copier,
    /// What is at the target, by its digest there.
    done: BTreeMap<Place, String>,
    /// What the source lacks a part of.
    broken: BTreeMap<Place, String>,
    newer: BTreeSet<Place>,
    /// What the source had at the last look.
    last: BTreeSet<Place>,
}

impl Pass {
    pub fn new(from: Registry, to: Registry, overwrite: bool, events: Events) -> Self {
        let copier = Copier::new(Side::Registry(from.clone()), Side::Registry(to), overwrite, events);
        let (done, broken) = (BTreeMap::new(), BTreeMap::new());
        Self { from, copier, done, broken, newer: BTreeSet::new(), last: BTreeSet::new() }
    }

    /// Looks through all that the source has now, copies what is new and compares it; the number of images that were new.
    ///
    /// # Errors
    /// An image cannot be carried, and not because the source itself lacks a part of it.
    pub async fn go(&mut self, listing: &Listing) -> Result<usize> {
        let listed = listing.read(&self.from).await?;
        let places = places(&listed);
        self.copier.tags = Some(listed.tags.into_iter().filter(|(repository, _)| repository != PROBED).collect());
        let (this, mut outcome) = (&*self, Vec::new());
        let looks = places.iter().map(|place| async move { (place, this.look(place).await) });
        let looks: Vec<_> = futures_util::stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut new = Vec::new();
        for (place, is_new) in looks {
            if is_new? {
                new.push(place);
            }
        }
        // Tags first, with all that they lead to; by digest goes what they do not lead to.
        let (tags, manifests): (Vec<_>, Vec<_>) = new.into_iter().partition(|place| is_tag(place));
        let count = tags.len() + manifests.len();
        for places in [tags, manifests] {
            let copies = places.iter().map(|place| async move { ((*place).clone(), this.copy(place).await) });
            let copies: Vec<_> = futures_util::stream::iter(copies).buffer_unordered(AT_ONCE).collect().await;
            for (place, copied) in copies {
                let became = match copied {
                    // A registry may not see what another request is just writing (2.8 writes files in place): once more, alone.
                    Err(_) => this.copy(&place).await?,
                    Ok(became) => became,
                };
                outcome.push((place, became));
            }
        }
        self.note(outcome);
        self.last = places;
        Ok(count)
    }

    fn note(&mut self, outcome: Vec<(Place, Became)>) {
        for (place, became) in outcome {
            match became {
                Became::Same(digest) => {
                    self.broken.remove(&place);
                    self.done.insert(place, digest);
                }
                Became::Newer => drop(self.newer.insert(place)),
                Became::Gone => {}
                Became::Broken(what) => drop(self.broken.insert(place, what)),
            }
        }
    }

    /// Whether an image has to be copied.
    async fn look(&self, place: &Place) -> Result<bool> {
        let (repository, reference) = place;
        if self.newer.contains(place) || (self.broken.contains_key(place) && !is_tag(place)) {
            return Ok(false);
        }
        if !is_tag(place) {
            // What a digest stands for never changes.
            return Ok(!self.done.contains_key(place) && self.copier.to.look_up(repository, reference).await?.is_none());
        }
        let Some(found) = self.copier.from.look_up(repository, reference).await? else { return Ok(false) };
        Ok(self.done.get(place).map(String::as_str) != Some(found.digest.as_str()))
    }

    async fn copy(&self, place: &Place) -> Result<Became> {
        let pair = Pair { from: place.clone(), to: place.clone() };
        match self.copier.copy(&pair).await {
            Ok(Copied::Left { .. }) => Ok(Became::Newer),
            Ok(_) => self.compared(&pair).await,
            Err(error) => match self.copier.lacking(&place.0, &place.1).await? {
                Some(what) => Ok(Became::Broken(what)),
                None => Err(error.within(format!("the image `{}` cannot be carried over", named(place)))),
            },
        }
    }

    async fn compared(&self, pair: &Pair) -> Result<Became> {
        let rows = self.copier.compare(std::slice::from_ref(pair)).await?;
        match rows.into_iter().next() {
            Some(row) if row.state == State::Gone => Ok(Became::Gone),
            // A tag that was pushed to meanwhile is looked at in the next pass, and the last one has no such.
            Some(row) => row.target_digest.map(|digest| Became::Same(digest.to_string())).ok_or_else(|| {
                let place = named(&pair.from);
                Error::new(format!("the image `{place}` was copied, and the new store does not have it"))
            }),
            None => Ok(Became::Gone),
        }
    }

    /// What is at the target, each tag compared by digest.
    ///
    /// # Errors
    /// A tag differs.
    pub async fn carried(&self) -> Result<Carried> {
        let tags: Vec<Pair> = self
            .last
            .iter()
            .filter(|place| is_tag(place))
            .filter(|place| !self.newer.contains(*place) && !self.broken.contains_key(*place))
            .map(|place| Pair { from: place.clone(), to: place.clone() })
            .collect();
        let rows = self.copier.compare(&tags).await?;
        let differs = rows.iter().find(|row| matches!(row.state, State::Different | State::Missing));
        if let Some(row) = differs {
            return Err(Error::new(format!(
                "`{}:{}` is not the same in both stores after it was copied",
                row.repository, row.tag
            ))
            .hint("run the command again; the old store serves as before"));
        }
        let same = rows.iter().filter(|row| row.state == State::Same).count() as u64;
        let untagged = self.done.keys().filter(|place| !is_tag(place)).count() as u64;
        let told = |places: &mut dyn Iterator<Item = &Place>| places.take(TOLD).map(named).collect();
        Ok(Carried {
            tags: same,
            untagged,
            bytes: self.copier.sent(),
            broken: self.broken.iter().take(TOLD).map(|(place, what)| format!("{}: {what}", named(place))).collect(),
            newer: told(&mut self.newer.iter()),
            extra: self.extra().await?,
        })
    }

    /// Tags of the target that the source does not have.
    async fn extra(&self) -> Result<Vec<String>> {
        let mut extra = Vec::new();
        for repository in self.copier.to.catalog().await?.into_iter().filter(|repository| repository != PROBED) {
            for tag in self.copier.to.tags(&repository).await? {
                let place = (repository.clone(), tag);
                if !self.last.contains(&place) && extra.len() < TOLD {
                    extra.push(named(&place));
                }
            }
        }
        Ok(extra)
    }
}

/// What became of an image.
enum Became {
    Same(String),
    Newer,
    Gone,
    Broken(String),
}

fn places(listed: &Listed) -> BTreeSet<Place> {
    let manifests = listed.manifests.iter().map(|(repository, digest)| (repository.clone(), digest.to_string()));
    listed.tags.iter().cloned().chain(manifests).filter(|(repository, _)| repository != PROBED).collect()
}

/// Whether it is named by a tag, and not by a digest.
fn is_tag(place: &Place) -> bool {
    !place.1.contains(':')
}

fn named(place: &Place) -> String {
    crate::registry::client::named(&place.0, &place.1)
}
