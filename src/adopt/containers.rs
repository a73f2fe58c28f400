//! Registries in containers of an engine, and nginx in front of them: [`Container`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bollard::models::{ContainerInspectResponse, ContainerSummary};

use crate::error::Result;
use crate::world::engine::{Engine, ID};

/// Where the images of a registry look for their configuration (their Dockerfiles).
const CONFIGS: [&str; 2] = ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];
const NGINX: &str = "/etc/nginx";

/// A container of somebody else that runs a registry, or nginx.
#[derive(Debug, Clone, Default)]
pub(crate) struct Container {
    pub name: String,
    pub image: String,
    pub variables: BTreeMap<String, String>,
    /// Who it runs as; nothing is root.
    pub user: String,
    /// Whether it is nginx, and not a registry.
    pub is_nginx: bool,
    /// Whether it is the first registry, in Python.
    pub is_first: bool,
    pub published: Vec<Published>,
    pub mounts: Vec<Mounted>,
    /// The names and addresses by which other containers reach it.
    pub known_as: BTreeSet<String>,
    /// Its files that matter, by their paths there: the configuration, or the sites of nginx.
    pub files: Vec<(String, String)>,
    /// What of it could not be read.
    pub unclear: Vec<String>,
}

/// A port of a container that the engine publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub inside: u16,
    pub address: String,
    pub port: u16,
}

/// What is mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub target: String,
    /// The name of the volume, or a folder or file of the host.
    pub source: String,
    /// Where the engine's host has it.
    pub place: String,
}

/// Every container of others that runs a registry or nginx, with what there is to read of it.
///
/// # Errors
/// The engine does not answer.
pub(crate) async fn look(engine: &Engine) -> Result<Vec<Container>> {
    let mut found = Vec::new();
    for summary in engine.all_containers().await? {
        let labels = summary.labels.clone().unwrap_or_default();
        let Some(id) = summary.id.clone().filter(|_| !labels.contains_key(ID) && may_be(&summary)) else { continue };
        if let Some(inspected) = engine.container(&id).await?
            && let Some(container) = Container::of(inspected)
        {
            found.push(container.with_files(engine).await);
        }
    }
    Ok(found)
}

fn may_be(summary: &ContainerSummary) -> bool {
    let text =
        format!("{} {}", summary.image.as_deref().unwrap_or_default(), summary.command.as_deref().unwrap_or_default());
    ["registry", "distribution", "nginx"].iter().any(|word| text.contains(word))
}

impl Container {
    /// What inspection tells; none if it runs neither.
    fn of(found: ContainerInspectResponse) -> Option<Self> {
        let config = found.config.unwrap_or_default();
        let words: Vec<String> = config.entrypoint.into_iter().chain(config.cmd).flatten().collect();
        let image = config.image.unwrap_or_default();
        let variables: BTreeMap<String, String> = config
            .env
            .unwrap_or_default()
            .iter()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let says = |word: &str| words.iter().any(|own| own.contains(word));
        let is_nginx = says("nginx") || last_of(&image).starts_with("nginx");
        let is_first = says("docker-registry") || says("docker_registry") || variables.contains_key("SETTINGS_FLAVOR");
        let of_image = ["registry", "distribution"].contains(&last_of(&image));
        let serves = says("serve") && says("registry") || words.iter().any(|word| CONFIGS.contains(&word.as_str()));
        let is_one = serves || of_image || variables.keys().any(|name| name.starts_with("REGISTRY_STORAGE"));
        if !is_nginx && !is_first && !is_one {
            return None;
        }
        let mut known_as: BTreeSet<String> = BTreeSet::new();
        let name = found.name.unwrap_or_default().trim_start_matches('/').to_owned();
        known_as.insert(name.clone());
        known_as.extend(config.hostname);
        let settings = found.network_settings.unwrap_or_default();
        for network in settings.networks.unwrap_or_default().into_values() {
            known_as.extend(network.aliases.into_iter().chain(network.dns_names).flatten());
            known_as.extend(network.ip_address.filter(|address| !address.is_empty()));
        }
        let bindings = found.host_config.and_then(|config| config.port_bindings).unwrap_or_default();
        let mut published: Vec<Published> = bindings
            .into_iter()
            .flat_map(|(inside, bound)| bound.into_iter().flatten().map(move |bound| (inside.clone(), bound)))
            .filter_map(|(inside, bound)| {
                let inside = inside.split('/').next()?.parse().ok()?;
                let address = bound.host_ip.filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
                Some(Published { inside, address, port: bound.host_port?.parse().ok()? })
            })
            .collect();
        published.sort_by_key(|bound| (bound.inside, bound.port));
        let mounts = found.mounts.into_iter().flatten().filter_map(|mount| {
            let (target, place) = (mount.destination?, mount.source.unwrap_or_default());
            let name = mount.name.filter(|name| !name.is_empty());
            Some(Mounted { target, source: name.unwrap_or_else(|| place.clone()), place })
        });
        Some(Self {
            name,
            image,
            variables,
            user: config.user.unwrap_or_default(),
            is_nginx: is_nginx && !is_one && !is_first,
            is_first,
            published,
            mounts: mounts.collect(),
            known_as,
            files: words.into_iter().filter(|word| word.ends_with(".yml")).map(|path| (path, String::new())).collect(),
            unclear: Vec::new(),
        })
    }

