//! Checks, which make nothing: one file a kind.

pub(crate) mod probe;
pub(crate) mod requirement;
pub(crate) mod s3_probe;
