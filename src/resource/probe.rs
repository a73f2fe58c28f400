//! A check that a real client would make: an HTTP request, a TCP connection, a push and pull: [`ProbeKind`].

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::Instant;

use super::{At, Kind, Output, Outputs};
use crate::change::{Action, Change, Field};
use crate::content::sha256;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::host;
use crate::world::http::{Answer, Client, Request, connects, resolve};

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
    async fn client(&self, url: &str, at: &At) -> Result<(Client, Target)> {
        let target = Target::parse(url)?;
        let address = match &self.address {
            Some(address) => Some(locate(address, target.port, at).await?),
            None => None,
        };
        let login = self.user.clone().zip(self.password.clone());
        Ok((Client::new(&target.host, address, self.authority.as_deref(), login)?, target))
    }

    /// Looks once, without changing anything.
    async fn look(&self, at: &At) -> Result<Option<Field>> {
        if let Some(address) = &self.tcp {
            let listens = connects(locate(address, 0, at).await?).await;
            return Ok((!listens).then(|| difference(address, "nothing listens", "open")));
        }
        let (url, expected) = match (&self.http, &self.registry) {
            (Some(url), _) => (url.clone(), self.status.clone()),
            (None, Some(url)) => (format!("{}/v2/", url.trim_end_matches('/')), status()),
            (None, None) => return Err(Error::new("a probe needs one of `http`, `tcp` and `registry`")),
        };
        let (client, _) = self.client(&url, at).await?;
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
            (None, Some(url)) if self.depth != Depth::Answer => self.exercise(url, at).await,
            (None, _) => Ok(()),
            (Some(wrong), _) => {
                Err(Error::new(format!("`{}`: {}, but it should be {}", wrong.name, wrong.old, wrong.new))
                    .hint(format!("`provision status {}` shows what is down", at.store().name())))
            }
        }
    }

    /// Has the registry do what it is for, and leaves nothing behind.
    async fn exercise(&self, url: &str, at: &At) -> Result<()> {
        let (client, target) = self.client(url, at).await?;
        let registry = Registry { client, base: target.base, repository: "provision-probe" };
        if self.depth == Depth::Upload { registry.begin_and_cancel().await } else { Self::round_trip(&registry).await }
    }

    /// Pushes a small image, pulls it, compares the digests and deletes it.
    async fn round_trip(registry: &Registry) -> Result<()> {
        let layer = host::random::<1024>()?.to_vec();
        let config = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.to_vec();
        let manifest = registry.push(&config, &layer).await?;
        let digest = format!("sha256:{}", sha256(&manifest));
        let pulled = registry.pull(&digest, &layer).await;
        let paths = [format!("manifests/{digest}"), blob_path(&config), blob_path(&layer)];
        let deleted = try_join_all(paths.iter().map(|path| registry.delete(path))).await.map(drop);
        pulled.and(deleted)
    }
}

fn difference(what: &str, old: &str, new: &str) -> Field {
    Field { name: what.to_owned(), old: old.to_owned(), new: new.to_owned() }
}

/// Finds the address that `HOST:PORT` or `HOST` stands for; `engine` is the host of the engine.
async fn locate(address: &str, port: u16, at: &At) -> Result<SocketAddr> {
    let whole = match address.strip_prefix("engine") {
        Some(rest) => format!("{}{rest}", at.engine().await?.host()),
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

/// The calls of the OCI distribution specification (1.1) that a push and a pull need.
struct Registry {
    client: Client,
    base: String,
    repository: &'static str,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

impl Registry {
    fn url(&self, path: &str) -> String {
        format!("{}/v2/{}/{path}", self.base, self.repository)
    }

    /// Begins an upload and gives the URL of its next step.
    async fn begin(&self) -> Result<String> {
        let request = Request { method: "POST", url: &self.url("blobs/uploads/"), ..Request::default() };
        let location = expect(self.client.send(request).await?, 202, "start an upload")?.location.unwrap_or_default();
        Ok(if location.starts_with('/') { format!("{}{location}", self.base) } else { location })
    }

    async fn begin_and_cancel(&self) -> Result<()> {
        let location = self.begin().await?;
        let answer = self.client.send(Request { method: "DELETE", url: &location, ..Request::default() }).await?;
        expect(answer, 204, "give an upload up").map(drop)
    }

    async fn upload(&self, blob: &[u8]) -> Result<()> {
        let location = self.begin().await?;
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest=sha256:{}", sha256(blob));
        let body = Some(("application/octet-stream", blob.to_vec()));
        let answer = self.client.send(Request { method: "PUT", url: &url, body, accept: None }).await?;
        expect(answer, 201, "upload a layer").map(drop)
    }

    async fn push(&self, config: &[u8], layer: &[u8]) -> Result<Vec<u8>> {
        try_join(self.upload(config), self.upload(layer)).await?;
        let descriptor = |kind: &str, blob: &[u8]| serde_json::json!({ "mediaType": kind, "size": blob.len(), "digest": format!("sha256:{}", sha256(blob)) });
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config), "layers": [descriptor(LAYER, layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let body = Some((MANIFEST, manifest.clone()));
        let url = self.url("manifests/probe");
        expect(
            self.client.send(Request { method: "PUT", url: &url, body, accept: None }).await?,
            201,
            "push a manifest",
        )?;
        Ok(manifest)
    }

    async fn pull(&self, digest: &str, layer: &[u8]) -> Result<()> {
        let request = Request { method: "GET", url: &self.url("manifests/probe"), accept: Some(MANIFEST), body: None };
        let url = self.url(&blob_path(layer));
        let blob = self.client.send(Request { method: "GET", url: &url, ..Request::default() });
        let (manifest, blob) = try_join(self.client.send(request), blob).await?;
        let (manifest, blob) =
            (expect(manifest, 200, "give a manifest back")?, expect(blob, 200, "give a layer back")?);
        let found = format!("sha256:{}", sha256(&manifest.body));
        if found != digest || manifest.digest.as_deref() != Some(digest) {
            return Err(Error::new(format!(
                "the registry gave back another manifest: pushed {digest}, pulled {found}"
            )));
        }
        if blob.body == layer {
            Ok(())
        } else {
            Err(Error::new("the registry gave back another layer than was pushed"))
        }
    }

    async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.client.send(Request { method: "DELETE", url: &self.url(path), ..Request::default() }).await?;
        expect(answer, 202, "delete the image of the probe").map(drop)
    }
}

fn blob_path(blob: &[u8]) -> String {
    format!("blobs/sha256:{}", sha256(blob))
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
