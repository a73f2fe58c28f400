//! The images of a registry, carried over to the store of its successor before that takes its place: [`Carries`], [`Moves`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use bollard::models::ContainerInspectResponse;
use schemars::JsonSchema;
use serde::Deserialize;

use super::files::FileState;
use super::ours;
use super::spec::Spec;
use super::state::{self, State};
use super::{Actual, Undo, carrier, predecessor};
use crate::error::{Error, Result};
use crate::registry::carry::{Carried, Carry, Configured};
use crate::registry::job::{Job, Said, Task};
use crate::resource::At;
use crate::resource::change::Field;
use crate::text::size::readable;
use crate::world::engine::{Engine, Held, Helper};
use crate::world::host;
use crate::world::itself::{self, FOLDER};

/// The field of a plan that says what becomes of the images.
pub(super) const FIELD: &str = "images";
/// Where the folder is that nginx and a helper share, and the part of it where nginx asks.
const WATCH: &str = "/run/watch";
const KEYS: &str = "/run/watch/keys";
/// The configuration of nginx, and what stands in it where it asks before it takes a manifest.
const NGINX: &str = "/etc/provision/nginx.conf";
const ASKS: &[u8] = b"X-Watch-Tag";
/// How many names of images one note has.
const NAMED: usize = 3;

/// A registry whose images can be carried over to another store.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Carries {
    /// Whether they are: copied and compared by digest before the successor serves.
    when: bool,
    /// The file with its configuration.
    config: String,
    /// The path of the volume with the sockets of both.
    socket: String,
    /// The container of the nginx in front, and the volume by which that asks before it takes a manifest.
    proxy: String,
    watch: String,
    /// The certificate by which a store with https is trusted.
    #[serde(default)]
    authority: String,
}

/// Images that are in one store and are to be in another.
pub(super) struct Moves {
    /// Whether they are carried over; otherwise they stay where they are.
    pub carried: bool,
    /// Whether an earlier run has set the successor up already, and left the old one beside it.
    pub is_late: bool,
    from: Configured,
    to: Configured,
    from_told: String,
    to_told: String,
    /// The volume, and its path, of a store that is a folder.
    volume: Option<(String, String)>,
}

/// Looks whether the images of a container are in another store than those of its successor will be.
pub(super) async fn look(
    spec: &Spec,
    found: &ContainerInspectResponse,
    files: &BTreeMap<String, FileState>,
    name: &str,
    engine: &Engine,
) -> Result<Option<Moves>> {
    let Some(carry) = &spec.carry else { return Ok(None) };
    let mounted = volumes(found);
    let is_as_wanted = |(path, volume): (&String, &String)| mounted.get(path) == Some(volume);
    let differs = matches!(files.get(&carry.config), Some(FileState::Differs { .. }));
    if differs || !spec.volumes.iter().all(is_as_wanted) {
        return between(spec, carry, found, false, engine).await;
    }
    left(spec, name, engine).await
}

/// The same where a run that was killed has left the old one beside its successor; it may serve still.
pub(super) async fn left(spec: &Spec, name: &str, engine: &Engine) -> Result<Option<Moves>> {
    let Some(carry) = spec.carry.as_ref().filter(|carry| carry.when) else { return Ok(None) };
    match engine.container(&predecessor(name)).await? {
        Some(old) if state::of(&old, host::now()) == State::Running => between(spec, carry, &old, true, engine).await,
        _ => Ok(None),
    }
}

fn volumes(found: &ContainerInspectResponse) -> BTreeMap<String, String> {
    let mounts = found.mounts.iter().flatten();
    mounts.filter_map(|mount| Some((mount.destination.clone()?, mount.name.clone()?))).collect()
}

async fn between(
    spec: &Spec,
    carry: &Carries,
    old: &ContainerInspectResponse,
    is_late: bool,
    engine: &Engine,
) -> Result<Option<Moves>> {
    let wanted = spec.files()?.into_iter().find(|file| file.path == carry.config).and_then(|file| file.content);
    let Some(to) = wanted.and_then(Configured::read) else { return Ok(None) };
    let archive = engine.download(&ours::name(old), &carry.config).await?.unwrap_or_default();
    let Some(from) = Configured::read(&String::from_utf8_lossy(&only(&archive))) else { return Ok(None) };
    let of_folder = |volumes: &BTreeMap<String, String>, side: &Configured| {
        let inner = volumes.iter().find(|(path, _)| side.is_in(path));
        inner.map(|(path, volume)| (volume.clone(), path.clone()))
    };
    let volume = of_folder(&volumes(old), &from);
    let new = of_folder(&spec.volumes, &to);
    let named = |volume: &Option<(String, String)>| volume.as_ref().map(|(name, _)| name.clone());
    let (before, after) = (from.store(named(&volume).as_deref()), to.store(named(&new).as_deref()));
    if before == after {
        return Ok(None);
    }
    let (from_told, to_told) = (before.told, after.told);
    Ok(Some(Moves { carried: carry.when, is_late, from, to, from_told, to_told, volume }))
}

/// The content of the one file in an archive.
fn only(archive: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    let mut archive = tar::Archive::new(archive);
    if let Some(Ok(mut entry)) = archive.entries().ok().and_then(|mut entries| entries.next()) {
        drop(entry.read_to_end(&mut content));
    }
    content
}

impl Moves {
    /// What a plan says of it.
    pub fn field(&self) -> Field {
        let new = match (self.carried, self.is_late) {
            (false, _) => format!("{}; images are copied there only with `--carry-images`", self.to_told),
            (true, false) => format!(
                "{}, copied and compared by digest before it serves; manifests are refused during the last pass, and pushes then succeed again",
                self.to_told
            ),
            (true, true) => format!("{}, with what was pushed since an earlier run ended", self.to_told),
        };
        Field { name: FIELD.to_owned(), old: self.from_told.clone(), new }
    }

