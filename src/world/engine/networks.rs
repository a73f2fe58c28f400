//! Networks and volumes of an engine.

use std::net::Ipv4Addr;

use bollard::models::{Ipam, Network, NetworkConnectRequest, NetworkCreateRequest, Volume, VolumeCreateRequest};
use bollard::query_parameters as query;

use super::{Cause, Engine, ID, gone, labelled, optional};
use crate::error::Result;

impl Engine {
    /// The networks of exactly this name; the engine allows several.
    pub async fn networks_named(&self, name: &str) -> Result<Vec<Network>> {
        let filters = std::collections::HashMap::from([("name".to_owned(), vec![format!("^{name}$")])]);
        let options = query::ListNetworksOptionsBuilder::default().filters(&filters).build();
        let found =
            self.docker.list_networks(Some(options)).await.map_err(|error| self.failed("list the networks", &error))?;
        Ok(found.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }

    pub async fn networks_of(&self, id: &str) -> Result<Vec<Network>> {
        let options = query::ListNetworksOptionsBuilder::default().filters(&labelled(ID, id)).build();
        self.docker.list_networks(Some(options)).await.map_err(|error| self.failed("list the networks", &error))
    }

    /// Creates a network. With the bridge's own name in it, the engine refuses another one of the same.
    ///
    /// # Errors
    /// One that is marked as moved if such a network is there already.
    pub async fn create_network(&self, request: NetworkCreateRequest) -> Result<()> {
        let task = format!("create the network `{}`", request.name);
        self.docker.create_network(request).await.map(drop).map_err(|error| {
            let taken = matches!(error, Cause::DockerResponseServerError { status_code: 403, .. });
            let failed = self.failed(&task, &error);
            if taken { failed.moved() } else { failed }
        })
    }

    pub async fn remove_network(&self, name: &str) -> Result<()> {
        gone(self.docker.remove_network(name).await)
            .map_err(|error| self.failed(&format!("remove the network `{name}`"), &error))
    }

    pub async fn connect_network(&self, network: &str, request: NetworkConnectRequest) -> Result<()> {
        let connected = self.docker.connect_network(network, request).await;
        connected.map_err(|error| self.failed(&format!("connect a container to the network `{network}`"), &error))
    }

    pub async fn volume(&self, name: &str) -> Result<Option<Volume>> {
        let found = optional(self.docker.inspect_volume(name).await);
        found.map_err(|error| self.failed(&format!("inspect the volume `{name}`"), &error))
    }

    pub async fn volumes_of(&self, id: &str) -> Result<Vec<Volume>> {
        let options = query::ListVolumesOptionsBuilder::default().filters(&labelled(ID, id)).build();
        let listed =
            self.docker.list_volumes(Some(options)).await.map_err(|error| self.failed("list the volumes", &error))?;
        Ok(listed.volumes.unwrap_or_default())
    }

    /// The volumes of one deployment that no container has, running or not.
    pub async fn unused_volumes_of(&self, id: &str) -> Result<Vec<Volume>> {
        let mut filters = labelled(ID, id);
        filters.insert("dangling".to_owned(), vec!["true".to_owned()]);
        let options = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed =
            self.docker.list_volumes(Some(options)).await.map_err(|error| self.failed("list the volumes", &error))?;
        Ok(listed.volumes.unwrap_or_default())
    }

    pub async fn create_volume(&self, request: VolumeCreateRequest) -> Result<()> {
        self.docker.create_volume(request).await.map(drop).map_err(|error| self.failed("create a volume", &error))
    }

    pub async fn remove_volume(&self, name: &str) -> Result<()> {
        let removed = self.docker.remove_volume(name, None::<query::RemoveVolumeOptions>).await;
        gone(removed).map_err(|error| self.failed(&format!("remove the volume `{name}`"), &error))
    }
}

impl Engine {
    /// How many containers are to be on a network, running or not.
    pub async fn users_of_network(&self, id: &str) -> Result<usize> {
        Ok(self.containers_on(id).await?.len())
    }

    async fn containers_on(&self, id: &str) -> Result<Vec<String>> {
        let filters = std::collections::HashMap::from([("network".to_owned(), vec![id.to_owned()])]);
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        let found = found.map_err(|error| self.failed("list the containers of a network", &error))?;
        Ok(found.into_iter().filter_map(|container| container.id).collect())
    }

    /// Takes every container off a network, so that it can be removed. One that does not run would not start without it.
    pub async fn empty_network(&self, id: &str) -> Result<()> {
        let task = format!("empty the network `{id}`");
        for container in self.containers_on(id).await? {
            let request = bollard::models::NetworkDisconnectRequest { container, force: Some(true) };
            gone(self.docker.disconnect_network(id, request).await).map_err(|error| self.failed(&task, &error))?;
        }
        Ok(())
    }
}

impl Engine {
    /// The address by which containers reach the engine's host.
    pub async fn bridge_gateway(&self) -> Result<Option<String>> {
        let found = optional(self.docker.inspect_network("bridge", None::<query::InspectNetworkOptions>).await);
        let found = found.map_err(|error| self.failed("inspect the network `bridge`", &error))?;
        Ok(found.and_then(|found| of(found.ipam)))
    }
}

/// The address that the engine's host has in a network.
pub(crate) fn gateway(network: &Network) -> Option<String> {
    of(network.ipam.clone())
}

fn of(addresses: Option<Ipam>) -> Option<String> {
    let configs = addresses.and_then(|ipam| ipam.config).unwrap_or_default();
    // An engine that chose the addresses itself may name the subnet only: the first address in it is its own.
    let first = |subnet: &str| {
        let (network, _) = subnet.split_once('/')?;
        let network: Ipv4Addr = network.parse().ok()?;
        Some(Ipv4Addr::from(u32::from(network) + 1).to_string())
    };
    configs.into_iter().find_map(|config| config.gateway.or_else(|| first(&config.subnet?)))
}
