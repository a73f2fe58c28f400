//! Registries: the client of all that speak the API, and from the inside their store, whether it is whole, and what is to be
//! done with it.

#[expect(dead_code, unused_imports, reason = "the verbs that use the rest of it follow")]
pub(crate) mod client;
pub(crate) mod fsck;
pub(crate) mod job;
pub(crate) mod store;
