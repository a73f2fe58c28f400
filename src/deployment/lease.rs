//! Whose a deployment is that is to be gone by itself, and until when: [`Claim`], [`Lease`].
//!
//! A claim stands as labels on everything that is made, from the moment it is made, so that whoever comes next can tell what
//! nobody needs any more. Labels cannot be changed: the sign of life of a claim is the process that made it. Where that one
//! cannot be seen, because it runs on another machine or in another process namespace, the claim holds until it expires.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::world::engine::{DEPLOYMENT, Engine, ID, Thing, ThingKind};
use crate::world::process::{Place, Process, Seen};

/// The label with the end of a claim, which everything with a lease has.
pub(crate) const EXPIRES: &str = "provision.lease.expires";

/// A thing of an engine with a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub thing: Thing,
    pub deployment: String,
    /// The deployment's random id.
    pub id: String,
    pub claim: Claim,
}

/// Everything on an engine that has a lease, of all its users, or of one deployment.
pub(crate) async fn claimed(engine: &Engine, id: Option<&str>) -> Result<Vec<Claimed>> {
    let mut labels = vec![EXPIRES.to_owned()];
    labels.extend(id.map(|id| format!("{ID}={id}")));
    let claimed = |thing: Thing| {
        let label = |name: &str| thing.labels.get(name).cloned().unwrap_or_default();
        let claim = Claim::read(|name| thing.labels.get(name).map(String::as_str))?;
        Some(Claimed { deployment: label(DEPLOYMENT), id: label(ID), claim, thing })
    };
    Ok(engine.labelled(labels).await?.into_iter().filter_map(claimed).collect())
}

/// Removes things: containers with their anonymous volumes first, since they hold the others.
pub(crate) async fn remove(engine: &Engine, things: &[Claimed]) -> Result<()> {
    let of = |containers: bool| {
        let things = things.iter().map(|claimed| &claimed.thing);
        let mine = things.filter(move |thing| (thing.kind == ThingKind::Container) == containers);
        join_all(mine.map(|thing| engine.remove_thing(thing)))
    };
    let mut removed = of(true).await;
    removed.extend(of(false).await);
    removed.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

/// Who needs something, and until when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub user: String,
    pub place: Place,
    /// The process that needs it. None for a job of several steps, of which each is a process of its own.
    pub process: Option<Process>,
    /// The container that it runs in, of the engine that the things are on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Seconds since 1970.
    pub created: i64,
    pub expires: i64,
}

/// What the folder of a deployment keeps of its lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// The deployment's random id, as the labels have it.
    pub id: String,
    /// The engine that it is on.
    pub engine: String,
    /// The claim that its things have as labels.
    pub claim: Claim,
    /// One that has been made since.
    #[serde(default)]
    pub later: Option<Claim>,
    /// Whether all that was asked of the engine has been answered: nothing can appear any more.
    pub settled: bool,
}

/// Whether a claim still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Holds,
    Expired,
    /// Its process has ended, or the container that it ran in.
    Orphaned,
}

impl Lease {
    /// Fails if the engine that is reached is not the one that it is on.
    pub fn check_engine(&self, address: &str) -> Result<()> {
        if self.engine == address {
            return Ok(());
        }
        Err(Error::new(format!("it is on the engine at `{}`, and this is the one at `{address}`", self.engine)).hint(
            format!(
                "run the command again with `DOCKER_HOST={}`, or with the context that it was made in",
                crate::text::shell::quoted(&self.engine)
            ),
        ))
    }
}

impl Claim {
    /// As labels. They tell no more than `ps` does.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let (process, started) = match &self.process {
            Some(process) => (process.id.to_string(), process.started.to_string()),
            None => (String::new(), String::new()),
        };
        let label = |name: &str, value: &str| (format!("provision.lease.{name}"), value.to_owned());
        BTreeMap::from([
            label("owner", &format!("{}@{}", self.user, self.place.host)),
            label("machine", &self.place.machine),
            label("boot", &self.place.boot),
            label("namespace", &self.place.namespace),
            label("process", &process),
            label("started", &started),
            label("container", self.container.as_deref().unwrap_or_default()),
            label("created", &self.created.to_string()),
            label("expires", &self.expires.to_string()),
        ])
    }

    /// Reads it from labels; none if it has no end.
    pub fn read<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let text = |name: &str| label(&format!("provision.lease.{name}")).unwrap_or_default().to_owned();
        let owner = text("owner");
        let (user, host) = owner.split_once('@').unwrap_or((&owner, ""));
        let process = text("process").parse().ok().zip(text("started").parse().ok());
        Some(Self {
            user: user.to_owned(),
            place: Place {
                host: host.to_owned(),
                machine: text("machine"),
                boot: text("boot"),
                namespace: text("namespace"),
            },
            container: Some(text("container")).filter(|id| !id.is_empty()),
            process: process.map(|(id, started)| Process { id, started }),
            created: text("created").parse().unwrap_or_default(),
            expires: text("expires").parse().ok()?,
        })
    }

    /// Whether it still holds, seen from `here` at `now`, with a look at processes and at the containers of the engine.
    pub fn standing(&self, here: &Place, see: impl Fn(u32) -> Seen, runs: impl Fn(&str) -> bool, now: i64) -> Standing {
        if self.container.as_deref().is_some_and(|container| !runs(container)) {
            return Standing::Orphaned;
        }
        let by_time = if self.expires > now { Standing::Holds } else { Standing::Expired };
        let same_system = self.place.machine == here.machine && self.place.boot == here.boot;
        match &self.process {
            Some(process) if same_system && self.place.namespace == here.namespace => match see(process.id) {
                Seen::Running(started) if started == process.started => Standing::Holds,
                Seen::Running(_) | Seen::Gone => Standing::Orphaned,
                Seen::Hidden => by_time,
            },
            // The same machine after another boot; the name tells it from a copy.
            _ if self.place.machine == here.machine && self.place.host == here.host && !same_system => {
                Standing::Orphaned
            }
            _ => by_time,
        }
    }
}
