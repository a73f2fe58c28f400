//! A client of one Docker engine: [`Engine`].

mod api;
mod containers;
mod endpoint;
mod helper;
mod hints;
mod identity;
mod images;
mod labelled;
mod layers;
mod networks;
mod plain;
mod remap;
mod streams;
mod tls;
mod transport;

use std::pin::Pin;
use std::sync::Arc;

use bollard::errors::Error as Cause;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use bytes::Bytes;
use hyper::body::{Body, Incoming};

pub(crate) use containers::{Execution, Heard};
pub(crate) use endpoint::{Endpoint, docker_folder};
pub(crate) use helper::{Held, Helper};
pub(crate) use identity::Identity;
pub(crate) use images::{PullError, Step};
pub(crate) use labelled::{Thing, ThingKind};
pub(crate) use layers::Layers;
pub(crate) use networks::gateway;
pub(crate) use streams::Sink;

use crate::error::{Error, Result};
use crate::event::Events;
use crate::world::limit::Limit;
use crate::world::{files, host};
use remap::Remap;
use transport::{Meter, Obstacle, Transport};

/// The label with a deployment's name, for people.
pub(crate) const DEPLOYMENT: &str = "provision.deployment";
/// The label with a deployment's random id, by which its own things are told from everybody else's.
pub(crate) const ID: &str = "provision.id";
/// The label with the name of the resource.
pub(crate) const RESOURCE: &str = "provision.resource";

/// Seconds until an answer of the engine must have begun; stopping a container takes up to 10.
const TIMEOUT: u64 = 120;

#[derive(Clone)]
pub(crate) struct Engine {
    docker: Docker,
    endpoint: Endpoint,
    transport: Transport,
    /// Whether it is known to run on this host.
    here: bool,
    /// Where its containers have other numbers of users than its host.
    remap: Option<Remap>,
}

impl Engine {
    /// A client of the engine that a command typed here and now is about. Nothing is asked of it yet.
    ///
    /// # Errors
    /// What names it cannot be understood, or asks for a protection that cannot be had.
    pub fn connect(watcher: Option<Events>) -> Result<Self> {
        let endpoint = Endpoint::in_use()?;
        if let Some(path) = endpoint.socket().filter(|path| !files::exists(path)) {
            return Err(unreachable(&endpoint, &Cause::SocketNotFoundError(path.display().to_string())));
        }
        let transport =
            Transport { way: endpoint.way.clone(), watcher, api: Arc::default(), name: endpoint.describe() };
        let sender = transport.clone();
        let send = move |request: BollardRequest| sender.send(request);
        let docker = Docker::connect_with_custom_transport(send, Some("http://engine"), TIMEOUT, API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| unreachable(&endpoint, &error))?;
        Ok(Self { docker, endpoint, transport, here: false, remap: None })
    }

    /// Which engine it is that answers.
    pub async fn identity(&self) -> Result<Identity> {
        let asked = identity::ask(&self.endpoint, &self.transport).await;
        asked.map_err(|error| self.failed("ask the engine which one it is", &error))
    }

    /// Whether it answers anything.
    pub async fn answers(&self) -> Result<()> {
        let asked = plain::ask("/version", &self.transport).await;
        asked.map(drop).map_err(|error| self.failed("ask the engine for its version", &error))
    }

    pub fn address(&self) -> &str {
        &self.endpoint.address
    }

    /// Fails for an engine that only resembles Docker's, before anything is made on it.
    pub async fn check(&self) -> Result<()> {
        let greeting = self.transport.greeting().await;
        let greeting = greeting.map_err(|error| self.failed("ask the engine for its version", &error))?;
        let Some(version) = &greeting.podman else { return Ok(()) };
        Err(Error::new(format!(
            "the engine at `{}` is Podman {version}, which speaks only a part of Docker's API",
            self.endpoint.address
        ))
        .hint("nothing was made; start Docker Engine 20.10 or newer, and point `DOCKER_HOST` or `docker context use` at it"))
    }

    /// Begins with a version of the API that was spoken before.
    pub fn begin_with(&self, api: Option<u32>) {
        api.into_iter().for_each(|minor| self.transport.api.settle(minor));
    }

