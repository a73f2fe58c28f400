//! What matters of a certificate that somebody else made: [`Survey`].

use openssl::pkey::PKey;
use openssl::x509::{X509, X509VerifyResult};

use super::facts::{self, Facts};
use super::{failed, pem};
use crate::error::Result;
use crate::secret::Secret;

/// Signature algorithms whose digest is broken: RSA with MD5 and SHA-1, DSA and ECDSA with SHA-1 (RFC 3279 section 2.2).
const BROKEN: [&str; 4] = ["1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.2.840.10040.4.3", "1.2.840.10045.4.1"];

pub(crate) struct Survey {
    pub facts: Facts,
    /// How long it is valid, from its first to its last second, in days.
    pub days: i64,
    /// How long its key is, if that is an RSA key.
    pub rsa: Option<usize>,
    /// Whether it is signed by way of MD5 or SHA-1.
    pub broken_digest: bool,
    /// Whether its key usage lets it sign certificates; none if it says nothing of that.
    pub signs: Option<bool>,
    /// Whether it names itself as its issuer.
    pub self_issued: bool,
    certificate: X509,
}

/// A public key in DER, by which a certificate and a private key are told to belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicKey(Vec<u8>);

impl Survey {
    /// Reads all certificates of a PEM.
    ///
    /// # Errors
    /// The text is empty, cut off, damaged, or no PEM.
    pub fn all(text: &str) -> Result<Vec<Self>> {
        pem::certificates(text)?.iter().map(|der| Self::read(der)).collect()
    }

    fn read(der: &[u8]) -> Result<Self> {
        let parsed = facts::parse(der)?;
        let facts = facts::facts(&parsed);
        let usage = parsed.key_usage().ok().flatten();
        let certificate = X509::from_der(der).map_err(|error| failed("read the certificate", &error))?;
        let key = certificate.public_key().ok();
        Ok(Self {
            days: (facts.not_after - facts.not_before).whole_days(),
            rsa: key.and_then(|key| Some(usize::try_from(key.rsa().ok()?.size()).ok()? * 8)),
            broken_digest: BROKEN.contains(&parsed.signature_algorithm.algorithm.to_id_string().as_str()),
            signs: usage.map(|usage| usage.value.key_cert_sign()),
            self_issued: parsed.subject() == parsed.issuer(),
            certificate,
            facts,
        })
    }

    /// Whether it signed another certificate.
    pub fn signed(&self, other: &Self) -> bool {
        let named = self.certificate.issued(&other.certificate) == X509VerifyResult::OK
            || self
                .certificate
                .subject_name()
                .try_cmp(other.certificate.issuer_name())
                .is_ok_and(std::cmp::Ordering::is_eq);
        named && self.certificate.public_key().is_ok_and(|key| other.certificate.verify(&key).unwrap_or_default())
    }

    pub fn public_key(&self) -> Option<PublicKey> {
        self.certificate.public_key().and_then(|key| key.public_key_to_der()).ok().map(PublicKey)
    }
}

/// The public half of a private key in PEM; none if it is damaged, or closed with a passphrase.
pub(crate) fn public_half(key: &Secret) -> Option<PublicKey> {
    // Without an answer of ours, OpenSSL would ask for the passphrase on the terminal.
    let key = PKey::private_key_from_pem_callback(key.expose().as_bytes(), |_| Ok(0)).ok()?;
    key.public_key_to_der().ok().map(PublicKey)
}
