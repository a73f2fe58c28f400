//! All that a store has, read in the store itself: [`Listing`].
//!
//! A registry tells no manifests without a tag, and of version 3.1.1 on S3 not even all tags: `v10` is missing while there is `v1`
//! (distribution, issue 4891). So the registry is asked only where its store is none that can be read here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::registry::client::{Digest, Registry};
use crate::registry::store::{BELOW, Item, Repositories, Store};
use crate::secret::Secret;
use crate::world::aws::{Aws, PAGE, Place};
use crate::world::objects::Objects;
use crate::world::proxy::Proxies;

/// Where the list is read.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Listing {
    /// In a folder, the root of the registry.
    Folder(PathBuf),
    Bucket {
        place: Place,
        bucket: String,
        root: String,
    },
    /// From the registry.
    Registry,
}

impl std::fmt::Debug for Listing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Folder(_) => "Folder",
            Self::Bucket { .. } => "Bucket",
            Self::Registry => "Registry",
        })
    }
}

/// Each with its repository.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub tags: BTreeSet<(String, String)>,
    pub manifests: BTreeSet<(String, Digest)>,
}

impl Listing {
    pub(super) async fn read(&self, registry: &Registry) -> Result<Listed> {
        match self {
            Self::Folder(root) => in_folder(root),
            Self::Bucket { place, bucket, root } => in_bucket(place, bucket, root).await,
            Self::Registry => told(registry).await,
        }
    }
}

impl Listed {
    fn take(&mut self, path: &str) {
        match Item::of(path) {
            Item::Current { repository, tag } => drop(self.tags.insert((repository.to_owned(), tag.to_owned()))),
            Item::Revision { repository, digest } => {
                if let Ok(digest) = Digest::parse(&format!("sha256:{}", digest.hex())) {
                    self.manifests.insert((repository.to_owned(), digest));
                }
            }
            _ => {}
        }
    }
}

fn in_folder(root: &Path) -> Result<Listed> {
    let mut listed = Listed::default();
    let mut repositories = Repositories::new(&Store::new(Objects::folder(&root.join(BELOW))));
    while let Some(repository) = repositories.next(&mut |_, _, _| {})? {
        let name = &repository.name;
        for (tag, link) in &repository.tags {
            if link.current.is_some() {
                listed.tags.insert((name.clone(), tag.clone()));
            }
        }
        for digest in repository.revisions.keys() {
            listed.manifests.insert((name.clone(), Digest::parse(&format!("sha256:{}", digest.hex()))?));
        }
    }
    Ok(listed)
}

async fn in_bucket(place: &Place, bucket: &str, root: &str) -> Result<Listed> {
    let key = place.credentials.as_deref().and_then(|key| key.split_once('\n'));
    let key = key.map(|(id, secret)| (id, Secret::new(secret.to_owned())));
    let key = key.as_ref().map(|(id, secret)| (*id, secret));
    let aws = Aws::connect(place, key, &Proxies::of_environment()?, None).await?;
    let above = if root.is_empty() { format!("{BELOW}/") } else { format!("{root}/{BELOW}/") };
    let mut listed = Listed::default();
    let (prefix, mut from) = (format!("{above}repositories/"), None);
    loop {
        let page = aws.page(bucket, &prefix, from, PAGE).await;
        let page =
            page.map_err(|fault| Error::from(fault).within(format!("the list of images in the bucket `{bucket}`")))?;
        for object in &page.found {
            listed.take(object.key.strip_prefix(&above).unwrap_or_default());
        }
        from = page.next;
        if from.is_none() {
            return Ok(listed);
        }
    }
}

async fn told(registry: &Registry) -> Result<Listed> {
    let mut listed = Listed::default();
    for repository in registry.catalog().await? {
        let tags = registry.tags(&repository).await?.unwrap_or_default();
        listed.tags.extend(tags.into_iter().map(|tag| (repository.clone(), tag)));
    }
    Ok(listed)
}
