//! Registries: the client of all that speak the API, and from the inside their store, whether it is whole, and what is to be
//! done with it.

pub(crate) mod carry;
pub(crate) mod client;
pub(crate) mod copy;
pub(crate) mod fsck;
pub(crate) mod garbage;
pub(crate) mod images;
pub(crate) mod job;
pub(crate) mod layout;
pub(crate) mod push;
mod question;
pub(crate) mod removed;
pub(crate) mod retention;
pub(crate) mod store;
pub(crate) mod usage;
