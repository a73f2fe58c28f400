//! Images of an engine of this host, read where it keeps them: only the layers that the registry lacks.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::stream::{Part, Reader, read_parts};
use super::{Image, Push, locked};
use crate::error::{Error, Result};
use crate::registry::client::Digest;
use crate::text::digest::sha256;
use crate::world::engine::Layers;

impl Push<'_> {
    /// Takes note of the configurations of images, so that it is known of their layers which are there.
    pub(super) fn note_configurations(&self, layers: &Layers, images: &[Image]) {
        for image in images {
            let found = layers.configuration(image.id.hash()).filter(|text| image.id.is_of(text));
            found.into_iter().for_each(|text| self.note_text(&format!("{}.json", image.id.hash()), text));
        }
    }

    /// Has the layers read that images need and the registry lacks, each once.
    ///
    /// # Errors
    /// It is not known what layers an image has.
    pub(super) fn give_kept(&self, layers: &Layers, images: &[&Image], reader: Reader) -> Result<()> {
        let (mut parts, mut seen) = (Vec::new(), BTreeSet::new());
        for image in images {
            let contents = self.contents(image).ok_or_else(|| {
                Error::new(format!("the layers of `{}` are not kept where they can be read", image.reference))
            })?;
            let mut chain: Option<String> = None;
            for content in contents {
                let place = chain_of(chain.as_deref(), &content);
                if !self.has_layer(&image.name.repository, &content) && seen.insert(content.clone()) {
                    let (layers, place) = (layers.clone(), place.clone());
                    let open = move || {
                        let fail =
                            |error: std::io::Error| Error::new(format!("the layer `{place}` cannot be read: {error}"));
                        let archive: Box<dyn std::io::Read> = Box::new(layers.archive(&place).map_err(fail)?);
                        Ok((None, archive))
                    };
                    parts.push(Part { path: format!("blobs/sha256/{}.tar", content.hash()), open: Box::new(open) });
                }
                chain = Some(place);
            }
        }
        read_parts(parts, reader)
    }

    /// The digests of an image's layers, uncompressed, as its configuration names them.
    pub(super) fn contents(&self, image: &Image) -> Option<Vec<Digest>> {
        let configuration = locked(&self.state).texts.get(&image.id).cloned()?;
        let parsed: Json = serde_json::from_slice(&configuration).ok()?;
        let contents = parsed["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        contents.map(|text| Digest::parse(text.as_str()?).ok()).collect()
    }

    /// Whether a repository is known to have a layer.
    fn has_layer(&self, repository: &str, content: &Digest) -> bool {
        self.layer(content)
            .is_some_and(|(digest, _)| locked(&self.state).there.contains(&(repository.to_owned(), digest)))
    }
}

/// The hash of a layer with all below it (OCI image specification 1.1, "Layer `ChainID`").
fn chain_of(below: Option<&str>, content: &Digest) -> String {
    below.map_or_else(|| content.hash().to_owned(), |below| sha256(format!("sha256:{below} {content}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_the_hash_of_what_is_below_and_the_layer() {
        let digest = |digit: &str| Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap();
        let first = chain_of(None, &digest("1"));
        assert_eq!(first, "1".repeat(64));
        // `printf 'sha256:1…1 sha256:2…2' | sha256sum`
        let expected = sha256(format!("sha256:{} sha256:{}", "1".repeat(64), "2".repeat(64)).as_bytes());
        assert_eq!(chain_of(Some(&first), &digest("2")), expected);
    }
}
