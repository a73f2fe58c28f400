//! A check that a real client would make: an HTTP request, a TCP connection, a push and pull: [`ProbeKind`].

mod registry;
mod registry_v1;

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::registry::client::{Address, Login, Registry};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kind, Output, Outputs};
use crate::secret::Secret;
use crate::text::digest::sha256;
use crate::world::host;
use crate::world::http::{Answer, Client, Request, Route, connects, resolve};
use crate::world::web::Trust;
use registry_v1::RegistryV1;

pub(crate) struct ProbeKind;

/// Milliseconds between two attempts.
const PAUSE: u64 = 50;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// A URL that must answer with one of `status`.
    http: Option<String>,
    /// An address, `HOST:PORT`, at which something must listen.
    tcp: Option<String>,
    /// The URL of a registry that must take an image and give it back.
    registry: Option<String>,
    /// The API that the registry speaks.
    #[serde(default)]
    api: Api,
    /// How far the check of a registry goes.
    #[serde(default)]
    depth: Depth,
    /// The statuses that `http` expects; by default 200.
    #[serde(default = "status")]
    status: Vec<u16>,
    /// The certificate of the only authority that is trusted, in PEM.
    authority: Option<String>,
    /// The SHA-256 fingerprint of the certificate that must be served.
    certificate: Option<String>,
    /// Where the host of the URL is to be found, whatever its name resolves to: `127.0.0.1:5000`, or `engine:5000` for a
    /// published port of the engine.
    address: Option<String>,
    user: Option<String>,
    password: Option<Secret>,
    /// Seconds until an answer must be right.
    #[serde(default = "timeout")]
    timeout: u32,
}

fn status() -> Vec<u16> {
    vec![200]
}

fn timeout() -> u32 {
    20
}

/// The API of a registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Api {
    /// That of the OCI distribution specification.
    #[default]
    V2,
    /// That of the first registry.
    V1,
}

impl Api {
    /// What answers if the registry is there.
    fn root(self) -> &'static str {
        match self {
            Self::V2 => "/v2/",
            Self::V1 => "/v1/_ping",
        }
    }
}

/// How far the check of a registry goes: as far as the registry lets it, and leaves nothing behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Depth {
    /// It pushes an image, pulls it and deletes it.
    #[default]
    RoundTrip,
    /// It begins to push and gives that up: for a registry that deletes nothing.
    Upload,
    /// It looks for the answer at `/v2/`: for a registry that takes nothing, such as one that passes pulls on.
    Answer,
}

/// What a look at it found: nothing, or what is wrong.
pub(crate) struct Actual {
    wrong: Option<Field>,
}

/// The parts of a URL that a client needs.
struct Target {
    host: String,
    base: String,
    port: u16,
}

impl Target {
    fn parse(url: &str) -> Result<Self> {
        let wrong =
            || Error::new(format!("`{url}` is no URL that can be probed")).hint("write `https://HOST:PORT/PATH`");
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let authority = rest.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
            Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
            None => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), base: format!("{scheme}://{authority}"), port })
    }
}

impl Spec {
    /// A client for a URL, with the password or without.
    async fn client(&self, url: &str, at: &At, login: bool) -> Result<(Client, Target)> {
        let target = Target::parse(url)?;
        let route = self.route(url, target.port, at).await?;
        let login = self.login().filter(|_| login);
        Ok((Client::new(&target.host, route, self.authority.as_deref(), login)?, target))
    }

    /// Which way a URL is reached.
    async fn route(&self, url: &str, port: u16, at: &At) -> Result<Route> {
        Ok(match &self.address {
            Some(address) => Route::Address(locate(address, port, at).await?),
            None => at.run.proxies()?.of_url(url).map_or(Route::Direct, Route::Through),
        })
    }

    fn login(&self) -> Option<(String, Secret)> {
        self.user.clone().zip(self.password.clone())
    }

    /// Looks once, without changing anything.
    async fn look(&self, at: &At) -> Result<Option<Field>> {
        if let Some(address) = &self.tcp {
            let listens = connects(locate(address, 0, at).await?).await;
            return Ok((!listens).then(|| difference(address, "nothing listens", "open")));
        }
        let (url, expected) = match (&self.http, &self.registry) {
            (Some(url), _) => (url.clone(), self.status.clone()),
            (None, Some(url)) => (format!("{}{}", url.trim_end_matches('/'), self.api.root()), status()),
            (None, None) => return Err(Error::new("a probe needs one of `http`, `tcp` and `registry`")),
        };
        let client = match self.client(&url, at, true).await {
            Ok((client, _)) => client,
            // A container that does not run publishes nothing.
            Err(error) if self.address.as_ref().is_some_and(|address| address.starts_with("engine")) => {
                return Ok(Some(difference(&url, &error.to_string(), "an answer")));
            }
            Err(error) => return Err(error),
        };
        let found = match client.send(Request { method: "GET", url: &url, ..Request::default() }).await {
            Ok(answer) if expected.contains(&answer.status) => {
                let served = answer.certificate.map(|certificate| sha256(&certificate)).unwrap_or_default();
                let wanted = self.certificate.as_ref().filter(|wanted| **wanted != served);
                return Ok(wanted.map(|wanted| difference("certificate", &served, wanted)));
            }
            Ok(answer) => format!("{}", answer.status),
            Err(error) => error.to_string(),
        };
        let expected: Vec<String> = expected.iter().map(u16::to_string).collect();
        Ok(Some(difference(&url, &found, &expected.join(" or "))))
    }

