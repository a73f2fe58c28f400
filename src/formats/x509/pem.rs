//! Finds certificates and keys in a PEM text (RFC 7468), and says in plain words what is wrong with one.

use rcgen::KeyPair;
use x509_parser::pem::Pem;

use crate::error::{Error, Result};
use crate::secret::Secret;

const CERTIFICATE: &str = "CERTIFICATE";
const KEY: &str = "PRIVATE KEY";
/// How many blocks a text may have: all authorities that browsers trust are 150, and each takes half a millisecond to read.
const BLOCKS: usize = 1000;

/// The DER of the first certificate of a PEM.
pub(super) fn certificate(pem: &str) -> Result<Vec<u8>> {
    check_blocks(pem, CERTIFICATE)?;
    blocks(pem, CERTIFICATE).next().unwrap_or_else(|| Err(damaged())).map(|block| block.contents)
}

/// The DER of all certificates of a PEM, at least one.
pub(super) fn certificates(pem: &str) -> Result<Vec<Vec<u8>>> {
    check_blocks(pem, CERTIFICATE)?;
    blocks(pem, CERTIFICATE).map(|block| Ok(block?.contents)).collect()
}

/// Fails for a text in which no certificate can be found, with what it is instead.
pub(super) fn check_certificates(pem: &str) -> Result<()> {
    check_blocks(pem, CERTIFICATE)
}

/// The private key of a PEM, which must be PKCS#8 without a passphrase.
pub(super) fn key(pem: &Secret) -> Result<KeyPair> {
    key_pair(pem.expose()).map_err(|e| e.within("the key"))
}

fn key_pair(pem: &str) -> Result<KeyPair> {
    check_blocks(pem, KEY)?;
    if pem.contains("ENCRYPTED") {
        let hint = "take the passphrase away with `openssl pkey -in KEY -out PLAIN`";
        return Err(Error::new("it is encrypted with a passphrase").hint(hint));
    }
    let block = blocks(pem, KEY).next().unwrap_or_else(|| Err(damaged()))?;
    if block.label != KEY {
        let what = format!("it is in the form `{}`, not in PKCS#8", block.label);
        return Err(Error::new(what).hint("turn it into PKCS#8 with `openssl pkcs8 -topk8 -nodes`"));
    }
    KeyPair::try_from(block.contents).map_err(|_| {
        Error::new("it cannot be decoded: it is damaged, or no P-256, P-384, Ed25519 or RSA key")
            .hint("restore it from a backup, or make it again")
    })
}

pub(super) fn damaged() -> Error {
    Error::new("its PEM text is damaged: it cannot be decoded").hint("restore it from a backup, or make it again")
}

/// The blocks whose label ends as given: `TRUSTED CERTIFICATE` is a certificate too, and what follows it is left out.
fn blocks(pem: &str, label: &str) -> impl Iterator<Item = Result<Pem>> {
    Pem::iter_from_buffer(pem.as_bytes())
        .map(|block| block.map_err(|_| damaged()))
        .filter(move |block| block.as_ref().map_or(true, |block| block.label.ends_with(label)))
}

/// Fails if a text has more blocks than [`BLOCKS`].
pub(crate) fn too_many(pem: &str) -> Result<()> {
    if pem.lines().filter(|line| line.starts_with("-----BEGIN ")).nth(BLOCKS).is_some() {
        return Err(Error::new(format!("it holds more than {BLOCKS} certificates or keys"))
            .hint("take those out that nobody needs"));
    }
    Ok(())
}

/// Says in plain words why a text cannot be PEM: a reader passes over what is cut off at the end.
fn check_blocks(pem: &str, label: &str) -> Result<()> {
    if pem.trim().is_empty() {
        return Err(Error::new("it is empty").hint("restore it from a backup, or make it again"));
    }
    too_many(pem)?;
    let rules: Vec<&str> = pem.lines().map(str::trim_end).filter(|line| line.starts_with('-')).collect();
    if rules.is_empty() {
        let what = format!("it is not PEM: it has no line `-----BEGIN {label}-----`");
        return Err(Error::new(what).hint("give the file in PEM, which is text"));
    }
    let labels: Option<Vec<&str>> = rules.chunks(2).map(enclosed).collect();
    let Some(labels) = labels else {
        let what = "it is cut off: a `-----BEGIN …-----` line has no `-----END …-----` line";
        return Err(Error::new(what).hint("restore it from a backup, or make it again"));
    };
    if !labels.iter().any(|found| found.ends_with(label)) {
        let what = format!("it holds something else: it has no line `-----BEGIN {label}-----`");
        return Err(Error::new(what).hint("check that the certificate and the key are not swapped"));
    }
    Ok(())
}

/// The label that a block's first and last line have in common.
fn enclosed<'a>(rules: &[&'a str]) -> Option<&'a str> {
    let [begin, end] = rules else { return None };
    let label = begin.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    (end.strip_prefix("-----END ")?.strip_suffix("-----")? == label).then_some(label)
}
