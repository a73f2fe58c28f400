//! The names of deployments that are gone with their jobs.

use crate::error::Result;
use crate::text::digest::hex;
use crate::world::host;

/// The playbook.
pub(crate) const PLAYBOOK: &str = "ci";
/// A name that no other job has.
pub(crate) fn new_name() -> Result<String> {
    Ok(format!("{PLAYBOOK}-{}", hex(&host::random::<4>()?)))
}

/// Whether a deployment may be one of a job, by its name.
pub(crate) fn is_name(name: &str) -> bool {
    let digits = name.strip_prefix("ci-").unwrap_or_default();
    digits.len() == 8 && digits.chars().all(|c| c.is_ascii_hexdigit())
}
