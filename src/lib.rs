//! `provision`: a private registry, certificates and the rest of the Docker book's chapter, in one command.
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
//! | [`cli`], `command/` | the command line; one file a verb |
//! | `playbook`, `yaml`, `input`, `variables`, `template`, `form` | a playbook as written, checked, every part with its place |
//! | `graph` | the resources and which needs which |
//! | `resource/` | one file a kind: what should be, what is, how they differ, how to get there and back |
//! | `plan`, `change`, `difference`, `apply`, `journal`, `run`, `stop`, `at` | compare all, carry out all, or take it back |
//! | [`event`], `report/` | what happens, and who tells it |
//! | [`ci`], `lease` | a deployment that is gone with the job that it is for, whatever happens to that |
//! | `fact`, `measured` | what an overview tells of a deployment, and what of that is kept because it takes time to find out |
//! | `backup` | all of a deployment in one encrypted file: its form, its writer, its reader |
//! | `deployment`, `kept`, `hostfile`, `htpasswd`, `secret`, `content`, `format`, `json`, `text`, `shell`, `escape`, `x509` | what is kept of a deployment, and what it is made of |
//! | `adopt` | a host that was set up by hand: what is wrong with it, and the inputs that take it over |
//! | `world/` | the only place with I/O |

mod adopt;
mod apply;
mod at;
mod backup;
mod change;
pub mod ci;
pub mod cli;
mod command;
mod content;
mod deployment;
mod difference;
mod error;
mod escape;
pub mod event;
mod fact;
mod form;
mod format;
mod graph;
mod hostfile;
mod htpasswd;
mod input;
mod journal;
mod json;
mod kept;
mod lease;
mod measured;
mod plan;
mod playbook;
pub mod report;
mod resource;
mod run;
mod secret;
mod shell;
mod stop;
mod template;
mod text;
mod variables;
mod world;
mod x509;
mod yaml;

pub use error::{Error, Place, Result};
pub use secret::Secret;
