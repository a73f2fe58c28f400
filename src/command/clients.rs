//! Trust of this machine's clients in a registry that is elsewhere: a deployment of this machine, by a playbook of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;

use super::{apply, destroy};
use crate::deployment::upkeep::Asked;
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::language::playbook::Playbook;
use crate::resource::NAMES;
use crate::resource::run::Options;
use crate::session::{Session, Target};
use crate::world::stop::Stopper;

const PLAYBOOK: &str = "parts/clients";
/// How long somebody else's work on it is waited for.
const WAIT: Duration = Duration::from_mins(1);

/// What clients are to trust.
pub(crate) struct Clients {
    /// The registries, as clients name them: `HOST:PORT`.
    pub hosts: BTreeSet<String>,
    /// The certificates of their authorities, in PEM.
    pub certificate: String,
    /// The host that they are on, as `ssh` is told it; empty for those that only stand for another one.
    pub far: String,
}

/// Makes clients trust what is asked for, by a deployment of this name; or takes that back.
///
/// # Errors
/// What stands in the way.
pub(crate) async fn settle(
    events: &Events,
    name: &str,
    clients: Option<Clients>,
    is_told: impl Fn(&Event) -> bool,
) -> Result<()> {
    let (sender, mut receiver) = unbounded_channel();
    let upkeep = Asked { maintain: Some(false), ..Asked::default() };
    let options = Options { upkeep, ..Options::default() };
    let session = Session { events: Events::new(sender), options, yes: true, wait: WAIT, stopper: Stopper::default() };
    let work = async {
        match (clients, Store::open(name)?.1.is_some()) {
            (Some(clients), _) => apply::run(&session, target(name, clients)?, "trust").await,
            (None, true) => destroy::run(&session, name, false).await,
            (None, false) => Ok(()),
        }
    };
    let result = work.await;
    // That nothing had to be done here is nothing that anybody wants to know.
    while let Ok(event) = receiver.try_recv() {
        if is_told(&event) {
            events.send(event);
        }
    }
    result
}

/// Whether a deployment is one of these.
pub(crate) fn is_one(record: &Record) -> bool {
    record.playbook.name == PLAYBOOK
}

fn target(name: &str, clients: Clients) -> Result<Target> {
    let playbook = Playbook::builtin(PLAYBOOK, NAMES)
        .unwrap_or_else(|| Err(Error::new(format!("there is no playbook `{PLAYBOOK}`"))))?;
    let given = BTreeMap::from([
        ("hosts".to_owned(), clients.hosts.into_iter().map(Json::from).collect()),
        ("certificate".to_owned(), Json::from(clients.certificate)),
        ("far".to_owned(), Json::from(clients.far)),
    ]);
    Ok(Target {
        playbook,
        path: None,
        brought: None,
        given,
        environment: None,
        name: Some(name.to_owned()),
        again: false,
        root: None,
        warnings: Vec::new(),
    })
}
