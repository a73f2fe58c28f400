//! Waiting for a container to be ready, and telling why it is not.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::spec::Ready;
use super::words;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::engine::{Execution, Heard};
use crate::world::{host, http};

/// Milliseconds between two looks, and how many of them are made before they become fewer.
const PAUSE: u64 = 15;
const EAGER: u32 = 100;
const PATIENT: u64 = 50;
/// Milliseconds between two looks while the container's own words are listened to.
const CALM: u64 = 250;
/// Looks, that is half a second, after which a container without `ready` counts as running.
const SETTLED: u32 = 33;
/// How often a command that should succeed is tried, and the milliseconds between.
const TRIES: u32 = 12;
const BETWEEN: u64 = 250;
/// How long a container that runs once may take, in seconds.
const LONGEST: u64 = 600;

/// Waits until a started container is ready.
///
/// # Errors
/// It ended, or was not ready in time: with its exit code and its last lines.
pub(super) async fn wait(ready: Option<&Ready>, name: &str, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    let seconds = ready.map_or(60, |ready| ready.timeout);
    let log = ready.and_then(|ready| ready.log.as_deref());
    let port = ready.and_then(|ready| ready.tcp);
    let socket = ready.and_then(|ready| ready.socket.as_deref());
    let work = async {
        let heard = match log {
            Some(text) => said(text, name, at).await?,
            None => false,
        };
        if let Some(port) = port {
            listens(port, name, at).await?;
        }
        if let Some(path) = socket {
            accepts(path, name, at).await?;
        }
        match ready.filter(|ready| !ready.command.is_empty()) {
            Some(ready) => succeeds(ready, name, at).await,
            None if heard || port.is_some() || socket.is_some() => Ok(()),
            None => settles(name, at).await,
        }
    };
    match tokio::time::timeout(Duration::from_secs(seconds.into()), work).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(format!("the container `{name}` runs, but was not ready within {seconds} seconds"))
            .detail(words::last(name, engine).await)
            .hint("a slow host may need a longer `timeout` in `ready`; what it printed last, as far as the engine keeps it, stands here")),
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
        Some(reason) => Err(words::explained(format!("the container `{name}` {reason}"), name, engine).await),
    }
}

/// Runs a command in it. Where it has ended meanwhile, that is told, and not that nothing can be run in it.
async fn execute(name: &str, command: &[String], at: &At) -> Result<Execution> {
    match at.engine().await?.execute(name, command).await {
        Ok(ran) => Ok(ran),
        Err(error) => {
            look(name, at).await?;
            Err(error)
        }
    }
}

/// Waits until it has printed a text since it last ended; false if what it prints cannot be read.
///
/// Its start is no such bound: the engine notes it a moment late.
async fn said(text: &str, name: &str, at: &At) -> Result<bool> {
    let engine = at.engine().await?;
    let ended = look(name, at).await?.state.and_then(|state| state.finished_at);
    let ended =
        ended.and_then(|time| OffsetDateTime::parse(&time, &Rfc3339).ok()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    loop {
        tokio::select! {
            // The lines end when the container does, and the next look tells why.
            heard = engine.logs_until(name, ended, text) => match heard {
                Heard::Said => return Ok(true),
                Heard::Ended => {}
                Heard::Unreadable => {
                    look(name, at).await?;
                    let note = format!("the engine keeps no log of `{name}` that can be read, so that it runs has to do");
                    at.events().note(Some(&at.id), note);
                    return Ok(false);
                }
            },
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

/// Waits until a command in the container succeeds. One that goes on failing for three seconds has a reason to.
async fn succeeds(ready: &Ready, name: &str, at: &At) -> Result<()> {
    let mut tried = execute(name, &ready.command, at).await?;
    for _ in 1..TRIES {
        if tried.code == 0 {
            break;
        }
        host::sleep(BETWEEN).await;
        look(name, at).await?;
        tried = execute(name, &ready.command, at).await?;
    }
    if tried.code == 0 {
        return Ok(());
    }
    let program = ready.command.first().map_or("", String::as_str);
    let error =
        Error::new(format!("the container `{name}` runs, but `{program}` in it fails with exit code {}", tried.code))
            .detail(tried.output.lines().map(str::to_owned));
    Err(match &ready.hint {
        Some(hint) => error.hint(hint),
        None => error.hint(format!("`docker logs {name}` may say why")),
    })
}

/// Waits until a container that runs once has ended with exit code 0.
pub(super) async fn finishes(name: &str, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    for _ in 0..LONGEST * 1000 / PAUSE {
        at.run.check_cancelled()?;
        let found = engine.container(name).await?;
        let found = found.ok_or_else(|| Error::new(format!("the container `{name}` was removed while it ran")))?;
        if found.state.as_ref().and_then(|state| state.running).unwrap_or_default() {
            host::sleep(PAUSE).await;
            continue;
        }
        return match unfinished(&found) {
            None => Ok(()),
            Some(reason) => Err(words::explained(format!("the container `{name}` {reason}"), name, engine).await),
        };
    }
    Err(Error::new(format!("the container `{name}` did not end within {LONGEST} seconds"))
        .detail(words::last(name, engine).await))
}

/// Why a container that is to run once has not done so, if it has not.
pub(super) fn unfinished(found: &ContainerInspectResponse) -> Option<String> {
    let state = found.state.clone().unwrap_or_default();
    if state.status == Some(ContainerStateStatusEnum::CREATED) {
        return Some("was never started".to_owned());
    }
    if state.running.unwrap_or_default() {
        return Some("is still running".to_owned());
    }
    ended(found).filter(|_| state.exit_code != Some(0))
}

/// Waits until something in the container listens on a port.
async fn listens(port: u16, name: &str, at: &At) -> Result<()> {
    for round in 0_u32.. {
        let found = look(name, at).await?;
        if is_open(name, port, &found, round, at).await? {
            return Ok(());
        }
        host::sleep(if round < EAGER { PAUSE } else { PATIENT }).await;
    }
    Ok(())
}

/// Waits until something in the container listens on a Unix socket.
async fn accepts(path: &str, name: &str, at: &At) -> Result<()> {
    let command = ["cat", "/proc/net/unix"].map(str::to_owned);
    loop {
        look(name, at).await?;
        if is_accepting(&execute(name, &command, at).await?.output, path) {
            return Ok(());
        }
        host::sleep(PAUSE).await;
    }
}

/// Whether the kernel's table has a socket that listens at a path.
fn is_accepting(table: &str, path: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The flag 00010000 is __SO_ACCEPTCON.
        fields.get(3) == Some(&"00010000") && fields.get(7) == Some(&path)
    })
}

/// Whether something in the container listens on a port: by its address where that can be reached, else by the kernel's
/// own table, which is also read now and then in case a firewall is in the way.
async fn is_open(name: &str, port: u16, found: &ContainerInspectResponse, round: u32, at: &At) -> Result<bool> {
    let engine = at.engine().await?;
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
    let table = execute(name, &command, at).await?.output;
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

#[cfg(test)]
mod tests {
    use super::is_accepting;

    #[test]
    fn a_socket_that_listens_is_told_from_one_that_is_only_used() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            ffff: 00000002 00000000 00010000 0001 01 37318 /run/a\n\
            ffff: 00000003 00000000 00000000 0001 03 37319 /run/b\n";
        assert!(is_accepting(table, "/run/a"));
        assert!(!is_accepting(table, "/run/b"));
        assert!(!is_accepting(table, "/run"));
    }
}
