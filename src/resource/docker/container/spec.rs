//! The fields of a container in a playbook.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::ContainerInspectResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::backup::Dump;
use super::carry::Carries;
use super::outward::CallsOut;
use crate::error::{Error, Result, did_you_mean};
use crate::language::format::Format;
use crate::resource::At;
use crate::resource::content::{Content, Mode, fingerprint};
use crate::secret::Secret;
use crate::text::digest::sha256_bytes;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name on the engine; by default the deployment's name and the resource's.
    pub name: Option<String>,
    pub image: String,
    pub entrypoint: Option<Vec<String>>,
    pub command: Option<Vec<String>>,
    /// `USER:GROUP`, in numbers.
    pub user: Option<String>,
    /// Environment variables. They show in `docker inspect`, so no secret fits here.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Environment variables that hold a secret though they show in `docker inspect`: for images that take it no other way.
    #[serde(default)]
    pub secret_env: BTreeMap<String, Secret>,
    /// It calls out to the world: it is given the proxies of the deployment.
    pub calls_out: Option<CallsOut>,
    /// Labels beside those that tell whose it is.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Files in it by their paths. A path that ends in a slash is a folder, made if it is missing.
    #[serde(default)]
    pub(super) files: BTreeMap<String, FileSpec>,
    /// Folders in volumes of which all must belong to a user, `USER:GROUP` in numbers, whoever has filled them.
    #[serde(default)]
    pub owners: BTreeMap<String, String>,
    /// Volumes by the paths where they are mounted.
    #[serde(default)]
    pub volumes: BTreeMap<String, String>,
    /// File systems in memory, by path, with Docker's options such as `size=64m,mode=1777`.
    #[serde(default)]
    pub tmpfs: BTreeMap<String, String>,
    /// The networks that it is on; or `container:ID` alone, for that of another container.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Names, beside its own, by which others on its networks find it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Other containers, each with the name by which this one alone finds it.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
    /// Ports of the host: `8080:80`, `127.0.0.1:8080:80`. With `0:80` the engine chooses one that is free.
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    pub restart: Restart,
    /// It runs once, to its end with exit code 0, and then stays as the mark that it did. It is run again if this text is
    /// another one, and not for any other change.
    pub once: Option<String>,
    /// Whether a copy without ports must become ready beside the old one before that one is replaced. For programs of which
    /// two can share their volumes.
    #[serde(default)]
    pub trial: bool,
    /// A text that differs where a new one can run beside the old, sharing its volumes but none of its files there. The old
    /// one then goes on until the whole run has succeeded.
    pub overlap: Option<String>,
    /// How its images get to the store of its successor, where it is a registry.
    pub carry: Option<Carries>,
    /// Bytes of memory, as `512m`; at least 6 MiB.
    pub memory: Option<String>,
    /// How many processors it may use, as `1.5`.
    pub cpus: Option<f64>,
    /// How many processes it may have.
    pub pids: Option<i64>,
    /// Whether its root file system cannot be written. Files are then uploaded into small volumes of their own.
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub cap_drop: Vec<String>,
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Whether its processes can gain privileges, by `setuid` programs for instance.
    #[serde(default)]
    pub new_privileges: bool,
    /// When it counts as ready; without it, when it has run for half a second.
    pub ready: Option<Ready>,
    /// How the engine finds out, again and again, whether it is well.
    pub health: Option<Health>,
    /// How it takes up changed files without being replaced.
    pub reload: Option<Reload>,
    /// Folders of this host by the paths that they are copied to before it is started. It must be one that runs `once`, and a volume must
    /// be mounted there.
    #[serde(default)]
    pub(super) folders: BTreeMap<String, FolderSpec>,
    /// Files in its volumes that another program has made: while one of them is there, it is neither made nor replaced.
    #[serde(default)]
    pub(super) foreign: BTreeMap<String, Foreign>,
    /// Volumes, by their paths, that a backup holds as what a program makes of them.
    #[serde(default)]
    pub backup: BTreeMap<String, Dump>,
}

/// The network that the engine brings.
pub(super) const BRIDGE: &str = "bridge";
/// The engine's word for no network at all.
pub(super) const NONE: &str = "none";
/// How the engine's word for the network of another container begins, before its name or id.
pub(super) const OF_CONTAINER: &str = "container:";

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSpec {
    pub(super) content: Option<Secret>,
    pub(super) template: Option<Content>,
    /// The permission bits, in octal; by default 0444, and 0755 for a folder.
    pub(super) mode: Option<Mode>,
    /// `USER:GROUP`, in numbers.
    #[serde(default = "root")]
    pub(super) owner: String,
    /// A form that the content must have; it is checked before anything is changed.
    pub(super) check: Option<Format>,
}

