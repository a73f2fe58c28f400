//! The volumes that a container mounts, each with labels of its own.
//!
//! The engine makes a volume that is gone anew when it makes a container: a request of a process that was killed may land
//! after `destroy`. Without labels, such a volume would be nobody's and would block its name.

use std::collections::{BTreeSet, HashMap};

use bollard::models::{ContainerCreateBody, Mount, MountType, MountVolumeOptions};
use futures_util::future::{join_all, try_join};

use super::spec::Spec;
use crate::error::Result;
use crate::resource::At;
use crate::resource::docker::labels::FILES;
use crate::resource::docker::volume;
use crate::world::engine::Engine;

type Labels = HashMap<String, String>;

/// The volumes that a playbook names, and those of the container's own for its files.
pub(super) fn desired(spec: &Spec, at: &At) -> Result<Vec<Mount>> {
    let leased = at.store().lease().is_some().then(|| at.labels().into_iter().collect());
    let named = spec
        .volumes
        .iter()
        .map(|(target, name)| Mount { source: Some(name.clone()), ..mount(target.clone(), leased.clone()) });
    let own = spec.file_folders()?.into_iter().map(|target| mount(target, Some(own_labels(at))));
    Ok(named.chain(own).collect())
}

/// Gives each named volume the labels that it has, and each folder that the image declares as a volume one with labels.
pub(super) async fn label(body: &mut ContainerCreateBody, spec: &Spec, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    let (found, declared) = try_join(labels_of(spec, at), declared(spec, engine)).await?;
    let mut config = body.host_config.take().unwrap_or_default();
    let mut mounts = config.mounts.take().unwrap_or_default();
    for mount in &mut mounts {
        if let Some(labels) = mount.source.as_ref().and_then(|name| found.get(name)) {
            mount.volume_options.get_or_insert_default().labels = Some(labels.clone());
        }
    }
    let taken: BTreeSet<&String> =
        mounts.iter().filter_map(|mount| mount.target.as_ref()).chain(spec.tmpfs.keys()).collect();
    let more = declared.into_iter().filter(|target| !taken.contains(target));
    let more: Vec<Mount> = more.map(|target| mount(target, Some(own_labels(at)))).collect();
    mounts.extend(more);
    config.mounts = Some(mounts);
    body.host_config = Some(config);
    Ok(())
}

fn mount(target: String, labels: Option<Labels>) -> Mount {
    let options = labels.map(|labels| MountVolumeOptions { labels: Some(labels), ..MountVolumeOptions::default() });
    Mount { target: Some(target), typ: Some(MountType::VOLUME), volume_options: options, ..Mount::default() }
}

/// The labels of a volume that goes with its container.
fn own_labels(at: &At) -> Labels {
    at.labels().into_iter().chain([(FILES.to_owned(), "true".to_owned())]).collect()
}

/// The labels that a volume made anew has, by the names of the volumes. Somebody else's have none.
async fn labels_of(spec: &Spec, at: &At) -> Result<HashMap<String, Labels>> {
    let engine = at.engine().await?;
    let found = join_all(spec.volumes.values().map(|name| engine.volume(name))).await;
    let found = found.into_iter().filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
    Ok(found.into_iter().filter_map(|found| Some((found.name.clone(), volume::labels_anew(found, at)?))).collect())
}

/// The folders that the image declares as volumes.
async fn declared(spec: &Spec, engine: &Engine) -> Result<Vec<String>> {
    let image = engine.image(&spec.image).await?;
    let folders = image.and_then(|image| image.config?.volumes).unwrap_or_default();
    Ok(folders.iter().map(|folder| folder.trim_end_matches('/').to_owned()).collect())
}
