//! What a backup holds of a container's volumes, and how it comes back.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, Volume};
use schemars::JsonSchema;
use serde::Deserialize;

use super::ours;
use super::spec::Spec;
use crate::deployment::backup::Part;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::resource::docker::labels::SCRATCH;
use crate::world::engine::{Execution, ID, RESOURCE};

/// How many of a failing program's last lines an error shows.
const LINES: usize = 15;

/// Programs that write a volume out and read it in again, where its files alone would not do, as with a database.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dump {
    /// Runs in the running container. Its standard output is the dump.
    #[schemars(length(min = 1))]
    pub dump: Vec<String>,
    /// Runs in a new container that is ready, with the dump on its standard input.
    #[schemars(length(min = 1))]
    pub load: Vec<String>,
}

/// Every volume with data that the container mounts and this deployment owns.
///
/// # Errors
/// The container or a volume is not there, or the container does not run and has to.
pub(super) async fn parts(spec: &Spec, at: &At) -> Result<Vec<Part>> {
    let engine = at.engine().await?;
    let mut parts = Vec::new();
    for (path, name) in &spec.volumes {
        let found = engine.volume(name).await?;
        let found = found.ok_or_else(|| missing(&format!("volume `{name}`"), at))?;
        let Some(volume) = own(&found, at) else {
            at.events()
                .note(Some(&at.id), format!("the volume `{name}` belongs to somebody else and is not backed up"));
            continue;
        };
        // A volume by its name alone, whose files are in a folder of the host.
        if let Some(folder) = found.options.get("device") {
            at.events().note(Some(&at.id), format!("the folder `{folder}` is used where it is and is not backed up"));
        }
        if !found.labels.contains_key(SCRATCH) {
            let dump = spec.backup.get(path).map(|programs| programs.dump.clone());
            parts.push(Part { volume, container: at.id.clone(), path: path.clone(), dump });
        }
    }
    if parts.is_empty() {
        return Ok(parts);
    }
    let name = spec.name(at);
    let found = ours::find(&name, at).await?.ok_or_else(|| missing(&format!("container `{name}`"), at))?;
    let labels = found.config.and_then(|config| config.labels);
    if labels.as_ref().and_then(|labels| labels.get(ID)).is_none_or(|id| id != at.store().id()) {
        return Err(At::taken("container", &name, labels.as_ref()));
    }
    let state = found.state.unwrap_or_default();
    let runs = state.running.unwrap_or_default() && !state.paused.unwrap_or_default();
    if !runs && parts.iter().any(|part| part.dump.is_some()) {
        return Err(Error::new(format!(
            "the container `{name}` does not run, and a program in it has to make its dump"
        ))
        .hint(format!("`provision apply {}` starts it; then run the command again", at.store().name())));
    }
    Ok(parts)
}

fn missing(what: &str, at: &At) -> Error {
    Error::new(format!("the {what} is not there")).hint(format!(
        "a backup without it would not be whole; `provision plan {}` shows what is missing",
        at.store().name()
    ))
}

/// The resource that a volume of this deployment stands for.
fn own(volume: &Volume, at: &At) -> Option<String> {
    let ours = volume.labels.get(ID).is_some_and(|id| id == at.store().id());
    volume.labels.get(RESOURCE).filter(|_| ours).cloned()
}

/// Writes what a part stands for into `sink`.
pub(super) async fn read(part: &Part, spec: &Spec, at: &At, sink: crate::world::engine::Sink<'_>) -> Result<()> {
    let engine = at.engine().await?;
    // Whatever it is called by now.
    let name = ours::find(&spec.name(at), at).await?.as_ref().map_or_else(|| spec.name(at), ours::name);
    let Some(program) = &part.dump else { return engine.read_folder(&name, &part.path, sink).await };
    let ended = engine.read_program(&name, program, sink).await?;
    if ended.code == 0 {
        return Ok(());
    }
    Err(failed("dump", program, &ended).hint("no backup was written; mend its cause, then run the command again"))
}

fn failed(what: &str, program: &[String], ended: &Execution) -> Error {
    let lines: Vec<String> = ended.output.lines().map(str::to_owned).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].to_vec();
    Error::new(format!("the {what} failed: `{}` ended with exit code {}", program.join(" "), ended.code)).detail(last)
}

/// The volumes that a run puts back: each path with the part of the backup.
async fn restored(spec: &Spec, at: &At) -> Result<HashMap<String, Part>> {
    let mut found = HashMap::new();
    let Some(restore) = &at.run.restore else { return Ok(found) };
    for (path, name) in &spec.volumes {
        let volume = at.engine().await?.volume(name).await?.and_then(|volume| own(&volume, at));
        if let Some(part) = volume.and_then(|volume| restore.part(&volume)) {
            found.insert(path.clone(), part.clone());
        }
    }
    Ok(found)
}

/// Keeps the engine from filling volumes that are put back with what the image has at their paths.
pub(super) async fn keep_empty(body: &mut ContainerCreateBody, spec: &Spec, at: &At) -> Result<()> {
    let restored = restored(spec, at).await?;
    let mounts = body.host_config.as_mut().and_then(|config| config.mounts.as_mut()).into_iter().flatten();
    for mount in mounts {
        let part = mount.target.as_ref().and_then(|target| restored.get(target));
        if part.is_some_and(|part| part.dump.is_none()) {
            mount.volume_options.get_or_insert_default().no_copy = Some(true);
        }
    }
    Ok(())
}

/// Puts the files of volumes back into a container that was created and not started.
pub(super) async fn write(spec: &Spec, name: &str, at: &At) -> Result<()> {
    let Some(restore) = &at.run.restore else { return Ok(()) };
    for (path, part) in restored(spec, at).await?.iter().filter(|(_, part)| part.dump.is_none()) {
        let work = Box::pin(async {
            let content = restore.content(part, &at.id, at.events());
            at.run.interruptible(at.engine().await?.write_folder(name, path, content)).await
        });
        restore.once(&part.volume, work).await?;
    }
    Ok(())
}

/// Has programs in a container that is ready load the dumps.
pub(super) async fn load(spec: &Spec, name: &str, at: &At) -> Result<()> {
    let Some(restore) = &at.run.restore else { return Ok(()) };
    let restored = restored(spec, at).await?;
    for (path, programs) in &spec.backup {
        let Some(part) = restored.get(path).filter(|part| part.dump.is_some()) else { continue };
        let work = Box::pin(async {
            let content = restore.content(part, &at.id, at.events());
            let running = at.engine().await?.write_program(name, &programs.load, content);
            let ended = at.run.interruptible(running).await?;
            if ended.code == 0 { Ok(()) } else { Err(failed("load of a dump", &programs.load, &ended)) }
        });
        restore.once(&part.volume, work).await?;
    }
    Ok(())
}
