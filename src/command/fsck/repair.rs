//! Damage that is put right with what another registry has, by digest and through the registry's own API: [`repair`].

use std::collections::{BTreeMap, BTreeSet};

use crate::command::store::Place;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::{Descriptor, Digest, Manifest, Registry};
use crate::registry::fsck::{Damage, Findings, Mend};
use crate::registry::job::{Said, Task};
use crate::session::Session;
use crate::text::size::readable;

/// How often it is looked again: what a manifest names is known once the manifest is back.
const ROUNDS: usize = 8;
/// The type of a blob of which only the bytes matter.
const BYTES: &str = "application/octet-stream";

/// What the source has under a digest.
enum Found {
    Manifest(Box<Manifest>),
    Blob { repository: String, size: u64 },
}

/// Something that is to come back: the repositories that need it, the tags that are to lead to it, and whether what is there goes first.
#[derive(Default)]
struct Wanted {
    repositories: BTreeSet<String>,
    tags: BTreeSet<(String, String)>,
    discard: bool,
    /// Whether it is a manifest. A registry that is asked for a layer as one may answer 500.
    manifest: bool,
}

/// Puts back what the source has; gives what is damaged still, and how much was mended.
///
/// # Errors
/// The store or the source cannot be read. What the registry does not take is told, and stays damaged.
pub(super) async fn repair(
    session: &Session,
    place: &Place,
    from: &Registry,
    mut findings: Findings,
    deep: bool,
) -> Result<(Findings, usize)> {
    let run = &place.prepared.run;
    let to = Registry::of_deployment(&run.store, &place.prepared.record).await?;
    to.check_takes_pushes()?;
    let mut mended = 0;
    for _ in 0..ROUNDS {
        if findings.damages.is_empty() {
            break;
        }
        run.check_cancelled()?;
        put_back(session, place, from, &to, &wanted(&findings)).await?;
        let later = examine(place, deep).await?;
        let stays = |damage: &Damage| later.damages.iter().any(|(other, _)| other == damage);
        let gone = findings.damages.iter().filter(|(damage, _)| !stays(damage));
        let gone = gone.map(|(damage, images)| {
            let images: Vec<&str> = images.iter().map(String::as_str).collect();
            session.events.note(None, format!("mended {}: {}", super::place(damage, &images), damage.what));
        });
        let count = gone.count();
        mended += count;
        findings = later;
        if count == 0 {
            break;
        }
    }
    Ok((findings, mended))
}

pub(super) async fn examine(place: &Place, deep: bool) -> Result<Findings> {
    match Box::pin(place.carry_out(Task::Fsck { deep })).await?.checked()? {
        Said::Examined(findings) => Ok(*findings),
        _ => Err(Error::new("the examination gave no findings")),
    }
}

/// What has to come back, by its digest.
fn wanted(findings: &Findings) -> BTreeMap<String, Wanted> {
    let mut all: BTreeMap<String, Wanted> = BTreeMap::new();
    for (damage, images) in &findings.damages {
        let Some(digest) = digest_of(&damage.path) else { continue };
        let wanted = all.entry(digest).or_default();
        wanted.manifest |= damage.is_of_manifest();
        wanted.discard |= damage.mend == Mend::DeleteAndPush;
        wanted.repositories.extend(images.iter().map(|image| repository(image).to_owned()));
        wanted.tags.extend(tag_of(&damage.path));
    }
    all
}

/// The digest that a path of a store is about: the last of its names that is one.
fn digest_of(path: &str) -> Option<String> {
    let is_hash = |name: &&str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    path.rsplit('/').find(is_hash).map(|hash| format!("sha256:{hash}"))
}

/// The tag whose last push a path is the link of.
fn tag_of(path: &str) -> Option<(String, String)> {
    let (repository, rest) = path.strip_prefix("repositories/")?.split_once("/_manifests/tags/")?;
    let (tag, _) = rest.split_once("/index/")?;
    Some((repository.to_owned(), tag.to_owned()))
}

/// The repository of an image: `repository:tag`, `repository@digest`, or the repository alone.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(repository, _)| repository);
    image.rsplit_once(':').map_or(image, |(repository, _)| repository)
}

