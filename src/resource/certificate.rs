//! A certificate for a server, or for a client, signed by an authority of ours: [`CertificateKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::Duration;
use time::format_description::well_known::Rfc3339;

use super::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::change::{Action, Change, Field, is_unknown, listed};
use crate::error::{Error, Result};
use crate::kept::KeptPair;
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

    /// How the days that it lives differ from those that are wanted. One that ends with its issuer lives as long as it can.
    fn life(spec: &Spec, facts: &Facts, issuer: &Issuer) -> Option<Field> {
        // Both ends belong to its life (RFC 5280, section 4.1.2.5).
        let days = (facts.not_after - facts.not_before + Duration::SECOND).whole_days();
        let clipped = x509::read(&issuer.pair.certificate).is_ok_and(|issuer| facts.not_after >= issuer.not_after);
        if clipped { None } else { Field::compare("days", &days.to_string(), &spec.days.to_string()) }
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
    type Actual = KeptPair;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<KeptPair>> {
        let [chain, key] = Self::keys(at);
        match KeptPair::read(at, &chain, &key) {
            // A new one takes the place of a damaged one, if that was asked for.
            Err(_) if at.run.options.renew => Ok(None),
            found => found.map_err(|error| {
                error.hint("put the file back from a backup, or issue a new certificate with `--renew`")
            }),
        }
    }

    fn diff(spec: &Spec, actual: &KeptPair, at: &At) -> Change {
        let facts = &actual.facts;
        let wanted = spec.names().unwrap_or_default();
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(Field::compare("names", &listed(&facts.names), &listed(&wanted)));
        let algorithm = facts.algorithm.map_or("another", Algorithm::word);
        fields.extend(Field::compare("algorithm", algorithm, spec.algorithm.word()));
        let issuer = spec.issuer().ok().filter(|_| !is_unknown(spec.issuer.expose()));
        match &issuer {
            None => fields.push(Field {
                name: "issuer".to_owned(),
                old: "the one that signed it".to_owned(),
                new: "(a new one)".to_owned(),
            }),
            Some(issuer) if !actual.pair.certificate.contains(issuer.pair.certificate.trim()) => {
                fields.push(Field {
                    name: "issuer".to_owned(),
                    old: "another authority".to_owned(),
                    new: "this one".to_owned(),
                });
            }
            Some(issuer) => fields.extend(Self::life(spec, facts, issuer)),
        }
        fields.extend(Self::renewal(spec, facts, at));
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&KeptPair>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown::<Self>(&at.id) };
        Outputs::default()
            .with("chain", actual.pair.certificate.as_str())
            .with("key", actual.pair.key.expose())
            .with("expires", actual.facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("serial", actual.facts.serial.as_str())
            .with("fingerprint", actual.facts.fingerprint.as_str())
    }

    async fn apply(spec: &Spec, _: Option<KeptPair>, _: &Change, at: &At) -> Result<()> {
        let names = spec.names()?;
        let issuer = spec.issuer()?;
        let request = Leaf { names: &names, days: spec.days, algorithm: spec.algorithm, client: spec.client };
        let leaf = x509::leaf(&issuer.pair, &request, at.run.now)?;
        let chain = format!("{}{}", leaf.certificate, issuer.pair.certificate);
        if !spec.client {
            x509::verify(&chain, &leaf.key, &issuer.root, &names, at.run.now)?;
        }
        let [chain_key, private_key] = Self::keys(at);
        at.keep_all(&[(&private_key, leaf.key.expose()), (&chain_key, &chain)]).await
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
