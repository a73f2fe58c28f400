//! An HTTP client that trusts one authority only and knows where a name is to be found: [`Client`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Method, redirect};

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::limit::{Breach, Limit};
use crate::world::proxy::Proxy;

/// How long one request may take, and what is taken of its answer.
const ANSWER: Limit = Limit::new(16 << 20, 10);

pub(crate) struct Client {
    client: reqwest::Client,
    login: Option<(String, Secret)>,
}

/// Which way a server is reached.
pub(crate) enum Route {
    /// By its name.
    Direct,
    /// At an address, whatever its name resolves to.
    Address(SocketAddr),
    Through(Proxy),
    /// By a socket of this host.
    Socket(PathBuf),
}

/// One request: method, URL, and what goes with it.
#[derive(Default)]
pub(crate) struct Request<'a> {
    pub method: &'static str,
    pub url: &'a str,
    /// `Content-Type` and the body.
    pub body: Option<(&'a str, Vec<u8>)>,
    pub accept: Option<&'a str>,
    /// More headers, by their names.
    pub headers: &'a [(&'a str, &'a str)],
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// The certificate that the server showed, in DER.
    pub certificate: Option<Vec<u8>>,
    pub body: Vec<u8>,
}

impl Client {
    /// A client for `host`, which it looks for at `route`, that trusts nothing but `authority` (PEM).
    pub fn new(host: &str, route: Route, authority: Option<&str>, login: Option<(String, Secret)>) -> Result<Self> {
        // A second call finds the provider installed, which is what is wanted.
        drop(rustls::crypto::ring::default_provider().install_default());
        let fail = |error: reqwest::Error| Error::new(format!("cannot make an HTTPS client: {}", reasons(&error)));
        let mut builder = reqwest::Client::builder()
            .timeout(ANSWER.time)
            .no_proxy()
            .tls_info(true)
            .redirect(redirect::Policy::none());
        let certificates = match authority {
            Some(pem) => Certificate::from_pem_bundle(pem.as_bytes()).map_err(fail)?,
            None => Vec::new(),
        };
        builder = builder.tls_certs_only(certificates);
        builder = match route {
            Route::Direct => builder,
            Route::Socket(path) => builder.unix_socket(path),
            Route::Address(address) => builder.resolve(host, address),
            Route::Through(proxy) => {
                let through = reqwest::Proxy::all(&proxy.url).map_err(fail)?;
                builder.proxy(match &proxy.login {
                    Some((user, password)) => through.basic_auth(user, password),
                    None => through,
                })
            }
        };
        Ok(Self { client: builder.build().map_err(fail)?, login })
    }

    /// Sends a request. Any status is an answer.
    pub async fn send(&self, request: Request<'_>) -> Result<Answer> {
        let title = format!("{} {}", request.method, request.url);
        let fail = |error: reqwest::Error| {
            let late = error.is_timeout().then(|| ANSWER.told(Breach::Time));
            Error::new(format!("no answer to `{title}`: {}", late.unwrap_or_else(|| reasons(&error))))
        };
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Error::new(format!("`{}` is no HTTP method", request.method)))?;
        let mut builder = self.client.request(method, request.url);
        if let Some((user, password)) = &self.login {
            builder = builder.basic_auth(user, Some(password.expose()));
        }
        if let Some((kind, body)) = request.body {
            builder = builder.header("Content-Type", kind).body(body);
        }
        if let Some(accept) = request.accept {
            builder = builder.header("Accept", accept);
        }
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        let mut response = builder.send().await.map_err(fail)?;
        let info = response.extensions().get::<TlsInfo>();
        let certificate = info.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(fail)? {
            body.extend_from_slice(&part);
            if body.len() > ANSWER.size() {
                return Err(Error::new(format!("the answer to `{title}`: {}", ANSWER.told(Breach::Bytes))));
            }
        }
        Ok(Answer { status, certificate, body })
    }
}

/// An error with all that caused it, without the URL, which may be long.
fn reasons(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// Whether something listens on a TCP address.
pub(crate) async fn connects(address: SocketAddr) -> bool {
    let connect = tokio::net::TcpStream::connect(address);
    matches!(tokio::time::timeout(Duration::from_secs(1), connect).await, Ok(Ok(_)))
}

/// Whether something listens on a socket of this host.
pub(crate) async fn connects_to_socket(path: &Path) -> bool {
    let connect = tokio::net::UnixStream::connect(path);
    matches!(tokio::time::timeout(Duration::from_secs(1), connect).await, Ok(Ok(_)))
}

/// The first address of `HOST:PORT`, IPv4 before IPv6, as Docker publishes ports on both but proxies set up by hand often
/// listen on the former only.
pub(crate) async fn resolve(host: &str) -> Option<SocketAddr> {
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host(host).await.ok()?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied()
}
