//! A container: created, or replaced when a field differs, and given up only for a successor that is ready: [`ContainerKind`].

mod backup;
mod body;
mod diff;
mod files;
mod outward;
mod ports;
mod ready;
mod spec;
mod words;

use std::collections::BTreeMap;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum, ImageInspect};
use futures_util::future::{join_all, try_join};
use serde::{Deserialize, Serialize};

use super::volume::VolumeKind;
use super::{At, Kind, Output, Outputs, Owned, public};
use crate::backup::Part;
use crate::change::{Action, Change, is_unknown, unknown};
use crate::content::digest;
use crate::error::{Error, Result};
use crate::world::engine::{Engine, ID, Sink};
use crate::world::read;
use files::FileState;
use spec::Ready;
pub(crate) use spec::Spec;

/// The label of an anonymous volume that holds uploaded files.
pub(crate) const FILES: &str = "provision.files";

/// The label with the text of `overlap`.
pub(crate) const OVERLAP: &str = "provision.overlap";
/// The label with the text for which a container has run once.
const ONCE: &str = "provision.once";

pub(crate) struct ContainerKind;

/// A container as it is, with the image that it should have.
pub(crate) struct Actual {
    container: ContainerInspectResponse,
    image: Option<ImageInspect>,
    files: BTreeMap<String, FileState>,
}

/// How a step is taken back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    /// It was made, and nothing stood in its place.
    Created { name: String },
    /// The old one was stopped and stands aside under another name.
    Replaced { name: String, running: bool, ready: Option<Ready> },
    /// It was started.
    Started { name: String },
    /// It was stopped and started.
    Restarted { name: String },
    /// Files in it were overwritten; a tar archive holds each as it was.
    Uploaded { name: String, before: Vec<(String, Vec<u8>)>, signal: Option<String> },
}

/// The name of a container that waits to take the place of `name`.
fn successor(name: &str) -> String {
    format!("{name}.new")
}

/// The name under which the container that was called `name` stands aside.
fn predecessor(name: &str) -> String {
    format!("{name}.old")
}

impl Actual {
    fn is_ours(&self, at: &At) -> bool {
        let labels = self.container.config.as_ref().and_then(|config| config.labels.as_ref());
        labels.and_then(|labels| labels.get(ID)).is_some_and(|id| id == at.store().id())
    }

    /// Whether a new one can run beside it, though they share volumes.
    fn overlaps(&self, spec: &Spec) -> bool {
        let labels = self.container.config.as_ref().and_then(|config| config.labels.as_ref());
        let own = labels.and_then(|labels| labels.get(OVERLAP));
        spec.published().is_ok_and(|ports| ports.is_empty())
            && own.zip(spec.overlap()).is_some_and(|(own, new)| *own != digest(new.as_bytes()))
    }

    fn is_running(&self) -> bool {
        self.container.state.as_ref().and_then(|state| state.running).unwrap_or_default()
    }

    fn is_paused(&self) -> bool {
        self.container.state.as_ref().and_then(|state| state.paused).unwrap_or_default()
    }

    fn is_unhealthy(&self) -> bool {
        let health = self.container.state.as_ref().and_then(|state| state.health.as_ref());
        health.and_then(|health| health.status) == Some(HealthStatusEnum::UNHEALTHY)
    }

    /// The host's ports that it holds as it is.
    fn ports(&self) -> Vec<u16> {
        let bindings =
            self.container.host_config.as_ref().and_then(|config| config.port_bindings.clone()).unwrap_or_default();
        let ports = bindings.into_values().flatten().flatten().filter_map(|binding| binding.host_port?.parse().ok());
        if self.is_running() { ports.collect() } else { Vec::new() }
    }
}

impl ContainerKind {
    /// Creates a container with its files, and with it on all its networks.
    async fn create(spec: &Spec, name: &str, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let mut body = body::desired(spec, at)?;
        backup::keep_empty(&mut body, spec, at).await?;
        engine.create_container(name, body).await?;
        for (network, request) in body::more_networks(spec, name) {
            engine.connect_network(&network, request).await?;
        }
        backup::write(spec, name, at).await?;
        files::upload(spec, name, engine).await
    }

