//! The kinds of resources. A new kind is one file in a folder below this that implements [`Kind`], and one line in `table`.

mod aside;
pub(crate) mod aws;
pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod content;
pub(crate) mod context;
pub(crate) mod difference;
pub(crate) mod docker;
pub(crate) mod fact;
pub(crate) mod host;
pub(crate) mod hostfile;
mod kind;
mod outputs;
mod owned;
pub(crate) mod pki;
pub(crate) mod record;
pub(crate) mod run;
mod table;

pub(crate) use context::At;
pub(crate) use kind::Kind;
pub(crate) use outputs::{Output, Outputs, hidden, public};
pub(crate) use owned::Owned;
pub(crate) use record::Kept;
pub(crate) use table::{Entry, Examined, KINDS, NAMES, Thing, find, with_also};
