//! Frees what no image needs, beside a registry that serves: [`collect`](collection::collect).
//!
//! A key stands for what may go: a blob, or a manifest of a repository. nginx knows the list of keys, notes who asks for one of them, and
//! while a collection runs asks it first, at its gate. So a key goes only if it was listed for the grace and nobody asked for it, and
//! whoever asks while it goes waits for a moment and then gets the registry's true answer. Nobody is ever told anything else.

pub(crate) mod collection;
mod gate;
mod key;
mod list;
mod mark;
pub(crate) mod obstacle;
pub(crate) mod pushes;
mod retain;
mod sweep;
#[cfg(test)]
mod tests;
mod touched;
mod unneeded;

pub(crate) use collection::{Collected, Collection, Limits, SOCKET};
pub(crate) use unneeded::Unneeded;