async fn put_back(
    session: &Session,
    place: &Place,
    from: &Registry,
    to: &Registry,
    wanted: &BTreeMap<String, Wanted>,
) -> Result<()> {
    let mut found = Vec::new();
    for (digest, wanted) in wanted {
        if let Some(there) = look(from, digest, wanted).await? {
            found.push((Digest::parse(digest)?, wanted, there));
        }
    }
    // Only what the source has is taken away, and only if its bytes are wrong: a registry keeps the bytes that it has.
    let discard: Vec<String> =
        found.iter().filter(|(_, wanted, _)| wanted.discard).map(|(digest, ..)| digest.to_string()).collect();
    if !discard.is_empty() {
        Box::pin(place.carry_out(Task::Discard(discard))).await?.checked()?;
    }
    // What an image needs comes before it, and an image before the index that names it.
    let order = |found: &Found| match found {
        Found::Blob { .. } => 0,
        Found::Manifest(manifest) => 1 + u8::from(manifest.is_index()),
    };
    found.sort_by_key(|(.., there)| order(there));
    for (digest, wanted, there) in &found {
        for repository in &wanted.repositories {
            let sent = match there {
                Found::Blob { repository: source, size } => {
                    send(session, (from, source), (to, repository), digest, *size).await
                }
                Found::Manifest(manifest) => to.push_manifest(repository, digest.as_str(), manifest).await,
            };
            sent.unwrap_or_else(|error| session.events.note(None, format!("{repository}: {error}")));
        }
        if let Found::Manifest(manifest) = there {
            for (repository, tag) in &wanted.tags {
                // A tag that leads elsewhere by now is not turned back.
                let current = to.look_up(repository, tag).await.ok().flatten();
                if current.is_none_or(|current| current.digest == *digest) {
                    let pushed = to.push_manifest(repository, tag, manifest).await;
                    pushed.unwrap_or_else(|error| session.events.note(None, format!("{repository}:{tag}: {error}")));
                }
            }
        }
    }
    Ok(())
}

/// What the source has under a digest, in a repository of the same name.
async fn look(from: &Registry, digest: &str, wanted: &Wanted) -> Result<Option<Found>> {
    let parsed = Digest::parse(digest)?;
    for repository in &wanted.repositories {
        if wanted.manifest {
            if let Some(manifest) = from.manifest(repository, digest).await? {
                return Ok(Some(Found::Manifest(Box::new(manifest))));
            }
            continue;
        }
        if let Some(size) = from.has_blob(repository, &parsed).await? {
            return Ok(Some(Found::Blob { repository: repository.clone(), size }));
        }
    }
    Ok(None)
}

async fn send(
    session: &Session,
    (from, source): (&Registry, &str),
    (to, repository): (&Registry, &str),
    digest: &Digest,
    size: u64,
) -> Result<()> {
    let blob = Descriptor::new(BYTES, digest.clone(), size);
    let events = session.events.clone();
    let resource = to.name().to_owned();
    let told = move |bytes: u64| {
        let text = format!("{} put back", readable(bytes));
        events.send(Event::Progress { resource: resource.clone(), text, done: bytes, total: size });
    };
    let upload = to.upload(repository).await?;
    to.push_parts(upload, from.blob(source, &blob), &blob, &told).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_digest_and_its_tag() {
        let hash = "0123456789abcdef".repeat(4);
        let data = format!("blobs/sha256/01/{hash}/data");
        let index = format!("repositories/team/app/_manifests/tags/v1/index/sha256/{hash}/link");
        assert_eq!(digest_of(&data), Some(format!("sha256:{hash}")));
        assert_eq!(
            (digest_of(&index), tag_of(&index)),
            (digest_of(&data), Some(("team/app".to_owned(), "v1".to_owned())))
        );
        let current = "repositories/team/app/_manifests/tags/v1/current/link";
        assert_eq!((digest_of(current), tag_of(current), tag_of(&data)), (None, None, None));
    }

    #[test]
    fn an_image_tells_its_repository() {
        for image in ["team/app:v1", "team/app@sha256:00", "team/app"] {
            assert_eq!(repository(image), "team/app");
        }
    }
}
