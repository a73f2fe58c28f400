//! A certificate authority of one's own: a root that clients trust, and an issuing one that signs: [`AuthorityKind`].

use schemars::JsonSchema;
use serde::Deserialize;
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::error::{Error, Result};
use crate::formats::x509::{self, Lineage, Name, Pair, Phase};
use crate::resource::change::{Action, Change, Field, listed};
use crate::resource::record::KeptPair;
use crate::resource::run::Anew;
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, hidden, public};
use crate::text::unknown::unknown;

pub(crate) struct AuthorityKind;

/// Days that a root lives: ten years.
const ROOT_DAYS: u32 = 3650;
/// Days that an issuing authority lives.
const ISSUING_DAYS: u32 = 397;
/// How long before its end an issuing authority is made anew, so that no certificate of 90 days is cut short.
const MARGIN: Duration = Duration::days(120);
/// How long before a root's end each run tells of it: other machines have to fetch the next one by then.
const NOTICE: Duration = Duration::days(180);
/// How much of a deployment's name goes into those of its authorities, in characters: all of it has 64 at most.
const NAME_LENGTH: usize = 26;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The only names that it can sign for (RFC 5280, section 4.2.1.10).
    names: Vec<String>,
}

/// What is kept: the root, the authority that signs under it, and the roots before.
pub(crate) struct Actual {
    root: KeptPair,
    /// None where the run that made the root was killed before it went on.
    issuing: Option<KeptPair>,
    earlier: Lineage,
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

    /// Where the roots before this one stand, each after its certificate for its successor.
    fn earlier_key(at: &At) -> String {
        format!("{}/earlier.crt", at.key())
    }

    fn common_name(at: &At, what: &str) -> Result<String> {
        // The date and a random part: two authorities never share a name, or clients would mix them up.
        let tag = crate::text::digest::hex(&crate::world::host::random::<4>()?);
        let name: String = at.store().name().chars().take(NAME_LENGTH).collect();
        Ok(format!("provision {name} {what} {} {tag}", at.run.now.date()))
    }

    fn read(at: &At) -> Result<Option<Actual>> {
        let [root_certificate, root_key, issuing_certificate, issuing_key] = Self::keys(at);
        let issuing = KeptPair::read(at, &issuing_certificate, &issuing_key)?;
        let Some(root) = KeptPair::read(at, &root_certificate, &root_key)? else {
            // It is made first, so it was there.
            let lost = issuing.map(|_| at.store().damaged(&root_certificate, "is gone"));
            return lost.map_or(Ok(None), Err);
        };
        let text = at.store().get(&Self::earlier_key(at))?.unwrap_or_default();
        let earlier = Lineage::read(&text, &root.pair.certificate, at.run.now)
            .map_err(|error| at.store().damaged(&Self::earlier_key(at), &format!("cannot be read: {error}")))?;
        Ok(Some(Actual { root, issuing, earlier }))
    }

    fn issue(root: &Pair, spec: &Spec, at: &At) -> Result<Pair> {
        x509::issuing(root, &Self::common_name(at, "issuing")?, &spec.names()?, ISSUING_DAYS, at.run.now)
    }

    /// Makes a root and all under it, in the place of the present one if there is one, which goes on being trusted as long
    /// as it is valid.
    async fn found(spec: &Spec, actual: Option<Actual>, at: &At) -> Result<()> {
        let root = x509::root(&Self::common_name(at, "root")?, ROOT_DAYS, at.run.now)?;
        let issuing = Self::issue(&root, spec, at)?;
        let [root_certificate, root_key, issuing_certificate, issuing_key] = &Self::keys(at);
        let mut texts = vec![
            (root_certificate.as_str(), root.certificate.as_str()),
            (root_key, root.key.expose()),
            (issuing_certificate, &issuing.certificate),
            (issuing_key, issuing.key.expose()),
        ];
        let (mut earlier, key) = (String::new(), Self::earlier_key(at));
        if let Some(Actual { root: old, earlier: before, .. }) = actual {
            let lineage = before.succeeded(&old.pair, &root, at.run.now)?;
            at.events().note(Some(&at.id), Self::told(&old, &lineage, at));
            earlier = lineage.text();
        } else if at.run.options.makes_anew(Anew::Authority) {
            let text = format!("clients on other machines have to fetch the new root now, from `{}`", Self::path(at));
            at.events().note(Some(&at.id), text);
        }
        if !earlier.is_empty() {
            texts.push((&key, &earlier));
        }
        at.keep_all(&texts).await
    }

    /// What clients on other machines need after a root has taken the place of another.
    fn told(old: &KeptPair, earlier: &Lineage, at: &At) -> String {
        let path = Self::path(at);
        if earlier.is_empty() {
            return format!(
                "clients on other machines have to fetch the new root now, from `{path}`: they trust one that {}",
                old.facts.fault(at.run.now).unwrap_or_default()
            );
        }
        format!(
            "clients on other machines go on, since servers show that the root before vouches for the new one; they have to fetch the new one, from `{path}`, before that ends on {}",
            old.facts.not_after.date()
        )
    }

