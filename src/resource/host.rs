//! What stands on this host: one file a kind.

pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod hosts_entry;
pub(crate) mod nginx;
pub(crate) mod package;
pub(crate) mod service;
#[cfg(test)]
pub(crate) mod specimen;
pub(crate) mod trust;
