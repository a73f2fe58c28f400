//! The name of a content by its hash: [`Digest`], and what computes it: [`Hasher`].

use std::fmt;

use openssl::sha::{Sha256, Sha512};

use crate::error::{Error, Result};
use crate::text::digest::{hex, sha256};

/// `sha256:…` or `sha512:…` (OCI image specification 1.1, "Digests"): the two that the specification registers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(String);

/// Computes a digest part by part.
pub(crate) enum Hasher {
    Sha256(Box<Sha256>),
    Sha512(Box<Sha512>),
}

impl Digest {
    /// # Errors
    /// It is no digest, or one that nothing here can check.
    pub fn parse(text: &str) -> Result<Self> {
        let (algorithm, hash) = text.split_once(':').unwrap_or(("", text));
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => 0,
        };
        let fits = hash.len() == length && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits && length > 0 {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(100).collect();
        Err(Error::new(format!("`{shown}` is no digest")).hint("a digest is `sha256:` and 64 hexadecimal digits"))
    }

    pub fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", sha256(content)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the colon.
    pub fn hash(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hash)| hash)
    }

    /// The beginning that people tell digests apart by.
    pub fn short(&self) -> &str {
        &self.hash()[..12]
    }

    /// What computes a digest of this kind.
    pub fn hasher(&self) -> Hasher {
        if self.0.starts_with("sha512:") { Hasher::Sha512(Box::new(Sha512::new())) } else { Hasher::sha256() }
    }

    /// Whether a content has this digest.
    pub fn is_of(&self, content: &[u8]) -> bool {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish() == *self
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|error| serde::de::Error::custom(error.to_string()))
    }
}

impl Hasher {
    pub fn sha256() -> Self {
        Self::Sha256(Box::new(Sha256::new()))
    }

    pub fn update(&mut self, part: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(part),
            Self::Sha512(hash) => hash.update(part),
        }
    }

    pub fn finish(self) -> Digest {
        Digest(match self {
            Self::Sha256(hash) => format!("sha256:{}", hex(&hash.finish())),
            Self::Sha512(hash) => format!("sha512:{}", hex(&hash.finish())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_checked_is_a_digest() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert!(Digest::parse(empty).unwrap().is_of(b""));
        assert!(!Digest::parse(empty).unwrap().is_of(b"x"));
        let mut long = Digest(format!("sha512:{}", "0".repeat(128))).hasher();
        long.update(b"abc");
        assert!(long.finish().as_str().starts_with("sha512:ddaf35a193617aba"));
        for wrong in ["", "latest", "sha256:", "md5:00", &empty[..70], &empty.to_uppercase(), "sha256:../../etc/passwd"]
        {
            assert!(Digest::parse(wrong).is_err(), "{wrong}");
        }
    }
}
