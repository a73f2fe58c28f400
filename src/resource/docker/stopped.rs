//! Containers of somebody else that are stopped for as long as this deployment is there: [`StoppedContainerKind`].

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, RestartPolicy, RestartPolicyNameEnum,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::record::Kept;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::world::engine::{DEPLOYMENT, Engine, ID};

pub(crate) struct StoppedContainerKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Their names. They stay on the engine, and run again once the deployment is destroyed.
    containers: Vec<String>,
}

/// What a container was before it was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    name: String,
    id: String,
    running: bool,
    paused: bool,
    /// Its restart policy in Docker's words, and the limit of `on-failure`.
    restart: String,
    retries: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Undo {
    /// What they were was written down.
    Kept(Kept),
    /// One was stopped.
    Stopped(Before),
}

/// What each is, and what it was before.
#[derive(Debug)]
pub(crate) struct Actual {
    now: Vec<Before>,
    before: Vec<Before>,
}

impl Before {
    fn of(found: ContainerInspectResponse) -> Self {
        let status = found.state.and_then(|state| state.status);
        let policy = found.host_config.and_then(|config| config.restart_policy).unwrap_or_default();
        let restart = policy.name.map(|name| name.to_string()).filter(|name| !name.is_empty());
        Self {
            name: found.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            id: found.id.unwrap_or_default(),
            paused: status == Some(Status::PAUSED),
            running: status
                .is_some_and(|status| [Status::RUNNING, Status::RESTARTING, Status::PAUSED].contains(&status)),
            restart: restart.unwrap_or_else(|| NEVER.to_owned()),
            retries: policy.maximum_retry_count.unwrap_or_default(),
        }
    }

    fn policy(&self) -> RestartPolicy {
        let name = self.restart.parse::<RestartPolicyNameEnum>().unwrap_or(RestartPolicyNameEnum::NO);
        let retries = Some(self.retries).filter(|_| name == RestartPolicyNameEnum::ON_FAILURE);
        RestartPolicy { name: Some(name), maximum_retry_count: retries }
    }

    /// Makes it what it was, if it is still there.
    async fn restore(&self, engine: &Engine) -> Result<()> {
        if engine.container(&self.id).await?.is_none() {
            return Ok(());
        }
        engine.set_restart_policy(&self.id, self.policy()).await?;
        if self.running { engine.start_container(&self.id).await } else { Ok(()) }
    }
}

/// The policy of a container that the engine does not start by itself.
const NEVER: &str = "no";

impl Kind for StoppedContainerKind {
    const NAME: &'static str = "stopped-container";
    const ABOUT: &'static str = "containers of somebody else that are stopped while the deployment is there, and started again when it is destroyed";
    const OUTPUTS: &'static [Output] = &[public("containers")];
    const OF_THIS_HOST: bool = true;
    /// The old one would take the place of the new one again; that is for `destroy`.
    const STAYS: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let engine = at.engine().await?;
        let before: Vec<Before> = at.kept_json()?.unwrap_or_default();
        let mut now = Vec::new();
        for name in &spec.containers {
            let known = before.iter().find(|known| known.name == *name);
            let Some(found) = engine.container(known.map_or(name, |known| &known.id)).await? else {
                // One that was stopped before may have been removed since.
                if known.is_some() {
                    continue;
                }
                return Err(Error::new(format!("there is no container `{name}`")).hint(
                    "`docker ps -a` lists the containers; name only those that the deployment takes the place of",
                ));
            };
            let labels = found.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
            if labels.contains_key(ID) {
                let owner = labels.get(DEPLOYMENT).cloned().unwrap_or_default();
                return Err(Error::new(format!("the container `{name}` belongs to the deployment `{owner}`"))
                    .hint(format!("`provision destroy {owner}` ends that deployment")));
            }
            if found.host_config.as_ref().and_then(|config| config.auto_remove).unwrap_or_default() {
                return Err(Error::new(format!("the container `{name}` was started with `--rm`: the engine removes it once it is stopped"))
                    .hint(format!(
                        "if its images are in a volume with a name or in a folder, `docker stop {name}` and leave it out; otherwise copy them with `provision migrate`"
                    )));
            }
            // Its name is the one that was given: a container answers to the start of its id as well.
            now.push(Before { name: name.clone(), ..Before::of(found) });
        }
        // Its port is free, and its volumes are in nobody's use, once this deployment needs them.
        at.run.yields(now.iter().map(|container| container.id.clone()));
        Ok(Some(Actual { now, before }))
    }

    fn diff(_: &Spec, actual: &Actual, _: &At) -> Change {
        let mut fields = Vec::new();
        for container in &actual.now {
            let state = if container.running { "running" } else { "stopped" };
            fields.extend(Field::compare(format!("{}.state", container.name), state, "stopped"));
            fields.extend(Field::compare(format!("{}.restart", container.name), &container.restart, NEVER));
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, _: &At) -> Outputs {
        Outputs::default().with("containers", spec.containers.join(" "))
    }

    async fn apply(_: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let Some(actual) = actual else { return Ok(()) };
        let engine = at.engine().await?;
        let news = actual.now.iter().filter(|now| !actual.before.iter().any(|known| known.id == now.id));
        let all: Vec<Before> = actual.before.iter().chain(news).cloned().collect();
        at.keep_json(&all).await?;
        for container in actual.now.into_iter().filter(|container| container.running || container.restart != NEVER) {
            let (id, is_paused) = (container.id.clone(), container.paused);
            at.will(&Undo::Stopped(container))?;
            // The engine starts none by itself that has no policy, whatever happens to it or to the engine.
            let never = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
            engine.set_restart_policy(&id, never).await?;
            if is_paused {
                engine.unpause_container(&id).await?;
            }
            engine.stop_container(&id).await?;
        }
        Ok(())
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Kept(kept) => kept.restore(at),
            Undo::Stopped(before) => before.restore(at.engine().await?).await,
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        let before: Vec<Before> = at.store().json(&owned.handle)?.unwrap_or_default();
        let engine = at.engine().await?;
        for container in &before {
            container.restore(engine).await?;
        }
        at.remove_kept(owned)
    }
}
