//! A SHA-256 digest, 32 bytes, of which a million are held at once: [`Digest`].

use std::fmt;

use crate::text::digest::{hex, md5};
use crate::world::objects::Entry;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(pub [u8; 32]);

impl Digest {
    /// Reads `sha256:` and 64 digits.
    pub fn read(text: &str) -> Option<Self> {
        text.strip_prefix("sha256:").and_then(Self::of_hex)
    }

    /// Reads 64 lowercase hexadecimal digits, as they stand in paths.
    pub fn of_hex(digits: &str) -> Option<Self> {
        let digits = digits.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(bytes))
    }

    pub fn of(content: &[u8]) -> Self {
        Self(crate::text::digest::sha256_bytes(content))
    }

    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether a file is known to say this digest, and nothing else, without a look into it.
    pub fn is_said_by(&self, entry: &Entry) -> bool {
        self.has_text(entry.md5)
    }

    /// Whether this is the MD5 of its text.
    pub fn has_text(&self, number: Option<[u8; 16]>) -> bool {
        number.is_some_and(|found| md5(self.to_string().as_bytes()) == Some(found))
    }

    /// The path of the blob's bytes.
    pub fn data(&self) -> String {
        let hex = self.hex();
        format!("blobs/sha256/{}/{hex}/data", &hex[..2])
    }
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
