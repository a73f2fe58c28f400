//! What a certificate says about itself: [`Facts`].

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::Id;
use openssl::x509::X509Ref;
use time::{Duration, OffsetDateTime};

use super::{Algorithm, Name, OpensslResult, failed, verify};
use crate::error::Result;

/// The object identifiers 2.5.29.19 and 2.5.29.30 in DER (RFC 5280 sections 4.2.1.9 and 4.2.1.10).
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 30];
/// DER tags: BOOLEAN, and the context tags of `extensions`, `permittedSubtrees`, `dNSName` and `iPAddress`.
const BOOLEAN: u8 = 0x01;
const EXTENSIONS: u8 = 0xa3;
const PERMITTED: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

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
    let certificate = verify::first_certificate(pem)?;
    facts(&certificate).map_err(|e| failed("read the certificate", &e))
}

pub(super) fn facts(certificate: &X509Ref) -> OpensslResult<Facts> {
    let der = certificate.to_der()?;
    Ok(Facts {
        names: certificate
            .subject_alt_names()
            .iter()
            .flatten()
            .filter_map(|entry| match entry.dnsname() {
                Some(host) => Some(Name::Dns(host.to_ascii_lowercase())),
                None => entry.ipaddress().and_then(address).map(Name::Ip),
            })
            .collect(),
        common_name: common_name(certificate),
        serial: hexadecimal(&certificate.serial_number().to_bn()?.to_vec()),
        not_before: moment(certificate.not_before())?,
        not_after: moment(certificate.not_after())?,
        fingerprint: hexadecimal(&certificate.digest(MessageDigest::sha256())?),
        authority: extension(&der, BASIC_CONSTRAINTS)
            .is_some_and(|value| elements(value).next() == Some((BOOLEAN, &[0xff]))),
        algorithm: algorithm(certificate)?,
        permitted: extension(&der, NAME_CONSTRAINTS).map(permitted).unwrap_or_default(),
    })
}

fn common_name(certificate: &X509Ref) -> Option<String> {
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next()?;
    entry.data().to_string().ok()
}

fn moment(time: &Asn1TimeRef) -> OpensslResult<OffsetDateTime> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    Ok(OffsetDateTime::UNIX_EPOCH + Duration::days(since.days.into()) + Duration::seconds(since.secs.into()))
}

fn algorithm(certificate: &X509Ref) -> OpensslResult<Option<Algorithm>> {
    let key = certificate.public_key()?;
    Ok(match key.id() {
        Id::EC if key.ec_key()?.group().curve_name() == Some(Nid::X9_62_PRIME256V1) => Some(Algorithm::P256),
        Id::RSA if key.bits() == 3072 => Some(Algorithm::Rsa3072),
        _ => None,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

/// The names of `permittedSubtrees` (RFC 5280 section 4.2.1.10). An address there is followed by its mask.
fn permitted(constraints: &[u8]) -> BTreeSet<Name> {
    let subtrees = elements(constraints).find(|(tag, _)| *tag == PERMITTED).map_or(&[][..], |(_, value)| value);
    elements(subtrees)
        .filter_map(|(_, subtree)| match elements(subtree).next()? {
            (DNS_NAME, host) => Some(Name::Dns(std::str::from_utf8(host).ok()?.to_ascii_lowercase())),
            (IP_ADDRESS, network) => {
                let (host, mask) = network.split_at(network.len() / 2);
                mask.iter().all(|byte| *byte == 0xff).then(|| address(host).map(Name::Ip))?
            }
            _ => None,
        })
        .collect()
}

/// What is inside the SEQUENCE of an extension. The openssl crate has no call for it.
fn extension<'a>(certificate: &'a [u8], identifier: &[u8]) -> Option<&'a [u8]> {
    let (_, certificate) = elements(certificate).next()?;
    let (_, signed) = elements(certificate).next()?;
    let (_, wrapper) = elements(signed).find(|(tag, _)| *tag == EXTENSIONS)?;
    let (_, extensions) = elements(wrapper).next()?;
    let (_, found) =
        elements(extensions).find(|(_, fields)| elements(fields).next().is_some_and(|(_, name)| name == identifier))?;
    let (_, value) = elements(found).last()?;
    elements(value).next().map(|(_, inside)| inside)
}

/// The elements of a piece of DER, each with its tag (X.690 section 8.1). It ends early where the bytes are no DER.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = element(bytes)?;
        bytes = rest;
        Some((tag, content))
    })
}

fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = bytes else { return None };
    let (octets, rest) = match first {
        0..0x80 => (std::slice::from_ref(first), rest),
        _ => rest.split_at_checked(usize::from(first & 0x7f))?,
    };
    let length =
        octets.iter().try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet)))?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
