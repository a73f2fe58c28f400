//! How requests reach an engine, and how much of its answers is taken: [`Transport`], [`Meter`].
//!
//! Each request has a connection of its own, whose bytes and time are counted below HTTP, so that nothing an engine may send,
//! headers, bodies, streams, can grow or drip without end.

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::errors::Error as Cause;
use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::api::{Api, Greeting, NEWEST, greet, minor_of};
use super::endpoint::{Way, server_name};
use crate::event::{Event, Events};
use crate::world::limit::{Breach, Limit};
use crate::world::ssh::Refusal;

/// What is taken of an answer that is read as a whole. A list of 3,000 containers has about 6 MiB, and several may be read at once.
pub(super) const ANSWER: Limit = Limit::new(6 << 20, 150);
/// How long it may take until a connection is there.
const CONNECT: Duration = Duration::from_secs(15);

/// Sends requests to one engine.
#[derive(Clone)]
pub(super) struct Transport {
    pub way: Way,
    /// Who is told of each request.
    pub watcher: Option<Events>,
    /// The version of the API that is spoken, shared by all clones.
    pub api: Arc<Api>,
    /// The engine, as it is told.
    pub name: String,
}

/// Counts what comes over one connection. Clones count together.
#[derive(Debug, Clone)]
pub(super) struct Meter(Arc<Count>);

#[derive(Debug)]
struct Count {
    limit: Limit,
    bytes: AtomicU64,
    /// Which limit was met.
    large: AtomicBool,
    late: AtomicBool,
}

impl Meter {
    pub fn new(limit: Limit) -> Self {
        let (large, late) = (AtomicBool::new(false), AtomicBool::new(false));
        Self(Arc::new(Count { limit, bytes: AtomicU64::new(0), large, late }))
    }

    /// A part of a stream has been understood and passed on: the bytes count from here.
    pub fn mark(&self) {
        self.0.bytes.store(0, Ordering::Relaxed);
    }

    /// What is told if a limit was met.
    pub fn breach(&self) -> Option<String> {
        let breach = match (self.0.large.load(Ordering::Relaxed), self.0.late.load(Ordering::Relaxed)) {
            (true, _) => Breach::Bytes,
            (_, true) => Breach::Time,
            _ => return None,
        };
        Some(self.0.limit.told(breach))
    }

    fn fail(&self, breach: Breach) -> io::Error {
        let noted = if breach == Breach::Bytes { &self.0.large } else { &self.0.late };
        noted.store(true, Ordering::Relaxed);
        io::Error::other(Obstacle::Limit(self.0.limit.told(breach)))
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        let before = self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if before + bytes as u64 > self.0.limit.bytes { Err(self.fail(Breach::Bytes)) } else { Ok(()) }
    }
}

/// Why a request failed, where it is known better than HTTP knows it.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Obstacle {
    /// The answer went beyond what is taken of one.
    #[error("{0}")]
    Limit(String),
    /// TLS could not be agreed upon.
    #[error("{0}")]
    Tls(String),
    /// There is no way to it.
    #[error("{0}")]
    Connect(String),
    /// The host that it is on cannot be reached.
    #[error("{0}")]
    Ssh(Refusal),
}

impl Obstacle {
    /// The one that an error of the client comes from.
    pub fn of(error: &Cause) -> Option<Self> {
        let first: &(dyn std::error::Error + 'static) = match error {
            Cause::IOError { err } => err,
            Cause::HyperResponseError { err } => err,
            Cause::HyperLegacyError { err } => err,
            _ => return None,
        };
        let chain = std::iter::successors(Some(first), |error| error.source());
        let known = |error: &(dyn std::error::Error + 'static)| {
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let inner = inner.map(|inner| inner as &(dyn std::error::Error + 'static));
            let found = inner.and_then(|inner| inner.downcast_ref::<Self>()).or_else(|| error.downcast_ref());
            let alert = || {
                inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()).map(|error| Self::Tls(error.to_string()))
            };
            let refusal = || inner.and_then(|inner| inner.downcast_ref::<Refusal>()).cloned().map(Self::Ssh);
            found.cloned().or_else(refusal).or_else(alert)
        };
        chain.into_iter().find_map(known)
    }
}

impl Transport {
    /// Sends a request in the version of the API that the engine and this program both speak. Its extension [`Meter`] says how
    /// much is taken of the answer, if that is not the usual.
    pub fn send<B>(
        &self,
        mut request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, Cause>> + Send + use<B>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let this = self.clone();
        async move {
            let plain = request.uri().clone();
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let minor = this.settled().await?;
            this.tell(minor);
            *request.uri_mut() = versioned(&plain, minor);
            // What another engine of this address spoke the last time may be refused by now: it is asked anew, once.
            let again = (reads && !this.api.was_asked())
                .then(|| (request.method().clone(), request.extensions().get::<Meter>().cloned()));
            let answer = this.send_as_it_is(request).await?;
            let Some((method, meter)) = again.filter(|_| answer.status() == StatusCode::BAD_REQUEST) else {
                return Ok(answer);
            };
            let now = this.ask().await?;
            if now == minor {
                return Ok(answer);
            }
            let mut request = Request::new(Empty::<Bytes>::new());
            *request.method_mut() = method;
            *request.uri_mut() = versioned(&plain, now);
            meter.map(|meter| request.extensions_mut().insert(meter));
            this.send_as_it_is(request).await
        }
    }

