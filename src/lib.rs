//! `provision`: sets up and runs private registries, certificates and blogs, in one command.
//!
//! ```text
//! argv ─► cli ─► playbook ─► graph ─► plan ─► apply ─► event ─► report ─► exit code
//!              (input)     (form)   (change) (journal)
//!                                     ▲         │
//!                                     └─ world ◄┘
//! ```
//!
//! | where | what |
//! |---|---|
//! | [`cli`], `command/` | the command line, typed; what each verb does: one file a verb in each |
//! | [`ci`], `adopt/` | a deployment that ends with its job; a host that was set up by hand |
//! | `session` | what a verb works with: the playbook, the deployment, the run |
//! | `execution/` | the graph of resources, the plan, and the run that carries it out or takes it back |
//! | `resource/` | the table of kinds, one file a kind: what should be, what is, how they differ, how to get there and back |
//! | `registry/` | the one client of registries, and their store from the inside |
//! | `deployment/` | the folder of a deployment, its lease, its lock, its backup |
//! | `language/` | playbooks: inputs, expressions, templates, forms |
//! | `formats/` | X.509, htpasswd, YAML |
//! | [`event`], `report/` | what happens, and who tells it |
//! | `world/` | the only place with I/O |
//! | `text/`, `error`, `secret` | what all of them use |
//!
//! Each uses what stands below it: `tests/layers.rs` reads every path in the code and holds that.

mod adopt;
pub mod ci;
pub mod cli;
mod command;
mod deployment;
mod error;
pub mod event;
mod execution;
mod formats;
mod language;
mod registry;
pub mod report;
mod resource;
mod secret;
mod session;
mod text;
mod world;

pub use error::{Error, Place, Result};
pub use secret::Secret;
