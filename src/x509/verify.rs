//! Checks a chain of certificates as a strict client would: [`verify`].

use std::collections::BTreeSet;

use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509StoreContext};
use time::OffsetDateTime;

use super::{Name, OpensslResult, facts, failed};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// OpenSSL's security level: 2 asks for 112 bits, which RSA-2048, P-256 and SHA-256 reach.
const SECURITY_LEVEL: i32 = 2;

/// Where OpenSSL stopped: its code (`X509_V_ERR_…` of its `x509_vfy.h`), its words, and how far from the leaf.
struct Refusal {
    code: i32,
    words: &'static str,
    depth: u32,
}

/// Checks that a server with this chain and key is accepted for all of `names` at the time `now`.
///
/// `chain` is PEM, the leaf first, then the issuing authority; `root` is PEM with one or more trusted roots. The rules
/// are RFC 5280's, as OpenSSL's strict mode has them, at security level 2 and for TLS servers. Names are looked for in
/// the subject alternative name alone, as RFC 9525 section 6.3 asks; a wildcard must cover a name made up below it.
///
/// The error says in plain words which of these does not hold, or which of the texts is cut off or no PEM.
pub(crate) fn verify(chain: &str, key: &Secret, root: &str, names: &[Name], now: OffsetDateTime) -> Result<()> {
    let roots = certificates(root).map_err(|e| e.within("the root certificate"))?;
    let chain = certificates(chain).map_err(|e| e.within("the certificate"))?;
    let (leaf, others) = chain.split_first().expect("a parsed PEM holds at least one certificate");
    if !belongs(leaf, key)? {
        let what = "the key does not belong to the certificate";
        return Err(Error::new(what).hint("use the certificate and the key that were made together"));
    }
    let mut stack = Stack::new().map_err(|e| failed("verify the certificate", &e))?;
    for certificate in others {
        stack.push(certificate.clone()).map_err(|e| failed("verify the certificate", &e))?;
    }
    // The chain comes first and by itself, so that a fault of it is not told once per name.
    for name in std::iter::once(None).chain(names.iter().map(Some)) {
        let refusal = trust(&roots, name, now)
            .and_then(|store| refusal(&store, leaf, &stack))
            .map_err(|e| failed("verify the certificate", &e))?;
        if let Some(refusal) = refusal {
            return Err(explain(&refusal, name, &chain, now));
        }
    }
    Ok(())
}

/// Whether the private key belongs to the first certificate of the PEM. Fails when one of them cannot be read.
pub(crate) fn matches(certificate: &str, key: &Secret) -> Result<bool> {
    belongs(&first_certificate(certificate)?, key)
}

fn belongs(certificate: &X509, key: &Secret) -> Result<bool> {
    let public = certificate.public_key().map_err(|e| failed("read the certificate's public key", &e))?;
    let private = private_key(key).map_err(|e| e.within("the key"))?;
    Ok(public.public_eq(&private))
}

fn trust(roots: &[X509], name: Option<&Name>, now: OffsetDateTime) -> OpensslResult<X509Store> {
    let mut param = X509VerifyParam::new()?;
    param.set_flags(X509VerifyFlags::X509_STRICT)?;
    param.set_time(now.unix_timestamp());
    param.set_purpose(X509PurposeId::SSL_SERVER)?;
    param.set_auth_level(SECURITY_LEVEL);
    match name {
        None => {}
        Some(Name::Ip(address)) => param.set_ip(*address)?,
        Some(Name::Dns(host)) => {
            param.set_hostflags(X509CheckFlags::NEVER_CHECK_SUBJECT | X509CheckFlags::NO_PARTIAL_WILDCARDS);
            match host.strip_prefix("*.") {
                Some(parent) => param.set_host(&format!("any-label.{parent}"))?,
                None => param.set_host(host)?,
            }
        }
    }
    let mut store = X509StoreBuilder::new()?;
    for root in roots {
        store.add_cert(root.clone())?;
    }
    store.set_param(&param)?;
    Ok(store.build())
}

fn refusal(store: &X509Store, leaf: &X509, others: &Stack<X509>) -> OpensslResult<Option<Refusal>> {
    X509StoreContext::new()?.init(store, leaf, others, |context| {
        if context.verify_cert()? {
            return Ok(None);
        }
        let error = context.error();
        Ok(Some(Refusal { code: error.as_raw(), words: error.error_string(), depth: context.error_depth() }))
    })
}

