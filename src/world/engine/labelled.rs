//! What has certain labels on an engine, whoever made it, and whether the engine still answers.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters as query;
use futures_util::future::try_join3;

use super::Engine;
use crate::error::{Error, Result};
use crate::world::host;

/// Milliseconds between two questions whether the engine is there.
const BETWEEN: u64 = 2000;
/// How long it has for the answer, which costs it nothing.
const SILENCE: Duration = Duration::from_secs(10);

/// The kinds of things of an engine that can have labels, in the order in which they can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ThingKind {
    Container,
    Network,
    Volume,
}

/// Something with labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thing {
    pub kind: ThingKind,
    /// Its id, or the name of a volume.
    pub handle: String,
    pub name: String,
    pub labels: HashMap<String, String>,
}

fn thing(
    kind: ThingKind,
    handle: Option<String>,
    name: Option<String>,
    labels: HashMap<String, String>,
) -> Option<Thing> {
    Some(Thing { kind, handle: handle?, name: name.unwrap_or_default(), labels })
}

impl Engine {
    /// Everything that has all of these labels, each `NAME` or `NAME=VALUE`, of all users of the engine.
    pub async fn labelled(&self, labels: Vec<String>) -> Result<Vec<Thing>> {
        let filters = HashMap::from([("label".to_owned(), labels)]);
        let containers = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let networks = query::ListNetworksOptionsBuilder::default().filters(&filters).build();
        let volumes = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        let (containers, networks, volumes) = try_join3(
            self.docker.list_containers(Some(containers)),
            self.docker.list_networks(Some(networks)),
            self.docker.list_volumes(Some(volumes)),
        )
        .await
        .map_err(|error| self.failed("list what has a lease", &error))?;
        let containers = containers.into_iter().filter_map(|found| {
            let name = found.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
            thing(ThingKind::Container, found.id, name, found.labels.unwrap_or_default())
        });
        let networks = networks
            .into_iter()
            .filter_map(|found| thing(ThingKind::Network, found.id, found.name, found.labels.unwrap_or_default()));
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes
            .filter_map(|found| thing(ThingKind::Volume, Some(found.name.clone()), Some(found.name), found.labels));
        Ok(containers.chain(networks).chain(volumes).collect())
    }

    pub async fn remove_thing(&self, thing: &Thing) -> Result<()> {
        match thing.kind {
            ThingKind::Container => self.remove_container(&thing.handle).await,
            ThingKind::Network => self.remove_network(&thing.handle).await,
            ThingKind::Volume => self.remove_volume(&thing.handle).await,
        }
    }

    /// Makes an empty volume, for what its labels say.
    pub async fn create_mark(&self, name: String, labels: HashMap<String, String>) -> Result<()> {
        let request = VolumeCreateRequest { name: Some(name), labels: Some(labels), ..VolumeCreateRequest::default() };
        self.create_volume(request).await
    }

    /// Ends, with the error to tell, once the engine has stopped answering.
    pub async fn falls_silent(&self) -> Error {
        loop {
            host::sleep(BETWEEN).await;
            match tokio::time::timeout(SILENCE, self.docker.ping()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return self.failed("go on", &error),
                Err(_) => {
                    let seconds = SILENCE.as_secs();
                    return Error::new(format!(
                        "the Docker engine at `{}` has stopped answering (for {seconds} seconds)",
                        self.address()
                    ));
                }
            }
        }
    }
}
