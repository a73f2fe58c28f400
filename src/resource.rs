//! The kinds of resources. A new kind is one file in `resource/` that implements [`Kind`], and one line in the table below.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use minijinja::value::Serde;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::change::{Action, Change, Field, unknown};
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::journal::Journal;
use crate::run::Run;
use crate::world::engine::{DEPLOYMENT, Engine, ID, RESOURCE};

macro_rules! kinds {
    ($($module:ident => $kind:ident),* $(,)?) => {
        $(pub(crate) mod $module;)*
        /// The table of kinds. `destroy` takes things away from the last line to the first.
        pub(crate) static KINDS: &[Entry] = &[$(Entry::of::<$module::$kind>()),*];
    };
}

kinds! {
    secret => SecretKind,
    authority => AuthorityKind,
    certificate => CertificateKind,
    htpasswd => HtpasswdKind,
    image => ImageKind,
    network => NetworkKind,
    volume => VolumeKind,
    container => ContainerKind,
    file => FileKind,
    trust => TrustKind,
    probe => ProbeKind,
}

/// One output of a kind.
#[derive(Debug)]
pub(crate) struct Output {
    pub name: &'static str,
    pub secret: bool,
}

pub(crate) const fn public(name: &'static str) -> Output {
    Output { name, secret: false }
}

pub(crate) const fn hidden(name: &'static str) -> Output {
    Output { name, secret: true }
}

/// The values of a resource's outputs; one that is not known yet is a stand-in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outputs(BTreeMap<&'static str, Json>);

impl Outputs {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    /// The outputs of a resource that does not exist yet.
    pub fn unknown<K: Kind>(id: &str) -> Self {
        Self(K::OUTPUTS.iter().map(|output| (output.name, Json::from(unknown(id)))).collect())
    }

    /// As an expression sees it: the one value, or a mapping of all.
    pub fn value(&self, bare: Option<&str>) -> Value {
        match bare.and_then(|bare| self.0.get(bare)) {
            Some(value) => Value::from(Serde(value)),
            None => Value::from(Serde(&self.0)),
        }
    }
}

/// Something of this deployment that exists, whether or not the playbook still names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    /// The resource that made it.
    pub id: String,
    /// How its kind finds it again.
    pub handle: String,
    /// What a user calls it.
    pub label: String,
    /// Whether it holds data that cannot be made again.
    pub data: bool,
}

