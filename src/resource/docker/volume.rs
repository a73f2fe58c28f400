//! A volume of the engine, which holds data: [`VolumeKind`].

use std::collections::{BTreeMap, HashMap};

use bollard::models::{Volume, VolumeCreateRequest};
use futures_util::future::try_join;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::docker::labels::{FILES, SCRATCH};
use crate::resource::fact::Fact;
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::text::digest::hex;
use crate::text::unknown::unknown;
use crate::world::engine::ID;
use crate::world::host;

pub(crate) struct VolumeKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Its name on the engine; by default the deployment's name and the resource's.
    name: Option<String>,
    #[serde(default = "driver")]
    driver: String,
    /// Options of the driver, such as `{ type: nfs, o: "addr=…", device: ":/data" }`.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// False for one whose content is made anew at every start, so that it can be deleted without a question.
    #[serde(default = "data")]
    data: bool,
    /// Whether it is there already and belongs to somebody else: it is used as it is, and neither changed nor removed.
    #[serde(default)]
    adopt: bool,
}

fn driver() -> String {
    "local".to_owned()
}

fn data() -> bool {
    true
}

/// The label with a random name that each new volume has for itself.
const SELF: &str = "provision.volume";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    name: String,
}

impl Spec {
    fn name(&self, at: &At) -> String {
        self.name.clone().unwrap_or_else(|| at.default_name())
    }

    fn labels(&self, at: &At) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> = at.labels().into_iter().collect();
        if !self.data {
            labels.insert(SCRATCH.to_owned(), "true".to_owned());
        }
        labels
    }
}

/// The labels of a volume of this deployment, for one that the engine makes in its place: that one is another.
pub(super) fn labels_anew(volume: Volume, at: &At) -> Option<HashMap<String, String>> {
    let mut labels = volume.labels;
    labels.remove(SELF);
    (labels.get(ID).map(String::as_str) == Some(at.store().id())).then_some(labels)
}

fn show(options: impl IntoIterator<Item = (String, String)>) -> String {
    let options: BTreeMap<String, String> = options.into_iter().collect();
    options.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

impl Kind for VolumeKind {
    const NAME: &'static str = "volume";
    const ABOUT: &'static str = "a volume, which outlives the containers that use it";
    /// `id` is one that another volume of the same name has not.
    const OUTPUTS: &'static [Output] = &[public("name"), public("id")];
    const STAYS: bool = true;

    type Spec = Spec;
    type Actual = Volume;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Volume>> {
        at.engine().await?.volume(&spec.name(at)).await
    }

    async fn check(spec: &Spec, actual: Option<&Volume>, _: &Change, at: &At) -> Result<()> {
        match actual {
            None if spec.adopt => Err(Error::new(format!("there is no volume `{}`", spec.name(at)))
                .hint("`docker volume ls` lists the volumes of the engine")),
            _ if spec.adopt => Ok(()),
            Some(volume) if volume.labels.get(ID).is_none_or(|id| id != at.store().id()) => {
                Err(At::taken("volume", &spec.name(at), Some(&volume.labels)))
            }
            _ => Ok(()),
        }
    }

    fn diff(spec: &Spec, actual: &Volume, at: &At) -> Change {
        if spec.adopt {
            return Change::of(Action::Replace, Vec::new());
        }
        let mut fields: Vec<Field> = Field::compare("driver", &actual.driver, &spec.driver).into_iter().collect();
        fields.extend(Field::compare("options", &show(actual.options.clone()), &show(spec.options.clone())));
        fields.extend(at.compare_labels(&actual.labels));
        let data = spec.data && !fields.is_empty();
        Change { data, ..Change::of(Action::Replace, fields) }
    }

    fn facts(_: &Spec, actual: Option<&Volume>, _: &At) -> Vec<Fact> {
        actual.iter().map(|volume| Fact::Volume(volume.name.clone())).collect()
    }

    fn outputs(spec: &Spec, actual: Option<&Volume>, at: &At) -> Outputs {
        let own = |volume: &Volume| volume.labels.get(SELF).cloned().unwrap_or_default();
        let id = actual.map_or_else(|| unknown(&at.id), own);
        Outputs::default().with("name", spec.name(at)).with("id", id)
    }

    async fn apply(spec: &Spec, actual: Option<Volume>, _: &Change, at: &At) -> Result<()> {
        let engine = at.engine().await?;
        let name = spec.name(at);
        if actual.is_some() {
            engine.remove_volume(&name).await?;
        }
        at.will(&Undo { name: name.clone() })?;
        let mut labels = spec.labels(at);
        labels.insert(SELF.to_owned(), hex(&host::random::<8>()?));
        let request = VolumeCreateRequest {
            name: Some(name),
            driver: Some(spec.driver.clone()),
            driver_opts: Some(spec.options.clone().into_iter().collect()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        engine.create_volume(request).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        at.engine().await?.remove_volume(&undo.name).await
    }

    /// The files of a container stand in volumes of its own, which go with it; not if somebody else removed it.
    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let (engine, id) = (at.engine().await?, at.store().id());
        let is_of_files = |volume: &Volume| volume.labels.contains_key(FILES);
        let (mut found, mut unused) = try_join(engine.volumes_of(id), engine.unused_volumes_of(id)).await?;
        found.retain(|volume| !is_of_files(volume));
        unused.retain(is_of_files);
        let owned = found.into_iter().chain(unused);
        Ok(owned
            .map(|volume| {
                let data = !volume.labels.contains_key(SCRATCH) && !is_of_files(&volume);
                At::owned(Some(&volume.labels), Some(volume.name.clone()), Some(volume.name), data)
            })
            .collect())
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.engine().await?.remove_volume(&owned.handle).await
    }
}
