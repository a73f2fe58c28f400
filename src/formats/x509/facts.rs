//! What a certificate says about itself: [`Facts`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use openssl::sha::Sha256;
use rcgen::{KeyPair, PublicKeyData};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_EC_P256;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Algorithm, Name, pem};
use crate::error::Result;
use crate::secret::Secret;

/// What a certificate says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The host names and addresses of the subject alternative name; its other entries are left out.
    pub names: BTreeSet<Name>,
    pub common_name: Option<String>,
    /// Lower-case hexadecimal, without separators.
    pub serial: String,
    pub not_before: OffsetDateTime,
    /// The last second of its life (RFC 5280 section 4.1.2.5).
    pub not_after: OffsetDateTime,
    /// SHA-256 of the DER, in lower-case hexadecimal without separators.
    pub fingerprint: String,
    /// Whether its basic constraints say CA:TRUE.
    pub authority: bool,
    /// None for a key of another kind or length.
    pub algorithm: Option<Algorithm>,
    /// The host names and single addresses that its name constraints permit; wider networks are left out.
    pub permitted: BTreeSet<Name>,
}

/// Reads the first certificate of a PEM. Fails when the text is empty, cut off, damaged, or not PEM.
pub(crate) fn read(pem: &str) -> Result<Facts> {
    Ok(facts(&parse(&pem::certificate(pem)?)?))
}

/// Reads a certificate as a server shows it, in DER.
pub(crate) fn read_der(der: &[u8]) -> Result<Facts> {
    Ok(facts(&parse(der)?))
}

/// Reads all certificates of a PEM.
pub(super) fn read_all(pem: &str) -> Result<Vec<Facts>> {
    pem::certificates(pem)?.iter().map(|der| Ok(facts(&parse(der)?))).collect()
}

/// Whether the private key belongs to the first certificate of the PEM. Fails when one of them cannot be read.
pub(crate) fn matches(certificate: &str, key: &Secret) -> Result<bool> {
    let der = pem::certificate(certificate)?;
    let certificate = parse(&der)?;
    Ok(belongs(&certificate, &pem::key(key)?))
}

pub(super) fn belongs(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().raw == key.subject_public_key_info()
}

pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| pem::damaged())
}

pub(super) fn facts(certificate: &X509Certificate<'_>) -> Facts {
    // An extension that cannot be read, or stands there twice, counts as none: no client accepts such a certificate.
    let alternatives = certificate.subject_alternative_name().ok().flatten().map(|found| &found.value.general_names);
    let constraints = certificate.name_constraints().ok().flatten();
    let permitted = constraints.and_then(|found| found.value.permitted_subtrees.as_ref());
    Facts {
        names: alternatives.into_iter().flatten().filter_map(name).collect(),
        common_name: certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok())
            .map(Into::into),
        serial: hexadecimal(&certificate.serial.to_bytes_be()),
        not_before: certificate.validity().not_before.to_datetime(),
        not_after: certificate.validity().not_after.to_datetime(),
        fingerprint: fingerprint(certificate.as_raw()),
        authority: certificate.is_ca(),
        algorithm: algorithm(certificate.public_key()),
        permitted: permitted.into_iter().flatten().filter_map(|subtree| subtree_name(&subtree.base)).collect(),
    }
}

fn name(entry: &GeneralName<'_>) -> Option<Name> {
    match entry {
        GeneralName::DNSName(host) => Some(Name::Dns(host.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => address(bytes).map(Name::Ip),
        _ => None,
    }
}

/// A name of `permittedSubtrees` (RFC 5280 section 4.2.1.10). An address there is followed by its mask.
fn subtree_name(base: &GeneralName<'_>) -> Option<Name> {
    let GeneralName::IPAddress(network) = base else { return name(base) };
    let (host, mask) = network.split_at(network.len() / 2);
    mask.iter().all(|byte| *byte == 0xff).then(|| address(host).map(Name::Ip))?
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn algorithm(key: &SubjectPublicKeyInfo<'_>) -> Option<Algorithm> {
    match key.parsed().ok()? {
        PublicKey::EC(_) => {
            let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
            (curve == OID_EC_P256).then_some(Algorithm::P256)
        }
        PublicKey::RSA(key) => (key.key_size() == 3072).then_some(Algorithm::Rsa3072),
        _ => None,
    }
}

/// The streaming form, as OpenSSL's one-shot form first sets up the whole library.
fn fingerprint(der: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(der);
    hexadecimal(&hash.finish())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}
