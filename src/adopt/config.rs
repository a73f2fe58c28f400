//! The configuration of a registry, of today's or of the first one in Python: [`Config`].

use std::collections::BTreeMap;

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
    /// The certificate and the key that it shows itself.
    pub shown: Option<(String, String)>,
    /// The container that runs it, and what its images are in: a volume, or a folder of the engine's host.
    pub container: Option<String>,
    pub images: Option<String>,
    /// The keys under which a secret stands in clear.
    pub secrets: Vec<String>,
    /// Its settings for which nothing here stands.
    pub lost: Vec<String>,
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
