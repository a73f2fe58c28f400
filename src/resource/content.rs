//! What a file holds and who may read it: [`Content`], [`Mode`], and what stands for a content in a diff.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::text::digest::{hex, sha256};
use crate::text::unknown::{awaited, unknown};
use crate::world::host;

/// A rendered template. In a playbook it is the template's name; it may hold secrets.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Content(String);

impl Content {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(rendered template)")
    }
}

impl JsonSchema for Content {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-secret": true, "x-template": true })
    }
}

/// Permission bits, written in octal: `"0640"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(u32);

impl Mode {
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether only the owner may read it.
    pub const fn is_private(self) -> bool {
        self.0 & 0o077 == 0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= 0o7777 && text.len() >= 3);
        bits.map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no mode: write it in octal, as in \"0640\"")))
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$" })
    }
}

/// A content as a label or a record keeps it: the first 12 digits of its SHA-256. Nothing secret may be shown like this.
pub(crate) fn digest(content: &[u8]) -> String {
    shown(content, |content| format!("sha256:{}", &sha256(content)[..12]))
}

/// A content as a diff shows it: it may hold secrets, and a plain hash could be tried offline. The key lives as long as this
/// process, so that two contents can be told from each other within one plan.
pub(crate) fn fingerprint(content: &[u8]) -> String {
    static KEY: OnceLock<Option<[u8; 32]>> = OnceLock::new();
    let Some(key) = KEY.get_or_init(|| host::random::<32>().ok()) else { return "(content)".to_owned() };
    shown(content, |content| {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(key);
        hash.update(content);
        format!("keyed:{}", &hex(&hash.finish())[..12])
    })
}

/// What is not known yet stays so.
fn shown(content: &[u8], digest: impl FnOnce(&[u8]) -> String) -> String {
    let awaited = std::str::from_utf8(content).ok().and_then(awaited);
    awaited.map_or_else(|| digest(content), unknown)
}
