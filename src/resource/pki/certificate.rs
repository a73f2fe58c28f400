//! A certificate for a server, or for a client, signed by an authority of ours: [`CertificateKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::formats::x509::{self, Algorithm, Facts, Leaf, Name, Pair};
use crate::resource::change::{Action, Change, Field, listed};
use crate::resource::record::KeptPair;
use crate::resource::run::Anew;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::secret::Secret;
use crate::text::unknown::is_unknown;

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

/// An authority that signs, as its output `issuer` holds it: key, certificate, the root above, and by which certificates
/// earlier roots vouch for that one.
struct Issuer {
    pair: Pair,
    root: String,
    crosses: String,
}

impl Issuer {
    /// What a server shows after its own certificate.
    fn chain(&self) -> String {
        format!("{}{}", self.pair.certificate, self.crosses)
    }
}

/// When the first of a deployment's certificates ends.
pub(crate) fn first_end(store: &Store) -> Result<Option<OffsetDateTime>> {
    let mut ends = Vec::new();
    for name in store.names(CertificateKind::NAME)? {
        let chain = store.get(&format!("{}/{name}/chain.crt", CertificateKind::NAME))?;
        ends.extend(chain.and_then(|chain| x509::read(&chain).ok()).map(|facts| facts.not_after));
    }
    Ok(ends.into_iter().min())
}

impl Spec {
    fn names(&self) -> Result<Vec<Name>> {
        self.names.iter().map(|name| Name::parse(name)).collect()
    }

    fn issuer(&self) -> Result<Issuer> {
        match x509::blocks(self.issuer.expose()).as_slice() {
            [key, certificate, root, crosses @ ..] => {
                let pair = Pair { certificate: certificate.clone(), key: Secret::new(key.as_str()) };
                Ok(Issuer { pair, root: root.clone(), crosses: crosses.concat() })
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
    fn life(spec: &Spec, facts: &Facts, issuer: &Facts) -> Option<Field> {
        // Both ends belong to its life (RFC 5280, section 4.1.2.5).
        let days = (facts.not_after - facts.not_before + Duration::SECOND).whole_days();
        let clipped = facts.not_after >= issuer.not_after;
        if clipped { None } else { Field::compare("days", &days.to_string(), &spec.days.to_string()) }
    }

    /// It is made anew when a third of its life is left, if a new one lives longer.
    fn renewal(spec: &Spec, facts: &Facts, issuer: &Facts, at: &At) -> Option<Field> {
        let now = at.run.now;
        let next = x509::end(spec.days, issuer, now);
        let due = facts.is_due((facts.not_after - facts.not_before) / 3, next, now)
            || at.run.options.makes_anew(Anew::Certificates);
        let new = format!("in {} days", x509::days_until(next, now));
        due.then(|| Field { name: "expires".to_owned(), old: facts.remaining(now), new })
    }

    /// How it differs from one that this issuer would sign.
    fn signed(spec: &Spec, actual: &KeptPair, issuer: &Issuer, at: &At) -> Vec<Field> {
        let field =
            |old: &str, new: &str| vec![Field { name: "issuer".to_owned(), old: old.to_owned(), new: new.to_owned() }];
        let shown: String = x509::blocks(&actual.pair.certificate).into_iter().skip(1).collect();
        if shown != issuer.chain() {
            return field("another authority", "this one");
        }
        let Ok(facts) = x509::read(&issuer.pair.certificate) else { return field("another authority", "this one") };
        Self::life(spec, &actual.facts, &facts)
            .into_iter()
            .chain(Self::renewal(spec, &actual.facts, &facts, at))
            .collect()
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
            Err(_) if at.run.options.makes_anew(Anew::Certificates) || at.run.options.makes_anew(Anew::Authority) => {
                Ok(None)
            }
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
            Some(issuer) => fields.extend(Self::signed(spec, actual, issuer, at)),
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&KeptPair>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown(Self::OUTPUTS, &at.id) };
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
        let chain = format!("{}{}", leaf.certificate, issuer.chain());
        if !spec.client {
            x509::verify(&chain, &leaf.key, &issuer.root, &names, at.run.now)?;
        }
        let [chain_key, private_key] = Self::keys(at);
        at.keep_all(&[(&chain_key, &chain), (&private_key, leaf.key.expose())]).await
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
