//! A deployment with a lease, from its first file to its last: [`Job`].

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;

use super::access::Access;
use super::around::Around;
use super::name::new_name;
use crate::deployment::lease::{Claim, Claimed, Lease, claimed, remove};
use crate::deployment::lock::{self, Attempt, Lock};
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::event::Events;
use crate::execution::apply::attempt;
use crate::execution::graph::{Graph, Id};
use crate::execution::plan::Plan;
use crate::resource::aws::bucket::BucketKind;
use crate::resource::docker::labels::SCRATCH;
use crate::resource::run::{Options, Run};
use crate::resource::{At, Kind, Outputs, find};
use crate::session::{Prepared, Session, Target};
use crate::text::digest::hex;
use crate::world::engine::{DEPLOYMENT, Endpoint, Engine, ID, RESOURCE, ThingKind};
use crate::world::{files, host, process};

/// The input with the container that the job runs in.
const JOB: &str = "job-container";
/// How many lines of each container's log are kept.
const LINES: usize = 10_000;

pub(crate) struct Job {
    pub name: String,
    pub run: Arc<Run>,
    graph: Graph,
    record: Record,
    lease: Lease,
    /// Seconds that a claim lasts.
    lasting: i64,
    /// Where it runs.
    pub around: Around,
    /// Whether anything was asked of the engine.
    begun: bool,
    /// Whether the engine has stopped answering.
    silent: bool,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Job {
    /// Finds out where the job runs, makes the folder, with the claim of this process in it, and reads the playbook. Nothing is
    /// made on the engine, and on a host nothing is asked of it.
    pub async fn begin(session: &Session, mut target: Target, lasting: i64) -> Result<Self> {
        let around = Around::find(target.given.get(JOB).and_then(Json::as_str)).await?;
        // Where the network is the engine's own, its localhost is the job's.
        target.given.remove(JOB);
        target.given.extend(around.network.clone().map(|id| (JOB.to_owned(), Json::from(id))));
        let name = new_name()?;
        let now = host::now().unix_timestamp();
        let (user, place, process) = (process::user(), process::here(), Some(process::this()));
        let claim =
            Claim { user, place, process, container: around.container.clone(), created: now, expires: now + lasting };
        let id = hex(&host::random::<8>()?);
        let lease = Lease { id, engine: Endpoint::in_use()?.address, claim, later: None, settled: false };
        Store::create_leased(&name, &lease)?;
        let prepared = session.prepare(&Target { name: Some(name.clone()), ..target });
        let Prepared { graph, run, record, .. } = prepared.inspect_err(|_| drop(Store::forget_named(&name)))?;
        Ok(Self { name, run, graph, record, lease, lasting, around, begun: false, silent: false })
    }

    /// Brings everything up and writes what clients need. After a failure all stays as it is then, for its logs.
    ///
    /// # Errors
    /// A step that failed, or an engine that stopped answering.
    pub async fn bring_up(&mut self) -> Result<Access> {
        // Whoever ends it meanwhile waits until it is up.
        let _lock = self.lock()?;
        let run = self.run.clone();
        let engine = run.engine().await?;
        let known = tokio::select! {
            known = self.carry_out() => known,
            error = engine.falls_silent() => {
                self.silent = true;
                Err(error.hint("`provision ci reap` removes what is left of this once the engine answers again, and so does the next `provision ci`"))
            }
        }?;
        self.record.outputs = self.graph.outputs(&known)?;
        self.run.store.save(&self.record)?;
        let access = Access::write(&self.run.store, &self.record.outputs)?;
        self.lease.settled = true;
        self.run.store.renew_lease(&self.lease)?;
        Ok(access)
    }

    async fn carry_out(&mut self) -> Result<BTreeMap<Id, Outputs>> {
        let plan = Plan::make(&self.graph, &self.run, &self.record.kinds).await?;
        self.record.kinds.extend(self.graph.nodes.values().map(|vertex| vertex.kind.name.to_owned()));
        self.run.store.save(&self.record)?;
        self.graph.warn(&self.run);
        self.begun = true;
        attempt(&self.graph, &plan, &self.run).await
    }

    /// Lengthens the claim again and again, for those who cannot see this process. Never ends.
    pub async fn stay(&self) {
        for number in 1_u32.. {
            host::sleep(u64::try_from(self.lasting * 500).unwrap_or(u64::MAX)).await;
            let expires = host::now().unix_timestamp() + self.lasting;
            let claim = Claim { expires, ..self.lease.claim.clone() };
            if self.mark(&format!("lease-{number}"), &claim).await.is_ok() {
                let earlier = self.mark_name(&format!("lease-{}", number - 1));
                drop(self.remove_mark(earlier).await);
            }
        }
    }

    /// Leaves everything to a claim of no process and no container, which ends with its time.
    pub async fn keep(&mut self) -> Result<i64> {
        let expires = host::now().unix_timestamp() + self.lasting;
        let claim = Claim { process: None, container: None, expires, ..self.lease.claim.clone() };
        self.mark("kept", &claim).await?;
        self.lease.later = Some(claim);
        self.run.store.renew_lease(&self.lease)?;
        Ok(expires)
    }

    fn mark_name(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Labels cannot be changed: another claim stands on an empty volume.
    async fn mark(&self, what: &str, claim: &Claim) -> Result<()> {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut labels: HashMap<String, String> = claim.labels().into_iter().collect();
        // It counts as a part of the resource `socket`, or a plan would take it for one that the playbook no longer names.
        labels.extend([label(DEPLOYMENT, &self.name), label(ID, &self.lease.id), label(RESOURCE, "socket")]);
        labels.extend([label(SCRATCH, "true")]);
        self.run.engine().await?.create_mark(self.mark_name(what), labels).await
    }

    async fn remove_mark(&self, name: String) -> Result<()> {
        self.run.engine().await?.remove_volume(&name).await
    }

    /// Whether there may be something on an engine that answers.
    pub fn is_up(&self) -> bool {
        self.begun && !self.silent
    }

    /// Writes the logs of all containers into a folder.
    pub async fn write_logs(&self, folder: &Path) -> Result<()> {
        if self.silent || !self.begun {
            return Ok(());
        }
        let engine = self.run.engine().await?;
        files::make_folder(folder, 0o755)?;
        let claimed = claimed(engine, Some(&self.lease.id)).await?;
        let containers = claimed.iter().map(|claimed| &claimed.thing);
        for container in containers.filter(|thing| thing.kind == ThingKind::Container) {
            let mut text = engine.logs(&container.handle, LINES).await.join("\n");
            text.push('\n');
            files::write(&folder.join(format!("{}.log", container.name)), text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// The lock of the deployment, unless somebody else is about to end it.
    fn lock(&self) -> Result<Option<Lock>> {
        Ok(match lock::attempt(&self.name, "ci")? {
            Attempt::Taken(lock) => Some(lock),
            Attempt::Held(_) => None,
        })
    }

    /// Removes everything, the folder last.
    ///
    /// # Errors
    /// What could not be removed; the lease sees to it later.
    pub async fn tear_down(&self) -> Result<()> {
        if self.silent && self.begun {
            return Ok(());
        }
        let _lock = self.lock()?;
        if self.begun {
            clear(self.run.engine().await?, &self.lease.id).await?;
            clear_buckets(&self.name).await?;
        }
        self.run.store.forget()
    }

    /// The same, with a connection of its own.
    pub async fn tear_down_anew(&self) -> Result<()> {
        let engine = Engine::connect(None)?;
        let _lock = self.lock()?;
        clear(&engine, &self.lease.id).await?;
        clear_buckets(&self.name).await?;
        self.run.store.forget()
    }
}

/// Removes the buckets of a deployment with all that is in them.
///
/// # Errors
/// The store does not answer, or not with these credentials. The deployment's folder, which names the buckets, must stay then.
pub(crate) async fn clear_buckets(name: &str) -> Result<()> {
    let at = |delete_data: Vec<String>| -> Result<At> {
        let options = Options { delete_data, ..Options::default() };
        let run = Run::new(Store::open(name)?.0, Events::new(unbounded_channel().0), options);
        Ok(At { id: String::new(), kind: BucketKind::NAME, run: Arc::new(run) })
    };
    let kind = find(BucketKind::NAME).expect("it is in the table of kinds");
    let found = (kind.owned)(&at(Vec::new())?).await?;
    if found.is_empty() {
        return Ok(());
    }
    let at = at(found.iter().map(|owned| owned.label.clone()).collect())?;
    for owned in &found {
        (kind.remove)(owned, &at).await?;
    }
    Ok(())
}

/// Removes what a deployment has on an engine, or fails once the engine has stopped answering.
pub(crate) async fn clear(engine: &Engine, id: &str) -> Result<()> {
    let work = async {
        let things: Vec<Claimed> = claimed(engine, Some(id)).await?;
        remove(engine, &things).await
    };
    let result: Result<()> = tokio::select! {
        result = work => result,
        error = engine.falls_silent() => Err(error),
    };
    result.map_err(|error: Error| {
        error.hint(
            "`provision ci reap` removes what is left once the engine answers, and so does the next `provision ci`",
        )
    })
}