    /// The whole check, once.
    async fn attempt(&self, at: &At) -> Result<()> {
        match (self.look(at).await?, &self.registry) {
            (None, Some(url)) if self.depth != Depth::Answer => self.exercise(url, at).await.map_err(Error::aside),
            (None, _) => Ok(()),
            (Some(wrong), _) => {
                Err(Error::new(format!("`{}`: {}, but it should be {}", wrong.name, wrong.old, wrong.new))
                    .hint(format!("`provision status {}` shows what is down", at.store().name())))
            }
        }
    }

    /// Has the registry do what it is for.
    async fn exercise(&self, url: &str, at: &At) -> Result<()> {
        if self.api == Api::V1 {
            let (client, target) = self.client(url, at, true).await?;
            let (stranger, _) = self.client(url, at, false).await?;
            return RegistryV1 { client, stranger, base: target.base }.round_trip().await;
        }
        let (route, login) = (self.route(url, Target::parse(url)?.port, at).await?, self.login());
        let login = login.map(|(user, password)| Login::Password { user, password });
        let authority = Trust::Authority(self.authority.as_deref().unwrap_or_default());
        let registry = Registry::new(Address::parse(url)?, &route, &authority, login)?;
        if self.depth == Depth::Upload {
            registry::begin_and_cancel(&registry).await
        } else {
            registry::round_trip(&registry).await
        }
    }
}

fn difference(what: &str, old: &str, new: &str) -> Field {
    Field { name: what.to_owned(), old: old.to_owned(), new: new.to_owned() }
}

/// Finds the address that `HOST:PORT` or `HOST` stands for; `engine` is the host of the engine.
async fn locate(address: &str, port: u16, at: &At) -> Result<SocketAddr> {
    let published = |rest: &str| rest.strip_prefix(':').map_or(Some(port), |rest| rest.parse::<u16>().ok());
    let whole = match address.strip_prefix("engine").and_then(published) {
        Some(port) => match at.engine().await?.published_at(port).await? {
            Some(host) => format!("{host}:{port}"),
            None => return Err(unpublished(port)),
        },
        None => address.to_owned(),
    };
    let whole = if whole.rsplit(':').next().is_some_and(|last| last.parse::<u16>().is_ok()) {
        whole
    } else {
        format!("{whole}:{port}")
    };
    resolve(&whole)
        .await
        .ok_or_else(|| Error::new(format!("`{whole}` is no address that can be found")).hint("write `127.0.0.1:5000`"))
}

/// The error for a port that nobody can be reached by: whoever listens there is somebody else.
fn unpublished(port: u16) -> Error {
    Error::new(format!("no container of the engine publishes port {port}"))
        .hint("`docker ps` shows what runs, and the ports of each")
}

fn expect(answer: Answer, status: u16, task: &str) -> Result<Answer> {
    if answer.status == status {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body);
    let detail = body.lines().take(3).map(|line| line.chars().take(200).collect());
    Err(Error::new(format!("the registry did not {task}: it answered {} instead of {status}", answer.status))
        .detail(detail))
}

impl Kind for ProbeKind {
    const NAME: &'static str = "probe";
    const ABOUT: &'static str =
        "a check as a client makes it, carried out whenever something that it names has changed";
    const OUTPUTS: &'static [Output] = &[];
    const FOLLOWS: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = ();

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        Ok(Some(Actual { wrong: spec.look(at).await? }))
    }

    fn diff(_: &Spec, actual: &Actual, _: &At) -> Change {
        Change::of(Action::Check, actual.wrong.iter().cloned().collect())
    }

    fn outputs(_: &Spec, _: Option<&Actual>, _: &At) -> Outputs {
        Outputs::default()
    }

    async fn apply(spec: &Spec, _: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(spec.timeout.into());
        loop {
            at.run.check_cancelled()?;
            // A server that has just been told to reload may close a connection or two: only what stays wrong is wrong.
            match spec.attempt(at).await {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => host::sleep(PAUSE).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}
