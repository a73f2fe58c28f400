//! X.509: makes, reads and verifies the certificates of one private authority; its main type is [`Pair`].
//!
//! The profile is the one that Go, OpenSSL's strict mode, Java and rustls all accept: a root without a path
//! length, an issuing authority that is held to its names, and short-lived leaves under it.

mod bundle;
mod facts;
mod lineage;
mod name;
mod pem;
mod survey;
#[cfg(test)]
mod tests;
mod validity;
mod verify;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
};
use schemars::JsonSchema;
use serde::Deserialize;
use time::{Duration, OffsetDateTime, UtcOffset};

pub(crate) use self::bundle::{certificates, has_key};
pub(crate) use self::facts::{Facts, matches, read, read_der};
pub(crate) use self::lineage::{Lineage, blocks};
pub(crate) use self::name::Name;
pub(crate) use self::pem::too_many;
pub(crate) use self::survey::{PublicKey, Survey, public_half};
pub(crate) use self::validity::{Phase, check_usable, faults};
pub(crate) use self::verify::verify;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::host::random;

/// The longest common name, in characters (RFC 5280 appendix A.1, `ub-common-name`).
const LONGEST_COMMON_NAME: usize = 64;
/// The longest life of a leaf that Apple's clients accept, in days (Apple, support article 103769).
const LONGEST_LEAF: u32 = 825;
/// How far a certificate's start lies back, for clients whose clock is slow.
const CLOCK_LEEWAY: Duration = Duration::HOUR;

/// The algorithm of a leaf's key. Authorities always have a P-256 key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Algorithm {
    /// ECDSA on the curve NIST P-256.
    #[default]
    P256,
    /// RSA with 3072 bits, for clients that know no elliptic curves; making a key takes about a quarter second.
    Rsa3072,
}

impl Algorithm {
    /// As a playbook names it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::Rsa3072 => "rsa3072",
        }
    }
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// One PEM block.
    pub certificate: String,
    /// PKCS#8 in PEM, without a passphrase.
    pub key: Secret,
}

/// What a leaf is made for.
pub(crate) struct Leaf<'a> {
    /// At least one; each goes into the subject alternative name.
    pub names: &'a [Name],
    /// From 1 to 825, counted from one hour before now.
    pub days: u32,
    pub algorithm: Algorithm,
    /// Whether it is for a client: its extended key usage is then clientAuth instead of serverAuth.
    pub client: bool,
}

