//! Folders of the host that are copied into the volumes of a container once, and files in volumes that are another program's.

use super::spec::{Spec, owner};
use super::{ONCE, record};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::resource::At;
use crate::text::unknown::is_unknown;
use crate::world::packed::Packed;

/// Fails if a file of another program is in a volume of a container, running or not.
pub(super) async fn check_foreign(spec: &Spec, name: &str, at: &At) -> Result<()> {
    // What a backup holds goes into new volumes.
    if at.run.restore.is_some() || is_done(spec, at)? {
        return Ok(());
    }
    for (path, foreign) in &spec.foreign {
        if at.engine().await?.stat(name, path).await?.is_some() {
            let error = Error::new(foreign.refuse.clone());
            return Err(foreign.hint.iter().fold(error, |error, hint| error.hint(hint.clone())));
        }
    }
    Ok(())
}

/// Fails if a folder cannot be copied, or a volume for one is in use already.
pub(super) async fn check(spec: &Spec, at: &At) -> Result<()> {
    if spec.folders.is_empty() || at.run.restore.is_some() || is_done(spec, at)? {
        return Ok(());
    }
    for (path, folder) in &spec.folders {
        owner(&folder.owner)?;
        Packed::look(&folder.from)?.check_holds(&folder.holds)?;
        let Some(volume) = spec.volume_of(path).and_then(|mount| spec.volumes.get(mount)) else { continue };
        if is_unknown(volume) {
            continue;
        }
        let own = spec.name(at);
        for container in at.engine().await?.all_containers().await? {
            let mounts = container.mounts.iter().flatten().any(|mount| mount.name.as_ref() == Some(volume));
            let names: Vec<&str> = container.names.iter().flatten().map(|name| name.trim_start_matches('/')).collect();
            if mounts && !names.iter().any(|name| name.starts_with(&own)) {
                let user = names.first().copied().unwrap_or_default();
                return Err(Error::new(format!(
                    "the volume `{volume}` is in use by the container `{user}`, and `{}` would go over what it has",
                    folder.from
                ))
                .hint("set it up beside it: give another name with `--name`"));
            }
        }
    }
    Ok(())
}

/// Copies the folders into a container that was created and not started.
pub(super) async fn copy(spec: &Spec, name: &str, at: &At) -> Result<()> {
    if spec.folders.is_empty() || at.run.restore.is_some() || is_done(spec, at)? {
        return Ok(());
    }
    for (path, folder) in &spec.folders {
        let packed = Packed::look(&folder.from)?;
        packed.check_holds(&folder.holds)?;
        let (events, resource) = (at.events().clone(), at.id.clone());
        let told = move |text, done, total| {
            events.send(Event::Progress { resource: resource.clone(), text, done, total });
        };
        let archive = packed.archive(path, owner(&folder.owner)?, Box::new(told));
        at.run.interruptible(at.engine().await?.write_folder(name, "/", archive)).await?;
    }
    Ok(())
}

/// Whether it has run to its end already for the same text, though its container may be gone since.
fn is_done(spec: &Spec, at: &At) -> Result<bool> {
    let Some(once) = &spec.once else { return Ok(false) };
    Ok(record::read(at)?.labels.get(ONCE) == Some(once))
}
