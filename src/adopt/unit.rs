//! What starts a registry on a host, with all that adds to it: [`Unit`].

use std::collections::BTreeMap;

use super::words;
use crate::world::tree::Seen;

/// A job of upstart, a unit of systemd, or a file of variables for one.
pub(super) struct Unit {
    pub path: String,
    pub mode: u32,
    pub name: String,
    pub text: String,
    pub variables: BTreeMap<String, String>,
    /// Files that add to it, in the order in which they count.
    pub additions: Vec<String>,
    /// Whether it starts the registry in Python.
    pub python: bool,
}

impl Unit {
    pub fn new(path: String, name: &str, seen: Seen) -> Self {
        let variables = words::variables(&seen.text);
        let python = seen.text.contains("docker_registry") || seen.text.contains("gunicorn");
        Self { path, mode: seen.mode, name: name.to_owned(), text: seen.text, variables, additions: Vec::new(), python }
    }
}
