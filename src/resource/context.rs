//! Where a resource stands in a run, and what it may use there: [`At`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::formats::x509;
use crate::resource::Owned;
use crate::resource::change::Field;
use crate::resource::run::Run;
use crate::world::aws::{Aws, Place};
use crate::world::engine::{DEPLOYMENT, Engine, ID, RESOURCE};

/// Where a resource stands: its name, and the run that it is part of.
#[derive(Clone)]
pub(crate) struct At {
    pub id: String,
    pub kind: &'static str,
    pub run: Arc<Run>,
}

impl At {
    pub fn store(&self) -> &Store {
        &self.run.store
    }

    pub fn events(&self) -> &Events {
        &self.run.events
    }

    pub async fn engine(&self) -> Result<&Engine> {
        self.run.engine().await
    }

    pub async fn aws(&self, place: &Place) -> Result<Arc<Aws>> {
        if let Some(authority) = place.authority.as_deref().filter(|authority| !authority.is_empty()) {
            x509::check_usable(authority, self.run.now).map_err(|error| {
                error.within("the store's authority").hint(
                    "ask whoever runs the store for the certificate of its present authority, and give that; or set the clock right",
                )
            })?;
        }
        self.run.aws(place).await
    }

    /// The name that a thing of this resource has in the world unless the playbook gives one.
    pub fn default_name(&self) -> String {
        format!("{}-{}", self.run.store.name(), self.id.replace('/', "-"))
    }

    /// Writes down how the next step can be taken back.
    ///
    /// # Errors
    /// The run was told to stop: the step must not be taken.
    pub fn will<U: Serialize>(&self, undo: &U) -> Result<()> {
        self.run.check_cancelled()?;
        let undo =
            serde_json::to_value(undo).map_err(|error| Error::new(format!("cannot write down an undo: {error}")))?;
        self.run.journal.record(&self.id, self.kind, undo)
    }

    pub fn progress(&self, text: impl Into<String>, done: u64, total: u64) {
        self.events().send(Event::Progress { resource: self.id.clone(), text: text.into(), done, total });
    }

    /// The labels of everything that this resource makes on an engine.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut labels = BTreeMap::from([
            label(DEPLOYMENT, self.store().name()),
            label(ID, self.store().id()),
            label(RESOURCE, &self.id),
        ]);
        labels.extend(self.store().lease().iter().flat_map(|lease| lease.claim.labels()));
        labels
    }

    /// How the labels of a thing differ from what they should be. Labels of others are left alone.
    pub fn compare_labels(&self, found: &HashMap<String, String>) -> Vec<Field> {
        let wanted = self.labels();
        let differ = wanted.iter().filter_map(|(key, value)| {
            Field::compare(format!("labels.{key}"), found.get(key).map(String::as_str).unwrap_or_default(), value)
        });
        differ.collect()
    }

    /// The error for a name that somebody else's thing has.
    pub fn taken(what: &str, name: &str, labels: Option<&HashMap<String, String>>) -> Error {
        let owner = labels.and_then(|labels| labels.get(DEPLOYMENT));
        let holder = owner.map_or_else(
            || "it was not made by provision".to_owned(),
            |owner| format!("it belongs to another deployment called `{owner}`"),
        );
        Error::new(format!("the {what} `{name}` exists already, and {holder}")).hint(format!(
            "give this deployment another name with `--name`; `docker {what} inspect {name}` shows what that {what} is"
        ))
    }

    /// What was found on an engine, as a thing that this deployment owns.
    pub fn owned(
        labels: Option<&HashMap<String, String>>,
        handle: Option<String>,
        label: Option<String>,
        data: bool,
    ) -> Owned {
        let id = labels.and_then(|labels| labels.get(RESOURCE)).cloned().unwrap_or_default();
        Owned { id, handle: handle.unwrap_or_default(), label: label.unwrap_or_default(), data }
    }
}
