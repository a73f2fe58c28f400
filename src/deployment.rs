//! What is kept of a deployment in its folder, and who works on it: [`Store`], [`Record`].

pub(crate) mod backup;
pub(crate) mod journal;
pub(crate) mod lease;
pub(crate) mod lock;
pub(crate) mod measured;
mod names;
pub(crate) mod pending;
mod record;
mod store;
pub(crate) mod upkeep;

pub(crate) use names::{lasting_names, names};
pub(crate) use record::{PlaybookRecord, Record};
pub(crate) use store::{Store, leased};
