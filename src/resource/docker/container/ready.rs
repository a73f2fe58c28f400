//! Waiting for a container to be ready, and telling why it is not.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::spec::Ready;
use super::words;
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::engine::{Execution, Heard};
use crate::world::{host, inside};

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
/// How often a program in a container looks, 50 ms apart, before it is asked anew.
const WAITS: &str = "100";
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

/// What is waited for in the network of a container: a line of one of the kernel's tables about it.
struct Sign<'a> {
    tables: &'static [&'static str],
    /// Whether it stands in a table.
    stands: &'a (dyn Fn(&str) -> bool + Sync),
    /// The same as a regular expression for `grep`.
    pattern: String,
}

/// Waits until something in the container listens on a port.
async fn listens(port: u16, name: &str, at: &At) -> Result<()> {
    let stands = |table: &str| is_listening(table, port);
    let pattern = format!(":{port:04X} [0-9A-F]*:[0-9A-F]* 0A ");
    appears(&Sign { tables: &["tcp", "tcp6"], stands: &stands, pattern }, name, at).await
}

/// Waits until something in the container listens on a Unix socket.
async fn accepts(path: &str, name: &str, at: &At) -> Result<()> {
    let stands = |table: &str| is_accepting(table, path);
    let literal: String =
        path.chars().flat_map(|c| r".[]*^$\".contains(c).then_some('\\').into_iter().chain([c])).collect();
    appears(&Sign { tables: &["unix"], stands: &stands, pattern: format!(" 00010000 .* {literal}$") }, name, at).await
}

/// Waits until a sign appears. It is looked for in the container itself, and never at an address, which may be another's: this
/// host reads the tables of a process of the container, where it runs that, else a program in the container waits for it.
async fn appears(sign: &Sign<'_>, name: &str, at: &At) -> Result<()> {
    for round in 0_u32.. {
        let found = look(name, at).await?;
        let process = found.state.as_ref().and_then(|state| state.pid).unwrap_or_default();
        let id = found.id.unwrap_or_default();
        let tables: Vec<String> = sign.tables.iter().filter_map(|table| inside::table(process, &id, table)).collect();
        if tables.iter().any(|table| (sign.stands)(table)) {
            return Ok(());
        }
        if tables.is_empty() && waits(sign, name, at).await? {
            return Ok(());
        }
        host::sleep(if round < EAGER { PAUSE } else { PATIENT }).await;
    }
    Ok(())
}

/// Has a program in the container wait for a sign, for a few seconds; true if it appeared.
async fn waits(sign: &Sign<'_>, name: &str, at: &At) -> Result<bool> {
    let script = "tries=$1 sign=$2; shift 2; until cat \"$@\" 2>/dev/null | grep -q \"$sign\"; do tries=$((tries - 1)); \
                  [ \"$tries\" -gt 0 ] || exit 1; sleep 0.05 2>/dev/null || sleep 1; done";
    let tables = sign.tables.iter().map(|table| format!("/proc/net/{table}"));
    let mut command = ["/bin/sh", "-c", script, "sh", WAITS, &sign.pattern].map(str::to_owned).to_vec();
    command.extend(tables.clone());
    let ended = async {
        loop {
            host::sleep(CALM).await;
            if let Err(error) = look(name, at).await {
                return error;
            }
        }
    };
    let ran = tokio::select! {
        ran = execute(name, &command, at) => ran,
        error = ended => return Err(error),
    };
    match ran {
        Ok(ran) if matches!(ran.code, 0 | 1) => Ok(ran.code == 0),
        // It has no shell: one look by itself.
        _ => {
            let command: Vec<String> = ["cat".to_owned()].into_iter().chain(tables).collect();
            Ok((sign.stands)(&execute(name, &command, at).await?.output))
        }
    }
}

/// Whether the kernel's table has a socket that listens on a port.
fn is_listening(table: &str, port: u16) -> bool {
    let wanted = format!(":{port:04X}");
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // State 0A is LISTEN.
        fields.get(1).is_some_and(|local| local.ends_with(&wanted)) && fields.get(3) == Some(&"0A")
    })
}

/// Whether the kernel's table has a socket that listens at a path.
fn is_accepting(table: &str, path: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The flag 00010000 is __SO_ACCEPTCON.
        fields.get(3) == Some(&"00010000") && fields.get(7) == Some(&path)
    })
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
    use super::{is_accepting, is_listening};

    #[test]
    fn a_port_that_is_listened_on_is_told_from_one_that_is_only_used() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
            0: 00000000:1F90 00000000:0000 0A 00000000:00000000\n\
            1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000\n";
        assert!(is_listening(table, 0x1f90));
        assert!(!is_listening(table, 0x1f91));
        assert!(!is_listening(table, 0xf90));
    }

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