    async fn start(spec: &Spec, name: &str, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        ports::start(spec, name, engine).await?;
        if spec.once.is_some() {
            ready::finishes(name, at).await
        } else {
            ready::wait(spec.ready.as_ref(), name, at).await
        }
    }

    /// Starts what is there but does not run as it should.
    async fn mend(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        if actual.is_paused() {
            at.will(&Undo::Started { name: name.clone() })?;
            // It was ready before, and will not say so again.
            return engine.unpause_container(&name).await;
        }
        if actual.is_unhealthy() && actual.is_running() {
            at.will(&Undo::Restarted { name: name.clone() })?;
            engine.stop_container(&name).await?;
        } else {
            at.will(&Undo::Started { name: name.clone() })?;
        }
        Self::start(spec, &name, at).await
    }

    async fn replace(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        let next = successor(&name);
        // Left over from a run that was killed, if it is there.
        engine.remove_container(&next).await?;
        engine.remove_container(&predecessor(&name)).await?;
        at.will(&Undo::Replaced { name: name.clone(), running: actual.is_running(), ready: spec.ready.clone() })?;
        if spec.trial {
            let tried = spec.tried();
            Self::create(&tried, &next, at).await?;
            Self::start(&tried, &next, at).await?;
            engine.remove_container(&next).await?;
        }
        Self::create(spec, &next, at).await?;
        at.run.check_cancelled()?;
        let overlaps = actual.overlaps(spec);
        if spec.may_overlap() || overlaps {
            Self::start(spec, &next, at).await?;
            engine.rename_container(&name, &predecessor(&name)).await?;
            engine.rename_container(&next, &name).await?;
            if overlaps {
                // What still asks the old one is yet to be told of the new one.
                return Ok(());
            }
            return engine.stop_container(&predecessor(&name)).await;
        }
        engine.stop_container(&name).await?;
        engine.rename_container(&name, &predecessor(&name)).await?;
        engine.rename_container(&next, &name).await?;
        Self::start(spec, &name, at).await
    }

    /// Puts changed files into a running container and has it read them.
    async fn reload(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        let Some(reload) = &spec.reload else { return Ok(()) };
        let mut before = Vec::new();
        for path in actual.files.keys() {
            // What is too large to be one of ours is not worth putting back.
            if engine.stat(&name, path).await?.is_some_and(|found| found.size > read::FILE.bytes) {
                continue;
            }
            if let Some(archive) = engine.download(&name, path).await? {
                before.push((path.clone(), archive));
            }
        }
        at.will(&Undo::Uploaded { name: name.clone(), before, signal: Some(reload.signal.clone()) })?;
        files::replace(spec, &name, engine).await?;
        if !reload.check.is_empty() {
            let checked = engine.execute(&name, &reload.check).await?;
            if checked.code != 0 {
                return Err(Error::new(format!("`{}` does not accept its new files", reload.check.join(" ")))
                    .detail(checked.output.lines().map(str::to_owned)));
            }
        }
        engine.signal_container(&name, &reload.signal).await
    }

