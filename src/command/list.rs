//! `provision list`: what can be set up, and what is.

use crate::deployment::{self, Store};
use crate::error::Result;
use crate::language::playbook::{builtin_about, builtin_names};
use crate::report::{Style, json, line};

pub(crate) fn run(style: Style) -> Result<()> {
    let mut playbooks = std::collections::BTreeMap::new();
    for name in builtin_names() {
        playbooks.insert(name, builtin_about(name));
    }
    let mut deployments = std::collections::BTreeMap::new();
    for name in deployment::names()? {
        let what = match Store::open(&name) {
            Ok((_, Some(record))) if record.restoring => format!("{} (half restored)", record.playbook.name),
            Ok((_, Some(record))) if record.kept => format!("{} (destroyed, data kept)", record.playbook.name),
            Ok((_, Some(record))) => record.playbook.name,
            Ok((_, None)) => continue,
            Err(error) => error.to_string(),
        };
        deployments.insert(name, what);
    }
    if style == Style::Json {
        json(&serde_json::json!({ "playbooks": playbooks, "deployments": deployments }));
        return Ok(());
    }
    let width =
        playbooks.keys().map(|name| name.len()).chain(deployments.keys().map(String::len)).max().unwrap_or_default();
    line("playbooks:");
    playbooks.iter().for_each(|(name, about)| line(&format!("  {name:width$}  {about}")));
    line("deployments:");
    deployments.iter().for_each(|(name, what)| line(&format!("  {name:width$}  {what}")));
    if deployments.is_empty() {
        line("  none yet");
    }
    Ok(())
}
