//! A certificate for a server, or for a client, signed by an authority of ours: [`CertificateKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;

use super::authority::{damaged, listed, pair};
use super::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::change::{Action, Change, Field, is_unknown};
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::x509::{self, Algorithm, Facts, Leaf, Name, Pair};

pub(crate) struct CertificateKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The `issuer` of an authority.
    issuer: Secret,
    /// Every name and address it is for; the first is also its common name.
    names: Vec<String>,
    /// How long it lives; it is made anew when a third of that is left.
    #[serde(default = "days")]
    #[schemars(range(min = 1, max = 825))]
    days: u32,
    #[serde(default)]
    algorithm: Algorithm,
    /// Whether it is for a client instead of a server.
    #[serde(default)]
    client: bool,
}

fn days() -> u32 {
    90
}

/// An authority that signs, as its output `issuer` holds it: key, certificate, and the root above.
struct Issuer {
    pair: Pair,
    root: String,
}

pub(crate) struct Actual {
    pair: Pair,
    facts: Facts,
}

impl Spec {
    fn names(&self) -> Result<Vec<Name>> {
        self.names.iter().map(|name| Name::parse(name)).collect()
    }

    fn issuer(&self) -> Result<Issuer> {
        let mut parts: Vec<String> = Vec::new();
        let mut block = String::new();
        for line in self.issuer.expose().lines() {
            block.push_str(line);
            block.push('\n');
            if line.starts_with("-----END") {
                parts.push(std::mem::take(&mut block));
            }
        }
        match parts.as_slice() {
            [key, certificate, root] => {
                let pair = Pair { certificate: certificate.clone(), key: Secret::new(key.as_str()) };
                Ok(Issuer { pair, root: root.clone() })
            }
            _ => Err(Error::new("the `issuer` of a certificate is not the output `issuer` of an authority")),
        }
    }
}

impl CertificateKind {
    fn keys(at: &At) -> [String; 2] {
        ["chain.crt", "private.key"].map(|file| format!("{}/{file}", at.key()))
    }

    fn renewal(spec: &Spec, facts: &Facts, at: &At) -> Option<Field> {
        let left = facts.not_after - at.run.now;
        let life = facts.not_after - facts.not_before;
        let days = left.whole_days();
        let old = if left.is_negative() { "has expired".to_owned() } else { format!("in {days} days") };
        let due = left * 3 < life || at.run.options.renew;
        due.then(|| Field { name: "expires".to_owned(), old, new: format!("in {} days", spec.days) })
    }
}

impl Kind for CertificateKind {
    const NAME: &'static str = "certificate";
    const ABOUT: &'static str = "a certificate with its key, signed by an authority, verified before it is used";
    const OUTPUTS: &'static [Output] =
        &[public("chain"), public("expires"), public("serial"), public("fingerprint"), hidden("key")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        let [chain, key] = Self::keys(at);
        let read = || -> Result<Option<Actual>> {
            let Some(pair) = pair(at, &chain, &key)? else { return Ok(None) };
            let facts = x509::read(&pair.certificate).map_err(|error| damaged(at, &chain, &error.to_string()))?;
            if !x509::matches(&pair.certificate, &pair.key).map_err(|error| damaged(at, &key, &error.to_string()))? {
                return Err(damaged(at, &key, "does not belong to its certificate"));
            }
            Ok(Some(Actual { pair, facts }))
        };
        // A new one takes the place of a damaged one, if that was asked for.
        read().or_else(|error| if at.run.options.renew { Ok(None) } else { Err(error) })
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let wanted = spec.names().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(Field::compare("names", &listed(&actual.facts.names), &listed(&wanted)));
        if actual.facts.algorithm != Some(spec.algorithm) {
            fields.push(Field { name: "algorithm".to_owned(), old: format!("{:?}", actual.facts.algorithm), new: format!("{:?}", spec.algorithm) });
        }
        fields.extend(Self::renewal(spec, &actual.facts, at));
        let issued = if is_unknown(spec.issuer.expose()) {
            Some("(a new one)".to_owned())
        } else {
            let issuer = spec.issuer().map(|issuer| issuer.pair.certificate).unwrap_or_default();
            (!actual.pair.certificate.contains(issuer.trim())).then(|| "another authority".to_owned())
        };
        fields.extend(issued.map(|new| Field { name: "issuer".to_owned(), old: "the one that signed it".to_owned(), new }));
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown::<Self>(&at.id) };
        Outputs::default()
            .with("chain", actual.pair.certificate.as_str())
            .with("key", actual.pair.key.expose())
            .with("expires", actual.facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("serial", actual.facts.serial.as_str())
            .with("fingerprint", actual.facts.fingerprint.as_str())
    }

    async fn apply(spec: &Spec, _: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let names = spec.names()?;
        let issuer = spec.issuer()?;
        let request = Leaf { names: &names, days: spec.days, algorithm: spec.algorithm, client: spec.client };
        let leaf = x509::leaf(&issuer.pair, &request, at.run.now)?;
        let chain = format!("{}{}", leaf.certificate, issuer.pair.certificate);
        if !spec.client {
            x509::verify(&chain, &leaf.key, &issuer.root, &names, at.run.now)?;
        }
        let [chain_key, private_key] = Self::keys(at);
        at.keep(&private_key, leaf.key.expose())?;
        at.keep(&chain_key, &chain)
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