    async fn take_back(name: &str, running: bool, ready: Option<&Ready>, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        engine.remove_container(&successor(name)).await?;
        let aside = predecessor(name);
        if engine.container(&aside).await?.is_some() {
            engine.remove_container(name).await?;
            engine.rename_container(&aside, name).await?;
        }
        match engine.container(name).await? {
            Some(_) if running => {
                engine.start_container(name).await?;
                // It was ready before. Whether it is again soon is no part of taking the step back.
                drop(ready::wait(ready, name, at).await);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

async fn look(spec: &Spec, name: &str, engine: &Engine) -> Result<Option<Actual>> {
    let image = async { if is_unknown(&spec.image) { Ok(None) } else { engine.image(&spec.image).await } };
    // What has run once is not looked into.
    let files = if spec.once.is_some() { Vec::new() } else { spec.files()? };
    let states = join_all(files.into_iter().map(|file| async move {
        let state = files::look(&file, name, engine).await;
        state.map(|state| (file.path.clone(), state))
    }));
    let (found, states) = futures_util::future::join(try_join(engine.container(name), image), states).await;
    let (Some(container), image) = found? else { return Ok(None) };
    let files = states.into_iter().collect::<Result<BTreeMap<_, _>>>()?;
    Ok(Some(Actual { container, image, files }))
}

impl Kind for ContainerKind {
    const NAME: &'static str = "container";
    const ABOUT: &'static str = "a container, with its files uploaded and its readiness waited for";
    /// `port` is the first of its ports of the host, also where the engine chose it.
    const OUTPUTS: &'static [Output] = &[public("name"), public("port")];
    const ALSO: Option<&'static str> = Some(VolumeKind::NAME);

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    fn complete(spec: &mut Spec, at: &At) -> Result<()> {
        outward::complete(spec, at)
    }

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        look(spec, &spec.name(at), at.engine().await?).await
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        spec.check()?;
        if let Some(actual) = actual.filter(|actual| !actual.is_ours(at)) {
            let labels = actual.container.config.as_ref().and_then(|config| config.labels.as_ref());
            return Err(At::taken("container", &spec.name(at), labels));
        }
        if change.is_change() { ports::check(spec, actual, at).await } else { Ok(()) }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        diff::compare(spec, actual, at)
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let outputs = Outputs::default().with("name", spec.name(at));
        match spec.port(actual.map(|actual| &actual.container)) {
            Some(port) => outputs.with("port", port),
            None => outputs.with("port", unknown(&at.id)),
        }
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, change: &Change, at: &At) -> Result<()> {
        let name = spec.name(at);
        let Some(actual) = actual else {
            at.will(&Undo::Created { name: name.clone() })?;
            Self::create(spec, &name, at).await?;
            at.run.check_cancelled()?;
            Self::start(spec, &name, at).await?;
            return backup::load(spec, &name, at).await;
        };
        match change.action {
            Action::Update if change.fields.iter().any(|field| field.name == diff::STATE) => {
                Self::mend(spec, &actual, at).await
            }
            Action::Update => Self::reload(spec, &actual, at).await,
            _ => Self::replace(spec, &actual, at).await,
        }
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        match undo {
            Undo::Created { name } => engine.remove_container(&name).await,
            Undo::Replaced { name, running, ready } => Self::take_back(&name, running, ready.as_ref(), at).await,
            Undo::Started { name } => engine.stop_container(&name).await,
            Undo::Restarted { name } => engine.start_container(&name).await,
            Undo::Uploaded { name, before, signal } => {
                for (path, archive) in before {
                    let folder =
                        path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
                    engine.upload(&name, folder, archive).await?;
                }
                match signal {
                    Some(signal) => engine.signal_container(&name, &signal).await,
                    None => Ok(()),
                }
            }
        }
    }

    async fn settle(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Replaced { name, .. } => {
                let engine = at.engine().await?;
                // One that ran on beside its successor ends what it is doing first.
                engine.stop_container(&predecessor(&name)).await?;
                engine.remove_container(&predecessor(&name)).await
            }
            _ => Ok(()),
        }
    }

    async fn backup(spec: &Spec, at: &At) -> Result<Vec<Part>> {
        backup::parts(spec, at).await
    }

    async fn read(part: &Part, spec: &Spec, at: &At, sink: Sink<'_>) -> Result<()> {
        backup::read(part, spec, at, sink).await
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let found = at.engine().await?.containers_of(at.store().id()).await?;
        let owned = found.into_iter().map(|container| {
            let name = container.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
            let mut owned = At::owned(container.labels.as_ref(), container.id, name, false);
            if owned.label.ends_with(".new") || owned.label.ends_with(".old") {
                // Left over from a run that was killed: no resource of the playbook stands for it.
                owned.id.push_str(" (left over)");
            }
            owned
        });
        Ok(owned.collect())
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.engine().await?.remove_container(&owned.handle).await
    }
}
