//! The only place with I/O: the host's files, its clock and processes, and the clients of engines. No policy.

pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod host;
pub(crate) mod http;
