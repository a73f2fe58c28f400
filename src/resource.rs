//! The kinds of resources. A new kind is one file in a folder of `resource/` that implements [`Kind`], and one line in the table below.

pub(crate) mod aws;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod content;
pub(crate) mod context;
pub(crate) mod difference;
pub(crate) mod docker;
pub(crate) mod fact;
pub(crate) mod host;
pub(crate) mod hostfile;
pub(crate) mod pki;
pub(crate) mod record;
pub(crate) mod run;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use minijinja::Value;
use minijinja::value::Serde;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::deployment::backup::Part;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change};
pub(crate) use crate::resource::context::At;
use crate::resource::difference::other;
use crate::resource::fact::Fact;
pub(crate) use crate::resource::record::Kept;
use crate::text::unknown::unknown;
use crate::world::engine::Sink;

macro_rules! kinds {
    ($($group:ident::$module:ident => $kind:ident),* $(,)?) => {
        /// The table of kinds. `destroy` takes things away from the last line to the first.
        pub(crate) static KINDS: [Entry; [$(stringify!($module)),*].len()] = [$(Entry::of::<$group::$module::$kind>()),*];
    };
}

kinds! {
    pki::secret => SecretKind,
    pki::authority => AuthorityKind,
    pki::certificate => CertificateKind,
    pki::htpasswd => HtpasswdKind,
    docker::image => ImageKind,
    check::requirement => RequirementKind,
    docker::network => NetworkKind,
    docker::volume => VolumeKind,
    aws::account => AccountKind,
    aws::bucket => BucketKind,
    aws::iam_user => IamUserKind,
    aws::access_key => AccessKeyKind,
    docker::container => ContainerKind,
    host::file => FileKind,
    host::package => PackageKind,
    host::folder => FolderKind,
    host::service => ServiceKind,
    host::hosts_entry => HostsEntryKind,
    host::trust => TrustKind,
    check::probe => ProbeKind,
    check::s3_probe => S3ProbeKind,
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

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// The same with other texts in the places of secrets.
    pub fn veiled(&self, outputs: &[Output]) -> Self {
        let secret = |name: &str| outputs.iter().any(|output| output.name == name && output.secret);
        let veil =
            |(name, value): (&&'static str, &Json)| (*name, if secret(name) { other(value) } else { value.clone() });
        Self(self.0.iter().map(veil).collect())
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
    /// Whether what it keeps in the deployment's folder is about this host alone, and so belongs in no backup.
    const OF_THIS_HOST: bool = false;

    /// Another kind whose things it makes as well, so that they are looked for.
    const ALSO: Option<&'static str> = None;

    /// What should be: the fields of the playbook.
    type Spec: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// What is.
    type Actual: Send + Sync + 'static;
    /// How to take one step back. It is plain data, written down before the step is taken.
    type Undo: Serialize + DeserializeOwned + Send;

    /// Adds to the fields of the playbook what the run itself says.
    fn complete(_spec: &mut Self::Spec, _at: &At) -> Result<()> {
        Ok(())
    }

    /// Reads what is there; none if nothing is.
    fn actual(spec: &Self::Spec, at: &At) -> impl Future<Output = Result<Option<Self::Actual>>> + Send;

    /// Finds what stands in the way of a change, such as a name or a port that somebody else holds. Reads only.
    fn check(
        _spec: &Self::Spec,
        _actual: Option<&Self::Actual>,
        _change: &Change,
        _at: &At,
    ) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What has to change for `actual` to be as `spec` says.
    fn diff(spec: &Self::Spec, actual: &Self::Actual, at: &At) -> Change;

    /// What it tells of the whole deployment.
    fn facts(_spec: &Self::Spec, _actual: Option<&Self::Actual>, _at: &At) -> Vec<Fact> {
        Vec::new()
    }

    /// The outputs, as far as they are known while nothing exists yet.
    fn outputs(spec: &Self::Spec, actual: Option<&Self::Actual>, at: &At) -> Outputs;

    /// The outputs that something which exists will have after a change, as far as they are known before it.
    fn pending(spec: &Self::Spec, _actual: &Self::Actual, at: &At) -> Outputs {
        Self::outputs(spec, None, at)
    }

    /// Carries out a change. Before each step that alters the world it calls [`At::will`] with the way back.
    fn apply(
        spec: &Self::Spec,
        actual: Option<Self::Actual>,
        change: &Change,
        at: &At,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The error for an output that is not known though the thing is there, if that is one.
    fn without(_output: &str, _spec: &Self::Spec, _at: &At) -> Option<Error> {
        None
    }

    /// Takes a step back. It may have been taken wholly, partly or not at all.
    fn undo(undo: Self::Undo, at: &At) -> impl Future<Output = Result<()>> + Send;

    /// Called for each step once the whole run has succeeded: lets go of what was kept for the way back.
    fn settle(_undo: Self::Undo, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// What a backup must hold of this resource beside what it keeps in the deployment's folder.
    fn backup(_spec: &Self::Spec, _at: &At) -> impl Future<Output = Result<Vec<Part>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Reads one thing that [`Kind::backup`] told of.
    fn read(_part: &Part, _spec: &Self::Spec, _at: &At, _sink: Sink<'_>) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Everything of this kind that the deployment owns, read from the world.
    fn owned(_at: &At) -> impl Future<Output = Result<Vec<Owned>>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Fails if a thing must not be removed. It is asked for all before the first is removed. Reads only.
    fn may_remove(_owned: &Owned, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }

    /// Removes one thing that [`Kind::owned`] told of.
    fn remove(_owned: &Owned, _at: &At) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

pub(crate) type Thing = Box<dyn Any + Send + Sync>;
type Task<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// What was found out about a resource.
pub(crate) struct Examined {
    pub change: Change,
    pub outputs: Outputs,
    pub facts: Vec<Fact>,
    actual: Option<Thing>,
}

impl Examined {
    /// A check that is due, whatever a look would tell.
    pub fn to_check() -> Self {
        Self { change: Change::new(Action::Check), outputs: Outputs::default(), facts: Vec::new(), actual: None }
    }
}

/// What a backup must hold of a resource, and its outputs as they are.
pub(crate) struct Held {
    pub parts: Vec<Part>,
    pub outputs: Outputs,
}

/// One line of the table: a kind without its types.
pub(crate) struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub outputs: &'static [Output],
    pub bare: Option<&'static str>,
    pub follows: bool,
    pub of_this_host: bool,
    pub also: Option<&'static str>,
    make_schema: fn() -> Json,
    /// Made at the first use: a run needs those of its own kinds only.
    schema: OnceLock<Json>,
    /// Reads the fields of a playbook.
    pub decode: fn(Json) -> std::result::Result<Thing, serde_path_to_error::Error<serde_json::Error>>,
    /// Adds to them what the run itself says.
    pub complete: fn(&mut Thing, &At) -> Result<()>,
    pub examine: for<'a> fn(&'a Thing, &'a At) -> Task<'a, Examined>,
    /// Carries out the change that was found, and reads the outputs anew.
    pub apply: for<'a> fn(&'a Thing, Examined, &'a At) -> Task<'a, Outputs>,
    pub undo: for<'a> fn(Json, &'a At) -> Task<'a, ()>,
    pub settle: for<'a> fn(Json, &'a At) -> Task<'a, ()>,
    /// Tells what a backup must hold of it, with its outputs as they are.
    pub backup: for<'a> fn(&'a Thing, &'a At) -> Task<'a, Held>,
    pub read: for<'a> fn(&'a Part, &'a Thing, &'a At, Sink<'a>) -> Task<'a, ()>,
    pub owned: for<'a> fn(&'a At) -> Task<'a, Vec<Owned>>,
    pub may_remove: for<'a> fn(&'a Owned, &'a At) -> Task<'a, ()>,
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
            of_this_host: K::OF_THIS_HOST,
            also: K::ALSO,
            make_schema: schema_of::<K>,
            schema: OnceLock::new(),
            decode: |fields| serde_path_to_error::deserialize::<_, K::Spec>(fields).map(|spec| Box::new(spec) as Thing),
            complete: |spec, at| match spec.downcast_mut() {
                Some(spec) => K::complete(spec, at),
                None => Ok(()),
            },
            examine: |spec, at| Box::pin(examine::<K>(spec_of::<K>(spec), at)),
            apply: |spec, examined, at| Box::pin(apply::<K>(spec_of::<K>(spec), examined, at)),
            undo: |undo, at| Box::pin(async move { K::undo(step(undo)?, at).await }),
            settle: |undo, at| Box::pin(async move { K::settle(step(undo)?, at).await }),
            backup: |spec, at| Box::pin(backup::<K>(spec_of::<K>(spec), at)),
            read: |part, spec, at, sink| Box::pin(K::read(part, spec_of::<K>(spec), at, sink)),
            owned: |at| Box::pin(K::owned(at)),
            may_remove: |owned, at| Box::pin(K::may_remove(owned, at)),
            remove: |owned, at| Box::pin(K::remove(owned, at)),
        }
    }

    /// The JSON Schema of the kind's fields.
    pub fn schema(&self) -> &Json {
        self.schema.get_or_init(self.make_schema)
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
    serde_json::from_value(undo).map_err(|error| {
        Error::new(format!("the journal holds a step that cannot be read: {}", crate::text::json::told(&error)))
    })
}

async fn examine<K: Kind>(spec: &K::Spec, at: &At) -> Result<Examined> {
    let actual = K::actual(spec, at).await?;
    let change = actual.as_ref().map_or_else(|| Change::new(Action::Create), |actual| K::diff(spec, actual, at));
    K::check(spec, actual.as_ref(), &change, at).await?;
    let outputs = match &actual {
        Some(actual) if change.is_change() => K::pending(spec, actual, at),
        actual => K::outputs(spec, actual.as_ref(), at),
    };
    let facts = K::facts(spec, actual.as_ref(), at);
    Ok(Examined { change, outputs, facts, actual: actual.map(|actual| Box::new(actual) as Thing) })
}

async fn apply<K: Kind>(spec: &K::Spec, examined: Examined, at: &At) -> Result<Outputs> {
    let actual =
        examined.actual.map(|actual| *actual.downcast::<K::Actual>().expect("the same line of the table examined it"));
    K::apply(spec, actual, &examined.change, at).await?;
    let actual = if K::FOLLOWS { None } else { K::actual(spec, at).await? };
    let outputs = K::outputs(spec, actual.as_ref(), at);
    let mut missing = outputs.0.iter().filter(|(_, value)| value.as_str().is_some_and(|text| text == unknown(&at.id)));
    missing.find_map(|(name, _)| K::without(name, spec, at)).map_or(Ok(outputs.clone()), Err)
}

async fn backup<K: Kind>(spec: &K::Spec, at: &At) -> Result<Held> {
    let actual = if K::FOLLOWS { None } else { K::actual(spec, at).await? };
    Ok(Held { parts: K::backup(spec, at).await?, outputs: K::outputs(spec, actual.as_ref(), at) })
}

pub(crate) fn kind(name: &str) -> Option<&'static Entry> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Every kind of which things may be there if these kinds were used, in the order of the table.
pub(crate) fn with_also(used: &BTreeSet<&str>) -> impl Iterator<Item = &'static Entry> {
    let also: BTreeSet<&str> = KINDS
        .iter()
        .filter(|kind| used.contains(kind.name))
        .flat_map(|kind| [Some(kind.name), kind.also])
        .flatten()
        .collect();
    KINDS.iter().filter(move |kind| also.contains(kind.name))
}

pub(crate) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}
