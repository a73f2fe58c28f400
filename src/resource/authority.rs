//! A certificate authority of one's own: a root that clients trust, and an issuing one that signs: [`AuthorityKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;

use super::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::change::{Action, Change, Field, listed, unknown};
use crate::error::Result;
use crate::kept::KeptPair;
use crate::x509::{self, Name, Pair};

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
    root: KeptPair,
    issuing: KeptPair,
}

impl Spec {
    fn names(&self) -> Result<Vec<Name>> {
        self.names.iter().map(|name| Name::parse(name)).collect()
    }
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

    async fn issue(root: &Pair, spec: &Spec, at: &At) -> Result<()> {
        let [_, _, certificate, key] = Self::keys(at);
        let issuing =
            x509::issuing(root, &Self::common_name(at, "issuing")?, &spec.names()?, ISSUING_DAYS, at.run.now)?;
        at.keep_all(&[(&certificate, &issuing.certificate), (&key, issuing.key.expose())]).await
    }
}

impl Kind for AuthorityKind {
    const NAME: &'static str = "authority";
    const ABOUT: &'static str = "a certificate authority: a root for clients, and an issuing one limited to some names";
    const OUTPUTS: &'static [Output] =
        &[public("certificate"), public("path"), public("expires"), public("fingerprint"), hidden("issuer")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        let [root_certificate, root_key, issuing_certificate, issuing_key] = Self::keys(at);
        let pairs = || -> Result<Option<Actual>> {
            let root = KeptPair::read(at, &root_certificate, &root_key)?;
            let issuing = KeptPair::read(at, &issuing_certificate, &issuing_key)?;
            Ok(root.zip(issuing).map(|(root, issuing)| Actual { root, issuing }))
        };
        pairs().map_err(|error| {
            error.hint("put the file back from a backup, or set up another deployment beside this one with `--name`")
        })
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let wanted = spec.names().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        let wanted: Vec<Name> = wanted.iter().map(Name::subtree).collect();
        fields.extend(Field::compare("names", &listed(&actual.issuing.facts.permitted), &listed(&wanted)));
        let left = (actual.issuing.facts.not_after - at.run.now).whole_days();
        if left < MARGIN_DAYS {
            fields.push(Field {
                name: "expires".to_owned(),
                old: format!("in {left} days"),
                new: format!("in {ISSUING_DAYS} days"),
            });
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown::<Self>(&at.id).with("path", Self::path(at)) };
        let issuer = format!(
            "{}{}{}",
            actual.issuing.pair.key.expose(),
            actual.issuing.pair.certificate,
            actual.root.pair.certificate
        );
        Outputs::default()
            .with("certificate", actual.root.pair.certificate.as_str())
            .with("path", Self::path(at))
            .with("expires", actual.root.facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("fingerprint", actual.root.facts.fingerprint.as_str())
            .with("issuer", issuer)
    }

    /// The root stays as it is; only the authority under it is made anew.
    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        Self::outputs(spec, Some(actual), at).with("issuer", unknown(&at.id))
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        if let Some(actual) = actual {
            return Self::issue(&actual.root.pair, spec, at).await;
        }
        let root = x509::root(&Self::common_name(at, "root")?, ROOT_DAYS, at.run.now)?;
        let [certificate, key, ..] = Self::keys(at);
        at.keep_all(&[(&certificate, &root.certificate), (&key, root.key.expose())]).await?;
        Self::issue(&root, spec, at).await
    }

    async fn undo(undo: Kept, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(false)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.remove_kept(owned)
    }
}

impl AuthorityKind {
    fn path(at: &At) -> String {
        at.store().path(&Self::keys(at)[0]).display().to_string()
    }
}
