//! A container: created, or replaced when a field differs, and given up only for a successor that is ready: [`ContainerKind`].

mod backup;
mod below;
mod body;
mod carry;
mod diff;
mod files;
mod folders;
mod mounts;
mod ours;
mod outward;
mod owners;
mod ports;
mod ready;
mod record;
mod reload;
mod spec;
mod state;
mod unnamed;
mod words;

use std::collections::BTreeMap;
use std::time::Instant;

use bollard::models::{ContainerInspectResponse, ImageInspect};
use futures_util::future::{join, join_all, try_join};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::deployment::backup::Part;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change};
use crate::resource::content::digest;
use crate::resource::docker::volume::VolumeKind;
use crate::resource::fact::Fact;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::text::unknown::{is_unknown, unknown};
use crate::world::engine::{Engine, Sink};
use crate::world::host;
use files::FileState;
use record::Record;
pub(crate) use spec::Spec;
use spec::{File, Ready};
use state::State;

/// The label with the text of `overlap`.
pub(crate) const OVERLAP: &str = "provision.overlap";
/// The label with the text for which a container has run once.
const ONCE: &str = "provision.once";
/// The label of a container that reloads, with who sends it the signal. One without it may have got signals of an earlier
/// version, by the engine, which then counts it as stopped by hand and does not start it again with itself.
const RELOAD: &str = "provision.reload";
/// The first version of the API, behind `1.`, whose engines inject no variables by links: that of Docker 29.
const WITHOUT_VARIABLES: u32 = 52;
const INSIDE: &str = "from inside";

pub(crate) struct ContainerKind;

/// A container as it is, with the image that it should have.
pub(crate) struct Actual {
    container: ContainerInspectResponse,
    image: Option<ImageInspect>,
    files: BTreeMap<String, FileState>,
    /// What is known of it from when it was made.
    record: Record,
    /// What in its volumes belongs to others.
    below: Vec<below::Below>,
    /// Where its images are and are to be, if these are two stores.
    moves: Option<carry::Moves>,
    looked: OffsetDateTime,
}

/// How a step is taken back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Undo {
    /// It was made, and nothing stood in its place.
    Created { name: String },
    /// It was called otherwise.
    Renamed { from: String, to: String },
    /// The old one was stopped and stands aside under another name.
    Replaced { name: String, running: bool, ready: Option<Ready> },
    /// It was started.
    Started { name: String },
    /// It was stopped and started.
    Restarted { name: String },
    /// The images of the one before it, which an earlier run had left beside it, were carried over.
    Carried { name: String },
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

/// The name of the helper that carries the images of the container `name`.
fn carrier(name: &str) -> String {
    format!("{name}.carry")
}

impl Actual {
    fn name(&self) -> String {
        ours::name(&self.container)
    }

    fn state(&self) -> State {
        state::of(&self.container, self.looked)
    }

