//! Roots that came before the present one, and go on being trusted beside it until they end: [`Lineage`].
//!
//! Each vouches for its successor by a certificate of its own (cross-signing), which servers show: a client that knows only an
//! earlier root accepts what the present one has signed, and nobody has to fetch anything on the day of the change.

use time::OffsetDateTime;

use super::survey::Survey;
use super::validity::Phase;
use super::{BasicConstraints, Pair, authority, failed, pem, serial, signer, window};
use crate::error::Result;

/// The earlier roots that lead to the present one, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lineage {
    /// Each an earlier root's certificate for its successor, and that root's own, in PEM.
    links: Vec<(String, String)>,
}

impl Lineage {
    /// Reads what [`Lineage::text`] has written, as far as it leads to `root` and counts at `now`.
    pub fn read(text: &str, root: &str, now: OffsetDateTime) -> Result<Self> {
        let mut wanted = Survey::all(root)?.swap_remove(0).public_key();
        let mut links = Vec::new();
        for pair in blocks(text).chunks_exact(2) {
            let [cross, earlier] =
                [&pair[0], &pair[1]].map(|block| Survey::all(block).map(|mut all| all.swap_remove(0)));
            let (cross, earlier) = (cross?, earlier?);
            // A run that was killed may have left a link to a root that never came to be.
            if cross.public_key() != wanted || !earlier.signed(&cross) {
                continue;
            }
            if [&cross, &earlier].iter().any(|one| one.facts.phase(now) != Phase::Running) {
                break;
            }
            wanted = earlier.public_key();
            links.push((pair[0].clone(), pair[1].clone()));
        }
        Ok(Self { links })
    }

    /// The same with `root` as the newest of them, which vouches for `next`. A root that is not valid now can vouch for
    /// nothing, and neither can those before it.
    pub fn succeeded(self, root: &Pair, next: &Pair, now: OffsetDateTime) -> Result<Self> {
        if super::read(&root.certificate)?.phase(now) != Phase::Running {
            return Ok(Self::default());
        }
        let mut links = vec![(cross(root, next, now)?, root.certificate.clone())];
        links.extend(self.links);
        Ok(Self { links })
    }

    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    pub fn text(&self) -> String {
        self.links.iter().map(|(cross, root)| format!("{cross}{root}")).collect()
    }

    /// What a server shows after its issuing authority's certificate.
    pub fn crosses(&self) -> String {
        self.links.iter().map(|(cross, _)| cross.as_str()).collect()
    }

    /// The earlier roots themselves.
    pub fn roots(&self) -> String {
        self.links.iter().map(|(_, root)| root.as_str()).collect()
    }
}

/// A certificate by which one root vouches for the next: it has the name and the key of the next, and ends with whichever ends first.
fn cross(root: &Pair, next: &Pair, now: OffsetDateTime) -> Result<String> {
    let (issuer, end) = signer(root, now)?;
    let facts = super::read(&next.certificate)?;
    let name = facts.common_name.as_deref().unwrap_or_default();
    let mut params = authority(name, BasicConstraints::Unconstrained)?;
    params.not_before = window(1, now)?.0;
    params.not_after = facts.not_after.min(end);
    params.serial_number = Some(serial()?);
    params.use_authority_key_identifier_extension = true;
    let key = pem::key(&next.key)?;
    let certificate =
        params.signed_by(&key, &issuer).map_err(|error| failed("cross-sign the root certificate", &error))?;
    Ok(certificate.pem())
}

/// The blocks of a PEM text, certificates and keys, each as a text of its own.
pub(crate) fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines().map(str::trim_end) {
        if line.starts_with("-----BEGIN") {
            block = Some(String::new());
        }
        let Some(lines) = &mut block else { continue };
        lines.push_str(line);
        lines.push('\n');
        if line.starts_with("-----END") {
            blocks.extend(block.take());
        }
    }
    blocks
}