/// Makes a self-signed root authority (RFC 5280 section 4.2.1) that lives for `days` days.
///
/// `common_name` must be unique among the roots of a client, as clients find an authority by its subject. There is no
/// path length, because 0 would forbid cross-signing the next root, and no name constraint, because Java ignores one on
/// a trust anchor. Fails when `common_name` is not 1 to 64 characters long, and when `days` is 0 or leads past 9999.
pub(crate) fn root(common_name: &str, days: u32, now: OffsetDateTime) -> Result<Pair> {
    let mut params = authority(common_name, BasicConstraints::Unconstrained)?;
    (params.not_before, params.not_after) = window(days, now)?;
    params.serial_number = Some(serial()?);
    let key = generate(Algorithm::P256)?;
    let certificate = params.self_signed(&key).map_err(|e| failed("sign the root certificate", &e))?;
    Ok(Pair { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
}

/// Makes an authority under `root` that can issue leaves for the `permitted` names only (RFC 5280 section 4.2.1.10).
///
/// A permitted host name also permits the names below it, and `*.a.b` permits `a.b`. It lives for `days` days, but not
/// longer than `root`. Fails where [`root`] does, when `permitted` is empty, and when `root` is no valid authority now.
pub(crate) fn issuing(
    root: &Pair,
    common_name: &str,
    permitted: &[Name],
    days: u32,
    now: OffsetDateTime,
) -> Result<Pair> {
    let mut params = authority(common_name, BasicConstraints::Constrained(0))?;
    params.name_constraints = Some(constraints(permitted)?);
    sign(params, Algorithm::P256, root, days, now)
}

/// Makes a certificate for a server or a client, signed by `issuer`, which it does not outlive.
///
/// Fails when there are no names, when the days are not from 1 to 825, and when `issuer` is no valid authority now.
/// Whether the issuer may issue for the names is for [`verify`] to say.
pub(crate) fn leaf(issuer: &Pair, request: &Leaf<'_>, now: OffsetDateTime) -> Result<Pair> {
    if request.days > LONGEST_LEAF {
        let what = format!("a certificate cannot live for {} days: Apple's clients refuse it", request.days);
        return Err(Error::new(what).hint(format!("give at most {LONGEST_LEAF} days; 90 is usual")));
    }
    if request.names.is_empty() {
        return Err(Error::new("a certificate needs at least one name").hint("give the name that clients connect to"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(request.names);
    params.subject_alt_names = request.names.iter().map(alternative).collect::<Result<_>>()?;
    // Only this variant writes a subject key identifier; its basic constraints are CA:FALSE.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if request.algorithm == Algorithm::Rsa3072 {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    params.extended_key_usages =
        vec![if request.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth }];
    sign(params, request.algorithm, issuer, request.days, now)
}

/// Fills in the validity, a new key and the issuer, and signs.
fn sign(
    mut params: CertificateParams,
    algorithm: Algorithm,
    issuer: &Pair,
    days: u32,
    now: OffsetDateTime,
) -> Result<Pair> {
    let (issuer, end) = signer(issuer, now)?;
    let (not_before, not_after) = window(days, now)?;
    params.not_before = not_before;
    params.not_after = not_after.min(end);
    params.serial_number = Some(serial()?);
    params.use_authority_key_identifier_extension = true;
    let key = generate(algorithm)?;
    let certificate = params.signed_by(&key, &issuer).map_err(|e| failed("sign the certificate", &e))?;
    Ok(Pair { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
}

/// An authority that can sign now, with the last second of its life; else why it cannot.
fn signer(pair: &Pair, now: OffsetDateTime) -> Result<(Issuer<'static, KeyPair>, OffsetDateTime)> {
    let der = pem::certificate(&pair.certificate).map_err(|e| e.within("the authority"))?;
    let certificate = facts::parse(&der).map_err(|e| e.within("the authority"))?;
    let facts = facts::facts(&certificate);
    if !facts.authority {
        return Err(
            Error::new("the issuer's certificate is not an authority's").hint("give an authority's certificate")
        );
    }
    let key = pem::key(&pair.key).map_err(|e| e.within("the authority"))?;
    if !facts::belongs(&certificate, &key) {
        let what = "the authority's key does not belong to its certificate";
        return Err(Error::new(what).hint("restore the certificate and the key that were made together"));
    }
    if let Some(fault) = facts.fault(now) {
        return Err(Error::new(format!("the authority that signs {fault}"))
            .hint("`provision rotate DEPLOYMENT --what authority` makes a new one; or set the clock right"));
    }
    let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
        .map_err(|e| failed("load the authority's certificate", &e))?;
    Ok((issuer, facts.not_after))
}

/// What the root and the issuing authority have in common (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
fn authority(common_name: &str, constraints: BasicConstraints) -> Result<CertificateParams> {
    let length = common_name.chars().count();
    if !(1..=LONGEST_COMMON_NAME).contains(&length) {
        let what =
            format!("an authority's name has 1 to {LONGEST_COMMON_NAME} characters, and `{common_name}` has {length}");
        return Err(Error::new(what).hint("give a shorter name, such as `provision root 2026-01-31`"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// The last second of a certificate that `issuer` would sign now for `days` days.
pub(crate) fn end(days: u32, issuer: &Facts, now: OffsetDateTime) -> OffsetDateTime {
    window(days, now).map_or(issuer.not_after, |(_, end)| end.min(issuer.not_after))
}

/// How many days there are until a moment, one that has begun among them.
pub(crate) fn days_until(end: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (end - now).whole_days() + 1
}

/// The first and the last second of a certificate's life, both part of it (RFC 5280 section 4.1.2.5).
fn window(days: u32, now: OffsetDateTime) -> Result<(OffsetDateTime, OffsetDateTime)> {
    if days == 0 {
        return Err(Error::new("a certificate cannot live for 0 days").hint("give at least 1 day"));
    }
    let second = now.to_offset(UtcOffset::UTC).replace_nanosecond(0).expect("0 is a valid nanosecond");
    let length = Duration::days(days.into()) - Duration::SECOND;
    second
        .checked_sub(CLOCK_LEEWAY)
        .and_then(|start| Some((start, start.checked_add(length)?)))
        .ok_or_else(|| Error::new(format!("{days} days go beyond the year 9999")).hint("give fewer days"))
}

/// Sixteen random bytes that make a positive number (RFC 5280 section 4.1.2.2 allows 20).
///
/// rcgen's own serial is a hash of the key: renewing a key would repeat it, which Firefox refuses.
fn serial() -> Result<SerialNumber> {
    let mut bytes = [0; 16];
    while bytes[0] == 0 {
        bytes = random()?;
        bytes[0] &= 0x7f;
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn generate(algorithm: Algorithm) -> Result<KeyPair> {
    match algorithm {
        Algorithm::P256 => KeyPair::generate().map_err(|e| failed("make a P-256 key", &e)),
        // ring signs with RSA keys but makes none.
        Algorithm::Rsa3072 => {
            let pem = Rsa::generate(3072)
                .and_then(PKey::from_rsa)
                .and_then(|key| key.private_key_to_pkcs8())
                .map_err(|e| failed("make an RSA key", &e))?;
            KeyPair::try_from(pem).map_err(|e| failed("load the RSA key", &e))
        }
    }
}

/// The first host name as the common name, where it fits.
///
/// An address is not used: clients that find no host name in a certificate take its common name for one, and then the
/// issuing authority's name constraints refuse it.
fn subject(names: &[Name]) -> DistinguishedName {
    let host = names.iter().find_map(|name| match name {
        Name::Dns(host) => Some(host.as_str()),
        Name::Ip(_) => None,
    });
    let mut subject = DistinguishedName::new();
    if let Some(host) = host.filter(|host| host.len() <= LONGEST_COMMON_NAME) {
        subject.push(DnType::CommonName, host);
    }
    subject
}

fn alternative(name: &Name) -> Result<SanType> {
    match name {
        Name::Dns(text) => {
            let text = text.as_str().try_into().map_err(|e| failed(&format!("write `{text}` in ASCII"), &e))?;
            Ok(SanType::DnsName(text))
        }
        Name::Ip(address) => Ok(SanType::IpAddress(*address)),
    }
}

/// Permits exactly the given names; a kind of name of which none is given is excluded as a whole.
///
/// Without that exclusion a kind that is not mentioned would be free (RFC 5280 section 4.2.1.10). The exclusions are
/// written as the CA/Browser Forum's baseline requirements section 7.1.2.5.2 has them. IPv4 and IPv6 are one kind:
/// where one of them is excluded and the other permitted, Java 17 refuses the permitted addresses too.
fn constraints(permitted: &[Name]) -> Result<NameConstraints> {
    if permitted.is_empty() {
        let what = "an issuing authority needs at least one permitted name";
        return Err(Error::new(what).hint("give the names that it may issue for"));
    }
    let permitted: BTreeSet<Name> = permitted.iter().map(Name::subtree).collect();
    let mut excluded = Vec::new();
    if !permitted.iter().any(|name| matches!(name, Name::Dns(_))) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    if !permitted.iter().any(|name| matches!(name, Name::Ip(_))) {
        excluded.push(network(Ipv4Addr::UNSPECIFIED.into(), 0));
        excluded.push(network(Ipv6Addr::UNSPECIFIED.into(), 0));
    }
    let permitted = permitted.into_iter().map(|name| match name {
        Name::Dns(name) => GeneralSubtree::DnsName(name),
        Name::Ip(address) => network(address, if address.is_ipv4() { 32 } else { 128 }),
    });
    Ok(NameConstraints { permitted_subtrees: permitted.collect(), excluded_subtrees: excluded })
}

fn network(address: IpAddr, prefix: u8) -> GeneralSubtree {
    GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
}

fn failed(doing: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::new(format!("cannot {doing}: {reason}"))
}
