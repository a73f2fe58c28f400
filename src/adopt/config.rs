//! The configuration of a registry, of today's or of the first one in Python: [`Config`].

use std::collections::BTreeMap;

use super::first;
use super::settings::{CARRIED, Settings, UNDERSTOOD};
use crate::error::{Error, Result};
use crate::formats::yaml::{Content, Node, Source};

/// The registry's generation by its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// docker-registry in Python, from 2013.
    V1,
    /// distribution, the registry of today.
    V2,
}

#[derive(Debug)]
pub(super) struct Config {
    pub path: String,
    pub api: Api,
    /// Where it listens, as far as it says so.
    pub address: Option<String>,
    /// Whether it asks for a password itself, and whether it speaks TLS itself.
    pub asks: bool,
    pub tls: bool,
    /// Its own password file.
    pub password_file: Option<String>,
    /// Where it stores images, in the words of `provision registry --flavor`.
    pub flavor: String,
    /// The inputs that follow from it, secrets among them.
    pub store: BTreeMap<&'static str, String>,
    /// The folder of its images, where it keeps them on this host.
    pub folder: Option<String>,
    /// The keys under which a secret stands in clear.
    pub secrets: Vec<String>,
    /// Its settings for which nothing here stands.
    pub lost: Vec<String>,
}

const MEND: &str = "mend the file, since what the registry stores its images in stands there; nothing was written";

/// What a registry calls something, and the input that stands for it here.
pub(super) type Keys = &'static [(&'static str, &'static str)];

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

impl Config {
    /// Whether a text that could be read as one says what only a registry's does.
    pub fn is_one(&self, text: &str) -> bool {
        match self.api {
            Api::V2 => true,
            Api::V1 => text.contains("storage") || text.contains("search_backend"),
        }
    }
}

/// The value of a key, be it the mapping's own or merged into it by `<<`.
pub(super) fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Content::Map(entries) = &node.value else { return None };
    if let Some((_, value)) = entries.iter().find(|(found, _)| found.text == key) {
        return Some(value);
    }
    let (_, merged) = entries.iter().find(|(found, _)| found.text == "<<")?;
    match &merged.value {
        Content::List(all) => all.iter().find_map(|one| get(one, key)),
        _ => get(merged, key),
    }
}

pub(super) fn text(node: Option<&Node>) -> Option<String> {
    match &node?.value {
        Content::Scalar { text, plain: true } if ["", "~", "null"].contains(&text.as_str()) => None,
        Content::Scalar { text, .. } if !text.is_empty() => Some(text.clone()),
        _ => None,
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

/// A prefix without slashes around it, and an endpoint with its scheme.
pub(super) fn trim(config: &mut Config, scheme: &str) {
    if let Some(prefix) = config.store.remove("prefix").map(|prefix| prefix.trim_matches('/').to_owned())
        && !prefix.is_empty()
    {
        config.store.insert("prefix", prefix);
    }
    if let Some(endpoint) = config.store.get_mut("endpoint")
        && !endpoint.contains("://")
    {
        *endpoint = format!("{scheme}://{endpoint}");
    }
}

/// Whether a key or a variable of that name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '_'], "");
    ["secret", "password", "accountkey", "ossaccesskey"].iter().any(|word| name.contains(word))
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