fn root() -> String {
    "0:0".to_owned()
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FolderSpec {
    /// The folder of this host. Of what is in it, regular files and folders are copied; with anything else it is refused.
    pub(super) from: String,
    /// `USER:GROUP`, in numbers, to whom all of it then belongs.
    pub(super) owner: String,
    /// Names of which one at least must be in it, so that another folder is not taken for it.
    #[serde(default)]
    pub(super) holds: Vec<String>,
}

/// Why a container does not go with a file that is there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Foreign {
    /// What is in the way.
    pub(super) refuse: String,
    /// What to do.
    pub(super) hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    #[default]
    No,
    Always,
    OnFailure,
    UnlessStopped,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// Something listens on this TCP port.
    pub tcp: Option<u16>,
    /// Something listens on this Unix socket.
    pub socket: Option<String>,
    /// This text stands in what it printed since it was started. Where the engine keeps no log that can be read, the rest has
    /// to do.
    pub log: Option<String>,
    /// A command in the container that then succeeds.
    #[serde(default)]
    pub command: Vec<String>,
    /// What a user can do where that command fails.
    pub hint: Option<String>,
    /// Seconds until it must be ready.
    #[serde(default = "timeout")]
    pub timeout: u32,
}

fn timeout() -> u32 {
    60
}

/// All times are in seconds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// A command in the container that succeeds while it is well.
    pub command: Vec<String>,
    #[serde(default = "interval")]
    pub interval: u32,
    #[serde(default = "patience")]
    pub timeout: u32,
    /// After how many failures in a row it counts as unhealthy.
    #[serde(default = "retries")]
    pub retries: u32,
    /// How long failures do not count after a start.
    #[serde(default)]
    pub start: u32,
}

fn interval() -> u32 {
    30
}

fn patience() -> u32 {
    10
}

