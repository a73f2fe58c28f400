//! Deleting images, and taking single tags away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Reference, hold};
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::{Digest, Manifest, Registry, media};
use crate::registry::removed::Removed;
use crate::session::Session;
use crate::text::digest::hex;
use crate::world::host;

/// Manifests of one repository, each with the tags on it.
type Doomed = BTreeMap<(String, String), BTreeSet<String>>;

/// Deletes manifests, with every tag on them.
pub(super) async fn delete(
    session: &Session,
    registry: &Registry,
    images: &[Reference],
    only_told: bool,
) -> Result<()> {
    may_delete(registry)?;
    let mut doomed = Doomed::new();
    for image in images {
        let found = registry.look_up(&image.repository, &image.reference).await?;
        let digest = found.ok_or_else(|| image.missing(registry))?.digest;
        let tags = tags_on(registry, &image.repository, &digest).await?;
        doomed.insert((image.repository.clone(), digest.to_string()), tags);
    }
    let held = hold::held(registry)?;
    for ((repository, digest), tags) in &doomed {
        let names = tags.iter().map(|tag| format!("{repository}:{tag}"));
        hold::check(&held, &names.chain([format!("{repository}@{digest}")]).collect::<Vec<_>>())?;
    }
    let lines = doomed.iter().map(|((repository, digest), tags)| {
        let tags: Vec<String> = tags.iter().map(|tag| format!("{repository}:{tag}")).collect();
        if tags.is_empty() { format!("{repository}@{digest}") } else { tags.join(", ") }
    });
    if !agreed(session, &lines.collect::<Vec<_>>(), only_told).await? {
        return Ok(());
    }
    let mut removed = Vec::new();
    for ((repository, digest), tags) in &doomed {
        // One of a form that nobody pushes any more cannot be put back.
        if let Ok(Some(manifest)) = registry.manifest(repository, digest).await {
            removed.push(Removed::deleted(repository, &manifest, tags));
        }
    }
    remember(session, registry, removed).await?;
    for ((repository, digest), tags) in &doomed {
        registry.delete_manifest(repository, digest).await?;
        let left = tags_of(registry, repository).await?.intersection(tags).cloned().collect::<Vec<_>>();
        // Version 2.8 on S3 leaves `v1` in its list as long as there is a `v1.0`; nothing is behind it any more.
        if !left.is_empty() {
            session.events.note(
                None,
                format!(
                    "the registry still lists {} of `{repository}`, with nothing behind: a fault of version 2.8 on S3",
                    left.join(", ")
                ),
            );
        }
        told(session, &format!("{repository}@{digest}"), "deleted");
    }
    let until = registry
        .nature()
        .deployment
        .as_ref()
        .map(|name| format!("; until then `provision gc {name} --undelete` puts it back"));
    let until = until.unwrap_or_default();
    session.events.note(None, format!("the space is free after the next garbage collection{until}"));
    Ok(())
}

/// Takes tags away, and leaves the manifests with their other tags.
pub(super) async fn untag(session: &Session, registry: &Registry, images: &[Reference], only_told: bool) -> Result<()> {
    may_delete(registry)?;
    let mut manifests = Vec::new();
    for image in images {
        if image.reference.contains(':') {
            return Err(Error::usage(format!("`{}` is a digest, not a tag", image.shown()))
                .hint("`provision images REGISTRY delete` deletes a digest"));
        }
        let manifest = registry.manifest(&image.repository, &image.reference).await?;
        manifests.push(manifest.ok_or_else(|| image.missing(registry))?);
    }
    let names: Vec<String> = images.iter().map(Reference::shown).collect();
    let digests: Vec<String> =
        images.iter().zip(&manifests).map(|(image, found)| format!("{}@{}", image.repository, found.digest)).collect();
    hold::check(&hold::held(registry)?, &[&names[..], &digests].concat())?;
    if !agreed(session, &names, only_told).await? {
        return Ok(());
    }
    let removed = images
        .iter()
        .zip(&manifests)
        .map(|(image, found)| Removed::untagged(&image.repository, found.digest.as_str(), [image.reference.clone()]));
    remember(session, registry, removed.collect()).await?;
    for (image, manifest) in images.iter().zip(&manifests) {
        let others = tags_on(registry, &image.repository, &manifest.digest).await?;
        // Version 3 of the registry takes a tag in the place of a digest; version 2 refuses that.
        if registry.delete_manifest(&image.repository, &image.reference).await.is_err() {
            by_another(registry, image, manifest).await?;
        }
        check(registry, image, manifest, &others).await?;
        told(session, &image.shown(), "untagged");
    }
    Ok(())
}

