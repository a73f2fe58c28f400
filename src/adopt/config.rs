//! The configuration of a registry, of today's or of the first one in Python: [`Config`].

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::yaml::{Content, Node, Source};

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
}

const MEND: &str = "mend the file, since what the registry stores its images in stands there; nothing was written";

/// The flavors of the first registry, and what stands for them today (as `variables:` of the playbook has it).
const FLAVORS: [(&str, &str); 12] = [
    ("dev", "local"),
    ("test", "local"),
    ("local", "local"),
    ("file", "local"),
    ("s3", "s3"),
    ("prod", "s3"),
    ("ceph-s3", "s3"),
    ("cloudfronts3", "s3"),
    ("gcs", "gcs"),
    ("azureblob", "azure"),
    ("swift", "swift"),
    ("oss", "oss"),
];

/// What a registry calls something, and the input that stands for it here.
type Keys = &'static [(&'static str, &'static str)];

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

/// The same for the first registry.
const OLD: [(&str, Keys); 5] = [
    (
        "s3",
        &[
            ("s3_access_key", "access-key"),
            ("s3_secret_key", "secret-key"),
            ("s3_region", "region"),
            ("boto_bucket", "bucket"),
            ("s3_bucket", "bucket"),
            ("storage_path", "prefix"),
        ],
    ),
    ("gcs", &[("boto_bucket", "bucket"), ("storage_path", "prefix")]),
    (
        "azure",
        &[
            ("azure_storage_account_name", "azure-account"),
            ("azure_storage_account_key", "azure-key"),
            ("azure_storage_container", "azure-container"),
        ],
    ),
    (
        "swift",
        &[
            ("swift_authurl", "swift-auth-url"),
            ("swift_user", "swift-user"),
            ("swift_password", "swift-password"),
            ("swift_container", "swift-container"),
            ("swift_tenant_name", "swift-tenant"),
            ("swift_region_name", "region"),
            ("storage_path", "prefix"),
        ],
    ),
    (
        "oss",
        &[
            ("oss_accessid", "access-key"),
            ("oss_accesskey", "secret-key"),
            ("oss_bucket", "bucket"),
            ("storage_path", "prefix"),
        ],
    ),
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
            first(path, &node, variables)
        };
        secrets(&node, &mut config.secrets);
        config.secrets.sort();
        config.secrets.dedup();
        Ok(config)
    }
}

/// The value of a key, be it the mapping's own or merged into it by `<<`.
fn get<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
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

fn text(node: Option<&Node>) -> Option<String> {
    match &node?.value {
        Content::Scalar { text, plain: true } if ["", "~", "null"].contains(&text.as_str()) => None,
        Content::Scalar { text, .. } if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

fn today(path: &str, node: &Node, variables: &BTreeMap<String, String>) -> Config {
    let storage = get(node, "storage");
    let driver = |name: &str| storage.and_then(|storage| get(storage, name));
    let http = |name: &str| get(node, "http").and_then(|http| get(http, name));
    let auth = get(node, "auth").filter(|auth| matches!(&auth.value, Content::Map(ways) if !ways.is_empty()));
    let mut config = Config {
        path: path.to_owned(),
        api: Api::V2,
        address: variables.get("REGISTRY_HTTP_ADDR").cloned().or_else(|| text(http("addr"))),
        asks: auth.is_some(),
        tls: http("tls").is_some_and(|tls| get(tls, "certificate").is_some()),
        password_file: auth.and_then(|auth| text(get(get(auth, "htpasswd")?, "path"))),
        flavor: "local".to_owned(),
        store: BTreeMap::new(),
        folder: None,
        secrets: Vec::new(),
    };
    if let Some((name, keys)) = DRIVERS.iter().find(|(name, _)| driver(name).is_some()) {
        (*name).clone_into(&mut config.flavor);
        for (key, input) in *keys {
            if let Some(value) = driver(name).and_then(|driver| text(get(driver, key))) {
                config.store.insert(input, value);
            }
        }
    } else {
        config.folder = driver("filesystem").and_then(|driver| text(get(driver, "rootdirectory")));
        config.folder.get_or_insert_with(|| "/var/lib/registry".to_owned());
    }
    if let Some(remote) = get(node, "proxy").and_then(|proxy| text(get(proxy, "remoteurl"))) {
        config.store.insert("mirror-of", remote);
    }
    trim(&mut config);
    config
}

fn first(path: &str, node: &Node, variables: &BTreeMap<String, String>) -> Config {
    let name = variables.get("SETTINGS_FLAVOR").map_or("dev", String::as_str);
    let part = get(node, name).or(get(node, "common"));
    let value = |key: &str| part.and_then(|part| text(get(part, key))).and_then(|text| resolved(&text, variables));
    let storage = value("storage").unwrap_or_else(|| name.to_owned());
    let named = |word: &str| FLAVORS.iter().find(|(old, _)| *old == word).map(|(_, flavor)| *flavor);
    let flavor = named(&storage).or(named(name)).unwrap_or("local");
    let mut config = Config {
        path: path.to_owned(),
        api: Api::V1,
        address: None,
        asks: false,
        tls: false,
        password_file: None,
        flavor: flavor.to_owned(),
        store: BTreeMap::new(),
        folder: None,
        secrets: Vec::new(),
    };
    for (key, input) in OLD.iter().find(|(of, _)| *of == flavor).map_or(&[][..], |(_, keys)| keys) {
        if let Some(value) = value(key) {
            config.store.insert(input, value);
        }
    }
    if let Some(host) = value("boto_host").filter(|_| flavor == "s3") {
        let scheme = if value("s3_secure").is_some_and(|secure| secure.eq_ignore_ascii_case("false")) {
            "http"
        } else {
            "https"
        };
        let port = value("boto_port").map(|port| format!(":{port}")).unwrap_or_default();
        config.store.insert("endpoint", format!("{scheme}://{host}{port}"));
    }
    trim(&mut config);
    config
}

/// What `_env:NAME:DEFAULT` of the first registry stands for.
fn resolved(text: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let Some(rest) = text.strip_prefix("_env:") else { return Some(text.to_owned()) };
    let (name, default) = rest.split_once(':').unwrap_or((rest, ""));
    let value = variables.get(name).map_or(default, String::as_str);
    (!value.is_empty()).then(|| value.to_owned())
}

/// A prefix without slashes around it, and an endpoint with its scheme.
fn trim(config: &mut Config) {
    if let Some(prefix) = config.store.remove("prefix").map(|prefix| prefix.trim_matches('/').to_owned())
        && !prefix.is_empty()
    {
        config.store.insert("prefix", prefix);
    }
    if let Some(endpoint) = config.store.get_mut("endpoint")
        && !endpoint.contains("://")
    {
        *endpoint = format!("https://{endpoint}");
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
