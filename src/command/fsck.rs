//! `provision fsck`: whether every image of a registry is whole.

mod repair;

use super::store::Place;
use crate::error::Result;
use crate::event::Event;
use crate::registry::client::Registry;
use crate::registry::fsck::{Damage, Findings, Mend};
use crate::session::Session;
use crate::text::size::readable;

/// How many images of one damage are named at most.
const IMAGES: usize = 20;
/// How many unknown files are named at most.
const FILES: usize = 20;

/// Tells all damage, that is left if it is repaired; true if there is any.
pub(crate) async fn run(session: &Session, name: &str, deep: bool, source: Option<&str>) -> Result<bool> {
    let place = Place::find(session, name)?;
    let from = match source {
        Some(source) => Some((source, Registry::open(source).await?)),
        None => None,
    };
    let mut findings = repair::examine(&place, deep).await?;
    if let Some((source, from)) = from {
        let (left, mended) = Box::pin(repair::repair(session, &place, &from, findings, deep)).await?;
        session.events.note(None, format!("{mended} mended with what `{source}` has, {} not", left.damages.len()));
        findings = left;
    }
    findings.damages.iter().for_each(|(damage, images)| {
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        session.events.send(told(damage, &images));
    });
    session.events.note(None, summary(&findings, deep));
    if !findings.unknown.is_empty() {
        let more = findings.unknown.len().saturating_sub(FILES);
        let named = findings.unknown.iter().take(FILES).cloned().collect::<Vec<_>>().join(", ");
        let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
        session.events.note(None, format!("files of which no registry knows: {named}{rest}"));
    }
    Ok(!findings.damages.is_empty())
}

/// The images that a damage is about; its path if there are none.
pub(super) fn place(damage: &Damage, images: &[&str]) -> String {
    let more = images.len().saturating_sub(IMAGES);
    let mut place = images[..images.len() - more].join(", ");
    if images.is_empty() {
        place.clone_from(&damage.path);
    }
    if more > 0 {
        place.push_str(&format!(" and {more} more"));
    }
    place
}

fn told(damage: &Damage, images: &[&str]) -> Event {
    let place = place(damage, images);
    let (consequence, remedy) = match damage.mend {
        Mend::Push => ("it cannot be pulled whole", "push the image again from a host that has it".to_owned()),
        Mend::DeleteAndPush => (
            "it cannot be pulled, and a push alone does not replace it",
            format!("delete `{}` from the store, then push the image again", damage.path),
        ),
    };
    Event::Finding { danger: "damaged", place, what: damage.what.clone(), consequence, remedy }
}

fn summary(findings: &Findings, deep: bool) -> String {
    let Findings { repositories, tags, manifests, blobs, bytes, orphans, orphan_bytes, uploads, upload_bytes, .. } =
        findings;
    let how = if deep { "every byte was read" } else { "`--deep` reads every byte as well" };
    let damages = match findings.damages.len() {
        0 => "no damage".to_owned(),
        1 => "1 damage".to_owned(),
        count => format!("{count} damages"),
    };
    format!(
        "{damages} in {repositories} repositories, {tags} tags, {manifests} manifests, {blobs} blobs ({}); no image needs {orphans} blobs ({}); {uploads} uploads have not ended ({}); {how}",
        readable(*bytes),
        readable(*orphan_bytes),
        readable(*upload_bytes)
    )
}
