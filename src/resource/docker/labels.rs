//! Labels that more than one kind goes by.

/// The label of a volume that holds no data.
pub(crate) const SCRATCH: &str = "provision.scratch";
/// The label of an anonymous volume that holds uploaded files.
pub(crate) const FILES: &str = "provision.files";
