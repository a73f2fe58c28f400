//! Checks a chain of certificates as a strict client would: [`verify`].

use std::collections::BTreeSet;

use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509CheckFlags, X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509PurposeId, X509StoreContext};
use time::OffsetDateTime;

use super::facts::{Facts, matches, read_all};
use super::{Name, failed, pem};
use crate::error::{Error, Result};
use crate::secret::Secret;

type OpensslResult<T> = std::result::Result<T, ErrorStack>;

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
    let certificates = certificates(chain).map_err(|e| e.within("the certificate"))?;
    if !matches(chain, key)? {
        let what = "the key does not belong to the certificate";
        return Err(Error::new(what).hint("use the certificate and the key that were made together"));
    }
    let (leaf, others) = certificates.split_first().expect("a PEM holds at least one certificate");
    let mut stack = Stack::new().map_err(|e| failed("verify the certificate", &e))?;
    for certificate in others {
        stack.push(certificate.clone()).map_err(|e| failed("verify the certificate", &e))?;
    }
    let check = |name| {
        trust(&roots, name, now)
            .and_then(|store| refusal(&store, leaf, &stack))
            .map_err(|e| failed("verify the certificate", &e))
    };
    let named = if names.is_empty() { vec![None] } else { names.iter().map(Some).collect() };
    for name in named {
        let Some(refused) = check(name)? else { continue };
        // OpenSSL compares the name before it looks at signatures and dates, and a fault of the chain is told first.
        let (refusal, name) = check(None)?.map_or((refused, name), |fault| (fault, None));
        return Err(explain(&refusal, name, &read_all(chain)?, now));
    }
    Ok(())
}

/// All certificates of a PEM, at least one. OpenSSL 3.0 takes half a millisecond for each.
fn certificates(pem: &str) -> Result<Vec<X509>> {
    pem::certificates(pem)?.iter().map(|der| X509::from_der(der).map_err(|_| pem::damaged())).collect()
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

fn explain(refusal: &Refusal, name: Option<&Name>, chain: &[Facts], now: OffsetDateTime) -> Error {
    let subject = match refusal.depth {
        0 => "the certificate",
        depth if usize::try_from(depth).is_ok_and(|depth| depth < chain.len()) => "the issuing authority",
        _ => "the root authority",
    };
    match (refusal.code, name) {
        (62 | 64, Some(name)) => {
            let hint = match chain.first().map(|leaf| list(&leaf.names)).unwrap_or_default().as_str() {
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
fn forbidden(chain: &[Facts]) -> Error {
    let names = chain.first().map(|leaf| leaf.names.clone()).unwrap_or_default();
    let permitted = chain.get(1).map(|issuing| issuing.permitted.clone()).unwrap_or_default();
    let others: BTreeSet<Name> =
        names.into_iter().filter(|name| !permitted.iter().any(|subtree| name.is_under(subtree))).collect();
    if others.is_empty() || permitted.is_empty() {
        let what = "an authority may not issue for a name of the certificate";
        return Error::new(what).hint("look at its name constraints with `openssl x509 -text`");
    }
    Error::new(format!("the issuing authority may not issue for {}", list(&others)))
        .hint(format!("it may issue for {}; make one that may issue for all names", list(&permitted)))
}

fn list(names: &BTreeSet<Name>) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
