//! A port of another host on this host's loopback, by the system's `ssh`: [`Tunnel`].
//!
//! The port is this process's own, and `ssh` forwards a socket that nobody else can open: so the port stays taken while the
//! connection is lost, and whoever connects meanwhile is served once it is back.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::ssh::{LoggedIn, MARK, Refusal, Target, broken, lasting, options, when_let_in};
use crate::error::{Error, Result};
use crate::world::http::connects;

/// How much of a connection is in memory in each direction.
const PART: usize = 128 << 10;
/// How long a client waits for a connection that is lost.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pauses between attempts to connect again, the shortest and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long `ssh` may take to say why a connection did not come about.
const MOMENT: Duration = Duration::from_secs(1);

/// A port of this host's loopback, and where its connections go.
#[derive(Debug)]
pub(crate) struct Tunnel {
    target: Target,
    /// `ADDRESS:PORT` as the other host reaches it.
    far: String,
    listener: TcpListener,
    /// The socket that `ssh` forwards; none while the connection is lost.
    socket: watch::Sender<Option<PathBuf>>,
}

/// A login that lasts. What is left of it goes with it.
#[derive(Debug)]
pub(crate) struct Link {
    child: Child,
    /// `ssh` ends with it; to wait for a child would close its input.
    #[expect(dead_code, reason = "it is closed with this")]
    input: Option<ChildStdin>,
    said: Arc<Mutex<String>>,
    #[expect(dead_code, reason = "it is removed with this")]
    folder: tempfile::TempDir,
}

impl Tunnel {
    /// Takes the port. Nothing is asked of the other host yet.
    ///
    /// # Errors
    /// Somebody else listens there.
    pub async fn take(target: Target, far: (&str, u16), port: u16) -> Result<Self> {
        let taken = || {
            Error::new(format!("port {port} of this machine is in use"))
                .hint(format!("take another one: `--port {}`", port.checked_add(1).unwrap_or(5000)))
        };
        // `localhost` is also this address, and many clients try it first.
        if connects(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
            return Err(taken());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => taken(),
            io::ErrorKind::PermissionDenied => Error::new(format!("only root may listen on port {port}"))
                .hint("take one above 1023, such as `--port 5000`"),
            _ => Error::new(format!("cannot listen on 127.0.0.1:{port}: {error}")),
        })?;
        let (address, far_port) = far;
        let far =
            if address.contains(':') { format!("[{address}]:{far_port}") } else { format!("{address}:{far_port}") };
        Ok(Self { target, far, listener, socket: watch::Sender::new(None) })
    }

    /// As it is told: `127.0.0.1:5000`, seen from the other host.
    pub fn far(&self) -> &str {
        &self.far
    }

    /// Logs in.
    ///
    /// # Errors
    /// [`Refusal`]
    pub async fn connect(&self) -> std::result::Result<Link, Refusal> {
        when_let_in(|| self.log_in()).await
    }

    /// Logs in once more, however long that takes.
    ///
    /// # Errors
    /// The other host refuses, and would again.
    pub async fn connect_again(&self) -> std::result::Result<Link, Refusal> {
        let (mut pause, longest) = PAUSES;
        loop {
            match self.log_in().await {
                Err(refusal) if !refuses_always(&refusal) => {
                    tokio::time::sleep(pause).await;
                    pause = longest.min(pause * 2);
                }
                result => return result,
            }
        }
    }

    async fn log_in(&self) -> std::result::Result<Link, Refusal> {
        let folder = tempfile::Builder::new().prefix("provision-ssh.").tempdir().map_err(broken)?;
        let socket = folder.path().join("tunnel.sock");
        let mut command = lasting();
        // A connection that the user keeps open would go on forwarding when this has ended.
        command.args(["-o", "ControlMaster=no", "-o", "ControlPath=none"]).args(options(None)).arg("-T");
        command.args(["-L", &format!("{}:{}", socket.display(), self.far)]).args(self.target.words());
        // It ends with its input, and that with this process, however that ends.
        command.arg(format!("sh -c 'echo {MARK}; exec cat >/dev/null'"));
        let LoggedIn { mut child, said, .. } = self.target.log_in(command).await?;
        self.socket.send_replace(Some(socket));
        Ok(Link { input: child.stdin.take(), child, said, folder })
    }

    /// Waits until a connection is lost, and says why.
    pub async fn lost(&self, link: &mut Link) -> String {
        drop(link.child.wait().await);
        self.socket.send_replace(None);
        let said = link.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing").to_owned()
    }

    /// Serves whoever connects here. Never ends.
    pub async fn serve(&self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((client, _)) => drop(connections.spawn(pass(client, self.socket.subscribe()))),
                    // There are too many open files, for instance: others may be closed meanwhile.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

impl Link {
    /// What `ssh` says of a connection that did not come about.
    pub async fn complaint(&self) -> Option<String> {
        let begun = tokio::time::Instant::now();
        loop {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let found = said.lines().rev().find_map(|line| line.split_once("open failed: ").map(|(_, why)| why.trim()));
            if found.is_some() || begun.elapsed() > MOMENT {
                return found.map(str::to_owned);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it.
    pub async fn end(mut self) {
        drop(self.child.kill().await);
    }
}

/// Takes a port of the loopback where nobody listens, for as long as this is kept; none if somebody does.
pub(crate) fn hold(port: u16) -> Option<std::net::TcpListener> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

/// Whether the same would be said again, until somebody does something about it.
fn refuses_always(refusal: &Refusal) -> bool {
    ["the host key of", "Permission denied", "cannot run `ssh`"].iter().any(|said| refusal.reason.contains(said))
}

/// Passes one connection on; it is closed if there is no way for too long.
async fn pass(mut client: TcpStream, mut socket: watch::Receiver<Option<PathBuf>>) {
    let begun = tokio::time::Instant::now();
    let connect = async {
        loop {
            let path = socket.wait_for(Option::is_some).await.ok()?.clone()?;
            if let Ok(far) = UnixStream::connect(path).await {
                return Some(far);
            }
            // `ssh` has ended, which is noticed next.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let Ok(Some(mut far)) = tokio::time::timeout_at(begun + PATIENCE, connect).await else { return };
    drop(client.set_nodelay(true));
    drop(copy_bidirectional_with_sizes(&mut client, &mut far, PART, PART).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: &str) -> Refusal {
        Refusal { reason: reason.to_owned(), hint: String::new() }
    }

    #[test]
    fn what_a_host_refuses_always_is_not_tried_again() {
        for reason in ["the host key of `far` has changed", "ssh: me@far: Permission denied (publickey)."] {
            assert!(refuses_always(&refusal(reason)), "{reason}");
        }
        for reason in ["ssh: connect to host far port 22: Connection refused", "ssh: it says nothing"] {
            assert!(!refuses_always(&refusal(reason)), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_in_use_is_told_whichever_loopback_it_is_of() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(other) = TcpListener::bind(address).await else { continue };
            let port = other.local_addr().unwrap().port();
            let target = Target::parse("far").unwrap();
            let error = Tunnel::take(target, ("127.0.0.1", 5000), port).await.unwrap_err();
            assert!(error.to_string().contains("is in use"), "{error}");
        }
    }
}
