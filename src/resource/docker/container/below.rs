//! Whose the files in volumes are, which programs of other users may have filled: [`Below`].
//!
//! A look takes a sample; what belongs to others is given to the container's user by a helper, since the container itself may not.

use std::collections::BTreeMap;

use bollard::models::ContainerInspectResponse;

use super::spec::Spec;
use super::state::{self, State};
use crate::error::{Error, Result};
use crate::registry::job::{Job, Said, Task};
use crate::resource::At;
use crate::resource::change::Field;
use crate::text::shell;
use crate::world::engine::{Engine, Helper, ID};
use crate::world::host;
use crate::world::inside::{self, Sampled};
use crate::world::itself::{self, FOLDER};

/// How the fields of a plan about it begin.
pub(super) const OWNERS: &str = "owners.";
/// What a helper may do with files of others.
const POWERS: [&str; 3] = ["CHOWN", "DAC_READ_SEARCH", "FOWNER"];
/// Where the volume is in a helper.
const PLACE: &str = "/given";

/// A folder of which something belongs to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    path: String,
    owner: (u32, u32),
    sample: Sampled,
}

/// Looks at the folders of a running container.
pub(super) async fn look(spec: &Spec, found: &ContainerInspectResponse, engine: &Engine) -> Result<Vec<Below>> {
    let mut below = Vec::new();
    if state::of(found, host::now()) != State::Running {
        return Ok(below);
    }
    for (path, owner) in owners(spec)? {
        let sample = sampled(found, &path, owner.0, engine).await?;
        below.extend(sample.filter(|sample| sample.foreign > 0).map(|sample| Below { path, owner, sample }));
    }
    Ok(below)
}

async fn sampled(found: &ContainerInspectResponse, path: &str, user: u32, engine: &Engine) -> Result<Option<Sampled>> {
    let process = found.state.as_ref().and_then(|state| state.pid).filter(|process| *process > 0);
    let id = found.id.as_deref().unwrap_or_default();
    if let Some(sample) = process.and_then(|process| inside::sample(process, id, path, user)) {
        return Ok(Some(sample));
    }
    // What runs elsewhere is asked itself, if it has the programs for that.
    let script = "command -v find >/dev/null && command -v timeout >/dev/null || exit 0; \
                  timeout 5 find \"$1\" ! -user \"$2\" 2>/dev/null | head -n 200 | { read -r first || exit 0; stat -c %u:%g \"$first\"; echo \"$first\"; cat; }";
    let command = ["/bin/sh", "-c", script, "sh", path, &user.to_string()].map(str::to_owned);
    let Ok(ran) = engine.execute(id, &command).await else { return Ok(None) };
    let mut lines = ran.output.lines();
    let owner = lines.next().and_then(|line| line.trim().split_once(':'));
    let owner = owner.and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
    let example = lines.next().map(|line| line.trim().to_owned());
    let Some((owner, example)) = owner.zip(example).filter(|_| ran.code == 0) else { return Ok(None) };
    Ok(Some(Sampled { looked: None, foreign: lines.count() + 1, owner, example }))
}

fn owners(spec: &Spec) -> Result<BTreeMap<String, (u32, u32)>> {
    let read = |owner: &str| {
        let ids = owner.split_once(':').and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)));
        ids.ok_or_else(|| {
            Error::new(format!("`{owner}` is no owner"))
                .hint("write the numbers of user and group, as in `65532:65532`")
        })
    };
    let named = spec.owners.iter().filter(|(path, _)| !path.is_empty());
    named.map(|(path, owner)| Ok((path.clone(), read(owner)?))).collect()
}

impl Below {
    /// What a plan says of it.
    pub fn field(&self) -> Field {
        let Sampled { looked, foreign, owner, example } = &self.sample;
        let of = looked.map(|looked| format!(" of {looked}")).unwrap_or_default();
        let old = format!("{}:{} ({foreign}{of} looked at, such as {example})", owner.0, owner.1);
        Field { name: format!("{OWNERS}{}", self.path), old, new: format!("{}:{}", self.owner.0, self.owner.1) }
    }
}

/// Fails if others than root own something in a volume that is not of this deployment: they may use it still.
pub(super) async fn check(below: &[Below], spec: &Spec, at: &At) -> Result<()> {
    for one in below.iter().filter(|one| one.sample.owner.0 != 0) {
        let Some((volume, inner)) = volume_of(spec, &one.path) else { continue };
        if !is_own(&volume, at).await? {
            return Err(of_others(&volume, inner, one.sample.owner, one.owner, spec));
        }
    }
    Ok(())
}