/// Notes what is about to go, where that is a deployment's, so that it can be put back.
async fn remember(session: &Session, registry: &Registry, removed: Vec<Removed>) -> Result<()> {
    let Some(name) = &registry.nature().deployment else { return Ok(()) };
    let _lock = session.lock(name, "images").await?;
    Removed::add(&Store::existing(name)?.0, removed)
}

/// Puts a manifest that nothing else is under the tag, and deletes that by its digest.
async fn by_another(registry: &Registry, image: &Reference, manifest: &Manifest) -> Result<()> {
    let config = b"{}";
    let digest = Digest::of(config);
    let unique = hex(&host::random::<16>()?);
    let content = json!({
        "schemaVersion": 2, "mediaType": media::MANIFEST,
        "config": { "mediaType": media::CONFIG, "digest": digest, "size": config.len() },
        "layers": [], "annotations": { "provision.untag": unique },
    });
    let dummy = Manifest::read(content.to_string().into_bytes(), media::MANIFEST)?;
    registry.push_bytes(&image.repository, config, &digest).await?;
    registry.push_manifest(&image.repository, &image.reference, &dummy).await?;
    let deleted = registry.delete_manifest(&image.repository, dummy.digest.as_str()).await;
    if let Err(error) = deleted {
        registry.push_manifest(&image.repository, &image.reference, manifest).await?;
        return Err(error.within(format!("`{}` is as it was", image.shown())));
    }
    Ok(())
}

/// Fails if the tag is still there, or another tag of the same manifest is not.
async fn check(registry: &Registry, image: &Reference, manifest: &Manifest, before: &BTreeSet<String>) -> Result<()> {
    if registry.look_up(&image.repository, &image.reference).await?.is_some() {
        return Err(Error::new(format!("the registry still has `{}` after it took the deletion", image.shown()))
            .hint("run the command again"));
    }
    let others = before.iter().filter(|tag| **tag != image.reference);
    for other in others {
        if registry.look_up(&image.repository, other).await?.is_none() {
            // A registry that deletes the manifest in the place of its tag.
            registry.push_manifest(&image.repository, other, manifest).await?;
        }
    }
    Ok(())
}

/// Refuses before the first byte where nothing can be deleted.
fn may_delete(registry: &Registry) -> Result<()> {
    let nature = registry.nature();
    let name = nature.deployment.as_deref().unwrap_or_default();
    if let Some(far) = &nature.mirror_of {
        return Err(Error::new(format!(
            "the registry of `{name}` keeps a copy of `{far}`, from which nothing is deleted"
        ))
        .hint("what was not pulled for a week goes by itself"));
    }
    if nature.keeps_all {
        return Err(Error::new(format!(
            "the registry of `{name}` deletes nothing: it was set up with `--delete=false`"
        ))
        .hint(format!("`provision registry --name {name} --delete` lets images be deleted")));
    }
    Ok(())
}

/// Whether it is to be done: what goes is told, and asked for.
async fn agreed(session: &Session, lines: &[String], only_told: bool) -> Result<bool> {
    if only_told {
        lines.iter().for_each(|line| session.events.note(None, format!("would remove {line}")));
        return Ok(false);
    }
    if session.yes {
        return Ok(true);
    }
    let what = format!("this removes {} from the registry.", lines.join(", "));
    match crate::report::ask(&what, &session.stopper).await? {
        Some(true) => Ok(true),
        Some(false) => Err(Error::new("nothing was done: the answer was not `yes`")),
        None => Err(Error::new(what.trim_end_matches('.').to_owned())
            .hint("`--yes` says yes; `--dry-run` only shows what would be removed")),
    }
}

async fn tags_of(registry: &Registry, repository: &str) -> Result<BTreeSet<String>> {
    Ok(registry.tags(repository).await?.unwrap_or_default().into_iter().collect())
}

/// The tags of a repository that lead to a manifest.
async fn tags_on(registry: &Registry, repository: &str, digest: &Digest) -> Result<BTreeSet<String>> {
    use futures_util::stream::{self, StreamExt, TryStreamExt};
    let looks = stream::iter(tags_of(registry, repository).await?).map(|tag| async move {
        let found = registry.look_up(repository, &tag).await?;
        Ok::<_, Error>(found.is_some_and(|found| found.digest == *digest).then_some(tag))
    });
    let found: Vec<Option<String>> = looks.buffer_unordered(16).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

fn told(session: &Session, image: &str, action: &'static str) {
    session.events.send(Event::Finished { resource: image.to_owned(), kind: "image", action, milliseconds: 0 });
}