fn retries() -> u32 {
    3
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reload {
    /// A command in the container that must succeed with the new files.
    #[serde(default)]
    pub check: Vec<String>,
    /// The signal that makes it read them.
    pub signal: String,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Publish {
    pub address: String,
    /// 0 is one that the engine chooses at each start.
    pub host: u16,
    /// `80/tcp`
    pub container: String,
}

impl Restart {
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

impl Publish {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(format!("`{text}` is no port to publish"))
                .hint("write `HOST:CONTAINER` as in `8080:80`, or `127.0.0.1:8080:80`")
        };
        let (host, container) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
        let (number, protocol) = container.split_once('/').unwrap_or((container, "tcp"));
        let port = |text: &str| text.parse::<u16>().ok().ok_or_else(wrong);
        let number = Some(port(number)?).filter(|number| *number > 0).ok_or_else(wrong)?;
        let address = address.trim_start_matches('[').trim_end_matches(']');
        Ok(Self { address: address.to_owned(), host: port(host)?, container: format!("{number}/{protocol}") })
    }
}

impl Spec {
    pub fn name(&self, at: &At) -> String {
        self.name.clone().unwrap_or_else(|| at.default_name())
    }

    /// The same container as it is tried beside the one that it is to replace.
    pub fn tried(&self) -> Self {
        Self { publish: Vec::new(), restart: Restart::No, ..self.clone() }
    }

    pub fn published(&self) -> Result<Vec<Publish>> {
        self.publish.iter().map(|text| Publish::parse(text)).collect()
    }

    /// The port of the host that it is reached by, if it is known: the one that is asked for, or that the engine chose.
    pub fn port(&self, found: Option<&ContainerInspectResponse>) -> Option<u16> {
        let publish = self.published().ok()?.into_iter().next()?;
        if publish.host > 0 {
            return Some(publish.host);
        }
        let ports = found?.network_settings.as_ref()?.ports.as_ref()?;
        ports.get(&publish.container)?.as_ref()?.first()?.host_port.as_ref()?.parse().ok()
    }

    /// Whether it asks for a port that the engine chooses.
    pub fn takes_any_port(&self) -> bool {
        self.published().is_ok_and(|ports| ports.iter().any(|port| port.host == 0))
    }

    /// Whether an old and a new one can run at the same time: they share neither a port nor data.
    pub fn may_overlap(&self) -> bool {
        self.publish.is_empty() && self.volumes.is_empty()
    }

    /// The text by which it is told apart from one that it can run beside.
    pub fn overlap(&self) -> Option<&str> {
        self.overlap.as_deref().filter(|text| !text.is_empty())
    }

    /// Finds what no schema can say.
    pub fn check(&self) -> Result<()> {
        self.published()?;
        self.memory()?;
        for file in self.files()? {
            if !file.path.starts_with('/') {
                return Err(Error::new(format!("the path `{}` in a container must start with a slash", file.path)));
            }
            if let (Some(format), Some(content)) = (self.files[&file.path].check, file.content) {
                format.check(&file.path, content)?;
            }
        }
        if let Some(path) = self.backup.keys().find(|path| !self.volumes.contains_key(*path)) {
            let known: Vec<&str> = self.volumes.keys().map(String::as_str).collect();
            return Err(Error::new(format!("`backup` names `{path}`, where no volume is mounted"))
                .hint(did_you_mean(path, &known)));
        }
        let fault = |text: &str, hint: &str| Err(Error::new(text).hint(hint));
        if !self.links.is_empty() && self.networks.is_empty() {
            return fault(
                "`links` need a network of their own",
                "add `networks:`; on Docker's default bridge, `networks: [bridge]`, a link shows the other's environment",
            );
        }
        if let Some(path) = self.folders.keys().find(|path| self.once.is_none() || self.volume_of(path).is_none()) {
            return fault(
                &format!("`folders` names `{path}`, which is not in a volume of a container that runs `once`"),
                "give it `once` and `volumes`",
            );
        }
        if self.once.is_some() && (self.restart != Restart::No || self.ready.is_some() || self.health.is_some()) {
            return fault(
                "a container that runs `once` is done when it has ended",
                "leave `restart`, `ready` and `health` out",
            );
        }
        Ok(())
    }

    /// Whether it is on the default bridge, where names are not resolved and links are of the old kind.
    pub fn on_default_bridge(&self) -> bool {
        self.networks.first().is_none_or(|network| network == BRIDGE)
    }

    pub fn memory(&self) -> Result<Option<i64>> {
        let Some(text) = &self.memory else { return Ok(None) };
        let bytes = crate::language::input::size(text)?;
        if bytes < 6 << 20 {
            return Err(Error::new(format!("`memory: {text}` is too small")).hint("Docker takes 6m and more"));
        }
        Ok(i64::try_from(bytes).ok())
    }

    /// Its files and folders, in the order of their paths.
    pub fn files(&self) -> Result<Vec<File<'_>>> {
        let mut files = Vec::new();
        for (path, spec) in &self.files {
            let folder = path.ends_with('/');
            let content = match (&spec.content, &spec.template) {
                (Some(content), None) if !folder => Some(content.expose()),
                (None, Some(template)) if !folder => Some(template.expose()),
                (None, None) if folder => None,
                _ if folder => return Err(Error::new(format!("`{path}` is a folder and has no content"))),
                _ => return Err(Error::new(format!("the file `{path}` needs either `content` or `template`"))),
            };
            let mode = spec.mode.unwrap_or(Mode::new(if folder { 0o755 } else { 0o444 }));
            let (user, group) = owner(&spec.owner)?;
            files.push(File { path: path.clone(), content, mode, user, group });
        }
        Ok(files)
    }

    /// The mount point of the declared volume that a path lies in.
    pub fn volume_of(&self, path: &str) -> Option<&str> {
        let inside =
            |mount: &&String| path.strip_prefix(mount.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
        self.volumes.keys().filter(inside).max_by_key(|mount| mount.len()).map(String::as_str)
    }

    /// The folders that become volumes of their own, because the root file system cannot be written.
    pub fn file_folders(&self) -> Result<BTreeSet<String>> {
        if !self.read_only {
            return Ok(BTreeSet::new());
        }
        let files = self.files()?;
        let outside = files.iter().filter(|file| self.volume_of(&file.path).is_none());
        Ok(outside.map(|file| file.folder().to_owned()).collect())
    }
}

/// The numbers of a user and a group.
pub(super) fn owner(text: &str) -> Result<(u64, u64)> {
    let owner = text.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    owner.ok_or_else(|| {
        Error::new(format!("`{text}` is no owner")).hint("write the numbers of user and group, as in `65532:65532`")
    })
}

/// A file or, without content, a folder as it should be.
pub(crate) struct File<'a> {
    pub path: String,
    pub content: Option<&'a str>,
    pub mode: Mode,
    pub user: u64,
    pub group: u64,
}

impl File<'_> {
    pub fn folder(&self) -> &str {
        match self.path.trim_end_matches('/').rsplit_once('/') {
            Some(("", _)) | None => "/",
            Some((folder, _)) => folder,
        }
    }

    pub fn owner(&self) -> String {
        format!("{}:{}", self.user, self.group)
    }

    pub fn fingerprint(&self) -> String {
        self.content.map(|content| fingerprint(content.as_bytes())).unwrap_or_default()
    }

    /// Nanoseconds that only this content, mode and owner have.
    pub fn nanoseconds(&self) -> u32 {
        let text = format!("{}\n{}\n{}\n{}", self.path, self.mode, self.owner(), self.content.unwrap_or_default());
        let hash = sha256_bytes(text.as_bytes());
        u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) % 1_000_000_000
    }
}
