//! The names of deployments, and where their folders stand.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::world::files;

/// The file of a deployment's record.
pub(super) const RECORD: &str = "deployment.json";
/// The lease of one that is to be gone by itself.
pub(super) const LEASE: &str = "lease.json";

/// The folder of all deployments.
///
/// # Errors
/// It is not this user's own: who may change it decides what a run does.
pub(super) fn root() -> Result<PathBuf> {
    let home = files::state_home()?;
    files::check_own(&home)?;
    let root = home.join("deployments");
    files::check_own(&root)?;
    Ok(root)
}

/// The names of all deployments.
pub(crate) fn names() -> Result<Vec<String>> {
    let root = root()?;
    let names = files::names(&root)?;
    Ok(names.into_iter().filter(|name| files::exists(&root.join(name).join(RECORD))).collect())
}

/// The same without those that are to be gone by themselves.
pub(crate) fn lasting_names() -> Result<Vec<String>> {
    let root = root()?;
    Ok(names()?.into_iter().filter(|name| !files::exists(&root.join(name).join(LEASE))).collect())
}

/// Reads a name for a deployment. It becomes part of the names of containers, so Docker's rule holds
/// (`[a-zA-Z0-9][a-zA-Z0-9_.-]`), with 40 characters at most.
pub(super) fn check_name(name: &str) -> Result<()> {
    let fits = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if fits && name.len() <= 40 {
        return Ok(());
    }
    Err(Error::usage(format!("`{name}` cannot be the name of a deployment"))
        .hint("use up to 40 letters, digits, hyphens, dots and underscores, a letter or digit first"))
}
