//! The servers in a configuration of nginx: [`Server`].

use std::collections::BTreeMap;

pub(super) use crate::formats::nginx::{Directive, Refusal, WORDS, all, common, parse};

/// A `server`, as far as it matters to a registry.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, read from other directives")]
pub(super) struct Server {
    pub listens: Vec<Listen>,
    pub names: Vec<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    /// Whether it asks for a password anywhere.
    pub asks: bool,
    /// Whether it says itself if it asks, so that what stands outside of it does not count.
    pub decides: bool,
    /// Whether it sends those who come without TLS elsewhere: nginx does so before it asks for a password.
    pub redirects: bool,
    pub password_file: Option<String>,
    pub body_size: Option<String>,
    /// What it passes requests on to: `localhost:5000`.
    pub backends: Vec<String>,
    /// Whether it has a location of the registry's API.
    pub api: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listen {
    pub port: u16,
    pub tls: bool,
}

/// What a server takes from outside of it, where it says nothing itself.
pub(super) const INHERITED: [&str; 5] =
    ["auth_basic", "auth_basic_user_file", "client_max_body_size", "ssl_certificate", "ssl_certificate_key"];

impl Server {
    /// Takes over what stands outside of all servers, where it says nothing itself.
    pub fn inherit(&mut self, of_all: &BTreeMap<&str, String>) {
        let inherited = |own: &mut Option<String>, name: &str| *own = own.take().or_else(|| of_all.get(name).cloned());
        inherited(&mut self.body_size, "client_max_body_size");
        inherited(&mut self.certificate, "ssl_certificate");
        inherited(&mut self.key, "ssl_certificate_key");
        inherited(&mut self.password_file, "auth_basic_user_file");
        self.asks |= !self.decides && of_all.get("auth_basic").is_some_and(|realm| realm != "off");
    }
}

/// The servers of a configuration, which `upstream` blocks of it or of others tell the backends of.
pub(super) fn servers(directives: &[Directive], upstreams: &Upstreams) -> Vec<Server> {
    let blocks = all(directives, "server").into_iter().filter(|directive| directive.words.is_empty());
    let maps = maps(directives);
    blocks.map(|directive| server(&directive.block, upstreams, &maps)).collect()
}

/// The realm that asks for no password.
const OFF: &str = "off";

/// What the variables of `map` blocks are where no pattern matches.
fn maps(directives: &[Directive]) -> BTreeMap<String, String> {
    let default = |map: &Directive| {
        let entry = map.block.iter().find(|entry| entry.name == "default")?;
        Some((map.words.get(1)?.clone(), entry.word()?))
    };
    all(directives, "map").into_iter().filter_map(default).collect()
}

/// The realm of each place that passes requests on: what stands in a location counts before what stands around it. The question
/// whether there is a registry, which old clients ask before they know a password, does not count.
fn realms(block: &[Directive], around: Option<&str>, maps: &BTreeMap<String, String>) -> Vec<Option<String>> {
    let own = block.iter().rev().find(|directive| directive.name == "auth_basic").and_then(Directive::word);
    let own = own.map(|realm| maps.get(&realm).cloned().unwrap_or(realm));
    let realm = own.as_deref().or(around);
    let mut found = Vec::new();
    if block.iter().any(|directive| directive.name == "proxy_pass") {
        found.push(realm.map(str::to_owned));
    }
    for inner in block {
        let is_ping = inner.words.iter().any(|word| word.ends_with("/_ping"));
        if ["location", "if", "limit_except"].contains(&inner.name.as_str()) && !is_ping {
            found.extend(realms(&inner.block, realm, maps));
        }
    }
    found
}

/// The addresses of the servers of `upstream` blocks, by the names of these.
pub(super) type Upstreams = BTreeMap<String, Vec<String>>;

/// The `upstream` blocks of a configuration.
pub(super) fn upstreams(directives: &[Directive]) -> Upstreams {
    let blocks = all(directives, "upstream").into_iter();
    blocks
        .filter_map(|block| {
            Some((block.word()?, all(&block.block, "server").iter().filter_map(|s| s.word()).collect()))
        })
        .collect()
}

fn server(block: &[Directive], upstreams: &Upstreams, maps: &BTreeMap<String, String>) -> Server {
    let own = |name: &str| block.iter().filter(|directive| directive.name == name).collect::<Vec<_>>();
    let last = |name: &str| own(name).last().and_then(|directive| directive.word());
    let realms = realms(block, None, maps);
    let is_open = |realm: &Option<String>| realm.as_deref() == Some(OFF);
    let anywhere = |name: &str| all(block, name).into_iter().filter_map(Directive::word).collect::<Vec<_>>();
    // `ssl on;` made every port of a server one with TLS, up to nginx 1.25.
    let ssl = last("ssl").as_deref() == Some("on");
    let mut listens: Vec<Listen> = own("listen").into_iter().filter_map(|directive| listen(directive, ssl)).collect();
    listens.dedup();
    Server {
        listens,
        names: own("server_name").iter().flat_map(|directive| directive.words.clone()).collect(),
        certificate: last("ssl_certificate"),
        key: last("ssl_certificate_key"),
        asks: if realms.is_empty() {
            anywhere("auth_basic").iter().any(|realm| realm != OFF)
        } else {
            realms.iter().all(|realm| realm.is_some() && !is_open(realm))
        },
        decides: !own("auth_basic").is_empty() || realms.iter().any(is_open),
        redirects: redirects(block),
        password_file: anywhere("auth_basic_user_file").pop(),
        body_size: anywhere("client_max_body_size").pop(),
        backends: anywhere("proxy_pass").iter().flat_map(|to| backends(to, upstreams)).collect(),
        api: all(block, "location").iter().any(|location| {
            location.words.iter().any(|word| ["/v1", "/v2", "/_ping"].iter().any(|path| word.contains(path)))
        }),
    }
}

/// Whether a block answers requests without TLS by another address, whatever they ask for.
fn redirects(block: &[Directive]) -> bool {
    block.iter().any(|directive| {
        let words = &directive.words;
        let elsewhere = |word: &String| word.starts_with("https:") || word.starts_with("http:");
        match directive.name.as_str() {
            "return" => words.iter().any(elsewhere),
            "rewrite" => words.get(1).is_some_and(elsewhere),
            "if" => {
                words.iter().any(|word| word.contains("$scheme") || word.contains("$https"))
                    && redirects(&directive.block)
            }
            "location" => *words == ["/"] && redirects(&directive.block),
            _ => false,
        }
    })
}

fn listen(directive: &Directive, ssl: bool) -> Option<Listen> {
    let address = directive.words.first()?;
    if address.starts_with("unix:") {
        return None;
    }
    let port = address.rsplit(':').next().filter(|_| !address.ends_with(']')).and_then(|port| port.parse().ok());
    // An address alone is on port 80.
    Some(Listen { port: port.unwrap_or(80), tls: ssl || directive.words.iter().any(|word| word == "ssl") })
}

fn backends(to: &str, upstreams: &Upstreams) -> Vec<String> {
    let rest = to.split_once("://").map_or(to, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    upstreams.get(host).cloned().unwrap_or_else(|| vec![host.to_owned()])
}

/// A size of nginx in bytes; 0 is no limit.
pub(super) fn size(text: &str) -> Option<u64> {
    crate::language::input::size(text).ok()
}
