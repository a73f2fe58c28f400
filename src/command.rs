//! The verbs, one file each.

pub(crate) mod adopt;
pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod backup;
pub(crate) mod ci;
pub(crate) mod clients;
pub(crate) mod complete;
pub(crate) mod copy;
pub(crate) mod destroy;
pub(crate) mod drill;
pub(crate) mod du;
pub(crate) mod elsewhere;
pub(crate) mod fsck;
pub(crate) mod gc;
pub(crate) mod graph;
pub(crate) mod images;
pub(crate) mod list;
pub(crate) mod maintain;
#[cfg(test)]
mod new_kind;
pub(crate) mod output;
pub(crate) mod overview;
pub(crate) mod plan;
pub(crate) mod push;
pub(crate) mod render;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod rotate;
pub(crate) mod schema;
pub(crate) mod secrets;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod timer;
pub(crate) mod tunnel;
pub(crate) mod turn;
pub(crate) mod unused;
pub(crate) mod users;