/// A kind of resource. Kinds know neither the graph nor each other.
///
/// `actual`, `check`, `apply`, `undo`, `settle`, `owned` and `remove` touch the world; `diff` and `outputs` are pure.
pub(crate) trait Kind: 'static + Send + Sync {
    const NAME: &'static str;
    /// One sentence for `provision schema`.
    const ABOUT: &'static str;
    const OUTPUTS: &'static [Output];
    /// The output that the bare name of the resource stands for.
    const BARE: Option<&'static str> = None;
    /// Whether it has nothing to do by itself, but is carried out whenever something that it needs changes.
    const FOLLOWS: bool = false;

    /// What should be: the fields of the playbook.
    type Spec: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What is.
    type Actual: Send + Sync + 'static;
    /// How to take one step back. It is plain data, written down before the step is taken.
    type Undo: Serialize + DeserializeOwned + Send;

    /// Reads what is there; none if nothing is.
    fn actual(spec: &Self::Spec, at: &At) -> impl Future<Output = Result<Option<Self::Actual>>> + Send;

    /// Finds what stands in the way of a change, such as a name or a port that somebody else holds. Reads only.
    fn check(_spec: &Self::Spec, _actual: Option<&Self::Actual>, _change: &Change, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What has to change for `actual` to be as `spec` says.
    fn diff(spec: &Self::Spec, actual: &Self::Actual, at: &At) -> Change;

    /// The outputs, as far as they are known while nothing exists yet.
    fn outputs(spec: &Self::Spec, actual: Option<&Self::Actual>, at: &At) -> Outputs;

    /// Carries out a change. Before each step that alters the world it calls [`At::will`] with the way back.
    fn apply(spec: &Self::Spec, actual: Option<Self::Actual>, change: &Change, at: &At) -> impl Future<Output = Result<()>> + Send;

    /// Takes a step back. It may have been taken wholly, partly or not at all.
    fn undo(undo: Self::Undo, at: &At) -> impl Future<Output = Result<()>> + Send;

    /// Called for each step once the whole run has succeeded: lets go of what was kept for the way back.
    fn settle(_undo: Self::Undo, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Everything of this kind that the deployment owns, read from the world.
    fn owned(_at: &At) -> impl Future<Output = Result<Vec<Owned>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Removes one thing that [`Kind::owned`] told of.
    fn remove(_owned: &Owned, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

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
        let undo = serde_json::to_value(undo).map_err(|error| Error::new(format!("cannot write down an undo: {error}")))?;
        self.journal().record(&self.id, self.kind, undo)
    }

    fn journal(&self) -> &Journal {
        &self.run.journal
    }

    pub fn progress(&self, text: impl Into<String>, done: u64, total: u64) {
        self.events().send(Event::Progress { resource: self.id.clone(), text: text.into(), done, total });
    }
}

type Thing = Box<dyn Any + Send + Sync>;
type Task<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What was found out about a resource.
pub(crate) struct Examined {
    pub change: Change,
    pub outputs: Outputs,
    actual: Option<Thing>,
}

impl Examined {
    /// A check that is due, whatever a look would tell.
    pub fn to_check() -> Self {
        Self { change: Change::new(Action::Check), outputs: Outputs::default(), actual: None }
    }
}

/// One line of the table: a kind without its types.
pub(crate) struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub outputs: &'static [Output],
    pub bare: Option<&'static str>,
    pub follows: bool,
    schema: fn() -> Json,
    /// Reads the fields of a playbook.
    pub decode: fn(Json) -> std::result::Result<Thing, serde_path_to_error::Error<serde_json::Error>>,
    pub examine: for<'a> fn(&'a Thing, &'a At) -> Task<'a, Examined>,
    /// Carries out the change that was found, and reads the outputs anew.
    pub apply: for<'a> fn(&'a Thing, Examined, &'a At) -> Task<'a, Outputs>,
    pub undo: for<'a> fn(Json, &'a At) -> Task<'a, ()>,
    pub settle: for<'a> fn(Json, &'a At) -> Task<'a, ()>,
    pub owned: for<'a> fn(&'a At) -> Task<'a, Vec<Owned>>,
    pub remove: for<'a> fn(&'a Owned, &'a At) -> Task<'a, ()>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Entry {
    const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            about: K::ABOUT,
            outputs: K::OUTPUTS,
            bare: K::BARE,
            follows: K::FOLLOWS,
            schema: schema_of::<K>,
            decode: |fields| serde_path_to_error::deserialize::<_, K::Spec>(fields).map(|spec| Box::new(spec) as Thing),
            examine: |spec, at| Box::pin(examine::<K>(spec_of::<K>(spec), at)),
            apply: |spec, examined, at| Box::pin(apply::<K>(spec_of::<K>(spec), examined, at)),
            undo: |undo, at| Box::pin(async move { K::undo(step(undo)?, at).await }),
            settle: |undo, at| Box::pin(async move { K::settle(step(undo)?, at).await }),
            owned: |at| Box::pin(K::owned(at)),
            remove: |owned, at| Box::pin(K::remove(owned, at)),
        }
    }

    /// The JSON Schema of the kind's fields.
    pub fn schema(&self) -> &'static Json {
        static SCHEMAS: OnceLock<BTreeMap<&'static str, Json>> = OnceLock::new();
        let schemas = SCHEMAS.get_or_init(|| KINDS.iter().map(|kind| (kind.name, (kind.schema)())).collect());
        &schemas[self.name]
    }
}

fn schema_of<K: Kind>() -> Json {
    let settings = schemars::generate::SchemaSettings::default().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<K::Spec>().to_value()
}

