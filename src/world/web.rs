//! A client of HTTP that streams: any number of requests at once, bodies of any size: [`Web`].

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Certificate, Method, Response, redirect};

use crate::error::{Error, Result};
use crate::world::http::Route;

/// How long it may take until a connection stands.
const CONNECT: Duration = Duration::from_secs(15);
/// How long a body may pause before it counts as lost.
const PAUSE: Duration = Duration::from_secs(90);

/// Whom a client trusts.
pub(crate) enum Trust<'a> {
    /// One authority only, in PEM; none at all if that is empty.
    Authority(&'a str),
    /// What this host trusts, and these certificates in PEM as well.
    System(&'a [Vec<u8>]),
}

/// A client; copies share their connections.
#[derive(Clone)]
pub(crate) struct Web {
    /// It speaks HTTP/1.1 only: each transfer then has a connection of its own, whose flow no other one slows down.
    plain: reqwest::Client,
    /// For a server that offers nothing but HTTP/2.
    multiplexed: reqwest::Client,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub method: &'static str,
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
    /// How long the answer's first line may take.
    pub wait: Duration,
}

/// An answer, of which the body has not been read yet.
#[derive(Debug)]
pub(crate) struct Reply {
    response: Response,
}

/// Why there is no answer, or not all of it.
#[derive(Debug)]
pub(crate) struct Lost {
    pub reason: String,
    /// Whether the same request would fail again: a certificate that is not trusted, a name that is unknown.
    pub lasting: bool,
}

impl Web {
    /// A client that looks for `host` at `route`.
    ///
    /// # Errors
    /// A certificate that cannot be read.
    pub fn new(host: &str, route: &Route, trust: &Trust<'_>) -> Result<Self> {
        // A second call finds the provider installed, which is what is wanted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let build = |plain: bool| -> reqwest::Result<reqwest::Client> {
            let builder = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(PAUSE).no_proxy();
            let builder = builder.redirect(redirect::Policy::none()).tcp_nodelay(true);
            let builder = if plain { builder.http1_only() } else { builder.http2_adaptive_window(true) };
            routed(trusting(builder, trust)?, host, route)?.build()
        };
        let fail = |error: reqwest::Error| Error::new(format!("cannot make an HTTP client: {}", reason(&error)));
        Ok(Self { plain: build(true).map_err(fail)?, multiplexed: build(false).map_err(fail)? })
    }

    /// Sends a request. Any status is an answer.
    pub async fn send(&self, ask: &Ask<'_>) -> std::result::Result<Reply, Lost> {
        match Self::send_by(&self.plain, ask).await {
            // RFC 7301, 3.2: the server speaks none of the protocols that were offered.
            Err(lost) if lost.reason.contains("NoApplicationProtocol") => Self::send_by(&self.multiplexed, ask).await,
            other => other,
        }
    }

    async fn send_by(client: &reqwest::Client, ask: &Ask<'_>) -> std::result::Result<Reply, Lost> {
        let method = Method::from_bytes(ask.method.as_bytes()).expect("a method is a constant");
        let mut builder = client.request(method, ask.url);
        for (name, value) in &ask.headers {
            builder = builder.header(*name, value);
        }
        if !ask.body.is_empty() || matches!(ask.method, "POST" | "PUT" | "PATCH") {
            builder = builder.body(ask.body.clone());
        }
        let answered = tokio::time::timeout(ask.wait, builder.send()).await;
        let late = |_| Lost { reason: format!("no answer within {} s", ask.wait.as_secs()), lasting: false };
        Ok(Reply { response: answered.map_err(late)?.map_err(|error| Lost::of(&error))? })
    }
}

fn trusting(builder: reqwest::ClientBuilder, trust: &Trust<'_>) -> reqwest::Result<reqwest::ClientBuilder> {
    let mut certificates = Vec::new();
    match trust {
        Trust::Authority("") => {}
        Trust::Authority(pem) => certificates.extend(Certificate::from_pem_bundle(pem.as_bytes())?),
        Trust::System(more) => {
            for pem in *more {
                certificates.extend(Certificate::from_pem_bundle(pem)?);
            }
            let own = rustls_native_certs::load_native_certs().certs;
            certificates.extend(own.iter().filter_map(|der| Certificate::from_der(der).ok()));
        }
    }
    Ok(builder.tls_certs_only(certificates))
}

fn routed(builder: reqwest::ClientBuilder, host: &str, route: &Route) -> reqwest::Result<reqwest::ClientBuilder> {
    Ok(match route {
        Route::Direct => builder,
        Route::Socket(path) => builder.unix_socket(path.clone()),
        Route::Address(address) => builder.resolve(host, SocketAddr::new(address.ip(), address.port())),
        Route::Through(proxy) => {
            let through = reqwest::Proxy::all(&proxy.url)?;
            builder.proxy(match &proxy.login {
                Some((user, password)) => through.basic_auth(user, password),
                None => through,
            })
        }
    })
}

impl Reply {
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// All headers of that name.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let all = self.response.headers().get_all(name).iter();
        all.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect()
    }

    /// The URL that answered.
    pub fn url(&self) -> &reqwest::Url {
        self.response.url()
    }

    /// The next bytes of the body; none at its end.
    pub async fn next(&mut self) -> std::result::Result<Option<Bytes>, Lost> {
        self.response.chunk().await.map_err(|error| Lost::of(&error))
    }

    /// The whole body, or none if it is longer than `limit`.
    pub async fn content(mut self, limit: usize) -> std::result::Result<Option<Vec<u8>>, Lost> {
        let mut content = Vec::new();
        while let Some(part) = self.next().await? {
            content.extend_from_slice(&part);
            if content.len() > limit {
                return Ok(None);
            }
        }
        Ok(Some(content))
    }
}

impl Lost {
    fn of(error: &reqwest::Error) -> Self {
        let reason = reason(error);
        let signs = ["certificate", "UnknownIssuer", "dns error", "failed to lookup", "Name or service not known"];
        Self { lasting: error.is_builder() || signs.iter().any(|sign| reason.contains(sign)), reason }
    }
}

/// The innermost cause of an error, which says the most and has no URL in it.
fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
