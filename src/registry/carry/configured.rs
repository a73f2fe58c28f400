//! Where a registry of ours listens and keeps its images, as its own configuration says: [`Configured`].
//!
//! The configuration is one that `templates/registry/config.yml` wrote: a line for each setting, two spaces a level.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::Listing;
use crate::world::aws::Place;

/// The drivers that a registry of ours may have.
const DRIVERS: [&str; 7] = ["filesystem", "inmemory", "s3", "gcs", "azure", "swift", "oss"];
/// What is about who asks and how, and not about which store it is.
const ASKING: [&str; 17] = [
    "accesskey",
    "secretkey",
    "storageclass",
    "v4auth",
    "encrypt",
    "keyid",
    "secure",
    "forcepathstyle",
    "loglevel",
    "keyfile",
    "accountkey",
    "username",
    "password",
    "accesskeyid",
    "accesskeysecret",
    "type",
    "credentials",
];

/// What a configuration says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Configured {
    pub socket: PathBuf,
    driver: String,
    settings: BTreeMap<String, String>,
}

/// Which store it is, as users are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Store {
    pub told: String,
    settings: BTreeMap<String, String>,
}

impl Configured {
    /// Reads a configuration; none if it is of another form.
    pub fn read(text: &str) -> Option<Self> {
        let (mut section, mut driver, mut socket) = (String::new(), None::<String>, None);
        let mut settings = BTreeMap::new();
        for line in text.lines() {
            let words = line.trim_start();
            let level = line.len() - words.len();
            let Some((key, value)) = words.split_once(':').filter(|_| !words.starts_with('#')) else { continue };
            let value = scalar(value.trim());
            match (level, section.as_str(), &driver) {
                (0, ..) => key.clone_into(&mut section),
                (2, "http", _) if key == "addr" => socket = Some(PathBuf::from(value)),
                (2, "storage", _) if DRIVERS.contains(&key) => driver = Some(key.to_owned()),
                (2, "storage", _) => section.clear(),
                (4, "storage", Some(_)) => drop(settings.insert(key.to_owned(), value)),
                _ => {}
            }
        }
        Some(Self { socket: socket?, driver: driver?, settings })
    }

    /// The store; `volume` is what is mounted where a folder of it is.
    pub fn store(&self, volume: Option<&str>) -> Store {
        let of = |name: &str| self.settings.get(name).map(String::as_str).unwrap_or_default();
        let told = match self.driver.as_str() {
            "filesystem" => match volume {
                Some(volume) => format!("the volume `{volume}`"),
                None => format!("the folder `{}`", of("rootdirectory")),
            },
            "inmemory" => "the registry's memory".to_owned(),
            "azure" | "swift" => format!("the container `{}`", of("container")),
            _ => match of("regionendpoint") {
                "" => format!("the bucket `{}`", of("bucket")),
                endpoint => format!("the bucket `{}` at {endpoint}", of("bucket")),
            },
        };
        let mut settings = self.settings.clone();
        settings.retain(|name, _| !ASKING.contains(&name.as_str()));
        settings.insert("driver".to_owned(), self.driver.clone());
        if self.driver == "filesystem" {
            settings.extend(volume.map(|volume| ("volume".to_owned(), volume.to_owned())));
        }
        Store { told, settings }
    }

    /// Whether its store is a folder at or below a path.
    pub fn is_in(&self, path: &str) -> bool {
        let root = self.settings.get("rootdirectory").map(String::as_str).unwrap_or_default();
        self.driver == "filesystem" && std::path::Path::new(root).starts_with(path)
    }

    /// Where its list of images is read. `authority` is what an endpoint with https is trusted by.
    pub fn listing(&self, authority: Option<String>) -> Listing {
        let of = |name: &str| self.settings.get(name).cloned().unwrap_or_default();
        match self.driver.as_str() {
            "filesystem" => Listing::Folder(PathBuf::from(of("rootdirectory"))),
            "s3" => Listing::Bucket {
                place: Place {
                    region: Some(of("region")),
                    endpoint: Some(of("regionendpoint")),
                    credentials: Some(format!("{}\n{}", of("accesskey"), of("secretkey"))),
                    authority,
                },
                bucket: of("bucket"),
                root: of("rootdirectory").trim_matches('/').to_owned(),
            },
            _ => Listing::Registry,
        }
    }
}

/// A value without its quotes, or without the comment behind it.
fn scalar(text: &str) -> String {
    let mut quoted = serde_json::Deserializer::from_str(text).into_iter::<Json>();
    if text.starts_with('"')
        && let Some(Ok(Json::String(value))) = quoted.next()
    {
        return value;
    }
    text.split(" #").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S3: &str = "version: 0.1\nstorage:\n  # All.\n  s3:\n    region: \"r\"\n    bucket: \"b\"\n    rootdirectory: \"/images\"\n    accesskey: \"id\"\n    secretkey: \"se\\\"cret\"\n    v4auth: true\n    regionendpoint: \"http://h:1\"\n  redirect:\n    disable: true # clients\nhttp:\n  net: unix\n  addr: /run/s.sock\n  secret: \"x\"\n";

    #[test]
    fn a_configuration_says_where_the_images_are() {
        let found = Configured::read(S3).unwrap();
        assert_eq!(found.socket, PathBuf::from("/run/s.sock"));
        assert_eq!(found.store(None).told, "the bucket `b` at http://h:1");
        let Listing::Bucket { place, bucket, root } = found.listing(None) else { panic!("no bucket") };
        assert_eq!((bucket.as_str(), root.as_str()), ("b", "images"));
        assert_eq!(place.credentials.as_deref(), Some("id\nse\"cret"));
        assert_eq!(place.endpoint.as_deref(), Some("http://h:1"));
    }

    #[test]
    fn another_key_is_no_other_store_and_another_bucket_is() {
        let store = |text: &str| Configured::read(text).unwrap().store(None);
        assert_eq!(store(S3), store(&S3.replace("\"id\"", "\"other\"")));
        assert_ne!(store(S3), store(&S3.replace("\"b\"", "\"c\"")));
        assert_ne!(store(S3), store(&S3.replace("/images", "/else")));
        let local = Configured::read("storage:\n  filesystem:\n    rootdirectory: /v\nhttp:\n  addr: /s\n").unwrap();
        assert_ne!(local.store(Some("one")), local.store(Some("two")));
        assert!(Configured::read("storage: x\n").is_none());
    }
}