    /// Sends a request whose version is left to the engine.
    pub fn send_as_it_is<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, Cause>> + Send + use<B>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(events) = &self.watcher {
            let path = request.uri().path_and_query().map_or_else(String::new, ToString::to_string);
            events.send(Event::Request { method: request.method().to_string(), path });
        }
        let meter = request.extensions().get().cloned().unwrap_or_else(|| Meter::new(ANSWER));
        let connector = Connector { way: self.way.clone(), meter };
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let api = self.api.clone();
        async move {
            let answer = client.request(request).await.map_err(Cause::from)?;
            let told = answer.headers().get("api-version").and_then(|told| told.to_str().ok());
            told.and_then(minor_of).inspect(|minor| api.heard(*minor));
            Ok(answer)
        }
    }

    /// Tells once which engine it is, and the version that is spoken with it.
    fn tell(&self, minor: u32) {
        let Some(events) = self.watcher.as_ref().filter(|_| self.api.is_first()) else { return };
        events.send(Event::Engine { address: self.name.clone(), api: format!("1.{minor}") });
    }

    /// The version that is spoken; the engine is asked where it is not known from an earlier run.
    async fn settled(&self) -> Result<u32, Cause> {
        match self.api.minor() {
            Some(minor) => Ok(minor),
            None => self.ask().await,
        }
    }

    /// Asks the engine for its version, once.
    async fn ask(&self) -> Result<u32, Cause> {
        let greeting = self.api.greeting.get_or_try_init(|| greet(self)).await?;
        self.api.settle(greeting.minor);
        Ok(self.api.minor().unwrap_or(NEWEST))
    }

    /// What the engine says that it is.
    pub async fn greeting(&self) -> Result<&Greeting, Cause> {
        self.ask().await?;
        self.api.greeting.get_or_try_init(|| greet(self)).await
    }
}

fn versioned(plain: &Uri, minor: u32) -> Uri {
    let mut parts = plain.clone().into_parts();
    let path = plain.path_and_query().map_or("/", |path| path.as_str());
    parts.path_and_query = format!("/v1.{minor}{path}").parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| plain.clone())
}

/// Makes the connection of one request.
#[derive(Clone)]
struct Connector {
    way: Way,
    meter: Meter,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { way, meter } = self.clone();
        Box::pin(async move {
            // A login has a limit of its own: somebody may have to type a passphrase.
            if let Way::Ssh { forward, .. } = &way {
                forward.log_in().await?;
            }
            let connected = tokio::time::timeout(CONNECT, connect(&way)).await;
            let late =
                || io::Error::other(Obstacle::Connect(format!("there is no connection after {} s", CONNECT.as_secs())));
            let stream = connected.map_err(|_| late())??;
            let end = Box::pin(tokio::time::sleep_until(Instant::now() + meter.0.limit.time));
            Ok(TokioIo::new(Wire { stream, meter, end }))
        })
    }
}

async fn connect(way: &Way) -> io::Result<Box<dyn Duplex>> {
    let (host, port, tls) = match way {
        Way::Ssh { forward, .. } => return Ok(Box::new(forward.connect().await?)),
        Way::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Way::Network { host, port, tls } => (host, *port, tls),
    };
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name =
        server_name(host).ok_or_else(|| io::Error::other(Obstacle::Tls(format!("`{host}` is no name of a server"))))?;
    let agreed = TlsConnector::from(tls.clone()).connect(name, stream).await;
    let agreed = agreed.map_err(|error| {
        let known = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
        if known { io::Error::other(Obstacle::Tls(error.to_string())) } else { error }
    });
    Ok(Box::new(agreed?))
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection whose bytes and time are counted.
struct Wire {
    stream: Box<dyn Duplex>,
    meter: Meter,
    end: Pin<Box<Sleep>>,
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(this.meter.fail(Breach::Time)));
        }
        let before = buffer.filled().len();
        let read = std::task::ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
        Poll::Ready(read.and_then(|()| this.meter.take(buffer.filled().len() - before)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
