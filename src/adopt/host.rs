//! What there is to be seen on a host: the servers of nginx, what runs a registry, and files that are told by their content:
//! [`Host`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::certificates::{CertificateFile, KeyFile};
use super::config::Config;
use super::containers::Container;
use super::nginx::{self, Server};
use super::unit::Unit;
use super::{policy, words};
use crate::error::{Error, Result};
use crate::formats::htpasswd;
use crate::formats::yaml::Source;
use crate::world::tree::{Look, Seen, Tree};

/// Where configurations of a registry usually stand.
const CONFIGS: [&str; 3] =
    ["/etc/docker/registry/config.yml", "/etc/docker-registry/config.yml", "/etc/distribution/config.yml"];
const OPT: &str = "/opt/docker-registry";
/// Folders with files that are told by their content, and how deep they are looked into.
const LOOSE: [(&str, usize); 7] = [
    ("/etc/docker/certs.d", 1),
    ("/usr/local/share/ca-certificates", 3),
    ("/etc/ssl/certs", 0),
    ("/etc/ssl/private", 0),
    ("/etc/docker-registry", 2),
    ("/etc/docker", 0),
    ("/root", 1),
];
/// How many certificates are looked at in all: each takes half a millisecond, and 10 kB.
const CERTIFICATES: usize = 3000;
/// How deep a folder that is named on the command line is looked into.
const DEEP: usize = 4;
/// What packages put among certificates without telling dpkg.
const GENERATED: [&str; 3] = ["ca-certificates.crt", "ssl-cert-snakeoil.pem", "ssl-cert-snakeoil.key"];

#[derive(Default)]
pub(crate) struct Host {
    pub(super) sites: Vec<Site>,
    pub(super) configs: Vec<(Config, u32)>,
    pub(super) units: Vec<Unit>,
    pub(super) certificates: Vec<CertificateFile>,
    pub(super) keys: Vec<KeyFile>,
    /// Files with policies, and their texts.
    pub(super) policies: Vec<(String, String)>,
    /// Password files with their modes and texts.
    pub(super) passwords: BTreeMap<String, (u32, String)>,
    /// The containers that are taken over: the registry, and nginx in front of it.
    pub(super) containers: Vec<Container>,
    /// Addresses that a process of this host listens on, and its name.
    pub(super) listening: Vec<(String, String)>,
    pub(super) name: Option<String>,
    /// Whether images are there that belong to another user than the one that the registry runs as.
    pub(super) foreign_images: bool,
    /// Whether that user is there.
    pub(super) has_user: bool,
    /// What there is that this user may not read.
    pub unread: BTreeSet<String>,
    /// What is there and could not be understood.
    pub unclear: BTreeSet<String>,
}

/// A server of nginx that has to do with a registry.
pub(super) struct Site {
    /// Where nginx finds it, and where it really stands.
    pub path: String,
    pub real: String,
    pub server: Server,
    /// Whether the file holds nothing else.
    pub alone: bool,
    /// Whether it stands in a container, with which it is stopped.
    pub contained: bool,
    /// Certificates and keys that servers of others use too are not taken away.
    pub shared: Arc<BTreeSet<String>>,
}

/// Reads a host.
pub(super) struct Reader<'a> {
    pub tree: &'a Tree,
    pub host: Host,
    /// Files whose content was looked at, and folders beside the files of servers.
    known: BTreeSet<String>,
    searched: BTreeSet<String>,
    certificates: usize,
}

impl<'a> Reader<'a> {
    pub fn new(tree: &'a Tree) -> Self {
        Self { tree, host: Host::default(), known: BTreeSet::new(), searched: BTreeSet::new(), certificates: 0 }
    }

