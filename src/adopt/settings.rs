//! The settings of a registry of today: those of its configuration, and those that variables put in their place: [`Settings`].

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{get, text};
use crate::formats::yaml::{Content, Node};

/// How the variables begin that set something in place of the configuration (distribution, "Override specific configuration
/// options").
const PREFIX: &str = "REGISTRY_";

/// What today's registry is told beside its driver, and the input that stands for it here.
pub(super) const CARRIED: [(&str, &str); 5] = [
    ("proxy.remoteurl", "mirror-of"),
    ("proxy.username", "mirror-user"),
    ("proxy.password", "mirror-password"),
    ("redis.addr", "redis"),
    ("redis.password", "redis-password"),
];
/// What is read otherwise, or has a counterpart in every registry that is set up here: nginx speaks TLS and asks for the password,
/// the store's own settings encrypt, what is known of layers is kept, and a secret for uploads is made anew.
pub(super) const UNDERSTOOD: [&str; 24] = [
    "auth",
    "auth.htpasswd.path",
    "auth.htpasswd.realm",
    "health.storagedriver.enabled",
    "health.storagedriver.interval",
    "health.storagedriver.threshold",
    "http.addr",
    "http.net",
    "http.secret",
    "http.headers.X-Content-Type-Options",
    "http.tls.certificate",
    "http.tls.key",
    "log.level",
    "log.fields.service",
    "storage",
    "storage.cache.blobdescriptor",
    "storage.cache.layerinfo",
    "storage.delete.enabled",
    "storage.filesystem.rootdirectory",
    "storage.redirect.disable",
    "storage.s3.encrypt",
    "storage.s3.secure",
    "storage.s3.v4auth",
    "version",
];

pub(super) struct Settings<'a> {
    node: &'a Node,
    variables: &'a BTreeMap<String, String>,
}

/// The variable that stands for a setting: `REGISTRY_HTTP_ADDR` for `http.addr`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace(['.', '-'], "_"))
}

impl<'a> Settings<'a> {
    pub fn new(node: &'a Node, variables: &'a BTreeMap<String, String>) -> Self {
        Self { node, variables }
    }

    fn node(&self, key: &str) -> Option<&'a Node> {
        key.split('.').try_fold(self.node, |node, name| get(node, name))
    }

    /// The value of `http.addr` and the like. One that is a list of one counts as that one.
    pub fn text(&self, key: &str) -> Option<String> {
        if let Some(value) = self.variables.get(&variable(key)).filter(|value| !value.is_empty()) {
            return Some(value.clone());
        }
        let node = self.node(key)?;
        match &node.value {
            Content::List(items) if items.len() == 1 => text(items.first()),
            _ => text(Some(node)),
        }
    }

    /// Whether anything is said below a key.
    pub fn has(&self, key: &str) -> bool {
        let said = |node: &Node| matches!(&node.value, Content::Map(entries) if !entries.is_empty());
        let name = variable(key);
        let below = format!("{name}_");
        self.node(key).is_some_and(said)
            || self.variables.keys().any(|variable| *variable == name || variable.starts_with(&below))
    }

    /// The name of the driver that stores images.
    pub fn driver(&self, known: &[&'static str]) -> String {
        let said = self.variables.get("REGISTRY_STORAGE").filter(|name| !name.is_empty()).cloned();
        let configured = || known.iter().find(|name| self.node(&format!("storage.{name}")).is_some());
        let set = || known.iter().find(|name| self.has(&format!("storage.{name}")));
        let usual = || self.node("storage.filesystem").map(|_| "filesystem".to_owned());
        said.or_else(|| configured().map(|name| (*name).to_owned()))
            .or_else(usual)
            .or_else(|| set().map(|name| (*name).to_owned()))
            .unwrap_or_default()
    }

    /// The settings that are not among these, by the shortest names under which nothing is.
    pub fn others(&self, known: &[String]) -> Vec<String> {
        let mut found = BTreeSet::new();
        leaves(self.node, "", known, &mut found);
        let names: BTreeSet<String> = known.iter().map(|key| variable(key)).collect();
        let set = self.variables.keys().filter(|name| name.starts_with(PREFIX) && !names.contains(*name));
        found.extend(set.cloned());
        found.into_iter().collect()
    }
}

fn leaves(node: &Node, within: &str, known: &[String], found: &mut BTreeSet<String>) {
    let Content::Map(entries) = &node.value else { return };
    for (key, value) in entries {
        if key.text == "<<" {
            leaves(value, within, known, found);
            continue;
        }
        let path = if within.is_empty() { key.text.clone() } else { format!("{within}.{}", key.text) };
        let below = format!("{path}.");
        let branch = matches!(&value.value, Content::Map(entries) if !entries.is_empty());
        if branch && known.iter().any(|key| key.starts_with(&below)) {
            leaves(value, &path, known, found);
        } else if !known.contains(&path) && !is_nothing(value) {
            found.insert(path);
        }
    }
}

/// Whether a value says nothing: an empty mapping or list, nothing at all, or that something is off.
fn is_nothing(node: &Node) -> bool {
    match &node.value {
        Content::Map(entries) => entries.is_empty(),
        Content::List(items) => items.is_empty(),
        Content::Scalar { text, plain } => *plain && ["", "~", "null", "false"].contains(&text.as_str()),
    }
}
