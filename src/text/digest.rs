//! Digests, and bytes as hexadecimal digits.

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A content's SHA-256. The one-shot call of OpenSSL 3 would first set up all of the library; this one does not.
pub(crate) fn sha256_bytes(content: &[u8]) -> [u8; 32] {
    let mut hash = openssl::sha::Sha256::new();
    hash.update(content);
    hash.finish()
}

/// A content's SHA-256 in lower hex.
pub(crate) fn sha256(content: &[u8]) -> String {
    hex(&sha256_bytes(content))
}

/// A content's MD5, as stores mark what they hold; none where the library refuses to make one.
pub(crate) fn md5(content: &[u8]) -> Option<[u8; 16]> {
    let made = openssl::hash::hash(openssl::hash::MessageDigest::md5(), content).ok()?;
    made.as_ref().try_into().ok()
}
