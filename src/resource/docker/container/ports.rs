//! Ports of the host: who holds one that is wanted, and one that the engine chooses.

use super::Actual;
use super::spec::Spec;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::engine::{Engine, ID};
use crate::world::host;

/// How often a container is started whose port the engine chooses.
const TRIES: u32 = 5;

/// Fails if somebody else holds a port that is to be published.
pub(super) async fn check(spec: &Spec, actual: Option<&Actual>, at: &At) -> Result<()> {
    let held = actual.map(Actual::ports).unwrap_or_default();
    let mut wanted = spec.published()?;
    wanted.retain(|publish| publish.host > 0 && !held.contains(&publish.host));
    if wanted.is_empty() {
        return Ok(());
    }
    let engine = at.engine().await?;
    let running = engine.running_containers().await?;
    for publish in wanted {
        let port = publish.host;
        let holder = running.iter().find(|container| {
            let labels = container.labels.as_ref();
            let ours = labels.and_then(|labels| labels.get(ID)).is_some_and(|id| id == at.store().id());
            let yields = container.id.as_ref().is_some_and(|id| at.run.is_yielding(id));
            let mut ports = container.ports.iter().flatten();
            !ours && !yields && ports.any(|held| held.public_port == Some(port))
        });
        let holder = match holder {
            Some(container) => {
                let name = container.names.iter().flatten().next().map(|name| name.trim_start_matches('/').to_owned());
                Some(format!("the container `{}`", name.unwrap_or_default()))
            }
            None if engine.is_here()
                && !running.iter().any(|c| c.ports.iter().flatten().any(|p| p.public_port == Some(port)))
                && !host::port_is_free(port) =>
            {
                Some(
                    host::port_holder(port)
                        .map_or_else(|| "another process".to_owned(), |holder| format!("`{holder}`")),
                )
            }
            None => None,
        };
        if let Some(holder) = holder {
            let flag = if at.run.restore.is_some() { "--set port=PORT" } else { "--port" };
            return Err(Error::new(format!("port {port} is taken by {holder}"))
                .hint(format!("stop that one, or choose another port with `{flag}`")));
        }
    }
    Ok(())
}

/// The error for a container of which the engine publishes no port, though it was asked for one.
pub(super) fn unpublished(name: &str) -> Error {
    Error::new(format!("the engine publishes no port of the container `{name}`")).hint(
        "`docker network ls` shows whether it has a network `bridge`: with `bridge: none` in its `daemon.json` it has none, and publishes ports of containers on other networks only",
    )
}

/// Starts a container.
pub(super) async fn start(spec: &Spec, name: &str, engine: &Engine) -> Result<()> {
    let mut started = engine.start_container(name).await;
    // The engine chooses a port that it has not given away itself; whether a process of the host holds it, it learns then.
    for _ in 0..if spec.takes_any_port() { TRIES } else { 0 } {
        match started {
            Err(error) if is_taken(&error) => started = engine.start_container(name).await,
            _ => break,
        }
    }
    started
}

/// Whether a container could not be started because somebody has its port: the engine gives the reason as text only.
fn is_taken(error: &Error) -> bool {
    let text = error.to_string();
    text.contains("port is already allocated") || text.contains("address already in use")
}
