//! Reads the configuration of a registry; here is what today's says, in `first` what the one in Python does.

use std::collections::BTreeMap;

use super::config::{Api, Config, trim};
use super::first;
use super::keys::{Keys, get, is_secret, text};
use super::settings::{CARRIED, Settings, UNDERSTOOD};
use crate::error::{Error, Result};
use crate::formats::yaml::{Content, Node, Source};

const MEND: &str = "mend the file, since what the registry stores its images in stands there; nothing was written";

/// The drivers of today's registry other than that for folders; each is also a flavor.
const DRIVERS: [(&str, Keys); 6] = [
    (
        "s3",
        &[
            ("accesskey", "access-key"),
            ("secretkey", "secret-key"),
            ("region", "region"),
            ("regionendpoint", "endpoint"),
            ("bucket", "bucket"),
            ("rootdirectory", "prefix"),
            ("storageclass", "storage-class"),
            ("keyid", "kms-key"),
        ],
    ),
    ("gcs", &[("bucket", "bucket"), ("rootdirectory", "prefix")]),
    (
        "azure",
        &[
            ("accountname", "azure-account"),
            ("accountkey", "azure-key"),
            ("container", "azure-container"),
            ("realm", "azure-realm"),
            ("rootdirectory", "prefix"),
        ],
    ),
    (
        "swift",
        &[
            ("authurl", "swift-auth-url"),
            ("username", "swift-user"),
            ("password", "swift-password"),
            ("container", "swift-container"),
            ("tenant", "swift-tenant"),
            ("domain", "swift-domain"),
            ("region", "region"),
            ("prefix", "prefix"),
        ],
    ),
    (
        "oss",
        &[
            ("accesskeyid", "access-key"),
            ("accesskeysecret", "secret-key"),
            ("region", "region"),
            ("bucket", "bucket"),
            ("rootdirectory", "prefix"),
        ],
    ),
    ("inmemory", &[]),
];

impl Config {
    /// Reads a configuration; `variables` are those that the registry is started with.
    ///
    /// # Errors
    /// It is no YAML, or no registry's: with its place, and without the text of the line, which may be a secret.
    pub fn read(path: &str, text: &str, variables: &BTreeMap<String, String>) -> Result<Self> {
        let source = Source::new(path, text);
        let broken = |error: Error| error.veiled().within(format!("`{path}` cannot be read"));
        if text.trim().is_empty() {
            return Err(Error::new(format!("`{path}` is empty")).hint(MEND));
        }
        let node = Node::parse_with_aliases(&source).map_err(|error| broken(error).hint(MEND))?;
        if !matches!(node.value, Content::Map(_)) {
            return Err(broken(Error::new("it is no mapping").at(source.place(node.span)))
                .hint("a registry is configured by lines `KEY: VALUE`"));
        }
        let mut config = if get(&node, "version").is_some() && get(&node, "storage").is_some() {
            today(path, &node, variables)
        } else {
            first::read(path, &node, variables)
        };
        secrets(&node, &mut config.secrets);
        config.secrets.sort();
        config.secrets.dedup();
        Ok(config)
    }
}

fn today(path: &str, node: &Node, variables: &BTreeMap<String, String>) -> Config {
    let settings = Settings::new(node, variables);
    let driver = settings.driver(&DRIVERS.map(|(name, _)| name));
    let mut config = Config {
        path: path.to_owned(),
        api: Api::V2,
        address: settings.text("http.addr"),
        asks: settings.has("auth"),
        tls: settings.text("http.tls.certificate").is_some(),
        password_file: settings.text("auth.htpasswd.path"),
        flavor: "local".to_owned(),
        store: BTreeMap::new(),
        folder: None,
        shown: settings.text("http.tls.certificate").zip(settings.text("http.tls.key")),
        container: None,
        images: None,
        secrets: Vec::new(),
        lost: Vec::new(),
    };
    let mut carried: Vec<String> = CARRIED.iter().map(|(key, _)| (*key).to_owned()).collect();
    carried.extend(UNDERSTOOD.iter().map(|key| (*key).to_owned()));
    if let Some((name, keys)) = DRIVERS.iter().find(|(name, _)| *name == driver) {
        (*name).clone_into(&mut config.flavor);
        for (key, input) in *keys {
            let key = format!("storage.{name}.{key}");
            config.store.extend(settings.text(&key).map(|value| (*input, value)));
            carried.push(key);
        }
        if settings.text("storage.redirect.disable").is_some_and(|disable| disable == "true") {
            config.store.insert("redirect", "no".to_owned());
        }
    } else {
        config.folder = settings.text("storage.filesystem.rootdirectory");
        config.folder.get_or_insert_with(|| "/var/lib/registry".to_owned());
    }
    config.store.extend(CARRIED.iter().filter_map(|(key, input)| Some((*input, settings.text(key)?))));
    if settings.text("storage.delete.enabled").is_some_and(|enabled| enabled == "false") {
        config.store.insert("delete", "false".to_owned());
    }
    config.lost = settings.others(&carried);
    let secure = settings.text("storage.s3.secure").is_none_or(|secure| secure != "false");
    trim(&mut config, if secure { "https" } else { "http" });
    config
}

/// The keys at any depth under which a secret stands, and not the name of a variable.
fn secrets(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Content::Scalar { .. } => {}
        Content::List(items) => items.iter().for_each(|item| secrets(item, found)),
        Content::Map(entries) => {
            for (key, value) in entries {
                let clear = text(Some(value)).is_some_and(|text| !text.starts_with("_env:"));
                if clear && is_secret(&key.text) {
                    found.push(key.text.clone());
                }
                secrets(value, found);
            }
        }
    }
}
