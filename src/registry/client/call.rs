//! One request to a registry: with its login, within the limit of connections, repeated where that helps.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use tokio::sync::OwnedSemaphorePermit;

use super::Registry;
use super::auth::Scope;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::host;
use crate::world::http::Route;
use crate::world::proxy::Proxies;
use crate::world::web::{Ask, Lost, Reply, Trust, Web};

/// How long the first line of an answer may take. A store such as S3 copies a layer of many gigabytes before it answers.
const WAIT: Duration = Duration::from_mins(2);
pub(super) const LONG_WAIT: Duration = Duration::from_mins(15);
/// Pauses, in milliseconds, before a request is repeated that was lost or met an error of the server.
const PAUSES: [u64; 4] = [200, 800, 2_000, 4_000];
/// How many seconds a registry may ask a client to wait, each time and in all.
const LONGEST: u64 = 120;
const PATIENCE: u64 = 600;
/// How often a client is sent elsewhere at most.
const REDIRECTS: usize = 5;
/// How many tokens a request is tried with: one may run out, or be taken back, while it is on its way.
const TOKENS: usize = 3;

/// A request: what is asked for, and by what right.
#[derive(Clone)]
pub(super) struct Call {
    pub method: &'static str,
    /// A whole URL.
    pub url: String,
    pub scope: Scope,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    pub wait: Duration,
    /// Whether it may be sent again when no answer came: it then does the same once more.
    pub repeatable: bool,
}

/// An answer, and the place among the connections that it holds until its body is read.
pub(super) struct Held {
    pub reply: Reply,
    pub slot: OwnedSemaphorePermit,
}

impl Call {
    pub fn new(method: &'static str, url: String, scope: Scope) -> Self {
        let (headers, body) = (Vec::new(), Bytes::new());
        Self { method, url, scope, headers, body, wait: WAIT, repeatable: true }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Registry {
    /// The URL of a path below `/v2/`.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/v2/{path}", self.0.address.base)
    }

    /// The whole URL that a registry means by a `Location`.
    ///
    /// # Errors
    /// There is none, or it leaves TLS.
    pub(super) fn located(&self, location: Option<&str>, task: &str) -> Result<String> {
        let base = Url::parse(&self.0.address.base).ok();
        let found = location.and_then(|location| base.as_ref()?.join(location).ok());
        let (Some(url), Some(base)) = (found, base) else {
            return Err(Error::new(format!("cannot {task}: the registry `{}` does not say where", self.name())));
        };
        if base.scheme() == "https" && url.scheme() != "https" {
            return Err(Error::new(format!(
                "cannot {task}: the registry `{}` leads to `{url}`, without TLS",
                self.name()
            ))
            .hint("the proxy before it must send `X-Forwarded-Proto: https` and the client's `Host` on to it"));
        }
        Ok(url.into())
    }

    /// Sends a request, and again while that may help; any status that is left is an answer.
    pub(super) async fn call(&self, call: &Call, task: &str) -> Result<Held> {
        let mut waited = 0;
        let mut pauses = PAUSES.into_iter();
        loop {
            let pause = match self.once(call, task).await? {
                Ok(held) if held.reply.status() == 429 && waited < PATIENCE => {
                    let asked = retry_after(&held.reply).map_or_else(|| pauses.next(), |seconds| Some(seconds * 1000));
                    let Some(pause) = asked else { return Ok(held) };
                    pause
                }
                Ok(held) if call.repeatable && matches!(held.reply.status(), 408 | 500 | 502 | 503 | 504) => {
                    let Some(pause) = pauses.next() else { return Ok(held) };
                    retry_after(&held.reply).map_or(pause, |seconds| seconds * 1000)
                }
                Ok(held) => return Ok(held),
                Err(lost) if call.repeatable && !lost.lasting => {
                    pauses.next().ok_or_else(|| self.unanswered(&lost, task))?
                }
                Err(lost) => return Err(self.unanswered(&lost, task)),
            };
            waited += pause / 1000;
            host::sleep(pause).await;
        }
    }

    /// Sends a request once, or again with a token if the registry asks for one.
    pub(super) async fn once(&self, call: &Call, task: &str) -> Result<std::result::Result<Held, Lost>> {
        let slot = self.0.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let mut sent = None;
        let mut reply = self.send(call, &mut sent).await?;
        for _ in 0..TOKENS {
            let Ok(found) = &reply else { break };
            let with = (&call.scope, sent.as_ref());
            if found.status() != 401 || !self.0.auth.challenged(self, found, with, task).await? {
                break;
            }
            reply = self.send(call, &mut sent).await?;
        }
        Ok(reply.map(|reply| Held { reply, slot }))
    }

    /// `sent` becomes the header with the login that the registry itself got.
    async fn send(&self, call: &Call, sent: &mut Option<Secret>) -> Result<std::result::Result<Reply, Lost>> {
        let mut url = call.url.clone();
        for _ in 0..REDIRECTS {
            let own = self.is_own(&url);
            let mut ask = Ask {
                method: call.method,
                url: &url,
                headers: call.headers.clone(),
                body: call.body.clone(),
                wait: call.wait,
            };
            if own && let Some(header) = self.0.auth.header(self, &call.scope).await? {
                ask.headers.push(("Authorization", header.expose().to_owned()));
                *sent = Some(header);
            }
            let web = if own { &self.0.web } else { self.foreign(&url).await? };
            let reply = match web.send(&ask).await {
                Ok(reply) => reply,
                Err(lost) => return Ok(Err(lost)),
            };
            if !matches!(reply.status(), 301 | 302 | 307 | 308) || !matches!(call.method, "GET" | "HEAD") {
                return Ok(Ok(reply));
            }
            let next = reply.header("location").and_then(|location| reply.url().join(location).ok());
            let Some(next) = next else { return Ok(Ok(reply)) };
            if url.starts_with("https:") && next.scheme() != "https" {
                return Ok(Err(Lost { reason: "it leads to an address without TLS".to_owned(), lasting: true }));
            }
            url = next.into();
        }
        Ok(Err(Lost { reason: format!("it leads elsewhere more than {REDIRECTS} times"), lasting: true }))
    }

    /// Whether a URL is the registry's own, to which its login may be sent.
    pub(super) fn is_own(&self, url: &str) -> bool {
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        origin(url) == origin(&self.0.address.base)
    }

    /// The client for what is not the registry itself: it trusts what this host trusts.
    pub(super) async fn foreign(&self, url: &str) -> Result<&Web> {
        let make = async || {
            let proxies = Proxies::of_environment()?;
            let route = proxies.of_url(url).map_or(Route::Direct, Route::Through);
            Web::new("", &route, &Trust::System(&[]))
        };
        self.0.foreign.get_or_try_init(make).await
    }
}

/// The seconds that a registry asks for, where it says them as a number (RFC 9110, 10.2.3).
fn retry_after(reply: &Reply) -> Option<u64> {
    let seconds: u64 = reply.header("retry-after")?.trim().parse().ok()?;
    Some(seconds.min(LONGEST))
}
