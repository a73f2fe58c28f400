//! A client of one Docker engine: [`Engine`].

mod containers;
mod images;
mod leased;
mod networks;
mod streams;

use bollard::errors::Error as Cause;
use bollard::{ClientVersion, Docker};

pub(crate) use containers::Execution;
pub(crate) use images::{PullError, Step};
pub(crate) use leased::{Thing, ThingKind};
pub(crate) use streams::Sink;

use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::world::{files, host};

/// The label with a deployment's name, for people.
pub(crate) const DEPLOYMENT: &str = "provision.deployment";
/// The label with a deployment's random id, by which its own things are told from everybody else's.
pub(crate) const ID: &str = "provision.id";
/// The label with the name of the resource.
pub(crate) const RESOURCE: &str = "provision.resource";

/// Seconds until an answer of the engine must have begun; stopping a container takes up to 10.
const TIMEOUT: u64 = 120;
/// Docker 20.10, the oldest engine that this is tested with.
const VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

#[derive(Debug)]
pub(crate) struct Engine {
    docker: Docker,
    address: String,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, else to the one of this host, else to this user's own.
    ///
    /// # Errors
    /// No engine answers there: the hint says how to start one.
    #[expect(clippy::unused_async, reason = "connecting over a network will have to wait")]
    pub async fn connect(watcher: Option<Events>) -> Result<Self> {
        let address = Self::address_in_use();
        let docker = if let Some(path) = address.strip_prefix("unix://") {
            Docker::connect_with_unix(path, TIMEOUT, &VERSION)
        } else if address.starts_with("tcp://") || address.starts_with("http://") {
            Docker::connect_with_http(&address, TIMEOUT, &VERSION)
        } else {
            return Err(Error::new(format!("`DOCKER_HOST={address}` is of a form that is not understood"))
                .hint("give `unix:///PATH` or `tcp://HOST:PORT`; for ssh, forward the socket: `ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`"));
        };
        let docker = docker.map_err(|error| unreachable(&address, &error))?;
        let docker = match watcher {
            Some(events) => docker.with_request_modifier(move |request| {
                let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
                events.send(Event::Request { method: request.method().to_string(), path });
                request
            }),
            None => docker,
        };
        Ok(Self { docker, address })
    }

    /// The address of the engine that is in use.
    pub fn address_in_use() -> String {
        host::variable("DOCKER_HOST").unwrap_or_else(default_address)
    }

    /// Whether containers of this engine can be reached by their own addresses, and its ports are ports of this host.
    pub fn is_local(&self) -> bool {
        self.address.starts_with("unix://")
    }

    /// The host whose ports the engine publishes.
    pub fn host(&self) -> &str {
        let remote = self.address.split_once("://").filter(|_| !self.is_local()).map(|(_, rest)| rest);
        remote.and_then(|rest| rest.rsplit_once(':')).map_or("127.0.0.1", |(host, _)| host)
    }

    /// An error of the engine as one of ours: `cannot {task}: …`.
    fn failed(&self, task: &str, error: &Cause) -> Error {
        match error {
            Cause::DockerResponseServerError { status_code, message } => {
                let why = match message.trim() {
                    "" => format!("the engine answers {status_code} and gives no reason"),
                    message => message.to_owned(),
                };
                let error = Error::new(format!("cannot {task}: {why}"));
                // What was named is gone, or its name is taken: a request of a run that was killed may land at any time.
                if matches!(status_code, 404 | 409) { error.moved() } else { error }
            }
            Cause::DockerStreamError { error } => Error::new(format!("cannot {task}: {error}")),
            Cause::JsonDataError { .. } | Cause::JsonSerdeError { .. } => {
                Error::new(format!("cannot {task}: the engine's answer cannot be understood: {error}"))
            }
            // Whatever else there is comes from the connection.
            _ => unreachable(&self.address, error).within(format!("cannot {task}")),
        }
    }
}

fn default_address() -> String {
    let system = "/var/run/docker.sock".to_owned();
    let own = host::variable("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/docker.sock"));
    let path = match own {
        Some(own) if !files::exists(system.as_ref()) && files::exists(own.as_ref()) => own,
        _ => system,
    };
    format!("unix://{path}")
}

fn unreachable(address: &str, error: &Cause) -> Error {
    let path = address.strip_prefix("unix://").unwrap_or_default();
    let hint = if !path.is_empty()
        && files::exists(path.as_ref())
        && !host::is_root()
        && !files::writable_file(path.as_ref())
    {
        "this user may not use it: `sudo usermod -aG docker $USER`, then log in anew"
    } else {
        "start it with `sudo systemctl start docker`, or point `DOCKER_HOST` at another one; then run the command again"
    };
    let reason = match error {
        Cause::RequestTimeoutError => " (it does not answer in time)",
        _ => "",
    };
    Error::new(format!("no Docker engine answers at `{address}`{reason}")).hint(hint)
}

/// None for a thing that the engine does not know.
fn optional<T>(result: std::result::Result<T, Cause>) -> std::result::Result<Option<T>, Cause> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Cause::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Success for a thing that is gone already.
fn gone(result: std::result::Result<(), Cause>) -> std::result::Result<(), Cause> {
    optional(result).map(drop)
}

/// A filter for everything that carries a label with this value.
fn labelled(label: &str, value: &str) -> std::collections::HashMap<String, Vec<String>> {
    std::collections::HashMap::from([("label".to_owned(), vec![format!("{label}={value}")])])
}
