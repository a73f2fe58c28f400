//! A host whose registry was set up by hand: what is found there, what comes of it, and the inputs that take it over:
//! [`Host`], [`Finding`], [`Takeover`].

mod certificates;
mod config;
mod contained;
mod containers;
mod finding;
mod findings;
mod first;
mod host;
mod keys;
mod nginx;
mod policy;
mod settings;
mod takeover;
mod today;
mod unit;
mod units;
mod words;

pub(crate) use self::containers::{Container, look as look_at_engine};
pub(crate) use self::finding::Finding;
pub(crate) use self::findings::findings;
pub(crate) use self::host::Host;
pub(crate) use self::takeover::Takeover;
use crate::error::Result;
use crate::world::host::Listener;
use crate::world::tree::Tree;

/// What programs are called that may be a registry.
const PROGRAMS: [&str; 4] = ["docker-registry", "registry", "gunicorn", "docker-registr"];

/// Looks at a host, and into files and folders that were named: those in the tree, and those beside it. The registry may be one of
/// the containers of its engine.
///
/// # Errors
/// A registry's configuration cannot be understood, or a named path is not there.
pub(crate) fn look(
    tree: &Tree,
    within: &[String],
    beside: &[String],
    listeners: Vec<Listener>,
    containers: (Option<&Container>, &[Container]),
) -> Result<Host> {
    let mut reader = host::Reader::new(tree);
    reader.read(containers.0, containers.1)?;
    within.iter().try_for_each(|path| reader.further(path))?;
    let outside = Tree::new("/");
    let mut reader = reader.beside(&outside);
    beside.iter().try_for_each(|path| reader.further(path))?;
    let mut host = reader.host;
    let registries = listeners.into_iter().filter(|listener| PROGRAMS.contains(&listener.program.as_str()));
    host.listening = registries.map(|listener| (listener.address, listener.program)).collect();
    Ok(host)
}

impl Host {
    /// Whether there is a registry to take over.
    pub fn has_registry(&self) -> bool {
        !self.sites.is_empty() || !self.configs.is_empty() || self.units.iter().any(|unit| !unit.name.is_empty())
    }
}
