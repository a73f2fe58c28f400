//! What stands on an engine: one file a kind.

pub(crate) mod container;
pub(crate) mod database_import;
pub(crate) mod image;
pub(crate) mod labels;
pub(crate) mod network;
pub(crate) mod stopped;
pub(crate) mod volume;