    /// Fails where images cannot be carried over while the old registry serves.
    pub fn check(actual: &Actual, overlaps: bool) -> Result<()> {
        if actual.state() != State::Running {
            return Err(Error::new("the registry does not run, and its images cannot be carried over")
                .hint("run the command without the new store first: `provision apply` starts the registry again"));
        }
        if overlaps {
            return Ok(());
        }
        Err(Error::new("two registries on these two stores cannot run beside each other")
            .hint("set up another registry with `--name`, and copy with `provision migrate`"))
    }

    /// Carries them over; from the last pass until the run ends nginx takes no manifests.
    pub async fn carry(&self, name: &str, spec: &Spec, at: &At) -> Result<()> {
        let Some(carry) = &spec.carry else { return Ok(()) };
        if self.is_late {
            at.will(&Undo::Carried { name: name.to_owned() })?;
        }
        let engine = at.engine().await?;
        let config = engine.download(&carry.proxy, NGINX).await?.unwrap_or_default();
        if !config.windows(ASKS.len()).any(|window| window == ASKS) {
            return Err(Error::new("nginx in front of this registry does not ask yet before it takes a manifest")
                .hint("run `provision apply` for the deployment as it is, then the change with `--carry-images`"));
        }
        // Where nginx has turned to the successor already, what is there is newer.
        let serves = self.from.socket.display().to_string().into_bytes();
        let is_late = self.is_late && !config.windows(serves.len()).any(|window| window == serves);
        let helper = self.helper(name, spec, carry, is_late, at)?;
        let mut held = engine.hold(&helper).await?;
        let carried = at.run.interruptible(follow(&mut held, at)).await;
        match carried {
            Ok(carried) => {
                at.run.hold(name, held).await;
                self.tell(&carried, at);
                Ok(())
            }
            Err(error) => {
                held.release().await?;
                Err(error)
            }
        }
    }

    fn helper(&self, name: &str, spec: &Spec, carry: &Carries, is_late: bool, at: &At) -> Result<Helper> {
        let authority = Some(carry.authority.clone()).filter(|authority| !authority.is_empty());
        let (from, to) = (self.from.socket.clone(), self.to.socket.clone());
        let (listing, folder) = (self.from.listing(authority), PathBuf::from(KEYS));
        let job = Job {
            bucket: None,
            root: String::new(),
            task: Task::Carry(Box::new(Carry { from, to, listing, is_late, folder, nginx: 1 })),
        };
        let job =
            serde_json::to_vec(&job).map_err(|error| Error::new(format!("cannot write the job down: {error}")))?;
        let itself = itself::read()?;
        let socket = spec.volumes.get(&carry.socket).cloned().unwrap_or_default();
        let mut volumes = vec![(socket, carry.socket.clone(), false), (carry.watch.clone(), WATCH.to_owned(), false)];
        volumes.extend(self.volume.iter().map(|(volume, path)| (volume.clone(), path.clone(), true)));
        let command = itself.command.iter().map(String::as_str);
        Ok(Helper {
            name: carrier(name),
            deployment: at.store().name().to_owned(),
            labels: at.labels(),
            image: spec.image.clone(),
            user: spec.user.clone().unwrap_or_default(),
            command: command.chain(["agent", &format!("{FOLDER}/job.json")]).map(str::to_owned).collect(),
            files: itself.archive("job.json", &job, spec.user.as_deref().unwrap_or_default())?,
            volumes,
            processes_of: Some(carry.proxy.clone()),
            network: spec.networks.first().cloned(),
            powers: Vec::new(),
            is_held: true,
        })
    }

    fn tell(&self, carried: &Carried, at: &At) {
        let Carried { tags, untagged, bytes, .. } = carried;
        let untagged = if *untagged == 0 { String::new() } else { format!(" and {untagged} other manifests") };
        at.events().note(
            Some(&at.id),
            format!(
                "{tags} tags{untagged} are in {} now, the same by digest as in {}; {} were copied",
                self.to_told,
                self.from_told,
                readable(*bytes)
            ),
        );
        let some =
            |names: &[String]| names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let lists = [
            (&carried.broken, "is not whole in the old store either, and was left there"),
            (&carried.newer, "was pushed to the new store since, and stays as it is there"),
            (&carried.extra, "is in the new store from before, and stays there"),
        ];
        for (names, what) in lists.into_iter().filter(|(names, _)| !names.is_empty()) {
            let more = names.len().saturating_sub(NAMED);
            let more = if more == 0 { String::new() } else { format!(" and {more} more or so") };
            at.events().note(Some(&at.id), format!("{}{more}: {what}", some(names)));
        }
    }
}

/// Follows a helper until all is carried.
async fn follow(held: &mut Held, at: &At) -> Result<Carried> {
    let mut last = None;
    while let Some(line) = held.line().await? {
        match serde_json::from_str::<Said>(&line) {
            Ok(Said::Carrying { text, bytes }) => at.progress(text, bytes, 0),
            Ok(Said::Carried(carried)) => return Ok(carried),
            Ok(said) => drop(said.checked()?),
            Err(_) => last = Some(line),
        }
    }
    let words = held.words();
    Err(Error::new("the helper that carries the images ended without a result")
        .detail(words.lines().map(str::to_owned).chain(last))
        .hint("the engine's host needs the same kind of processor as this one; run the command there"))
}