    /// The version of the API to begin with the next time.
    pub fn api(&self) -> Option<u32> {
        self.transport.api.next()
    }

    /// The same engine, known to be this one.
    pub fn of(self, identity: &Identity) -> Self {
        let here = self.endpoint.socket().is_some() && identity.host == host::name();
        Self { here, remap: Remap::of(&identity.root), ..self }
    }

    /// Whether its ports are ports of this host. A socket alone may lead to a virtual machine or to another host.
    pub fn is_here(&self) -> bool {
        self.here
    }

    /// The host whose ports the engine publishes.
    pub fn host(&self) -> &str {
        self.endpoint.host()
    }

    /// A client for an answer that comes in parts, and what counts them: at most `limit` bytes from one mark to the next.
    fn flowing(&self, limit: Limit) -> (Docker, Meter) {
        let meter = Meter::new(limit);
        let counted = meter.clone();
        let docker = self.docker.clone().with_request_modifier(move |mut request| {
            request.extensions_mut().insert(counted.clone());
            request
        });
        (docker, meter)
    }

    /// An error of a stream as one of ours: that of its limit, if that was met.
    fn cut(&self, task: &str, meter: &Meter, error: &Cause) -> Error {
        match meter.breach() {
            Some(breach) => Error::new(format!("cannot {task}: {breach}")),
            None => self.failed(task, error),
        }
    }

    /// An error of the engine as one of ours: `cannot {task}: …`.
    fn failed(&self, task: &str, error: &Cause) -> Error {
        let failed = |reason: &str| hints::add(Error::new(format!("cannot {task}: {reason}")), reason);
        match error {
            Cause::DockerResponseServerError { status_code, message } => {
                let error = match message.trim() {
                    "" => failed(&format!("the engine answered {status_code} without a reason")),
                    message => failed(message),
                };
                // What was named is gone, or its name is taken: a request of a run that was killed may land at any time.
                if matches!(status_code, 404 | 409) { error.moved() } else { error }
            }
            Cause::DockerStreamError { error } => failed(error),
            Cause::JsonDataError { .. } | Cause::JsonSerdeError { .. } => {
                failed(&format!("the engine's answer cannot be understood: {error}"))
            }
            _ => match Obstacle::of(error) {
                Some(Obstacle::Limit(breach)) => failed(&format!("the engine's answer: {breach}")),
                // Whatever else there is comes from the connection.
                _ => unreachable(&self.endpoint, error).within(format!("cannot {task}")),
            },
        }
    }
}

/// The content of an answer. How much it may be, the connection sees to.
async fn body(mut body: Incoming) -> std::result::Result<Vec<u8>, Cause> {
    let mut content = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let data: Option<Bytes> = frame?.into_data().ok();
        content.extend_from_slice(&data.unwrap_or_default());
    }
    Ok(content)
}

fn unreachable(endpoint: &Endpoint, error: &Cause) -> Error {
    let obstacle = Obstacle::of(error);
    let denied =
        endpoint.socket().filter(|path| files::exists(path) && !host::is_root() && !files::writable_file(path));
    let hint = match &obstacle {
        Some(Obstacle::Tls(reason)) => hints::of_tls(reason),
        Some(Obstacle::Ssh(refusal)) => &refusal.hint,
        _ if denied.is_some() => "this user may not use it: `sudo usermod -aG docker $USER`, then log in anew",
        _ if endpoint.context.is_some() => {
            "`docker context ls` shows which engines there are, and `docker context use` chooses one"
        }
        _ => {
            "start it with `sudo systemctl start docker`, or point `DOCKER_HOST` at another one; then run the command again"
        }
    };
    let reason = match (&obstacle, error) {
        (Some(obstacle), _) => format!(": {obstacle}"),
        (None, Cause::RequestTimeoutError) => " (it does not answer in time)".to_owned(),
        _ => String::new(),
    };
    let context = endpoint.context.as_ref().map_or(String::new(), |name| format!(", which the context `{name}` names"));
    Error::new(format!("no Docker engine answers at `{}`{context}{reason}", endpoint.address)).hint(hint)
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
