//! `provision tunnel`: the registry of another host on this machine's loopback, as long as it is wanted.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::command::clients::{self, Clients};
use crate::deployment::{Store, names};
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::formats::x509::{self, Name};
use crate::report::{self, Style};
use crate::session::Session;
use crate::world::greeting::{Greeting, greet};
use crate::world::http::{Client, Request, Route};
use crate::world::ssh::Refusal;
use crate::world::stop::Signal;
use crate::world::tunnel::{self, Link, Tunnel};
use crate::world::{near, process, terminal};
use place::Place;

/// How the deployment is called by which clients trust a tunnel, before its port.
const NAME: &str = "tunnel-";

/// What is asked for.
pub(crate) struct Wanted {
    /// The name of a deployment, or `ssh://HOST`.
    pub registry: String,
    /// The port of this machine.
    pub port: u16,
    /// Where the registry listens there, if that is said.
    pub far_port: Option<u16>,
    pub far_address: Option<String>,
    /// What to run; empty if it is to stay until a signal.
    pub command: Vec<String>,
}

/// Opens it, and gives the exit code: that of the command, if there is one.
pub(crate) async fn run(session: &Session, wanted: &Wanted) -> Result<u8> {
    if near::get().is_some() {
        return Err(Error::usage("a tunnel leads from this machine to another host, and `--host` names none for it")
            .hint("leave `--host` out, and name the host behind the verb: `tunnel ssh://HOST`"));
    }
    let place = Place::find(wanted)?;
    // `ssh` may ask for a passphrase, and be ended then.
    let _terminal = terminal::remember();
    let far = (place.address.as_str(), place.port);
    let tunnel = Tunnel::take(place.target.clone(), far, wanted.port).await?;
    forget_ended(&session.events, wanted.port).await?;
    let open = Open { events: &session.events, wanted, place: &place, tunnel: &tunnel };
    tokio::select! {
        code = open.whole(session.stopper.listen()) => code,
        () = tunnel.serve() => unreachable!("it serves for ever"),
    }
}

/// What a user should know of a change that belongs to a tunnel.
fn is_told(event: &Event) -> bool {
    matches!(event, Event::Note { .. } | Event::Warning { .. })
}

/// Takes back the trust in tunnels that were killed. The port of one that lasts is taken, as this one's own is.
async fn forget_ended(events: &Events, own: u16) -> Result<()> {
    for name in names()? {
        let Some(port) = name.strip_prefix(NAME).and_then(|port| port.parse().ok()) else { continue };
        let Ok((_, record)) = Store::existing(&name) else { continue };
        let held = if port == own { None } else { tunnel::hold(port) };
        if clients::is_one(&record) && (port == own || held.is_some()) {
            clients::settle(events, &name, None, is_told).await?;
        }
    }
    Ok(())
}

/// A tunnel whose port is taken.
struct Open<'a> {
    events: &'a Events,
    wanted: &'a Wanted,
    place: &'a Place,
    tunnel: &'a Tunnel,
}

