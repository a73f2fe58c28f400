//! What answers at a port of this host's loopback, before anything is known of it: [`Greeting`].

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::redirect;
use reqwest::tls::TlsInfo;

/// How long an answer may take.
const WAIT: Duration = Duration::from_secs(15);
/// The header by which a registry tells what it is (the distribution specification, "API Version Check").
const HEADER: &str = "docker-distribution-api-version";

/// An answer to `GET /v2/`. Nothing is sent that anybody could misuse, so that a certificate is looked at only afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub scheme: &'static str,
    pub status: u16,
    /// Whether the answer has a registry's own header.
    pub has_header: bool,
    /// The certificate that was shown, in DER.
    pub certificate: Option<Vec<u8>>,
}

impl Greeting {
    /// Whether it is that of a registry which works.
    pub fn is_of_a_registry(&self) -> bool {
        self.has_header && matches!(self.status, 200 | 401)
    }
}

/// Asks `localhost:PORT` by https, and by http where that is not spoken.
///
/// # Errors
/// The reason why nothing answers.
pub(crate) async fn greet(port: u16) -> Result<Greeting, String> {
    let secure = ask("https", port).await;
    match secure {
        Ok(greeting) => Ok(greeting),
        Err(reason) => ask("http", port).await.map_err(|_| reason),
    }
}

async fn ask(scheme: &'static str, port: u16) -> Result<Greeting, String> {
    // A second call finds the provider installed, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder()
        .timeout(WAIT)
        .no_proxy()
        .http1_only()
        .tls_info(true)
        .tls_certs_only(Vec::new())
        .tls_danger_accept_invalid_certs(true)
        .redirect(redirect::Policy::none())
        .resolve("localhost", SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .build()
        .map_err(|error| reason(&error))?;
    let answer = client.get(format!("{scheme}://localhost:{port}/v2/")).send().await.map_err(|error| reason(&error))?;
    let info = answer.extensions().get::<TlsInfo>();
    Ok(Greeting {
        scheme,
        status: answer.status().as_u16(),
        has_header: answer.headers().contains_key(HEADER),
        certificate: info.and_then(TlsInfo::peer_certificate).map(<[u8]>::to_vec),
    })
}

/// The innermost cause.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", WAIT.as_secs());
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