/// Gives what belongs to others to whom it is to belong.
pub(super) async fn mend(below: &[Below], spec: &Spec, at: &At) -> Result<()> {
    for one in below {
        give(spec, &one.path, one.owner, at).await?;
    }
    Ok(())
}

/// The same before a container is made on a volume of somebody else, of which nobody has looked into it.
pub(super) async fn prepare(spec: &Spec, at: &At) -> Result<()> {
    for (path, owner) in owners(spec)? {
        if let Some((volume, _)) = volume_of(spec, &path)
            && !is_own(&volume, at).await?
        {
            give(spec, &path, owner, at).await?;
        }
    }
    Ok(())
}

/// The volume that a folder of a container is in, and the rest of the path there.
fn volume_of<'a>(spec: &Spec, path: &'a str) -> Option<(String, &'a str)> {
    let mount = spec.volumes.keys().find(|mount| std::path::Path::new(path).starts_with(mount))?;
    Some((spec.volumes[mount].clone(), path[mount.len()..].trim_start_matches('/')))
}

/// Whether a volume was made for this deployment, and is no folder that was there before.
async fn is_own(volume: &str, at: &At) -> Result<bool> {
    let found = at.engine().await?.volume(volume).await?;
    Ok(found.is_some_and(|found| {
        found.labels.get(ID).map(String::as_str) == Some(at.store().id()) && !found.options.contains_key("device")
    }))
}

async fn give(spec: &Spec, path: &str, (user, group): (u32, u32), at: &At) -> Result<()> {
    let Some((volume, inner)) = volume_of(spec, path) else { return Ok(()) };
    let only_of_root = !is_own(&volume, at).await?;
    let job = Job {
        bucket: None,
        root: format!("{PLACE}/{inner}").trim_end_matches('/').to_owned(),
        task: Task::Give { user, group, only_of_root },
    };
    let job = serde_json::to_vec(&job).map_err(|error| Error::new(format!("cannot write the job down: {error}")))?;
    let itself = itself::read()?;
    let command = itself.command.iter().map(String::as_str);
    let helper = Helper {
        name: format!("{}.owners", spec.name(at)),
        deployment: at.store().name().to_owned(),
        labels: at.labels(),
        image: spec.image.clone(),
        user: "0:0".to_owned(),
        command: command.chain(["agent", &format!("{FOLDER}/job.json")]).map(str::to_owned).collect(),
        files: itself.archive("job.json", &job, "0:0")?,
        volumes: vec![(volume.clone(), PLACE.to_owned(), false)],
        processes_of: None,
        network: None,
        powers: POWERS.map(str::to_owned).to_vec(),
        is_held: false,
    };
    let engine = at.engine().await?;
    engine.remove_container(&helper.name).await?;
    let mut last = None;
    let mut line = |text: &str| last = serde_json::from_str::<Said>(text).ok().or_else(|| last.take());
    let words = Box::pin(at.run.interruptible(engine.help(&helper, &mut line))).await?;
    let said = last.ok_or_else(|| {
        Error::new(format!("the helper that looks at `{path}` ended without a result"))
            .detail(words.lines().map(str::to_owned))
            .hint("the engine's host needs the same kind of processor as this one; run the command there")
    })?;
    match said.checked()? {
        Said::Given { count: 0, other: None } => Ok(()),
        Said::Given { other: Some(owner), .. } if only_of_root => {
            Err(of_others(&volume, inner, owner, (user, group), spec))
        }
        Said::Given { count, .. } => {
            let told = if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") };
            at.events().note(Some(&at.id), format!("{told} below `{path}` belong to {user}:{group} now"));
            Ok(())
        }
        _ => Err(Error::new("the helper has said something else")),
    }
}

fn of_others(volume: &str, inner: &str, found: (u32, u32), (user, group): (u32, u32), spec: &Spec) -> Error {
    let command = [
        "docker",
        "run",
        "--rm",
        "--user=0",
        "--network=none",
        "--entrypoint=chown",
        &format!("--volume={volume}:/it"),
        &spec.image,
        "-R",
        &format!("{user}:{group}"),
        format!("/it/{inner}").trim_end_matches('/'),
    ]
    .map(str::to_owned);
    Error::new(format!(
        "some files in the volume `{volume}` belong to {}:{}, and that user may use them still; the container needs them as {user}:{group}",
        found.0, found.1
    ))
    .hint(format!("if nobody else uses them: `{}`", shell::line(command)))
}
