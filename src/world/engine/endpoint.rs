//! Which engine is meant, as `docker` finds it out: [`Endpoint`].
//!
//! `DOCKER_HOST` goes before `DOCKER_CONTEXT`, and that before the context that `docker context use` chose. What asks for TLS
//! gets it or is refused; `docker` itself would go on without in some of these cases.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use serde::Deserialize;

use super::tls::{self, Material};
use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::world::ssh::{Forward, Target};
use crate::world::{accounts, files, host};

/// The context that is none: what the environment says, else the engine of this host.
const DEFAULT: &str = "default";
const SOCKET: &str = "/var/run/docker.sock";
const PORT: u16 = 2375;
/// Where an engine is taken to be if TLS is asked for and no address is given.
const WITH_TLS: &str = "tcp://localhost:2376";

/// An engine's address, and how it is spoken to there.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// `unix:///var/run/docker.sock`, `tcp://host:2376`, `ssh://user@host`.
    pub address: String,
    /// The context that names it.
    pub context: Option<String>,
    pub(super) way: Way,
}

#[derive(Debug, Clone)]
pub(super) enum Way {
    Socket(PathBuf),
    Network {
        host: String,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
    },
    /// A socket of another host, with the name of that host.
    Ssh {
        host: String,
        forward: Arc<Forward>,
    },
}

/// What the environment says.
#[derive(Debug, Default, Clone)]
struct Words {
    /// `DOCKER_HOST`.
    host: Option<String>,
    /// `DOCKER_CONTEXT`.
    context: Option<String>,
    /// `DOCKER_TLS_VERIFY`: set to anything at all, it asks for TLS with a server that is verified.
    verify: bool,
    /// `DOCKER_TLS`: TLS with whoever answers.
    tls: bool,
    /// `DOCKER_CERT_PATH`.
    certificates: Option<PathBuf>,
}

impl Words {
    fn of_environment() -> Self {
        Self {
            host: host::variable("DOCKER_HOST"),
            context: host::variable("DOCKER_CONTEXT"),
            verify: host::variable("DOCKER_TLS_VERIFY").is_some(),
            tls: host::variable("DOCKER_TLS").is_some(),
            certificates: host::variable("DOCKER_CERT_PATH").map(PathBuf::from),
        }
    }

    fn asks_for_tls(&self) -> bool {
        self.verify || self.tls
    }
}

/// The part of `config.json` that says which engine is meant.
#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "currentContext", default)]
    current_context: String,
}

/// What `docker context create` writes down.
#[derive(Deserialize)]
struct Context {
    #[serde(rename = "Endpoints", default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(rename = "Host", default)]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_verification: bool,
}

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Socket(PathBuf),
    Network { host: String, port: u16, scheme: Scheme },
    Ssh(Target),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Tcp,
    Http,
    Https,
}

