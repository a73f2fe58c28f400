//! Waiting for a container to be ready, and telling why it is not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::ContainerInspectResponse;

use super::spec::Ready;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::engine::Engine;
use crate::world::{host, http};

/// Milliseconds between two looks.
const PAUSE: u64 = 15;
/// Milliseconds between two looks while the container's own words are listened to.
const CALM: u64 = 250;
/// Looks, that is half a second, after which a container without `ready` counts as running.
const SETTLED: u32 = 33;
/// How many of its last lines an error shows.
const LINES: usize = 15;

/// Waits until a started container is ready. `since` is the Unix time of its start, in seconds.
///
/// # Errors
/// It ended, or was not ready in time: with its exit code and its last lines.
pub(super) async fn wait(ready: Option<&Ready>, name: &str, since: i64, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    let seconds = ready.map_or(60, |ready| ready.timeout);
    let log = ready.and_then(|ready| ready.log.as_deref());
    let port = ready.and_then(|ready| ready.tcp);
    let work = async {
        if let Some(text) = log {
            said(text, name, since, at).await?;
        }
        match port {
            Some(port) => listens(port, name, at).await,
            None if log.is_some() => Ok(()),
            None => settles(name, at).await,
        }
    };
    match tokio::time::timeout(Duration::from_secs(seconds.into()), work).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(format!("the container `{name}` runs, but was not ready within {seconds} seconds"))
            .detail(engine.logs(name, LINES).await)
            .hint("these are its last lines; a slow host may need a longer `timeout` in `ready`")),
    }
}

/// Looks at the container; fails if it does not run or the run was told to stop.
async fn look(name: &str, at: &At) -> Result<ContainerInspectResponse> {
    at.run.check_cancelled()?;
    let engine = at.engine().await?;
    let found = engine.container(name).await?;
    let found = found.ok_or_else(|| Error::new(format!("the container `{name}` was removed while it started")))?;
    match ended(&found) {
        None => Ok(found),
        Some(reason) => Err(Error::new(format!("the container `{name}` {reason}"))
            .detail(engine.logs(name, LINES).await)
            .hint("these are its last lines; mend their cause, then run the command again")),
    }
}

/// Waits until it has printed a text.
async fn said(text: &str, name: &str, since: i64, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    loop {
        tokio::select! {
            // The lines end when the container does, and the next look tells why.
            found = engine.logs_until(name, since, text) => if found { return Ok(()) },
            () = host::sleep(CALM) => {}
        }
        look(name, at).await?;
        host::sleep(PAUSE).await;
    }
}

/// Waits until it has run for a while without ending.
async fn settles(name: &str, at: &At) -> Result<()> {
    for _ in 0..SETTLED {
        look(name, at).await?;
        host::sleep(PAUSE).await;
    }
    Ok(())
}

/// Waits until something in the container listens on a port.
async fn listens(port: u16, name: &str, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    for round in 0_u32.. {
        let found = look(name, at).await?;
        if is_open(name, port, &found, round, engine).await? {
            return Ok(());
        }
        host::sleep(PAUSE).await;
    }
    Ok(())
}

/// Whether something in the container listens on a port: by its address where that can be reached, else by the kernel's
/// own table, which is also read now and then in case a firewall is in the way.
async fn is_open(name: &str, port: u16, found: &ContainerInspectResponse, round: u32, engine: &Engine) -> Result<bool> {
    let networks = found.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default();
    let address = networks.values().find_map(|network| network.ip_address.as_deref()?.parse::<IpAddr>().ok());
    if let Some(address) = address.filter(|_| engine.is_local())
        && http::connects(SocketAddr::new(address, port)).await
    {
        return Ok(true);
    }
    if engine.is_local() && address.is_some() && round % 64 != 63 {
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