    /// Reads its configuration or its sites.
    async fn with_files(mut self, engine: &Engine) -> Self {
        let named = std::mem::take(&mut self.files).into_iter().map(|(path, _)| path);
        let paths: Vec<String> =
            if self.is_nginx { vec![NGINX.to_owned()] } else { named.chain(CONFIGS.map(str::to_owned)).collect() };
        for path in paths {
            match engine.download(&self.name, &path).await {
                Ok(Some(archive)) => self.files.extend(texts(&path, &archive)),
                Ok(None) => continue,
                Err(error) => self.unclear.push(format!("container `{}`: {error}", self.name)),
            }
            // The first one that is there is the one that counts.
            break;
        }
        self
    }

    /// The port of the host that stands for one of its own.
    pub fn published(&self, inside: u16) -> Option<&Published> {
        self.published.iter().find(|bound| bound.inside == inside)
    }

    /// The folder or file of the host that stands for one of its own, if it is mounted from there.
    pub fn on_host(&self, path: &str) -> Option<String> {
        let (mount, rest) = self.mount_of(path)?;
        mount.source.starts_with('/').then(|| format!("{}{rest}", mount.place))
    }

    /// What to mount to have one of its folders: a volume's name, or a path of the engine's host.
    pub fn source(&self, folder: &str) -> Option<String> {
        let (mount, rest) = self.mount_of(folder)?;
        Some(if rest.is_empty() { mount.source.clone() } else { format!("{}{rest}", mount.place) })
    }

    fn mount_of<'a>(&self, path: &'a str) -> Option<(&Mounted, &'a str)> {
        let path = path.trim_end_matches('/');
        let rest = |mount: &Mounted| path.strip_prefix(mount.target.trim_end_matches('/'));
        let within = |mount: &&Mounted| rest(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let mount = self.mounts.iter().filter(within).max_by_key(|mount| mount.target.len())?;
        Some((mount, rest(mount)?))
    }
}

/// The last part of an image's name, without tag and digest.
fn last_of(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    name.split(':').next().unwrap_or_default()
}

/// The texts in an archive of a file, or of nginx's folder: those that nginx reads by itself.
fn texts(path: &str, archive: &[u8]) -> Vec<(String, String)> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for mut entry in archive.entries().into_iter().flatten().flatten() {
        let Ok(name) = entry.path().map(|name| format!("{folder}/{}", name.display())) else { continue };
        let is_site = name == "/etc/nginx/nginx.conf"
            || name.starts_with("/etc/nginx/sites-enabled/")
            || (name.starts_with("/etc/nginx/conf.d/") && name.ends_with(".conf"));
        let mut content = Vec::new();
        if entry.header().entry_type().is_file()
            && (is_site || path != NGINX)
            && entry.read_to_end(&mut content).is_ok()
        {
            found.push((name, String::from_utf8_lossy(&content).into_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Container, Mounted, last_of};

    #[test]
    fn an_image_is_known_by_the_last_part_of_its_name() {
        for (image, last) in [
            ("registry:2", "registry"),
            ("localhost:5000/mirror/registry@sha256:00", "registry"),
            ("docker.io/library/registry", "registry"),
            ("acme/registry-ui:1", "registry-ui"),
        ] {
            assert_eq!(last_of(image), last);
        }
    }

    #[test]
    fn a_folder_is_found_behind_the_mount_that_is_nearest() {
        let mount = |target: &str, source: &str, place: &str| Mounted {
            target: target.to_owned(),
            source: source.to_owned(),
            place: place.to_owned(),
        };
        let container = Container {
            mounts: vec![
                mount("/var/lib", "/srv/all", "/srv/all"),
                mount("/var/lib/registry", "images", "/engine/images/_data"),
            ],
            ..Container::default()
        };
        assert_eq!(container.source("/var/lib/registry/").as_deref(), Some("images"));
        assert_eq!(container.source("/var/lib/registry/v2").as_deref(), Some("/engine/images/_data/v2"));
        assert_eq!(container.source("/var/lib/registry-2").as_deref(), Some("/srv/all/registry-2"));
        assert_eq!(container.source("/opt").as_deref(), None);
        assert_eq!(container.on_host("/var/lib/x.yml").as_deref(), Some("/srv/all/x.yml"));
        assert_eq!(container.on_host("/var/lib/registry/x").as_deref(), None);
    }
}
