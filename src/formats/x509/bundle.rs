//! What of a PEM text may be shown to everybody: its certificates.

use openssl::x509::X509;
use x509_parser::parse_x509_certificate;

use super::lineage::blocks;
use super::pem;
use crate::error::{Error, Result};

/// How the label of a private key ends (RFC 7468, section 13; RFC 5915; PKCS#1).
const KEY: &str = "PRIVATE KEY-----";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The certificates of a PEM text and nothing else, in the form that every client reads. Openssl's `TRUSTED CERTIFICATE`, which
/// only its own programs read, is one with remarks: it is taken without them.
///
/// # Errors
/// There is no certificate, or one is damaged.
pub(crate) fn certificates(text: &str) -> Result<String> {
    pem::check_certificates(text)?;
    blocks(text).iter().filter(|block| label(block).ends_with(" CERTIFICATE-----")).map(|block| plain(block)).collect()
}

/// Whether a private key stands in a PEM text, encrypted or not.
pub(crate) fn has_key(text: &str) -> bool {
    blocks(text).iter().any(|block| label(block).ends_with(KEY))
}

fn label(block: &str) -> &str {
    block.lines().next().unwrap_or_default()
}

fn plain(block: &str) -> Result<String> {
    if label(block) == CERTIFICATE {
        return Ok(block.to_owned());
    }
    let der = pem::certificate(block)?;
    // The remarks follow the certificate.
    let (rest, _) = parse_x509_certificate(&der).map_err(|_| pem::damaged())?;
    let whole = &der[..der.len() - rest.len()];
    let pem = X509::from_der(whole).and_then(|certificate| certificate.to_pem()).map_err(|_| pem::damaged())?;
    String::from_utf8(pem).map_err(|_| Error::new("a certificate in PEM is no text"))
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::hash::MessageDigest;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;

    use super::*;

    fn pair() -> (String, String) {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(builder.build().to_pem().unwrap()), text(key.private_key_to_pem_pkcs8().unwrap()))
    }

    #[test]
    fn a_key_beside_a_certificate_is_left_out() {
        let (certificate, key) = pair();
        let rsa = key.replace("PRIVATE", "RSA PRIVATE");
        for both in
            [format!("{key}{certificate}"), format!("{certificate}{rsa}"), format!("a remark\n{certificate}\n{key}")]
        {
            assert_eq!(certificates(&both).unwrap(), certificate);
            assert!(has_key(&both));
        }
        assert!(!has_key(&certificate));
        assert!(certificates(&key).unwrap_err().to_string().contains("it holds something else"));
        assert!(certificates("hello").is_err() && certificates("").is_err());
    }

    #[test]
    fn every_form_of_a_certificate_becomes_the_one_that_all_clients_read() {
        let (certificate, _) = pair();
        assert_eq!(certificates(&certificate.replace(" CERTIFICATE", " X509 CERTIFICATE")).unwrap(), certificate);
        // As `openssl x509 -trustout` writes it: a sequence of purposes follows.
        let mut der = X509::from_pem(certificate.as_bytes()).unwrap().to_der().unwrap();
        der.extend([0x30, 0x0c, 0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1]);
        let trusted = format!(
            "-----BEGIN TRUSTED CERTIFICATE-----\n{}\n-----END TRUSTED CERTIFICATE-----\n",
            openssl::base64::encode_block(&der)
        );
        assert_eq!(certificates(&trusted).unwrap(), certificate);
        let windows = certificate.replace('\n', "\r\n");
        assert_eq!(certificates(&format!("{windows}{certificate}")).unwrap(), format!("{certificate}{certificate}"));
    }
}