/// The folder of Docker's own configuration.
pub(crate) fn docker_folder() -> Option<PathBuf> {
    host::variable("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(accounts::home_or_table()?.join(".docker")))
}

impl Endpoint {
    /// The engine that a command typed here and now is about.
    ///
    /// # Errors
    /// What names it cannot be understood, or asks for a protection that cannot be had.
    pub fn in_use() -> Result<Self> {
        Self::of(&Words::of_environment(), docker_folder().as_deref())
    }

    fn of(words: &Words, folder: Option<&Path>) -> Result<Self> {
        match context(words, folder)? {
            Some((name, named_by)) => Self::of_context(words, folder, &name, &named_by),
            None => Self::of_host(words, folder),
        }
    }

    fn of_host(words: &Words, folder: Option<&Path>) -> Result<Self> {
        let given = words.host.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let address = match given {
            Some(text) => Address::parse(text).map_err(|error| error.within(format!("`DOCKER_HOST={text}`")))?,
            None if words.asks_for_tls() => Address::parse(WITH_TLS)?,
            None => Address::Socket(socket()),
        };
        let certificates = words.certificates.as_deref().or(folder);
        let tls = match &address {
            Address::Network { scheme: Scheme::Http, .. } if words.asks_for_tls() => {
                return Err(Error::usage(format!(
                    "`DOCKER_TLS_VERIFY` asks for TLS, and `DOCKER_HOST={address}` for none"
                ))
                .hint("write `tcp://HOST:PORT`, or unset `DOCKER_TLS_VERIFY` and `DOCKER_TLS`"));
            }
            Address::Network { .. } if words.asks_for_tls() => {
                let folder = certificates
                    .ok_or_else(|| Error::usage("no folder of certificates is known").hint("set `DOCKER_CERT_PATH`"))?;
                Some(Material::in_folder(folder, true)?.unwrap_or_default().settle(words.verify)?)
            }
            Address::Network { scheme: Scheme::Https, .. } => Some(Material::default().settle(true)?),
            Address::Network { .. } if words.certificates.is_some() => {
                return Err(Error::usage(format!(
                    "`DOCKER_CERT_PATH` is set, but nothing asks for TLS with the engine at `{address}`"
                ))
                .hint("set `DOCKER_TLS_VERIFY=1` as well; or unset `DOCKER_CERT_PATH` to go without protection"));
            }
            // Nobody can listen in on a socket of this host, nor on what ssh carries.
            Address::Socket(_) | Address::Ssh(_) | Address::Network { .. } => None,
        };
        Ok(Self { address: address.to_string(), context: None, way: address.way(tls) })
    }

    fn of_context(words: &Words, folder: Option<&Path>, name: &str, named_by: &str) -> Result<Self> {
        let id = sha256(name.as_bytes());
        let contexts = folder.map(|folder| folder.join("contexts")).unwrap_or_default();
        let within = |error: Error| error.within(format!("the context `{name}` of Docker, which {named_by} names"));
        let file = contexts.join("meta").join(&id).join("meta.json");
        let Some(found) = files::read_through(&file).map_err(within)? else {
            return Err(Error::usage(format!("there is no context `{name}` of Docker, which {named_by} names"))
                .hint("`docker context ls` shows those that there are, and `docker context use NAME` chooses one"));
        };
        let damaged = |reason: String| {
            within(Error::new(reason)).hint("`docker context inspect` shows it; `docker context create` makes it anew")
        };
        let context: Context = serde_json::from_slice(&found)
            .map_err(|_| damaged(format!("`{}` cannot be understood", file.display())))?;
        let endpoint = context.endpoints.docker.ok_or_else(|| damaged("it has no endpoint `docker`".to_owned()))?;
        let skip = endpoint.skip_verification;
        let address = match endpoint.host.trim() {
            "" => Address::Socket(SOCKET.into()),
            host => Address::parse(host).map_err(within)?,
        };
        let material = Material::in_folder(&contexts.join("tls").join(&id).join("docker"), false).map_err(within)?;
        let tls = match &address {
            Address::Network { .. } if skip && words.verify => {
                return Err(Error::usage(format!(
                    "`DOCKER_TLS_VERIFY` asks for a server that is verified, and the context `{name}` does without"
                ))
                .hint("unset `DOCKER_TLS_VERIFY`, or make the context anew without `skip-tls-verify`"));
            }
            Address::Network { scheme, .. } if material.is_some() || skip || *scheme == Scheme::Https => {
                Some(material.unwrap_or_default().settle(!skip).map_err(within)?)
            }
            Address::Network { .. } if words.asks_for_tls() => {
                return Err(Error::usage(format!(
                    "`DOCKER_TLS_VERIFY` asks for TLS, and the context `{name}` (`{address}`) has none"
                ))
                .hint(
                    "make the context anew with `ca`, `cert` and `key`, or unset `DOCKER_TLS_VERIFY` and `DOCKER_TLS`",
                ));
            }
            Address::Socket(_) | Address::Ssh(_) | Address::Network { .. } => None,
        };
        Ok(Self { address: address.to_string(), context: Some(name.to_owned()), way: address.way(tls) })
    }

    pub fn has_tls(&self) -> bool {
        matches!(self.way, Way::Network { tls: Some(_), .. })
    }

    /// The path of its socket, if it has one on this host.
    pub fn socket(&self) -> Option<&Path> {
        match &self.way {
            Way::Socket(path) => Some(path),
            Way::Network { .. } | Way::Ssh { .. } => None,
        }
    }

    /// The host that it is on.
    pub fn host(&self) -> &str {
        match &self.way {
            Way::Socket(_) => "127.0.0.1",
            Way::Network { host, .. } | Way::Ssh { host, .. } => host,
        }
    }

    /// As it is told: ``tcp://host:2376 (context `far`, TLS)``.
    pub fn describe(&self) -> String {
        let context = self.context.as_ref().map(|name| format!("context `{name}`"));
        let tls = self.has_tls().then(|| "TLS".to_owned());
        let beside: Vec<String> = context.into_iter().chain(tls).collect();
        if beside.is_empty() { self.address.clone() } else { format!("{} ({})", self.address, beside.join(", ")) }
    }
}

/// The context that is meant, and what names it; none if the environment or nothing says which engine.
fn context(words: &Words, folder: Option<&Path>) -> Result<Option<(String, String)>> {
    if words.host.is_some() {
        return Ok(None);
    }
    let (name, named_by) = match &words.context {
        Some(name) => (name.clone(), "`DOCKER_CONTEXT`".to_owned()),
        None => match current(folder)? {
            Some((name, file)) => (name, format!("`{file}`")),
            None => return Ok(None),
        },
    };
    Ok(Some((name, named_by)).filter(|(name, _)| name != DEFAULT))
}

/// The context that `docker context use` chose, and the file that says so.
fn current(folder: Option<&Path>) -> Result<Option<(String, String)>> {
    let Some(file) = folder.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let unclear = |error: Error| {
        error
            .within("it cannot be told which engine is meant")
            .hint("mend that file, or set `DOCKER_HOST` or `DOCKER_CONTEXT`")
    };
    let Some(found) = files::read_through(&file).map_err(unclear)? else { return Ok(None) };
    // The file is not shown: it may hold logins.
    let found: Configuration = serde_json::from_slice(&found).map_err(|error| {
        unclear(Error::new(format!("`{}` cannot be understood (line {})", file.display(), error.line())))
    })?;
    let name = found.current_context;
    Ok((!name.is_empty()).then(|| (name, file.display().to_string())))
}

/// The socket of this host's engine, or of this user's own where that one is of no use to this user.
fn socket() -> PathBuf {
    let folder = host::variable("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", host::ids().0));
    let own = Path::new(&folder).join("docker.sock");
    let system = PathBuf::from(SOCKET);
    if !host::is_root() && !host::answers(&system) && host::answers(&own) { own } else { system }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Ssh(target) => target.fmt(f),
            Self::Network { host, port, scheme } => {
                let scheme = match scheme {
                    Scheme::Tcp => "tcp",
                    Scheme::Http => "http",
                    Scheme::Https => "https",
                };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

impl Address {
    /// Reads an address as `docker` does (`opts/hosts.go` of docker/cli), where `localhost` and 2375 stand for what is left out.
    fn parse(text: &str) -> Result<Self> {
        let wrong =
            |hint: &str| Error::usage(format!("`{text}` is of a form that is not understood")).hint(hint.to_owned());
        let forms = "give `unix:///PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST`";
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let scheme = match scheme {
            "unix" if rest.is_empty() => return Ok(Self::Socket(SOCKET.into())),
            "unix" => return Ok(Self::Socket(rest.into())),
            "tcp" => Scheme::Tcp,
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "ssh" => {
                let target = Target::parse(rest)
                    .ok_or_else(|| wrong("give `ssh://USER@HOST:PORT`; user and port may be left out"))?;
                return Ok(Self::Ssh(target));
            }
            _ => return Err(wrong(forms)),
        };
        let (place, path) = rest.split_once('/').map_or((rest, ""), |(place, path)| (place, path));
        if !path.is_empty() {
            return Err(wrong("an engine is not looked for below a path: give `tcp://HOST:PORT`"));
        }
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or(port)),
            None => place.rsplit_once(':').unwrap_or((place, "")),
        };
        let port = if port.is_empty() { Ok(PORT) } else { port.parse::<u16>() };
        let port = port.map_err(|_| wrong(forms))?;
        let host = if host.is_empty() { "localhost" } else { host };
        if host.contains(|c: char| c.is_whitespace() || "@?#%".contains(c)) {
            return Err(wrong(forms));
        }
        Ok(Self::Network { host: host.to_owned(), port, scheme })
    }

    fn way(self, tls: Option<Arc<ClientConfig>>) -> Way {
        match self {
            Self::Socket(path) => Way::Socket(path),
            Self::Network { host, port, .. } => Way::Network { host, port, tls },
            Self::Ssh(target) => Way::Ssh { host: target.host_name(), forward: Arc::new(Forward::new(target)) },
        }
    }
}

pub(super) use tls::server_name;