impl Open<'_> {
    async fn whole(&self, mut signals: UnboundedReceiver<Signal>) -> Result<u8> {
        let begin = async {
            let link = self.tunnel.connect().await.map_err(refused)?;
            let greeting = self.check(&link).await?;
            Ok::<_, Error>((link, greeting))
        };
        let (mut link, greeting) = tokio::select! {
            begun = begin => begun?,
            _ = signals.recv() => return Err(Error::new("stopped before the tunnel was open")),
        };
        let port = self.wanted.port;
        let trusting = format!("{NAME}{port}");
        let clients = self.trusted(&greeting).await?;
        let trusts = clients.is_some();
        if trusts {
            let result = clients::settle(self.events, &trusting, clients, is_told).await;
            result.map_err(|error| error.within(format!("this machine's clients do not trust `localhost:{port}`")))?;
        }
        let until = if self.wanted.command.is_empty() { "Ctrl-C" } else { "the command ends" };
        self.events.note(None, format!("`localhost:{port}` is the registry {} until {until}", self.shown()));
        let result = self.used(&mut link, signals).await;
        link.end().await;
        if trusts {
            clients::settle(self.events, &trusting, None, is_told).await?;
        }
        result
    }

    /// The registry, as it is told.
    fn shown(&self) -> String {
        format!("at {} of `{}`", self.tunnel.far(), self.place.target.short())
    }

    /// Keeps it open until it is not wanted any more.
    async fn used(&self, link: &mut Link, mut signals: UnboundedReceiver<Signal>) -> Result<u8> {
        let keep = self.keep(link);
        if self.wanted.command.is_empty() {
            return tokio::select! {
                error = keep => Err(error),
                _ = signals.recv() => Ok(0),
            };
        }
        let variables = BTreeMap::new();
        let mut command = std::pin::pin!(process::run(&self.wanted.command, &variables, signals));
        let code = tokio::select! {
            code = &mut command => code,
            error = keep => {
                self.events.note(None, error.render());
                command.await
            }
        };
        Ok(code.unwrap_or_else(|(error, code)| {
            report::error(&error, Style::Text);
            code
        }))
    }

    /// Connects again whenever the connection is lost, as long as the other host does not refuse it.
    async fn keep(&self, link: &mut Link) -> Error {
        loop {
            let why = self.tunnel.lost(link).await;
            let host = self.place.target.short();
            self.events.note(None, format!("the connection to `{host}` is lost, and made again: {why}"));
            match self.tunnel.connect_again().await {
                Ok(again) => *link = again,
                Err(refusal) => return refused(refusal),
            }
            let text = match self.check(link).await {
                Ok(_) => format!("connected to `{host}` again"),
                Err(error) => format!("connected to `{host}` again: {error}"),
            };
            self.events.note(None, text);
        }
    }

    /// Asks the registry itself whether it is there.
    async fn check(&self, link: &Link) -> Result<Greeting> {
        let (shown, host) = (self.shown(), self.place.target.short());
        let ports =
            "`--far-port PORT` says where it listens there, `--far-address ADDRESS` if that is not its loopback";
        match greet(self.wanted.port).await {
            Ok(greeting) if greeting.is_of_a_registry() => Ok(greeting),
            Ok(Greeting { has_header: true, status, .. }) => {
                Err(Error::new(format!("the registry {shown} does not work: it answers with status {status}"))
                    .hint("look at it on its host: `provision status`"))
            }
            Ok(Greeting { status, .. }) => {
                Err(Error::new(format!("what answers {shown} is no registry: status {status} for `/v2/`")).hint(ports))
            }
            Err(reason) => Err(match link.complaint().await {
                Some(why) if why.contains("prohibited") => {
                    Error::new(format!("`{host}` forwards no connections to {}: {why}", self.tunnel.far()))
                        .hint("`AllowTcpForwarding` and `PermitOpen` in sshd_config(5) there say who may")
                }
                Some(why) => Error::new(format!("nothing answers {shown}: {why}")).hint(ports),
                None => Error::new(format!("no registry answers {shown}: {reason}")).hint(ports),
            }),
        }
    }

    /// What clients are to trust, which is nothing where that would not help them.
    ///
    /// # Errors
    /// The certificate is not of the authority that is known for this registry.
    async fn trusted(&self, greeting: &Greeting) -> Result<Option<Clients>> {
        let Some(certificate) = &greeting.certificate else { return Ok(None) };
        let port = self.wanted.port;
        let names = x509::read_der(certificate)?.names;
        let has_name = names.contains(&Name::parse("localhost")?);
        if let Some(authority) = &self.place.authority {
            self.verify(authority, &names).await?;
        }
        if !has_name {
            self.events.note(
                None,
                format!(
                    "clients refuse `localhost:{port}`: the certificate there is not for that name; {} adds it",
                    self.place.adding("localhost", &names)
                ),
            );
            return Ok(None);
        }
        let Some(authority) = self.place.authority.clone() else {
            self.events.note(None, format!("whose certificate it is, this machine does not know: Docker takes any on the loopback, other clients are to be told to trust `localhost:{port}`"));
            return Ok(None);
        };
        // It tells of no host: whoever looks for a registry by its name is not to find this one.
        let (hosts, far) = (BTreeSet::from([format!("localhost:{port}")]), String::new());
        Ok(Some(Clients { hosts, certificate: authority, far }))
    }

    /// Fails if what answers has no certificate of this authority.
    async fn verify(&self, authority: &str, names: &BTreeSet<Name>) -> Result<()> {
        let all: Vec<String> = names.iter().map(ToString::to_string).collect();
        let is_host = |name: &&String| !name.starts_with('*') && name.parse::<std::net::IpAddr>().is_err();
        let chosen = all.iter().find(|name| *name == "localhost").or_else(|| all.iter().find(is_host));
        let Some(name) = chosen else { return Ok(()) };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.wanted.port));
        let client = Client::new(name, Route::Address(address), Some(authority), None)?;
        let url = format!("https://{name}:{}/v2/", self.wanted.port);
        let answer = client.send(Request { method: "GET", url: &url, ..Request::default() }).await;
        answer.map(drop).map_err(|error| {
            Error::new(format!("what answers {} is not the registry that this machine knows: {error}", self.shown()))
                .hint(format!("if it was set up anew, {} makes it known here", self.place.known_again()))
        })
    }
}

fn refused(refusal: Refusal) -> Error {
    Error::new(refusal.reason).hint(refusal.hint)
}
