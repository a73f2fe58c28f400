//! The bucket of a registry, as the registry's own configuration has it: [`Location`].

use crate::error::{Error, Result};
use crate::formats::yaml::{Content, Node, Source};
use crate::world::aws::Place;
use crate::world::objects::Address;
use crate::world::proxy::Proxies;

/// Where a store is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub address: Address,
    /// What the names of all objects begin with, as the registry was told.
    pub root: String,
}

impl Location {
    /// Reads the configuration of a registry that serves from a bucket. `name` is what an error calls it.
    ///
    /// # Errors
    /// It has no bucket, or no key for it. Nothing of it is shown.
    pub fn read(name: &str, text: &[u8], authority: Option<String>, proxies: Proxies) -> Result<Self> {
        let text = String::from_utf8_lossy(text);
        let node = Node::parse(&Source::new(name, text)).map_err(Error::veiled)?;
        let s3 = ["storage", "s3"].iter().try_fold(&node, |node, key| inner(node, key));
        let value = |key: &str| match s3.and_then(|s3| inner(s3, key)).map(|node| &node.value) {
            Some(Content::Scalar { text, .. }) => Some(text.clone()).filter(|text| !text.is_empty()),
            _ => None,
        };
        let needed = |key: &str| {
            value(key).ok_or_else(|| {
                Error::new(format!("the configuration of the registry, {name}, has no `storage.s3.{key}`"))
                    .hint("the store is asked as the registry itself asks it: `provision plan` shows what differs from its set-up")
            })
        };
        let endpoint = value("regionendpoint");
        let place = Place { region: Some(needed("region")?), endpoint, credentials: None, authority };
        let address = Address {
            place,
            bucket: needed("bucket")?,
            id: needed("accesskey")?,
            secret: needed("secretkey")?,
            proxies,
        };
        Ok(Self { address, root: value("rootdirectory").unwrap_or_default() })
    }
}

fn inner<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    match &node.value {
        Content::Map(entries) => entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_where_the_registry_itself_looks_for_it() {
        let text = "version: 0.1\nstorage:\n  s3:\n    region: \"garage\"\n    bucket: \"b\"\n    rootdirectory: \"/images\"\n    accesskey: \"id\"\n    secretkey: \"hush\"\n    regionendpoint: \"http://store:3900\"\n    secure: false\n  delete:\n    enabled: true\n";
        let read = |text: &str| Location::read("`r`", text.as_bytes(), None, Proxies::default());
        let found = read(text).unwrap();
        assert_eq!((found.root.as_str(), found.address.bucket.as_str()), ("/images", "b"));
        assert_eq!(found.address.place.endpoint.as_deref(), Some("http://store:3900"));
        assert_eq!((found.address.id.as_str(), found.address.secret.as_str()), ("id", "hush"));
        assert!(!format!("{found:?}").contains("hush"));
        let error = read(&text.replace("secretkey", "other")).unwrap_err().render();
        assert!(error.contains("storage.s3.secretkey") && !error.contains("hush"), "{error}");
        assert!(read("storage:\n  filesystem: {}\n").unwrap_err().to_string().contains("storage.s3.region"));
        assert!(!read("storage: [hush\n").unwrap_err().render().contains("hush"));
    }
}