fn explain(refusal: &Refusal, name: Option<&Name>, chain: &[X509], now: OffsetDateTime) -> Error {
    let subject = match refusal.depth {
        0 => "the certificate",
        depth if usize::try_from(depth).is_ok_and(|depth| depth < chain.len()) => "the issuing authority",
        _ => "the root authority",
    };
    match (refusal.code, name) {
        (62 | 64, Some(name)) => {
            let covered = chain.first().and_then(|leaf| facts::facts(leaf).ok()).map(|leaf| leaf.names);
            let hint = match covered.map(list).unwrap_or_default().as_str() {
                "" => "it names no host".to_owned(),
                covered => format!("it is for {covered}"),
            };
            Error::new(format!("the certificate is not for `{name}`")).hint(hint)
        }
        (9, _) => Error::new(format!("{subject} is not valid yet on {}", now.date())).hint("set the clock right"),
        (10, _) => Error::new(format!("{subject} had expired by {}", now.date())).hint("renew it"),
        (2 | 18..=21, _) => Error::new("the certificate does not lead to the given root")
            .hint("put the issuing authority's certificate after the leaf, and give the root that signed it"),
        (47 | 48, _) => forbidden(chain),
        (7, _) => Error::new(format!("{subject} has a wrong signature: another authority signed it"))
            .hint("give the authority that signed it"),
        _ => Error::new(format!("{subject} is refused: {}", refusal.words)).hint("issue it again"),
    }
}

/// Says which names of the leaf the issuing authority's name constraints do not permit.
fn forbidden(chain: &[X509]) -> Error {
    let facts = |index: usize| chain.get(index).and_then(|certificate| facts::facts(certificate).ok());
    let permitted = facts(1).map(|issuing| issuing.permitted).unwrap_or_default();
    let mut names = facts(0).map(|leaf| leaf.names).unwrap_or_default();
    names.retain(|name| !permitted.iter().any(|subtree| name.is_under(subtree)));
    if names.is_empty() || permitted.is_empty() {
        let what = "an authority may not issue for a name of the certificate";
        return Error::new(what).hint("look at its name constraints with `openssl x509 -text`");
    }
    Error::new(format!("the issuing authority may not issue for {}", list(names)))
        .hint(format!("it may issue for {}; make one that may issue for all names", list(permitted)))
}

fn list(names: BTreeSet<Name>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// All certificates of a PEM, at least one.
fn certificates(pem: &str) -> Result<Vec<X509>> {
    check_blocks(pem, "CERTIFICATE-----")?;
    let certificates = X509::stack_from_pem(pem.as_bytes()).map_err(|_| damaged())?;
    if certificates.is_empty() { Err(damaged()) } else { Ok(certificates) }
}

/// The first certificate of a PEM; the others are not decoded, which takes most of the time.
pub(super) fn first_certificate(pem: &str) -> Result<X509> {
    check_blocks(pem, "CERTIFICATE-----")?;
    X509::from_pem(pem.as_bytes()).map_err(|_| damaged())
}

fn private_key(key: &Secret) -> Result<PKey<Private>> {
    let pem = key.expose();
    check_blocks(pem, "PRIVATE KEY-----")?;
    if pem.contains("ENCRYPTED") {
        let hint = "take the passphrase away with `openssl pkey -in KEY -out PLAIN`";
        return Err(Error::new("it is encrypted with a passphrase").hint(hint));
    }
    // Without a callback OpenSSL would ask for a passphrase on the terminal.
    PKey::private_key_from_pem_callback(pem.as_bytes(), |_| Ok(0)).map_err(|_| damaged())
}

fn damaged() -> Error {
    Error::new("its PEM text is damaged: it cannot be decoded").hint("restore it from a backup, or make it again")
}

/// Says in plain words why a text cannot be PEM (RFC 7468 section 2): OpenSSL passes over what is cut off at the end.
fn check_blocks(pem: &str, label: &str) -> Result<()> {
    if pem.trim().is_empty() {
        return Err(Error::new("it is empty").hint("restore it from a backup, or make it again"));
    }
    let lines = || pem.lines().map(str::trim_end);
    if !lines().any(|line| line.starts_with('-')) {
        let what = format!("it is not PEM: it has no line `-----BEGIN {label}`");
        return Err(Error::new(what).hint("give the file in PEM, which is text"));
    }
    let begins = lines().filter(|line| line.starts_with("-----BEGIN ") && line.ends_with("-----")).count();
    let ends = lines().filter(|line| line.starts_with("-----END ") && line.ends_with("-----")).count();
    let rules = lines().filter(|line| line.starts_with('-')).count();
    if begins != ends || begins + ends != rules {
        let what = "it is cut off: a `-----BEGIN …-----` line has no `-----END …-----` line";
        return Err(Error::new(what).hint("restore it from a backup, or make it again"));
    }
    if !lines().any(|line| line.starts_with("-----BEGIN ") && line.ends_with(label)) {
        let what = format!("it holds something else: it has no line `-----BEGIN {label}`");
        return Err(Error::new(what).hint("check that the certificate and the key are not swapped"));
    }
    Ok(())
}
