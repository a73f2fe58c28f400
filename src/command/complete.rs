//! `provision complete`: the names that may stand at the end of an unfinished command line, for the shell's completion.

use crate::deployment;
use crate::error::Result;
use crate::language::playbook::builtin_names;
use crate::registry::client::Registry;
use crate::report;
use crate::session::Session;
use crate::world::engine::Engine;
use crate::world::host;

/// How long a registry or an engine may take, in milliseconds: whoever pressed the key waits.
const PATIENCE: u64 = 3_000;

/// What names are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Names {
    Deployments,
    /// Playbooks and deployments.
    Targets,
    /// Repositories of a registry, or the tags of the one that was typed.
    Images {
        registry: String,
    },
    EngineImages,
    /// Deployments, and the repositories and tags of the one that was typed.
    Places,
}

/// Prints the names that begin as `current` does, a line each. What cannot be asked has none.
pub(crate) async fn run(session: &Session, names: Names, current: &str) -> Result<()> {
    let found = async { found(session, names, current).await.unwrap_or_default() };
    let found = tokio::select! {
        found = found => found,
        () = host::sleep(PATIENCE) => Vec::new(),
    };
    // A name with a control character would be another word to the shell.
    let fits =
        |name: &&String| name.starts_with(current) && !name.contains(|c: char| c.is_control() || c.is_whitespace());
    found.iter().filter(fits).for_each(|name| report::line(name));
    Ok(())
}

async fn found(session: &Session, names: Names, current: &str) -> Result<Vec<String>> {
    let mut found = match names {
        Names::Deployments => deployment::names()?,
        Names::Targets => builtin_names().into_iter().map(str::to_owned).chain(deployment::names()?).collect(),
        Names::Images { registry } => images(&registry, current).await?,
        Names::EngineImages => {
            Engine::connect(session.watcher())?.images().await?.into_iter().flat_map(|(_, names)| names).collect()
        }
        Names::Places => places(current).await?,
    };
    found.sort();
    found.dedup();
    Ok(found)
}

/// `REPOSITORY:` of each repository, or `REPOSITORY:TAG` of the one that was typed.
async fn images(registry: &str, current: &str) -> Result<Vec<String>> {
    let registry = Registry::open(registry).await?;
    match current.rsplit_once(':') {
        Some((repository, _)) => {
            let tags = registry.tags(repository).await?.unwrap_or_default();
            Ok(tags.iter().map(|tag| format!("{repository}:{tag}")).collect())
        }
        None => Ok(registry.catalog().await?.iter().map(|repository| format!("{repository}:")).collect()),
    }
}

async fn places(current: &str) -> Result<Vec<String>> {
    let start = current.find("://").map_or(0, |at| at + 3);
    match current[start..].split_once('/') {
        Some((host, image)) => {
            let registry = &current[..start + host.len()];
            Ok(images(registry, image).await?.iter().map(|image| format!("{registry}/{image}")).collect())
        }
        None => Ok(deployment::names()?.iter().map(|name| format!("{name}/")).collect()),
    }
}
