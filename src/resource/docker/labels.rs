//! Labels that more than one kind goes by.

/// The label of a volume that holds no data.
pub(crate) const SCRATCH: &str = "provision.scratch";
/// The label of an anonymous volume, which goes with its container: one that holds uploaded files, for example.
pub(crate) const FILES: &str = "provision.files";
