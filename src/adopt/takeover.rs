//! What takes a host over: the inputs of `provision registry` that were found there, and the commands that remain:
//! [`Takeover`].

mod commands;
mod inputs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::certificates::managed;
use super::config::{Api, Config};
use super::containers::Container;
use super::host::{Host, Site, absolute};
use crate::formats::htpasswd;
use crate::formats::x509::Survey;
use crate::formats::yaml::{Source, scalar};
use crate::text::shell;

/// The stores that Debian's registry is built without.
const NOT_OF_DEBIAN: [&str; 3] = ["gcs", "azure", "oss"];

pub(crate) struct Takeover {
    inputs: Vec<Input>,
    pub commands: Vec<String>,
    /// Whether they change services of the host, which takes root.
    pub root: bool,
}

/// One line of the file of inputs.
struct Input {
    name: &'static str,
    value: Value,
    /// Where it was read, or what it does.
    comment: String,
}

enum Value {
    /// A number or a truth.
    Plain(String),
    One(String),
    List(Vec<String>),
}

impl Takeover {
    /// What takes over this host; the inputs go into `file`.
    pub fn of(host: &Host, file: &str) -> Self {
        let inputs = inputs::of(host);
        let commands = commands::of(host, file);
        let root = host.container().is_none() || host.sites.iter().any(|site| !site.contained);
        Self { inputs, commands, root }
    }

    /// The file of inputs.
    pub fn text(&self, file: &str) -> String {
        let mut text = format!(
            "# The registry that was found on this host, as inputs of `{}`.\n# A flag goes before a line of this file.\n",
            comment(&shell::line(["provision", "registry", "--inputs", file]))
        );
        for input in &self.inputs {
            write!(text, "\n# {}\n{}:{}\n", comment(&input.comment), input.name, input.value.yaml())
                .expect("a text takes text");
        }
        text
    }
}

impl Value {
    fn yaml(&self) -> String {
        match self {
            Self::Plain(text) => format!(" {text}"),
            Self::One(text) => format!(" {}", scalar(text)),
            Self::List(items) => items.iter().map(|item| format!("\n  - {}", scalar(item))).collect(),
        }
    }
}

/// A text as a comment of YAML, which the end of a line ends: a file's name may hold one.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

impl Host {
    /// The site that clients use: one with TLS if there is one, else one that asks for a password or has a name.
    fn site(&self) -> Option<&Site> {
        let rank = |site: &&Site| {
            let server = &site.server;
            (!server.listens.iter().any(|listen| listen.tls), !server.asks, server.names.is_empty())
        };
        self.sites.iter().min_by_key(rank)
    }

    fn leaf(&self) -> Option<(String, &Survey)> {
        let path = absolute(self.site()?.server.certificate.as_deref()?);
        let leaf = self.certificate(&path)?.leaf();
        Some((path, leaf))
    }

    /// The configuration of the registry that is in use: that of the first one only where a job starts it.
    pub(super) fn config(&self) -> Option<&(Config, u32)> {
        let wanted = if self.units.iter().any(|unit| unit.python) { Api::V1 } else { Api::V2 };
        self.configs.iter().find(|(config, _)| config.api == wanted).or(self.configs.first())
    }

    fn flavor(&self) -> &str {
        self.config().map_or("local", |(config, _)| config.flavor.as_str())
    }

    /// The container with the registry that is taken over.
    fn container(&self) -> Option<&Container> {
        let name = self.config()?.0.container.as_ref()?;
        self.containers.iter().find(|container| container.name == *name)
    }

    /// Whether a registry of the host itself can take over what is stored.
    fn stays_on_host(&self) -> bool {
        self.container().is_none() && !NOT_OF_DEBIAN.contains(&self.flavor())
    }

    /// The folder with the images of a registry of today, where they are on this host.
    pub(super) fn folder(&self) -> Option<&str> {
        self.config().and_then(|(config, _)| config.folder.as_deref())
    }

    /// The port that clients know.
    fn port(&self) -> Option<(u16, String)> {
        if let Some(site) = self.site() {
            let listens = &site.server.listens;
            let listen = listens.iter().find(|listen| listen.tls).or(listens.first())?;
            let (port, note) = match listen.port {
                80 if !listen.tls => (443, ", whose port 80 has no TLS"),
                port => (port, ""),
            };
            return Some((port, format!("the site {}{note}", site.real)));
        }
        let (config, _) = self.config()?;
        let port = super::words::port(config.address.as_deref()?)?;
        Some((port, config.path.clone()))
    }

    /// The files that step aside for ours.
    fn replaced(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for site in self.sites.iter().filter(|site| site.alone) {
            found.extend([site.path.clone(), site.real.clone()]);
            let named = [&site.server.certificate, &site.server.key, &site.server.password_file];
            let named = named.into_iter().flatten().map(|path| absolute(path));
            let moves = |path: &String| !site.shared.contains(path) && self.is_there(path) && managed(path).is_none();
            found.extend(named.filter(moves));
        }
        found.extend(self.configs.iter().map(|(config, _)| config.path.clone()).filter(|path| is_usual(path)));
        let units = self.units.iter().filter(|unit| unit.name.is_empty() || unit.name == "docker-registry");
        // What adds to a unit would add to ours of the same name.
        found.extend(
            units
                .flat_map(|unit| unit.additions.iter().chain([&unit.path]))
                .filter(|path| !path.starts_with("/lib/"))
                .cloned(),
        );
        found
    }

    /// Whether a file that a site names was seen.
    fn is_there(&self, path: &str) -> bool {
        self.certificate(path).is_some()
            || self.keys.iter().any(|key| key.path == path)
            || self.passwords.contains_key(path)
    }

    /// The password files with users whose hash is taken over, and their names.
    fn users(&self) -> BTreeMap<&str, Vec<String>> {
        let read = |path: &str, text: &str| htpasswd::read(&Source::new(path, text)).unwrap_or_default().entries;
        let files = self.passwords.iter().map(|(path, (_, text))| {
            let users = read(path, text).into_iter().filter(htpasswd::Entry::is_bcrypt).map(|entry| entry.name);
            (path.as_str(), users.collect::<Vec<_>>())
        });
        files.filter(|(_, users)| !users.is_empty()).collect()
    }
}

/// Whether a configuration stands where one is looked for, and was not merely named on the command line.
fn is_usual(path: &str) -> bool {
    path.starts_with("/etc/") || path.starts_with("/opt/docker-registry/")
}