    fn path(at: &At) -> String {
        at.store().path(&Self::keys(at)[0]).display().to_string()
    }
}

/// Fails if nobody accepts the root any more, or not yet; tells if it is soon to end.
fn check_root(root: &KeptPair, at: &At) -> Result<()> {
    let command = format!("`provision rotate {} --what authority`", at.store().name());
    match root.facts.phase(at.run.now) {
        Phase::Running => {
            if root.facts.not_after - at.run.now < NOTICE {
                at.run.note_once(&format!(
                    "the root that clients trust ends on {}: {command} makes a new one, and this one stays trusted beside it until then",
                    root.facts.not_after.date()
                ));
            }
            Ok(())
        }
        phase => {
            let fault = root.facts.fault(at.run.now).unwrap_or_default();
            let hint = match phase {
                Phase::Early => {
                    format!("{command} makes a new one; or set the clock right, if it is this host's that is wrong")
                }
                _ => format!("{command} makes a new one, which clients have to fetch"),
            };
            Err(Error::new(format!("the root that clients trust {fault}: nobody accepts what it has signed"))
                .hint(hint))
        }
    }
}

impl Kind for AuthorityKind {
    const NAME: &'static str = "authority";
    const ABOUT: &'static str = "a certificate authority: a root for clients, and an issuing one limited to some names";
    /// `certificate` is the root alone, `trusted` the root and those before it that have not ended yet.
    const OUTPUTS: &'static [Output] = &[
        public("certificate"),
        public("trusted"),
        public("path"),
        public("expires"),
        public("fingerprint"),
        hidden("issuer"),
    ];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Actual>> {
        match Self::read(at) {
            // A new one takes the place of a damaged one, if that was asked for.
            Err(_) if at.run.options.makes_anew(Anew::Authority) => Ok(None),
            found => found.map_err(|error| {
                error.hint(format!(
                    "put the file back from a backup; or make an authority that clients do not know yet, with `provision rotate {} --what authority`",
                    at.store().name()
                ))
            }),
        }
    }

    async fn check(_: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        let stays = actual.filter(|_| !at.run.options.makes_anew(Anew::Authority));
        stays.map_or(Ok(()), |actual| check_root(&actual.root, at))
    }

    fn diff(spec: &Spec, actual: &Actual, at: &At) -> Change {
        let wanted: Vec<Name> = spec.names().unwrap_or_default().iter().map(Name::subtree).collect();
        let mut fields: Vec<Field> = Vec::new();
        if at.run.options.makes_anew(Anew::Authority) {
            fields.push(Field {
                name: "root".to_owned(),
                old: actual.root.facts.common_name.clone().unwrap_or_default(),
                new: "(a new one)".to_owned(),
            });
            return Change::of(Action::Update, fields);
        }
        let Some(issuing) = &actual.issuing else {
            fields.extend(Field::compare("issuing authority", "", "(a new one)"));
            return Change::of(Action::Update, fields);
        };
        fields.extend(Field::compare("names", &listed(&issuing.facts.permitted), &listed(&wanted)));
        let next = x509::end(ISSUING_DAYS, &actual.root.facts, at.run.now);
        if issuing.facts.is_due(MARGIN, next, at.run.now) {
            let new = format!("in {} days", x509::days_until(next, at.run.now));
            fields.push(Field { name: "expires".to_owned(), old: issuing.facts.remaining(at.run.now), new });
        }
        Change::of(Action::Update, fields)
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown(Self::OUTPUTS, &at.id).with("path", Self::path(at)) };
        let root = actual.root.pair.certificate.as_str();
        let issuer = actual.issuing.as_ref().map_or_else(
            || unknown(&at.id),
            |issuing| {
                let pair = &issuing.pair;
                format!("{}{}{root}{}", pair.key.expose(), pair.certificate, actual.earlier.crosses())
            },
        );
        Outputs::default()
            .with("certificate", root)
            .with("trusted", format!("{root}{}", actual.earlier.roots()))
            .with("path", Self::path(at))
            .with("expires", actual.root.facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("fingerprint", actual.root.facts.fingerprint.as_str())
            .with("issuer", issuer)
    }

    /// The root stays as it is, unless a new one was asked for; only the authority under it is made anew.
    fn pending(spec: &Spec, actual: &Actual, at: &At) -> Outputs {
        if at.run.options.makes_anew(Anew::Authority) {
            return Self::outputs(spec, None, at);
        }
        Self::outputs(spec, Some(actual), at).with("issuer", unknown(&at.id))
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let actual = match actual {
            Some(actual) if !at.run.options.makes_anew(Anew::Authority) => actual,
            actual => return Self::found(spec, actual, at).await,
        };
        let issuing = Self::issue(&actual.root.pair, spec, at)?;
        let [_, _, certificate, key] = Self::keys(at);
        at.keep_all(&[(&certificate, &issuing.certificate), (&key, issuing.key.expose())]).await
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
