//! A private network of the engine: [`NetworkKind`].

use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{At, Kind, Output, Outputs, Owned, public};
use crate::change::{Action, Change, Field};
use crate::error::{Error, Result};
use crate::world::engine::ID;

pub(crate) struct NetworkKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name on the engine; by default the deployment's name and the resource's.
    name: Option<String>,
    /// Whether containers on it can reach nothing outside.
    #[serde(default)]
    internal: bool,
    #[serde(default = "driver")]
    driver: String,
}

fn driver() -> String {
    "bridge".to_owned()
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    name: String,
}

impl Spec {
    fn name(&self, at: &At) -> String {
        self.name.clone().unwrap_or_else(|| at.default_name())
    }
}

fn is_ours(network: &Network, at: &At) -> bool {
    network.labels.as_ref().and_then(|labels| labels.get(ID)).is_some_and(|id| id == at.store().id())
}

impl Kind for NetworkKind {
    const NAME: &'static str = "network";
    const ABOUT: &'static str = "a private network, on which containers find each other by name";
    const OUTPUTS: &'static [Output] = &[public("name")];

    type Spec = Spec;
    type Actual = Network;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Network>> {
        let name = spec.name(at);
        let mut found = at.engine().await?.networks_named(&name).await?;
        if found.len() > 1 {
            return Err(Error::new(format!(
                "the engine has {} networks called `{name}`, so none can be used by name",
                found.len()
            ))
            .hint(format!("`docker network ls --filter name=^{name}$` lists them; remove all but one by its id")));
        }
        Ok(found.pop())
    }

    async fn check(spec: &Spec, actual: Option<&Network>, _: &Change, at: &At) -> Result<()> {
        match actual {
            Some(network) if !is_ours(network, at) => {
                Err(At::taken("network", &spec.name(at), network.labels.as_ref()))
            }
            _ => Ok(()),
        }
    }

    fn diff(spec: &Spec, actual: &Network, at: &At) -> Change {
        let labels = actual.labels.clone().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(Field::compare(
            "internal",
            &actual.internal.unwrap_or_default().to_string(),
            &spec.internal.to_string(),
        ));
        fields.extend(Field::compare("driver", actual.driver.as_deref().unwrap_or_default(), &spec.driver));
        fields.extend(at.compare_labels(&labels));
        Change::of(Action::Replace, fields)
    }

    fn outputs(spec: &Spec, _: Option<&Network>, at: &At) -> Outputs {
        Outputs::default().with("name", spec.name(at))
    }

    async fn apply(spec: &Spec, actual: Option<Network>, _: &Change, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        if let Some(id) = actual.and_then(|network| network.id) {
            engine.empty_network(&id).await?;
            engine.remove_network(&id).await?;
        }
        at.will(&Undo { name: name.clone() })?;
        let labels: HashMap<String, String> = at.labels().into_iter().collect();
        let request = NetworkCreateRequest {
            name,
            driver: Some(spec.driver.clone()),
            internal: Some(spec.internal),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        engine.create_network(request).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        for network in engine.networks_named(&undo.name).await?.iter().filter(|network| is_ours(network, at)) {
            engine.remove_network(network.id.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let found = at.engine().await?.networks_of(at.store().id()).await?;
        Ok(found
            .into_iter()
            .map(|network| At::owned(network.labels.as_ref(), network.id, network.name, false))
            .collect())
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.engine().await?.remove_network(&owned.handle).await
    }
}