    /// The same, for files of another tree.
    pub fn beside(self, tree: &Tree) -> Reader<'_> {
        Reader { tree, host: self.host, known: self.known, searched: self.searched, certificates: self.certificates }
    }

    pub fn read(&mut self, registry: Option<&Container>, others: &[Container]) -> Result<()> {
        self.host.name =
            self.file("/etc/hostname").map(|seen| seen.text.trim().to_owned()).filter(|name| !name.is_empty());
        self.units();
        self.configs()?;
        if let Some(registry) = registry {
            self.contained(registry, others)?;
        }
        self.sites();
        for (folder, depth) in LOOSE {
            self.loose(folder, depth);
        }
        self.named();
        self.images();
        Ok(())
    }

    fn images(&mut self) {
        let users = self.file("/etc/passwd").map(|seen| seen.text).unwrap_or_default();
        let user = users
            .lines()
            .find_map(|line| line.strip_prefix("docker-registry:")?.split(':').nth(1)?.parse::<u32>().ok());
        self.host.has_user = user.is_some();
        let Some(folder) = self.host.folder().map(str::to_owned) else { return };
        let owner = self.tree.owner(&format!("{folder}/docker")).or_else(|| self.tree.owner(&folder));
        self.host.foreign_images = owner.is_some() && owner != user;
    }

    pub(super) fn file(&mut self, path: &str) -> Option<Seen> {
        match self.tree.look(path) {
            Look::File(seen) => Some(seen),
            Look::Denied => {
                self.host.unread.insert(path.to_owned());
                None
            }
            Look::Nothing | Look::Folder => None,
        }
    }

    pub(super) fn names(&mut self, folder: &str) -> Vec<String> {
        self.tree.names(folder).unwrap_or_else(|| {
            self.host.unread.insert(folder.to_owned());
            Vec::new()
        })
    }

    fn configs(&mut self) -> Result<()> {
        let served: Vec<String> = self.host.units.iter().flat_map(|unit| words::served(&unit.text)).collect();
        let mut paths: Vec<String> = served.into_iter().chain(CONFIGS.iter().map(|path| (*path).to_owned())).collect();
        let opt = self.names(OPT).into_iter();
        paths.extend(
            opt.filter(|name| name.starts_with("config") && name.ends_with(".yml")).map(|name| format!("{OPT}/{name}")),
        );
        let variables = self.variables();
        paths.extend(variables.get("DOCKER_REGISTRY_CONFIG").filter(|path| path.starts_with('/')).cloned());
        for path in paths {
            self.config(&path, &variables)?;
        }
        Ok(())
    }

    fn config(&mut self, path: &str, variables: &BTreeMap<String, String>) -> Result<()> {
        if self.host.configs.iter().any(|(known, _)| known.path == path) {
            return Ok(());
        }
        if let Some(seen) = self.file(path) {
            self.host.configs.push((Config::read(path, &seen.text, variables)?, seen.mode));
        }
        Ok(())
    }

    /// The variables that registries of this host are started with.
    fn variables(&self) -> BTreeMap<String, String> {
        self.host.units.iter().flat_map(|unit| unit.variables.clone()).collect()
    }

    fn sites(&mut self) {
        let mut files = vec!["/etc/nginx/nginx.conf".to_owned()];
        for (folder, ending) in [("/etc/nginx/conf.d", ".conf"), ("/etc/nginx/sites-enabled", "")] {
            let names = self.names(folder).into_iter();
            files.extend(names.filter(|name| name.ends_with(ending)).map(|name| format!("{folder}/{name}")));
        }
        let mut parsed = Vec::new();
        let mut left = nginx::WORDS;
        for path in files {
            let Some(seen) = self.file(&path) else { continue };
            match nginx::parse(&seen.text, &mut left) {
                Ok(directives) => parsed.push((path, self.with_snippets(directives, &mut left))),
                Err(refusal) => drop(self.host.unclear.insert(format!("`{path}`: {refusal}"))),
            }
        }
        let upstreams: nginx::Upstreams =
            parsed.iter().flat_map(|(_, directives)| nginx::upstreams(directives)).collect();
        // What stands outside of all servers counts for each of them.
        // Looked up once, since there may be thousands of servers.
        let of_all = |name: &&str| parsed.iter().find_map(|(_, directives)| nginx::common(directives, name));
        let of_all: BTreeMap<&str, String> =
            nginx::INHERITED.iter().filter_map(|name| Some((*name, of_all(name)?))).collect();
        let mut servers: Vec<(String, Vec<Server>)> =
            parsed.iter().map(|(path, directives)| (path.clone(), nginx::servers(directives, &upstreams))).collect();
        for server in servers.iter_mut().flat_map(|(_, servers)| servers) {
            server.inherit(&of_all);
        }
        self.registries_among(servers);
    }

    fn registries_among(&mut self, files: Vec<(String, Vec<Server>)>) {
        let ports = self.ports();
        let is_one = |path: &str, server: &Server| {
            let named = path.rsplit('/').next().is_some_and(|name| name.contains("registry"));
            let passed = server.backends.iter().any(|to| words::port(to).is_some_and(|port| ports.contains(&port)));
            named || server.api || passed || server.backends.iter().any(|to| to.contains("registry"))
        };
        let mut shared = BTreeSet::new();
        for (path, servers) in &files {
            for server in servers.iter().filter(|server| !is_one(path, server)) {
                shared.extend(
                    server
                        .certificate
                        .iter()
                        .chain(&server.key)
                        .chain(&server.password_file)
                        .map(|path| absolute(path)),
                );
            }
        }
        let shared = Arc::new(shared);
        for (path, servers) in files {
            let real = self.tree.resolve(&path);
            let alone = path != "/etc/nginx/nginx.conf" && servers.iter().all(|server| is_one(&path, server));
            for server in servers.into_iter().filter(|server| is_one(&path, server)) {
                let (path, real) = (path.clone(), real.clone());
                self.host.sites.push(Site { path, real, server, alone, contained: false, shared: shared.clone() });
            }
        }
    }

    /// Puts what a server includes from files of its own in the place of the `include`.
    fn with_snippets(&mut self, directives: Vec<nginx::Directive>, left: &mut usize) -> Vec<nginx::Directive> {
        let mut whole = Vec::new();
        for mut directive in directives {
            let file = directive.words.first().filter(|file| directive.name == "include" && !file.contains('*'));
            let path = file.map(|file| absolute(file)).filter(|_| *left > 0);
            if let Some((path, seen)) = path.and_then(|path| self.file(&path).map(|seen| (path, seen))) {
                match nginx::parse(&seen.text, left) {
                    Ok(directives) => whole.extend(directives),
                    Err(refusal) => drop(self.host.unclear.insert(format!("`{path}`: {refusal}"))),
                }
                continue;
            }
            directive.block = self.with_snippets(std::mem::take(&mut directive.block), left);
            whole.push(directive);
        }
        whole
    }

    /// The ports on which registries of this host listen.
    fn ports(&self) -> BTreeSet<u16> {
        let configured = self.host.configs.iter().filter_map(|(config, _)| words::port(config.address.as_ref()?));
        let bound = self
            .host
            .units
            .iter()
            .flat_map(|unit| words::bound(&unit.text))
            .filter_map(|address| words::port(&address));
        let mut ports: BTreeSet<u16> = configured.chain(bound).collect();
        // Other programs like port 5000 too.
        if !self.host.configs.is_empty() || !self.host.units.is_empty() {
            ports.extend([5000, 15000]);
        }
        ports
    }

    /// The certificates, keys and users that the sites name.
    fn named(&mut self) {
        let sites = self.host.sites.iter().map(|site| &site.server);
        let shown = sites.clone().flat_map(|server| [&server.certificate, &server.key]).flatten();
        let shown: BTreeSet<String> = shown.map(|path| absolute(path)).collect();
        let passwords: BTreeSet<String> =
            sites.filter_map(|server| server.password_file.as_deref().map(absolute)).collect();
        for path in shown {
            if self.known.contains(&path) {
                continue;
            }
            if let Some(seen) = self.file(&path) {
                self.by_content(&path, &seen);
            }
            // Where the key of a server lies, that of its authority often lies too.
            if let Some(folder) = path.rsplit_once('/').map(|(folder, _)| folder.to_owned())
                && self.searched.insert(folder.clone())
            {
                self.loose(&folder, 0);
            }
        }
        passwords.iter().for_each(|path| self.passwords(path));
        let own: Vec<String> =
            self.host.configs.iter().filter_map(|(config, _)| config.password_file.clone()).collect();
        own.iter().for_each(|path| self.passwords(path));
    }

    fn passwords(&mut self, path: &str) {
        if let Some(seen) = self.file(path) {
            self.host.passwords.insert(path.to_owned(), (seen.mode, seen.text));
        }
    }

    /// Takes what is of use out of a folder.
    fn loose(&mut self, folder: &str, depth: usize) {
        let system = folder.starts_with("/etc/ssl/certs");
        for name in self.names(folder) {
            let path = format!("{folder}/{name}");
            if GENERATED.contains(&name.as_str()) || (system && self.tree.is_link(&path)) || name.ends_with(".pub") {
                continue;
            }
            match self.tree.look(&path) {
                Look::Folder if depth > 0 && !self.tree.is_link(&path) => self.loose(&path, depth - 1),
                Look::File(seen) => self.by_content(&path, &seen),
                Look::Denied => drop(self.host.unread.insert(path)),
                _ => {}
            }
        }
    }

    /// Looks into what was named on the command line.
    pub fn further(&mut self, path: &str) -> Result<()> {
        match self.tree.look(path) {
            Look::Folder => self.loose(path, DEEP),
            Look::File(seen) if is_of_compose(path, &seen.text) => {
                let told = if self.host.containers.is_empty() {
                    "its registry is read from its container, and none was found: `docker compose up --no-start` makes it"
                } else {
                    "its registry was read from its container"
                };
                self.host.unclear.insert(format!("`{path}`: a file of Docker Compose; {told}"));
            }
            Look::File(seen) => {
                let variables = self.variables();
                match Config::read(path, &seen.text, &variables) {
                    _ if self.host.configs.iter().any(|(known, _)| known.path == path) => {}
                    Ok(config) if config.is_one(&seen.text) => self.host.configs.push((config, seen.mode)),
                    Err(error) if path.ends_with(".yml") || path.ends_with(".yaml") => return Err(error),
                    _ => self.named_file(path, &seen),
                }
            }
            Look::Denied => drop(self.host.unread.insert(path.to_owned())),
            Look::Nothing => {
                return Err(Error::usage(format!("there is no `{path}`, or it is no text"))
                    .hint("name files or folders that are there; without any the usual places are looked at"));
            }
        }
        Ok(())
    }

    /// Takes a file that was named for what it is, whatever it is called.
    fn named_file(&mut self, path: &str, seen: &Seen) {
        let before = self.host.count();
        self.by_content(path, seen);
        let mut left = nginx::WORDS;
        match nginx::parse(&seen.text, &mut left) {
            Ok(directives) => {
                let directives = self.with_snippets(directives, &mut left);
                let servers = nginx::servers(&directives, &nginx::upstreams(&directives));
                if !servers.is_empty() {
                    self.registries_among(vec![(path.to_owned(), servers)]);
                }
            }
            // It is something else.
            Err(nginx::Refusal::Broken) => {}
            Err(refusal) => drop(self.host.unclear.insert(format!("`{path}`: {refusal}"))),
        }
        let entries = htpasswd::read(&Source::new(path, seen.text.as_str())).map(|file| file.entries);
        if self.host.count() == before && entries.is_ok_and(|entries| !entries.is_empty()) {
            self.host.passwords.insert(path.to_owned(), (seen.mode, seen.text.clone()));
        }
        if self.host.count() == before {
            self.host.unclear.insert(format!(
                "`{path}`: neither a registry's configuration, a site of nginx, a certificate, a key, a policy nor a password file"
            ));
        }
    }

    fn by_content(&mut self, path: &str, seen: &Seen) {
        if !self.known.insert(path.to_owned()) {
            return;
        }
        let host = &mut self.host;
        if let Some(error) = CertificateFile::refused(&seen.text) {
            host.unclear.insert(format!("`{path}`: {error}"));
        } else if let Some(file) = CertificateFile::read(path, &seen.text) {
            self.certificates += file.all.len();
            if self.certificates > CERTIFICATES {
                host.unclear.insert(format!("`{path}`: there are more than {CERTIFICATES} certificates before it"));
            } else {
                host.certificates.push(file);
            }
        }
        host.keys.extend(KeyFile::read(path, &seen.text, seen.mode));
        if policy::is_policy(&seen.text) {
            host.policies.push((path.to_owned(), seen.text.clone()));
        }
    }
}

impl Host {
    /// How much was found.
    fn count(&self) -> usize {
        self.sites.len() + self.certificates.len() + self.keys.len() + self.policies.len() + self.passwords.len()
    }
}

/// Whether a file describes services for Docker Compose.
fn is_of_compose(path: &str, text: &str) -> bool {
    use crate::formats::yaml::{Content, Node};
    let read = Node::parse_with_aliases(&Source::new(path, text));
    let Ok(Node { value: Content::Map(entries), .. }) = read else { return false };
    entries.iter().any(|(key, value)| key.text == "services" && matches!(value.value, Content::Map(_)))
}

/// Paths of nginx count from its own folder.
pub(super) fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/etc/nginx/{path}") }
}
