//! A certificate authority of one's own: a root that clients trust, and an issuing one that signs: [`AuthorityKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;

use super::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::change::{Action, Change, Field};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::x509::{self, Facts, Name, Pair};

pub(crate) struct AuthorityKind;

/// Days that a root lives: ten years.
const ROOT_DAYS: u32 = 3650;
/// Days that an issuing authority lives.
const ISSUING_DAYS: u32 = 397;
/// Days before its end at which an issuing authority is made anew, so that no certificate of 90 days is cut short.
const MARGIN_DAYS: i64 = 120;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The only names that it can sign for (RFC 5280, section 4.2.1.10).
    names: Vec<String>,
}

/// What is kept: the root, and the authority that signs under it.
pub(crate) struct Actual {
    root: Pair,
    issuing: Pair,
    root_facts: Facts,
    facts: Facts,
}

impl Spec {
    fn names(&self) -> Result<Vec<Name>> {
        self.names.iter().map(|name| Name::parse(name)).collect()
    }
}

/// How names are shown in a diff.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let mut names: Vec<String> = names.into_iter().map(ToString::to_string).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// Reads a certificate and its key that were kept under two keys.
pub(crate) fn pair(at: &At, certificate: &str, key: &str) -> Result<Option<Pair>> {
    match (at.store().get(certificate)?, at.store().get(key)?) {
        (Some(certificate), Some(key)) => Ok(Some(Pair { certificate, key: Secret::new(key) })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(damaged(at, key, "is gone")),
        (None, Some(_)) => Err(damaged(at, certificate, "is gone")),
    }
}

/// The error for a kept file that cannot be what was written.
pub(crate) fn damaged(at: &At, key: &str, how: &str) -> Error {
    Error::new(format!("the deployment's folder is damaged: `{}` {how}", at.store().path(key).display()))
        .hint("put the file back from a backup; `--renew` makes a new certificate, and removing the folder it is in a new authority that clients do not know yet")
}

impl AuthorityKind {
    fn keys(at: &At) -> [String; 4] {
        ["root.crt", "root.key", "issuing.crt", "issuing.key"].map(|file| format!("{}/{file}", at.key()))
    }

    fn common_name(at: &At, what: &str) -> Result<String> {
        // The date and a random part: two authorities never share a name, or clients would mix them up.
        let tag = crate::deployment::hex(&crate::world::host::random::<4>()?);
        Ok(format!("provision {} {what} {} {tag}", at.store().name(), at.run.now.date()))
    }

    fn issue(root: &Pair, spec: &Spec, at: &At) -> Result<()> {
        let [_, _, certificate, key] = Self::keys(at);
        let issuing = x509::issuing(root, &Self::common_name(at, "issuing")?, &spec.names()?, ISSUING_DAYS, at.run.now)?;
        at.keep(&certificate, &issuing.certificate)?;
        at.keep(&key, issuing.key.expose())
    }
}

impl Kind for AuthorityKind {
    const NAME: &'static str = "authority";
    const ABOUT: &'static str = "a certificate authority: a root for clients, and an issuing one limited to some names";
    const OUTPUTS: &'static [Output] = &[public("certificate"), public("path"), public("expires"), public("fingerprint"), hidden("issuer")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        let [root_certificate, root_key, issuing_certificate, issuing_key] = Self::keys(at);
        let (root, issuing) = (pair(at, &root_certificate, &root_key)?, pair(at, &issuing_certificate, &issuing_key)?);
        let (Some(root), Some(issuing)) = (root, issuing) else { return Ok(None) };
        let read = |pair: &Pair, key: &str| x509::read(&pair.certificate).map_err(|error| damaged(at, key, &error.to_string()));
        let root_facts = read(&root, &root_certificate)?;
        let facts = read(&issuing, &issuing_certificate)?;
        for (pair, key) in [(&root, &root_key), (&issuing, &issuing_key)] {
            if !x509::matches(&pair.certificate, &pair.key).map_err(|error| damaged(at, key, &error.to_string()))? {
                return Err(damaged(at, key, "does not belong to its certificate"));
            }
        }
        Ok(Some(Actual { root, issuing, root_facts, facts }))
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let wanted = spec.names().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        let wanted: Vec<Name> = wanted.iter().map(Name::subtree).collect();
        fields.extend(Field::compare("names", &listed(&actual.facts.permitted), &listed(&wanted)));
        let left = (actual.facts.not_after - at.run.now).whole_days();
        if left < MARGIN_DAYS {
            fields.push(Field { name: "expires".to_owned(), old: format!("in {left} days"), new: format!("in {ISSUING_DAYS} days") });
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown::<Self>(&at.id).with("path", Self::path(at)) };
        let issuer = format!("{}{}{}", actual.issuing.key.expose(), actual.issuing.certificate, actual.root.certificate);
        Outputs::default()
            .with("certificate", actual.root.certificate.as_str())
            .with("path", Self::path(at))
            .with("expires", actual.root_facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("fingerprint", actual.root_facts.fingerprint.as_str())
            .with("issuer", issuer)
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        if let Some(actual) = actual {
            return Self::issue(&actual.root, spec, at);
        }
        let root = x509::root(&Self::common_name(at, "root")?, ROOT_DAYS, at.run.now)?;
        let [certificate, key, ..] = Self::keys(at);
        at.keep(&certificate, &root.certificate)?;
        at.keep(&key, root.key.expose())?;
        Self::issue(&root, spec, at)
    }

    async fn undo(undo: Kept, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        for file in at.store().names(&owned.handle)? {
            at.store().delete(&format!("{}/{file}", owned.handle))?;
        }
        Ok(())
    }
}

impl AuthorityKind {
    fn path(at: &At) -> String {
        at.store().path(&Self::keys(at)[0]).display().to_string()
    }
}
