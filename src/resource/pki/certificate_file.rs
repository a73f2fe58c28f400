//! A certificate with its key that another program manages, such as certbot: read where it is, never moved or written:
//! [`CertificateFileKind`].

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::error::{Error, Result};
use crate::formats::x509::{self, Facts, Name, Survey, public_half};
use crate::resource::change::Change;
use crate::resource::fact::Fact;
use crate::resource::{At, Kind, Output, Outputs, hidden, public};
use crate::secret::Secret;
use crate::world::files;

/// From when on its end is told: who renews it does so 30 days before (certbot, acme.sh, Caddy), and then tries for days.
pub(crate) const SOON: Duration = Duration::days(14);

pub(crate) struct CertificateFileKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// A file in PEM: the server's certificate, then those between it and its authority.
    certificate: String,
    /// A file in PEM with its private key.
    key: String,
    /// Every name and address that it has to be for.
    names: Vec<String>,
}

pub(crate) struct Actual {
    chain: String,
    key: Secret,
    facts: Facts,
}

fn read(path: &str, what: &str) -> Result<String> {
    files::read_text(Path::new(path)).map_err(|error| {
        error.within(what).hint(format!(
            "give a file in PEM that the user who runs this can read; certbot's are `/etc/letsencrypt/live/NAME/{}`",
            if what == "the key" { "privkey.pem" } else { "fullchain.pem" }
        ))
    })
}

impl Actual {
    fn read(spec: &Spec) -> Result<Self> {
        let chain = read(&spec.certificate, "the certificate")?;
        let key = Secret::new(read(&spec.key, "the key")?);
        let inside = |error: Error| error.within(format!("`{}`", spec.certificate));
        let all = Survey::all(&chain).map_err(inside)?;
        let leaf = &all[0];
        let public = public_half(&key).ok_or_else(|| {
            Error::new(format!("`{}`: no private key in PEM, or one with a passphrase", spec.key))
                .hint(format!("`openssl pkey -in {} -noout` says more", crate::text::shell::quoted(&spec.key)))
        })?;
        if leaf.public_key() != Some(public) {
            return Err(Error::new(format!(
                "the key in `{}` does not belong to the certificate in `{}`",
                spec.key, spec.certificate
            ))
            .hint("give the two files that were made together, the server's own certificate first"));
        }
        if all.len() == 1 && !leaf.self_issued {
            return Err(Error::new(format!("`{}` holds the server's certificate alone", spec.certificate))
                .hint("clients need those of its authority as well: give the file with the whole chain, such as `fullchain.pem`"));
        }
        // What stands beside the certificates is no client's business.
        let chain = x509::certificates(&chain).map_err(inside)?;
        Ok(Self { chain, key, facts: leaf.facts.clone() })
    }

    /// What a client that trusts nothing else can check it by: the last certificate of the chain.
    fn authority(&self) -> String {
        x509::blocks(&self.chain).pop().unwrap_or_default()
    }

    fn covers(&self, name: &Name) -> bool {
        self.facts.names.iter().any(|own| own.covers(name))
    }
}

impl Kind for CertificateFileKind {
    const NAME: &'static str = "certificate-file";
    const ABOUT: &'static str =
        "a certificate with its key that another program manages: read at every run, never written, its end watched";
    const OUTPUTS: &'static [Output] =
        &[public("chain"), public("authority"), public("expires"), public("fingerprint"), hidden("key")];

    type Spec = Spec;
    type Actual = Actual;
    type Undo = ();

    async fn actual(spec: &Spec, _: &At) -> Result<Option<Actual>> {
        Actual::read(spec).map(Some)
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, _: &Change, at: &At) -> Result<()> {
        let Some(actual) = actual else { return Ok(()) };
        if let Some(fault) = actual.facts.fault(at.run.now) {
            return Err(Error::new(format!("the certificate in `{}` {fault}", spec.certificate)).hint(
                "have the program that manages it renew it (certbot: `certbot renew`), then run the command again",
            ));
        }
        for name in &spec.names {
            if !actual.covers(&Name::parse(name)?) {
                let names: Vec<String> = actual.facts.names.iter().map(ToString::to_string).collect();
                return Err(Error::new(format!("the certificate in `{}` is not for `{name}`", spec.certificate)).hint(
                    format!(
                        "it is for {}; have one issued for all names, or give `--cn` and `--san` as it has them",
                        names.join(", ")
                    ),
                ));
            }
        }
        if actual.facts.not_after - at.run.now < SOON {
            at.run.note_once(&format!(
                "the certificate in `{}` ends {}, and the program that manages it has not renewed it yet",
                spec.certificate,
                actual.facts.remaining(at.run.now)
            ));
        }
        Ok(())
    }

    fn diff(_: &Spec, _: &Actual, _: &At) -> Change {
        Change::unchanged()
    }

    fn facts(_: &Spec, actual: Option<&Actual>, _: &At) -> Vec<Fact> {
        actual.iter().map(|actual| Fact::CertificateEnd(actual.facts.not_after)).collect()
    }

    fn outputs(_: &Spec, actual: Option<&Actual>, at: &At) -> Outputs {
        let Some(actual) = actual else { return Outputs::unknown(Self::OUTPUTS, &at.id) };
        Outputs::default()
            .with("chain", actual.chain.as_str())
            .with("authority", actual.authority())
            .with("expires", actual.facts.not_after.format(&Rfc3339).unwrap_or_default())
            .with("fingerprint", actual.facts.fingerprint.as_str())
            .with("key", actual.key.expose())
    }

    async fn apply(_: &Spec, _: Option<Actual>, _: &Change, _: &At) -> Result<()> {
        Ok(())
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}

/// When the first of these certificates ends.
pub(crate) fn first_end(facts: &[Fact]) -> Option<OffsetDateTime> {
    let ends = facts.iter().filter_map(|fact| match fact {
        Fact::CertificateEnd(end) => Some(*end),
        _ => None,
    });
    ends.min()
}
