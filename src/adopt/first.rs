//! The configuration of the first registry, docker-registry in Python: its flavors, and variables in place of values.

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Api, Config, trim};
use super::keys::{Keys, get, text};
use crate::formats::yaml::{Content, Node};

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

/// What the first registry calls something, and the input that stands for it here, by the flavor of today.
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

/// Keys of the first registry that are read otherwise.
const OLD_UNDERSTOOD: [&str; 8] =
    ["boto_host", "boto_port", "loglevel", "s3_encrypt", "s3_secure", "secret_key", "storage", "storage_redirect"];

/// Reads a configuration that is no registry's of today.
pub(super) fn read(path: &str, node: &Node, variables: &BTreeMap<String, String>) -> Config {
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
        shown: None,
        container: None,
        images: None,
        secrets: Vec::new(),
        lost: part.map(|part| others(part, flavor)).unwrap_or_default(),
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
    trim(&mut config, "https");
    config
}

/// The keys of a flavor of the first registry for which nothing here stands, its own and those merged into it.
fn others(part: &Node, flavor: &str) -> Vec<String> {
    let known = OLD.iter().find(|(of, _)| *of == flavor).map_or(&[][..], |(_, keys)| keys);
    let mut found = BTreeSet::new();
    keys(part, &mut found);
    found.retain(|key| !known.iter().any(|(known, _)| known == key) && !OLD_UNDERSTOOD.contains(&key.as_str()));
    found.into_iter().collect()
}

fn keys(node: &Node, found: &mut BTreeSet<String>) {
    match &node.value {
        Content::Map(entries) => {
            for (key, value) in entries {
                if key.text == "<<" {
                    keys(value, found);
                } else {
                    found.insert(key.text.clone());
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| keys(item, found)),
        Content::Scalar { .. } => {}
    }
}

/// What `_env:NAME:DEFAULT` of the first registry stands for.
fn resolved(text: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let Some(rest) = text.strip_prefix("_env:") else { return Some(text.to_owned()) };
    let (name, default) = rest.split_once(':').unwrap_or((rest, ""));
    let value = variables.get(name).map_or(default, String::as_str);
    (!value.is_empty()).then(|| value.to_owned())
}
