//! One manifest and all that it needs: [`Checked`].

use std::collections::BTreeMap;

use super::Mend;
use super::check::Look;
use crate::error::Result;
use crate::registry::store::{Descriptor, Digest, Manifest, Repository, layout};

/// A manifest as it was found.
pub(super) enum Checked {
    Missing,
    /// Its bytes have another digest.
    Wrong,
    /// It is none.
    Unreadable,
    Whole(Manifest),
}

impl Checked {
    pub fn all(look: &mut Look, repository: &Repository) -> Result<BTreeMap<Digest, Self>> {
        let mut all = BTreeMap::new();
        let digests: Vec<Digest> = repository.revisions.keys().copied().collect();
        look.store.manifests(&digests, &mut |digest, content| {
            let found = match content {
                None => Self::Missing,
                Some(content) if Digest::of(&content) != digest => Self::Wrong,
                Some(content) => Manifest::read(&content).map_or(Self::Unreadable, Self::Whole),
            };
            look.blobs.need(&digest);
            if let Self::Whole(manifest) = &found {
                manifest.needs().for_each(|digest| look.blobs.need(digest));
            }
            all.insert(digest, found);
            Ok(())
        })?;
        Ok(all)
    }

    pub fn children(&self) -> Vec<Digest> {
        match self {
            Self::Whole(manifest) => manifest.children.iter().map(|child| child.digest).collect(),
            _ => Vec::new(),
        }
    }

    /// Notes what is damaged of it.
    pub fn tell(&self, look: &mut Look, repository: &Repository, digest: &Digest, images: &[String]) -> Result<()> {
        let path = layout::revision(&repository.name, digest);
        look.link(&path, digest, "the link to the manifest", images)?;
        let data = digest.data();
        let manifest = match self {
            Self::Whole(manifest) => manifest,
            Self::Missing => {
                look.damaged(&data, format!("the manifest {digest} is missing"), Mend::Push, images);
                return Ok(());
            }
            Self::Wrong => {
                let what = format!("the content of the manifest {digest} is not what its digest says");
                look.damaged(&data, what, Mend::DeleteAndPush, images);
                return Ok(());
            }
            Self::Unreadable => {
                let what = format!("{digest} is linked as a manifest and is none");
                look.damaged(&data, what, Mend::DeleteAndPush, images);
                return Ok(());
            }
        };
        for child in &manifest.children {
            if !repository.revisions.contains_key(&child.digest) {
                let path = layout::revision(&repository.name, &child.digest);
                let name = format!("the link to the manifest {} of a platform", child.digest);
                look.link(&path, &child.digest, &name, images)?;
            }
        }
        for blob in &manifest.blobs {
            Self::blob(blob, look, repository, images)?;
        }
        Ok(())
    }

    fn blob(blob: &Descriptor, look: &mut Look, repository: &Repository, images: &[String]) -> Result<()> {
        let (digest, data) = (&blob.digest, blob.digest.data());
        let size = look.size(digest)?;
        if size.is_none() && blob.foreign {
            return Ok(());
        }
        match (size, blob.size) {
            (None, _) => look.damaged(&data, format!("the layer {digest} is missing"), Mend::Push, images),
            (Some(found), Some(wanted)) if found != wanted => {
                let what = format!("the layer {digest} has {found} bytes instead of {wanted}");
                look.damaged(&data, what, Mend::DeleteAndPush, images);
            }
            _ if look.wrong.contains(digest) => {
                let what = format!("the content of the layer {digest} is not what its digest says");
                look.damaged(&data, what, Mend::DeleteAndPush, images);
            }
            _ => {}
        }
        let path = layout::layer(&repository.name, digest);
        look.link(&path, digest, &format!("the link to the layer {digest}"), images)
    }
}
