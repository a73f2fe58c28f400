//! The table of kinds: [`KINDS`]. A new kind is one file in a folder beside this, and one line here.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::deployment::backup::Part;
use crate::error::{Error, Result};
use crate::resource::change::{Action, Change};
use crate::resource::context::At;
use crate::resource::fact::Fact;
use crate::resource::kind::Kind;
use crate::resource::outputs::{Output, Outputs};
use crate::resource::owned::Owned;
use crate::resource::{aws, check, docker, host, pki};
use crate::world::engine::Sink;

macro_rules! kinds {
    ($($(#[$when:meta])* $group:ident::$module:ident::$kind:ident),* $(,)?) => {
        /// The table of kinds. `destroy` takes things away from the last line to the first.
        pub(crate) static KINDS: [Entry; NAMES.len()] = [$($(#[$when])* Entry::of::<$group::$module::$kind>()),*];
        /// The names of all kinds.
        pub(crate) static NAMES: &[&str] = &[$($(#[$when])* <$group::$module::$kind as Kind>::NAME),*];
    };
}

kinds! {
    pki::secret::SecretKind,
    pki::authority::AuthorityKind,
    pki::certificate::CertificateKind,
    pki::certificate_file::CertificateFileKind,
    pki::htpasswd::HtpasswdKind,
    docker::image::ImageKind,
    check::requirement::RequirementKind,
    docker::stopped::StoppedContainerKind,
    docker::network::NetworkKind,
    docker::volume::VolumeKind,
    aws::account::AccountKind,
    aws::bucket::BucketKind,
    aws::iam_user::IamUserKind,
    aws::access_key::AccessKeyKind,
    docker::container::ContainerKind,
    docker::database_import::DatabaseImportKind,
    host::file::FileKind,
    host::package::PackageKind,
    host::folder::FolderKind,
    host::nginx::NginxKind,
    host::service::ServiceKind,
    host::hosts_entry::HostsEntryKind,
    host::trust::TrustKind,
    #[cfg(test)]
    host::specimen::SpecimenKind,
    check::probe::ProbeKind,
    check::s3_probe::S3ProbeKind,
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
#[expect(clippy::struct_excessive_bools, reason = "each is a constant of the kind")]
pub(crate) struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub outputs: &'static [Output],
    pub bare: Option<&'static str>,
    pub follows: bool,
    pub of_this_host: bool,
    pub for_clients: bool,
    pub stays: bool,
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
            for_clients: K::FOR_CLIENTS,
            stays: K::STAYS,
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
    let missing = outputs.missing(&at.id).find_map(|name| K::without(name, spec, at));
    missing.map_or(Ok(outputs), Err)
}

async fn backup<K: Kind>(spec: &K::Spec, at: &At) -> Result<Held> {
    let actual = if K::FOLLOWS { None } else { K::actual(spec, at).await? };
    Ok(Held { parts: K::backup(spec, at).await?, outputs: K::outputs(spec, actual.as_ref(), at) })
}

/// The kind of that name.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
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
