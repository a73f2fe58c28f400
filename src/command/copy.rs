//! `provision copy` and `provision migrate`: images from one registry, or folder, to another.

mod place;

use std::collections::BTreeSet;

use futures_util::StreamExt;
use serde_json::json;
use time::OffsetDateTime;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::Digest;
use crate::registry::copy::{Copied, Copier, Pair, Row, Side, State};
use crate::registry::push::fits;
use crate::session::Session;
use crate::text::size::readable;
use crate::world::typed;
use place::Place;

/// How many tags are copied at once.
const AT_ONCE: usize = 6;

/// What is to be copied.
pub(crate) struct Wanted {
    pub from: String,
    pub to: String,
    pub overwrite: bool,
}

/// What is to be migrated beside that.
pub(crate) struct Migration {
    pub copy: Wanted,
    /// Patterns that repositories, and tags, must fit; all do if there are none.
    pub repositories: Vec<String>,
    pub tags: Vec<String>,
    /// Images that were made before this are left.
    pub since: Option<OffsetDateTime>,
    pub dry_run: bool,
    pub report: Option<String>,
}

/// Copies one image; true if the target has another one under the tag, which was left.
pub(crate) async fn copy(session: &Session, wanted: Wanted) -> Result<bool> {
    let (from, to) = (Place::source(&wanted.from).await?, Place::target(&wanted.to).await?);
    let pair = Pair { from: (from.repository, from.reference), to: (to.repository, to.reference) };
    let copier = Copier::new(from.side, to.side, wanted.overwrite, session.events.clone());
    let image = match &copier.from {
        Side::Registry(_) => crate::registry::client::named(&pair.from.0, &pair.from.1),
        Side::Layout(_) => copier.from.full(&pair.from.0, &pair.from.1),
    };
    let name = |error: Error| if error.to_string().contains(&image) { error } else { error.within(&image) };
    if !copier.to.vouches() {
        // What the source lacks makes no folder.
        copier.wanted(&pair.from.0, &pair.from.1).await?;
    }
    copier.to.begin()?;
    let copied = with_signatures(&copier, &pair).await;
    copier.to.finish()?;
    let copied = copied.map_err(name)?;
    tell(session, &copier, &pair, Some(&copied));
    Ok(matches!(copied, Copied::Left { .. }))
}

async fn with_signatures(copier: &Copier, pair: &Pair) -> Result<Copied> {
    let copied = copier.copy(pair).await?;
    if let Copied::Done(digest) | Copied::Unchanged(digest) = &copied {
        copier.signatures_of(&pair.from.0, &pair.to.0, digest).await?;
    }
    Ok(copied)
}

/// Copies all tags of a registry or a folder; true if both sides differ at the end.
pub(crate) async fn migrate(session: &Session, wanted: Migration) -> Result<bool> {
    let (from, to) = (place::all_of(&wanted.copy.from).await?, place::all_to(&wanted.copy.to).await?);
    let (pairs, tags) = pairs(&from, &wanted).await?;
    let mut copier = Copier::new(from, to, wanted.copy.overwrite, session.events.clone());
    copier.tags = Some(tags);
    if wanted.dry_run {
        return would(session, &copier, &pairs, wanted.copy.overwrite).await;
    }
    copier.to.begin()?;
    let this = &copier;
    let copies = pairs.iter().map(|pair| async move { (pair, this.copy(pair).await) });
    let mut copies = std::pin::pin!(futures_util::stream::iter(copies).buffer_unordered(AT_ONCE));
    let mut failed: Vec<(String, Error)> = Vec::new();
    while let Some((pair, copied)) = copies.next().await {
        tell(session, &copier, pair, copied.as_ref().ok());
        if let Err(error) = copied {
            failed.push((format!("{}:{}", pair.from.0, pair.from.1), error));
        }
    }
    copier.to.finish()?;
    let rows = copier.compare(&pairs).await?;
    let differences: Vec<&Row> = rows.iter().filter(|row| row.state != State::Same).collect();
    for row in &differences {
        let digest = |digest: &Option<Digest>| digest.as_ref().map_or("none", Digest::short).to_owned();
        let (source, target) = (digest(&row.source_digest), digest(&row.target_digest));
        session.events.note(
            None,
            format!("{}:{} differs: {source} at the source, {target} at the target", row.repository, row.tag),
        );
    }
    report(&wanted, &copier, &rows)?;
    let (all, same, sent) = (rows.len(), rows.len() - differences.len(), readable(copier.sent()));
    session.events.note(None, format!("{same} of {all} tags are the same on both sides; {sent} were sent"));
    if failed.is_empty() { Ok(!differences.is_empty()) } else { Err(whole(&failed, all)) }
}

