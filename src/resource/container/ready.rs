//! Waiting for a container to be ready, and telling why it is not.

use std::net::{IpAddr, SocketAddr};

use bollard::models::ContainerInspectResponse;

use super::spec::Spec;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::engine::Engine;
use crate::world::{host, http};

/// Milliseconds between two looks.
const PAUSE: u64 = 15;
/// Looks, that is half a second, after which a container without `ready` counts as running.
const SETTLED: u32 = 33;
/// How many of its last lines an error shows.
const LINES: usize = 15;

/// Waits until a started container is ready. `since` is the Unix time of its start, in seconds.
///
/// # Errors
/// It ended, or was not ready in time: with its exit code and its last lines.
pub(super) async fn wait(spec: &Spec, name: &str, since: i64, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    let seconds = spec.ready.as_ref().map_or(60, |ready| ready.timeout);
    let looks = u64::from(seconds) * 1000 / PAUSE;
    let mut calm = 0;
    for _ in 0..looks {
        at.run.check_cancelled()?;
        let found = engine.container(name).await?.ok_or_else(|| Error::new(format!("the container `{name}` was removed while it started")))?;
        if let Some(reason) = ended(&found) {
            return Err(Error::new(format!("the container `{name}` {reason}"))
                .detail(engine.logs(name, LINES).await)
                .hint(format!("these are its last lines; `docker logs {name}` shows all while it is there")));
        }
        calm += 1;
        if is_ready(spec, name, since, &found, calm, engine).await? {
            return Ok(());
        }
        host::sleep(PAUSE).await;
    }
    Err(Error::new(format!("the container `{name}` runs, but was not ready within {seconds} seconds"))
        .detail(engine.logs(name, LINES).await)
        .hint("these are its last lines; a slow host may need a longer `timeout` in `ready`"))
}

async fn is_ready(spec: &Spec, name: &str, since: i64, found: &ContainerInspectResponse, calm: u32, engine: &Engine) -> Result<bool> {
    let Some(ready) = &spec.ready else { return Ok(calm >= SETTLED) };
    if let Some(text) = &ready.log
        && !engine.logs_since(name, since).await.iter().any(|line| line.contains(text.as_str()))
    {
        return Ok(false);
    }
    match ready.tcp {
        Some(port) => listens(name, port, found, calm, engine).await,
        None => Ok(true),
    }
}

/// Whether something in the container listens on a port: by its address where that can be reached, else by the kernel's
/// own table, which is also read now and then in case a firewall is in the way.
async fn listens(name: &str, port: u16, found: &ContainerInspectResponse, calm: u32, engine: &Engine) -> Result<bool> {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default();
    let address = networks.values().find_map(|network| network.ip_address.as_deref()?.parse::<IpAddr>().ok());
    if let Some(address) = address.filter(|_| engine.is_local())
        && http::connects(SocketAddr::new(address, port)).await
    {
        return Ok(true);
    }
    if engine.is_local() && address.is_some() && !calm.is_multiple_of(64) {
        return Ok(false);
    }
    let command = ["cat", "/proc/net/tcp", "/proc/net/tcp6"].map(str::to_owned);
    let table = engine.execute(name, &command).await?.output;
    let wanted = format!(":{port:04X}");
    Ok(table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // State 0A is LISTEN.
        fields.get(1).is_some_and(|local| local.ends_with(&wanted)) && fields.get(3) == Some(&"0A")
    }))
}

/// Why a container is not running, if it is not.
pub(super) fn ended(found: &ContainerInspectResponse) -> Option<String> {
    let state = found.state.clone().unwrap_or_default();
    let restarts = found.restart_count.unwrap_or_default();
    let code = state.exit_code.unwrap_or_default();
    if state.oom_killed.unwrap_or_default() {
        return Some("ran out of the memory that it may use".to_owned());
    }
    if restarts > 0 || state.restarting.unwrap_or_default() {
        return Some(format!("ends again and again, with exit code {code}"));
    }
    if state.running.unwrap_or_default() {
        return None;
    }
    Some(format!("ended with exit code {code}"))
}
