//! The only place with I/O: the host's files, its clock and processes, and the clients of engines and of AWS. No policy.

pub(crate) mod apart;
pub(crate) mod authorities;
pub(crate) mod aws;
pub(crate) mod dpkg;
pub(crate) mod encoding;
pub(crate) mod engine;
pub(crate) mod files;
pub(crate) mod flush;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod init;
pub(crate) mod inode;
pub(crate) mod inside;
pub(crate) mod itself;
pub(crate) mod limit;
pub(crate) mod lock;
pub(crate) mod objects;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod read;
pub(crate) mod signals;
pub(crate) mod stop;
pub(crate) mod terminal;
pub(crate) mod tree;
pub(crate) mod unfinished;
mod whole;
