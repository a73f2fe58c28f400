//! Takes what containers tell among what was found on a host.

use super::config::Config;
use super::containers::Container;
use super::host::{Reader, Site};
use super::nginx::{self, Listen, Server};
use super::words;
use crate::error::Result;

/// The port that a registry listens on if nothing else is said.
const PORT: u16 = 5000;
/// What a registry does of which no configuration can be read.
const USUAL: &str = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n";

impl Reader<'_> {
    /// Reads the registry of a container, and the servers of nginx in others that pass requests on to it.
    pub(super) fn contained(&mut self, registry: &Container, others: &[Container]) -> Result<()> {
        let (path, text) = match registry.files.first() {
            // The first registry says in variables what it is.
            _ if registry.is_first => (String::new(), "common: {}"),
            Some((path, text)) => (path.clone(), text.as_str()),
            None => (String::new(), USUAL),
        };
        let place = place(registry, &path);
        let mut config = Config::read(&place, text, &registry.variables)?;
        let inside = config.address.as_deref().and_then(words::port).unwrap_or(PORT);
        let published = registry.published(inside);
        config.address = published.map(|bound| format!("{}:{}", bound.address, bound.port));
        config.password_file = config.password_file.and_then(|path| self.mapped(registry, &path));
        config.container = Some(registry.name.clone());
        config.images = config.folder.take().and_then(|folder| registry.source(&folder));
        if let (Some((certificate, key)), Some(bound)) = (config.shown.take(), published) {
            let server = Server {
                listens: vec![Listen { port: bound.port, tls: true }],
                certificate: self.mapped(registry, &certificate),
                key: self.mapped(registry, &key),
                asks: config.asks,
                decides: true,
                body_size: Some("0".to_owned()),
                api: true,
                ..Server::default()
            };
            self.site_of_container(place, server);
        }
        for other in others.iter().filter(|other| other.is_nginx) {
            self.in_front(other, registry, inside);
        }
        self.host.unclear.extend(registry.unclear.iter().cloned());
        // What is named or runs counts before what merely lies on the host.
        self.host.configs.insert(0, (config, 0o600));
        self.host.containers.insert(0, registry.clone());
        Ok(())
    }

    fn in_front(&mut self, proxy: &Container, registry: &Container, inside: u16) {
        let mut left = nginx::WORDS;
        let read = proxy.files.iter().map(|(path, text)| (path, nginx::parse(text, &mut left)));
        let (mut parsed, mut upstreams) = (Vec::new(), nginx::Upstreams::new());
        for (path, directives) in read.collect::<Vec<_>>() {
            match directives {
                Ok(directives) => {
                    upstreams.extend(nginx::upstreams(&directives));
                    parsed.push((path, directives));
                }
                Err(refusal) => drop(self.host.unclear.insert(format!("{}: {refusal}", place(proxy, path)))),
            }
        }
        let is_it = |to: &String| {
            let (name, port) = to.rsplit_once(':').unwrap_or((to, ""));
            // A name in a variable is looked up later: it is that of the upstream all the same.
            registry.known_as.contains(name) && (port.is_empty() || port.parse() == Ok(inside))
        };
        let mut is_in_front = false;
        for (path, directives) in &parsed {
            for mut server in nginx::servers(directives, &upstreams) {
                if !server.backends.iter().any(is_it) {
                    continue;
                }
                is_in_front = true;
                server.listens = server
                    .listens
                    .iter()
                    .filter_map(|listen| Some(Listen { port: proxy.published(listen.port)?.port, tls: listen.tls }))
                    .collect();
                server.certificate = server.certificate.take().and_then(|path| self.mapped(proxy, &path));
                server.key = server.key.take().and_then(|path| self.mapped(proxy, &path));
                server.password_file = server.password_file.take().and_then(|path| self.mapped(proxy, &path));
                self.site_of_container(place(proxy, path), server);
            }
        }
        if is_in_front {
            self.host.unclear.extend(proxy.unclear.iter().cloned());
            self.host.containers.push(proxy.clone());
        }
    }

    fn site_of_container(&mut self, place: String, server: Server) {
        let site = Site {
            path: place.clone(),
            real: place,
            server,
            alone: false,
            contained: true,
            shared: std::sync::Arc::default(),
        };
        self.host.sites.push(site);
    }

    /// Where the host has a file of a container; told if it has none.
    fn mapped(&mut self, container: &Container, path: &str) -> Option<String> {
        let path = super::host::absolute(path);
        let found = container.on_host(&path);
        if found.is_none() {
            self.host.unclear.insert(format!("{}: it is in the container alone", place(container, &path)));
        }
        found
    }
}

/// How a file of a container is named.
fn place(container: &Container, path: &str) -> String {
    if path.is_empty() {
        format!("container {}", container.name)
    } else {
        format!("container {}: {path}", container.name)
    }
}
