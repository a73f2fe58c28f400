//! Registries from the inside: their store, whether it is whole, and what is to be done with it.

pub(crate) mod fsck;
pub(crate) mod job;
pub(crate) mod store;