fn spec_of<K: Kind>(spec: &Thing) -> &K::Spec {
    spec.downcast_ref().expect("a spec is decoded and used by the same line of the table")
}

fn step<U: DeserializeOwned>(undo: Json) -> Result<U> {
    serde_json::from_value(undo).map_err(|error| Error::new(format!("the journal holds a step that cannot be read: {error}")))
}

async fn examine<K: Kind>(spec: &K::Spec, at: &At) -> Result<Examined> {
    let actual = K::actual(spec, at).await?;
    let change = actual.as_ref().map_or_else(|| Change::new(Action::Create), |actual| K::diff(spec, actual, at));
    K::check(spec, actual.as_ref(), &change, at).await?;
    // What is about to change gives no outputs yet.
    let outputs = K::outputs(spec, actual.as_ref().filter(|_| !change.is_change()), at);
    Ok(Examined { change, outputs, actual: actual.map(|actual| Box::new(actual) as Thing) })
}

async fn apply<K: Kind>(spec: &K::Spec, examined: Examined, at: &At) -> Result<Outputs> {
    let actual = examined.actual.map(|actual| *actual.downcast::<K::Actual>().expect("the same line of the table examined it"));
    K::apply(spec, actual, &examined.change, at).await?;
    let actual = if K::FOLLOWS { None } else { K::actual(spec, at).await? };
    Ok(K::outputs(spec, actual.as_ref(), at))
}

pub(crate) fn kind(name: &str) -> Option<&'static Entry> {
    KINDS.iter().find(|kind| kind.name == name)
}

pub(crate) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// The way back of a kind that keeps what it makes in the deployment's folder: the bytes that stood there before.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub key: String,
    pub before: Option<String>,
}

impl At {
    /// Keeps a text in the deployment's folder, with a way back.
    pub fn keep(&self, key: &str, text: &str) -> Result<()> {
        self.will(&Kept { key: key.to_owned(), before: self.store().get(key).unwrap_or_default() })?;
        self.store().put(key, text)
    }

    /// The key of this resource's own texts: `secret/password`, `certificate/tls.server`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.id.replace('/', "."))
    }

    /// Everything kept by resources of this kind.
    pub fn owned_keys(&self, data: bool) -> Result<Vec<Owned>> {
        let names = self.store().names(self.kind)?;
        let owned = names.into_iter().map(|name| Owned {
            id: name.replace('.', "/"),
            handle: format!("{}/{name}", self.kind),
            label: name,
            data,
        });
        Ok(owned.collect())
    }
}

impl Kept {
    pub fn restore(self, at: &At) -> Result<()> {
        match self.before {
            Some(text) => at.store().put(&self.key, &text),
            None => at.store().delete(&self.key),
        }
    }
}

impl At {
    /// The labels of everything that this resource makes on an engine.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        BTreeMap::from([label(DEPLOYMENT, self.store().name()), label(ID, self.store().id()), label(RESOURCE, &self.id)])
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
    pub fn taken(&self, what: &str, name: &str, labels: Option<&HashMap<String, String>>) -> Error {
        let owner = labels.and_then(|labels| labels.get(DEPLOYMENT));
        let holder = owner.map_or_else(|| "it was not made by provision".to_owned(), |owner| format!("it belongs to another deployment called `{owner}`"));
        Error::new(format!("the {what} `{name}` exists already, and {holder}"))
            .hint(format!("give this deployment another name with `--name`, or remove that {what}: `docker {what} rm {name}`"))
    }

    /// What was found on an engine, as a thing that this deployment owns.
    pub fn owned(&self, labels: Option<&HashMap<String, String>>, handle: Option<String>, label: Option<String>, data: bool) -> Owned {
        let id = labels.and_then(|labels| labels.get(RESOURCE)).cloned().unwrap_or_default();
        Owned { id, handle: handle.unwrap_or_default(), label: label.unwrap_or_default(), data }
    }
}
