//! A private network of the engine: [`NetworkKind`].

use std::cmp::Reverse;
use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::text::digest::sha256;
use crate::text::unknown::unknown;
use crate::world::engine::{Engine, ID, gateway};

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

/// The network that is in use, and others of its name: the engine allows several, and then none can be used by name. They are
/// of a run that was killed, whose request the engine had not finished when the next run looked.
pub(crate) struct Actual {
    network: Network,
    twins: Vec<String>,
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

/// The name of its bridge on the engine's host, which the engine lets no other network have: so a request of a run that was
/// killed makes no second one however late it lands. Linux takes 15 characters at most.
fn bridge(at: &At) -> String {
    format!("pn-{}", &sha256(format!("{} {}", at.store().id(), at.id).as_bytes())[..12])
}

/// The networks of one name, the one to keep first: that with the most containers, else the oldest.
async fn best_first(found: Vec<Network>, engine: &Engine) -> Result<Vec<Network>> {
    let mut ranked = Vec::new();
    for network in found {
        let users = engine.users_of_network(network.id.as_deref().unwrap_or_default()).await?;
        ranked.push((Reverse(users), network.created.clone(), network));
    }
    ranked.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    Ok(ranked.into_iter().map(|(.., network)| network).collect())
}

/// Makes the network; on an engine that holds back a bridge of that name although no network has it, with one that it names.
async fn create(mut request: NetworkCreateRequest, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    match engine.create_network(request.clone()).await {
        Err(error) if error.is_moved() && engine.networks_named(&request.name).await?.is_empty() => {
            request.options = None;
            engine.create_network(request).await.map_err(|_| error)
        }
        created => created,
    }
}

fn is_ours(network: &Network, at: &At) -> bool {
    network.labels.as_ref().and_then(|labels| labels.get(ID)).is_some_and(|id| id == at.store().id())
}

impl Kind for NetworkKind {
    const NAME: &'static str = "network";
    const ABOUT: &'static str = "a private network, on which containers find each other by name";
    /// `gateway` is the address that the engine's host has in it.
    const OUTPUTS: &'static [Output] = &[public("name"), public("gateway")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let (name, engine) = (spec.name(at), at.engine().await?);
        let mut found = engine.networks_named(&name).await?;
        if found.len() > 1 && !found.iter().all(|network| is_ours(network, at)) {
            return Err(Error::new(format!(
                "the engine has {} networks called `{name}`, so none can be used by name",
                found.len()
            ))
            .hint(format!("`docker network ls --filter name=^{name}$` lists them; remove all but one by its id")));
        }
        if found.len() > 1 {
            found = best_first(found, engine).await?;
        }
        let mut found = found.into_iter();
        let Some(network) = found.next() else { return Ok(None) };
        Ok(Some(Actual { network, twins: found.filter_map(|twin| twin.id).collect() }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        match actual {
            Some(Actual { network, .. }) if !is_ours(network, at) => {
                Err(At::taken("network", &spec.name(at), network.labels.as_ref()))
            }
            _ => Ok(()),
        }
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let Actual { network, twins } = actual;
        let labels = network.labels.clone().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(Field::compare(
            "internal",
            &network.internal.unwrap_or_default().to_string(),
            &spec.internal.to_string(),
        ));
        fields.extend(Field::compare("driver", network.driver.as_deref().unwrap_or_default(), &spec.driver));
        fields.extend(at.compare_labels(&labels));
        let action = if fields.is_empty() { Action::Update } else { Action::Replace };
        fields.extend(Field::compare("networks of this name", &(twins.len() + 1).to_string(), "1"));
        Change::of(action, fields)
    }

    fn outputs(spec: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let gateway = actual.map(|actual| gateway(&actual.network).unwrap_or_default());
        let gateway = gateway.unwrap_or_else(|| unknown(&at.id));
        Outputs::default().with("name", spec.name(at)).with("gateway", gateway)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, change: &Change, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        if let Some(Actual { network, twins }) = actual {
            let replaced = network.id.filter(|_| change.action == Action::Replace);
            for id in twins.iter().chain(&replaced) {
                engine.empty_network(id).await?;
                engine.remove_network(id).await?;
            }
            if replaced.is_none() {
                return Ok(());
            }
        }
        at.will(&Undo { name: name.clone() })?;
        let labels: HashMap<String, String> = at.labels().into_iter().collect();
        let options = HashMap::from([("com.docker.network.bridge.name".to_owned(), bridge(at))]);
        let request = NetworkCreateRequest {
            name,
            driver: Some(spec.driver.clone()),
            internal: Some(spec.internal),
            options: (spec.driver == driver()).then_some(options),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        };
        create(request, at).await
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