/// Every tag of the source that is meant, and all that there are in the same repositories.
async fn pairs(from: &Side, wanted: &Migration) -> Result<(Vec<Pair>, BTreeSet<(String, String)>)> {
    let any =
        |patterns: &[String], name: &str| patterns.is_empty() || patterns.iter().any(|pattern| fits(pattern, name));
    let mut repositories = from.catalog().await?;
    repositories.retain(|repository| any(&wanted.repositories, repository));
    let listed = repositories.iter().map(|repository| async move { (repository, from.tags(repository).await) });
    let mut listed = std::pin::pin!(futures_util::stream::iter(listed).buffered(AT_ONCE));
    let (mut pairs, mut all) = (Vec::new(), BTreeSet::new());
    while let Some((repository, tags)) = listed.next().await {
        for tag in tags? {
            let place = (repository.clone(), tag);
            all.insert(place.clone());
            if !any(&wanted.tags, &place.1) {
                continue;
            }
            pairs.push(Pair { from: place.clone(), to: place });
        }
    }
    if let Some(since) = wanted.since {
        let made = pairs.iter().map(|pair| from.created(&pair.from.0, &pair.from.1));
        let made: Vec<Result<Option<OffsetDateTime>>> =
            futures_util::stream::iter(made).buffered(AT_ONCE).collect().await;
        let made: Vec<Option<OffsetDateTime>> = made.into_iter().collect::<Result<_>>()?;
        // What does not say when it was made is not left behind.
        let mut made = made.into_iter();
        pairs.retain(|_| made.next().flatten().is_none_or(|made| made >= since));
    }
    Ok((pairs, all))
}

/// Tells what a migration would do.
async fn would(session: &Session, copier: &Copier, pairs: &[Pair], overwrite: bool) -> Result<bool> {
    let rows = copier.compare(pairs).await?;
    let (mut bytes, mut tags, mut differ, mut counted) = (0, 0, 0, BTreeSet::new());
    for (row, pair) in rows.iter().zip(pairs) {
        let state = match row.state {
            State::Missing => "copy",
            State::Different if overwrite => "overwrite",
            State::Different => "differs",
            State::Same | State::Gone => continue,
        };
        if state == "differs" {
            differ += 1;
        } else {
            tags += 1;
            bytes += copier.missing(pair, &mut counted).await?;
        }
        let digest = row.source_digest.as_ref().map(ToString::to_string);
        let name = copier.to.full(&pair.to.0, &pair.to.1);
        session.events.send(Event::Image { image: format!("{}:{}", row.repository, row.tag), name, digest, state });
    }
    session.events.note(
        None,
        format!(
            "{tags} of {} tags would be copied, {} at most; {differ} differ and would be left",
            rows.len(),
            readable(bytes)
        ),
    );
    Ok(differ > 0)
}

fn tell(session: &Session, copier: &Copier, pair: &Pair, copied: Option<&Copied>) {
    let (state, digest) = match copied {
        Some(Copied::Done(digest)) => ("copied", Some(digest)),
        Some(Copied::Unchanged(digest)) => ("unchanged", Some(digest)),
        Some(Copied::Left { target, .. }) => ("left", Some(target)),
        None => ("failed", None),
    };
    let (image, name) = (copier.from.full(&pair.from.0, &pair.from.1), copier.to.full(&pair.to.0, &pair.to.1));
    let digest = digest.map(ToString::to_string);
    session.events.send(Event::Image { image, name: name.clone(), digest, state });
    if let Some(Copied::Left { source, .. }) = copied {
        let tag = if pair.to.0.is_empty() { name } else { format!("{}:{}", pair.to.0, pair.to.1) };
        let text = format!(
            "`{tag}` is another image at the target ({} at the source), and was left; `--overwrite` takes the source's",
            source.short()
        );
        session.events.note(None, text);
    }
}

fn report(wanted: &Migration, copier: &Copier, rows: &[Row]) -> Result<()> {
    let Some(path) = &wanted.report else { return Ok(()) };
    let same = rows.iter().filter(|row| row.state == State::Same).count();
    let text = json!({
        "from": copier.from.name(), "to": copier.to.name(), "tags": rows.len(), "same": same,
        "bytes_sent": copier.sent(), "rows": rows,
    });
    let text =
        serde_json::to_string_pretty(&text).map_err(|error| Error::new(format!("cannot write the report: {error}")))?;
    typed::write(path, text.as_bytes(), 0o644, true)
}

fn whole(failed: &[(String, Error)], all: usize) -> Error {
    let hint = failed.iter().find_map(|(_, error)| error.next_step()).unwrap_or("run the command again").to_owned();
    let lines: Vec<String> = failed.iter().take(20).map(|(image, error)| format!("{image}: {error}")).collect();
    Error::new(format!("{} of {all} tags were not copied", failed.len())).detail(lines).hint(hint)
}
