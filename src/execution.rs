//! From a playbook to the world: the graph of its resources, the plan, and the run that carries it out or takes it back.

pub(crate) mod apply;
mod gap;
pub(crate) mod graph;
pub(crate) mod plan;
mod renewal;
mod shown;
pub(crate) mod unused;