    /// Since when it has run; none if it does not as it should.
    fn up_since(&self) -> Option<OffsetDateTime> {
        let started = self.container.state.as_ref().and_then(|state| state.started_at.as_deref());
        started.filter(|_| self.state() == State::Running).and_then(state::time)
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
        if spec.on_default_bridge()
            && !spec.links.is_empty()
            && engine.api().is_some_and(|api| api >= WITHOUT_VARIABLES)
        {
            at.run.note_once("this engine injects no variables by links any more, as Docker does from 29 on; the names of links resolve");
        }
        let mut body = body::desired(spec, at)?;
        mounts::label(&mut body, spec, at).await?;
        backup::keep_empty(&mut body, spec, at).await?;
        engine.create_container(name, body).await?;
        for (network, request) in body::more_networks(spec, name) {
            engine.connect_network(&network, request).await?;
        }
        backup::write(spec, name, at).await?;
        folders::check_foreign(spec, name, at).await?;
        folders::copy(spec, name, at).await?;
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

    /// Ends a container and starts it again.
    async fn restart(name: &str, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        engine.stop_container(name).await?;
        engine.start_container(name).await
    }

    /// Starts what is there but does not run as it should.
    async fn mend(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        match actual.state() {
            State::Paused => {
                at.will(&Undo::Started { name: name.clone() })?;
                // It was ready before, and will not say so again.
                return engine.unpause_container(&name).await;
            }
            State::Unhealthy => {
                at.will(&Undo::Restarted { name: name.clone() })?;
                engine.stop_container(&name).await?;
            }
            _ => at.will(&Undo::Started { name: name.clone() })?,
        }
        Self::start(spec, &name, at).await
    }

    /// Makes it where nothing is that could be kept.
    async fn make(spec: &Spec, at: &At) -> Result<()> {
        let name = spec.name(at);
        at.will(&Undo::Created { name: name.clone() })?;
        below::prepare(spec, at).await?;
        Self::create(spec, &name, at).await?;
        at.run.check_cancelled()?;
        let started = Instant::now();
        Self::start(spec, &name, at).await?;
        record::keep(&name, started.elapsed(), at).await?;
        if let Some(moves) = carry::left(spec, &name, at.engine().await?).await? {
            Box::pin(moves.carry(&name, spec, at)).await?;
        }
        backup::load(spec, &name, at).await
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
        below::prepare(spec, at).await?;
        Self::create(spec, &next, at).await?;
        at.run.check_cancelled()?;
        let overlaps = actual.overlaps(spec);
        if actual.moves.as_ref().is_some_and(|moves| moves.carried) {
            carry::Moves::check(actual, overlaps)?;
        }
        let started = Instant::now();
        if spec.may_overlap() || overlaps {
            Self::start(spec, &next, at).await?;
            record::keep(&next, started.elapsed(), at).await?;
            if let Some(moves) = actual.moves.as_ref().filter(|moves| moves.carried) {
                Box::pin(moves.carry(&name, spec, at)).await?;
            }
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
        Self::start(spec, &name, at).await?;
        record::keep(&name, started.elapsed(), at).await
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

async fn read(spec: &Spec, name: &str, at: &At) -> Result<Option<Actual>> {
    let engine = at.engine().await?;
    let image = async { if is_unknown(&spec.image) { Ok(None) } else { engine.image(&spec.image).await } };
    // What has run once is not looked into.
    let files = if spec.once.is_some() { Vec::new() } else { spec.files()? };
    let states = |name: String| look(&files, name, engine);
    let (found, mut seen) = join(try_join(ours::find(name, at), image), states(name.to_owned())).await;
    let (Some(container), image) = found? else { return Ok(None) };
    if ours::name(&container) != name {
        seen = states(ours::name(&container)).await;
    }
    let looked = host::now();
    // Of one that is dying there may be nothing left to look into.
    let dying = state::of(&container, looked) == State::Dying;
    let mut seen = if dying { BTreeMap::new() } else { seen? };
    if !dying {
        owners::check(&mut seen, &files, spec, &container, engine).await?;
    }
    let moves = carry::look(spec, &container, &seen, name, engine).await?;
    let below = below::look(spec, &container, engine).await?;
    Ok(Some(Actual { below, container, image, files: seen, record: record::read(at)?, moves, looked }))
}

/// Each file of a container against what is there.
async fn look(wanted: &[File<'_>], name: String, engine: &Engine) -> Result<BTreeMap<String, FileState>> {
    let name = &name;
    let states = join_all(wanted.iter().map(|file| async move {
        let state = files::look(file, name, engine).await;
        state.map(|state| (file.path.clone(), state))
    }));
    states.await.into_iter().collect()
}

impl Kind for ContainerKind {
    const NAME: &'static str = "container";
    const ABOUT: &'static str = "a container, with its files uploaded and its readiness waited for";
    /// `port` is the first of its ports of the host, also where the engine chose it.
    const OUTPUTS: &'static [Output] = &[public("name"), public("port")];
    const ALSO: Option<&'static str> = Some(VolumeKind::NAME);
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    fn complete(spec: &mut Spec, at: &At) -> Result<()> {
        outward::complete(spec, at)
    }

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        read(spec, &spec.name(at), at).await
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        spec.check()?;
        let name = spec.name(at);
        let stranger = match actual {
            Some(actual) if !ours::is_ours(&actual.container, at) => Some(actual.container.clone()),
            // Ours was renamed, and somebody else's may have its name by now.
            Some(actual) if actual.name() != name => at.engine().await?.container(&name).await?,
            _ => None,
        };
        if let Some(stranger) = stranger {
            let labels = stranger.config.as_ref().and_then(|config| config.labels.as_ref());
            return Err(At::taken("container", &name, labels));
        }
        if change.is_change() {
            if let Some(actual) = actual {
                folders::check_foreign(spec, &actual.name(), at).await?;
            }
            folders::check(spec, at).await?;
        }
        below::check(actual.map(|actual| &actual.below[..]).unwrap_or_default(), spec, at).await?;
        if change.is_change() { ports::check(spec, actual, at).await } else { Ok(()) }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        diff::compare(spec, actual, at)
    }

    fn facts(spec: &Spec, actual: Option<&Actual>, _: &At) -> Vec<Fact> {
        if spec.once.is_some() {
            return Vec::new();
        }
        let since = actual.and_then(Actual::up_since);
        let container = actual.map(Actual::name).unwrap_or_default();
        let mounts = spec.volumes.iter().filter(|_| since.is_some()).map(|(path, volume)| Fact::Mount {
            container: container.clone(),
            path: path.clone(),
            volume: volume.clone(),
        });
        [Fact::Up(since)].into_iter().chain(mounts).collect()
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let outputs = Outputs::default().with("name", spec.name(at));
        match spec.port(actual.map(|actual| &actual.container)) {
            Some(port) => outputs.with("port", port),
            None => outputs.with("port", unknown(&at.id)),
        }
    }

    fn without(_: &str, spec: &Spec, at: &At) -> Option<Error> {
        spec.takes_any_port().then(|| ports::unpublished(&spec.name(at)))
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, change: &Change, at: &At) -> Result<()> {
        let Some(actual) = actual else { return Self::make(spec, at).await };
        below::mend(&actual.below, spec, at).await?;
        let (from, to) = (actual.name(), spec.name(at));
        if actual.state() == State::Dying {
            at.engine().await?.remove_container(&from).await?;
            return Self::make(spec, at).await;
        }
        if actual.state() == State::Looping {
            // The engine cannot rename one that it is just starting again.
            at.will(&Undo::Restarted { name: from.clone() })?;
            at.engine().await?.stop_container(&from).await?;
        }
        if from != to {
            at.will(&Undo::Renamed { from: from.clone(), to: to.clone() })?;
            at.engine().await?.rename_container(&from, &to).await?;
        }
        let differs = |is: fn(&str) -> bool| change.fields.iter().any(|field| is(&field.name));
        match change.action {
            Action::Update if differs(|field| field == diff::STATE) => Self::mend(spec, &actual, at).await,
            Action::Update if differs(|field| field.starts_with(diff::FILES)) => {
                reload::reload(spec, &actual, at).await
            }
            Action::Update if differs(|field| field == carry::FIELD) => match &actual.moves {
                Some(moves) => Box::pin(moves.carry(&spec.name(at), spec, at)).await,
                None => Ok(()),
            },
            // Its name alone.
            Action::Update => Ok(()),
            _ => Self::replace(spec, &actual, at).await,
        }
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        match undo {
            Undo::Created { name } => engine.remove_container(&name).await,
            Undo::Replaced { name, running, ready } => {
                Box::pin(Self::take_back(&name, running, ready.as_ref(), at)).await?;
                // nginx takes pushes again: it leads to the old one by now.
                at.run.let_go(&name).await
            }
            Undo::Carried { name } => at.run.let_go(&name).await,
            Undo::Started { name } => engine.stop_container(&name).await,
            Undo::Restarted { name } => engine.start_container(&name).await,
            Undo::Renamed { from, to } => match engine.container(&to).await? {
                Some(found) if ours::is_ours(&found, at) => engine.rename_container(&to, &from).await,
                _ => Ok(()),
            },
            Undo::Uploaded { name, before, signal } => reload::take_back(&name, before, signal, at).await,
        }
    }

    async fn settle(undo: Undo, at: &At) -> Result<()> {
        match undo {
            Undo::Replaced { name, .. } => {
                let engine = at.engine().await?;
                // One that ran on beside its successor ends what it is doing first.
                engine.stop_container(&predecessor(&name)).await?;
                at.run.let_go(&name).await?;
                engine.remove_container(&predecessor(&name)).await
            }
            Undo::Carried { name } => {
                at.engine().await?.stop_container(&predecessor(&name)).await?;
                at.run.let_go(&name).await
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
        ours::owned(at).await
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.engine().await?.remove_container(&owned.handle).await
    }
}
