//! A timer of systemd, of the system or of one user.

use std::path::{Path, PathBuf};

use super::{Scheduler, State, Timer, configuration};
use crate::error::Result;
use crate::world::{accounts, files, host};

/// Where an administrator's units belong (systemd.unit(5)).
const UNITS: &str = "/etc/systemd/system";

/// Whether a manager of units runs for this user (`systemd --user`).
pub(super) fn has_manager() -> bool {
    let (user, _) = host::ids();
    files::exists(Path::new(&format!("/run/user/{user}/systemd/private")))
}

fn folder(scheduler: Scheduler) -> Result<PathBuf> {
    if scheduler == Scheduler::User { configuration("systemd/user") } else { Ok(UNITS.into()) }
}

fn paths(timer: &Timer, folder: &Path) -> [PathBuf; 2] {
    ["service", "timer"].map(|kind| folder.join(format!("{}.{kind}", timer.name)))
}

/// A value between quotes as units have it (systemd.syntax(7), and the specifiers of systemd.unit(5)).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"").replace('%', "%%"))
}

fn service(timer: &Timer, scheduler: Scheduler) -> String {
    let variables: String = timer
        .environment
        .iter()
        .map(|(name, value)| format!("Environment={}\n", quoted(&format!("{name}={value}"))))
        .collect();
    // It may write wherever a registry on this host has its files, run programs and speak with engines. For a user, each of these would
    // take `setuid` from whatever it runs, and with it `sendmail`.
    let hardening = if scheduler == Scheduler::System {
        "ProtectClock=yes\nProtectKernelModules=yes\nProtectKernelTunables=yes\nRestrictRealtime=yes\nRestrictNamespaces=yes\nLockPersonality=yes\n"
    } else {
        ""
    };
    let after = if scheduler == Scheduler::System {
        "Wants=network-online.target\nAfter=network-online.target docker.service\n"
    } else {
        ""
    };
    format!(
        "# Written by provision; the last `provision destroy` removes it.\n[Unit]\nDescription=Upkeep of what provision has set up\n{after}\n\
         [Service]\nType=oneshot\nExecStart={} {}\n{variables}UMask=0077\nNice=10\nIOSchedulingClass=idle\nTimeoutStartSec=12h\n{hardening}",
        quoted(&timer.program),
        timer.arguments,
    )
}

fn schedule() -> &'static str {
    "# Written by provision; the last `provision destroy` removes it.\n[Unit]\nDescription=Upkeep of what provision has set up, once a day\n\n\
     [Timer]\nOnCalendar=daily\nRandomizedDelaySec=6h\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
}

async fn systemctl(scheduler: Scheduler, arguments: &[&str]) -> Result<host::Ran> {
    let user: &[&str] = if scheduler == Scheduler::User { &["--user"] } else { &[] };
    // Without it, the manager of a user is not found from `cron`, `su` and the like.
    let runtime = host::variable("XDG_RUNTIME_DIR").unwrap_or_else(|| format!("/run/user/{}", host::ids().0));
    host::ask("systemctl", &[user, &["--quiet"], arguments].concat(), &[("XDG_RUNTIME_DIR", &runtime)]).await
}

pub(super) async fn state(timer: &Timer, scheduler: Scheduler) -> Result<State> {
    let [unit, clock] = paths(timer, &folder(scheduler)?);
    let found = [files::read(&unit)?, files::read(&clock)?].map(|found| found.map(|found| found.content));
    if found == [None, None] {
        return Ok(State::Missing);
    }
    let wanted = [service(timer, scheduler), schedule().to_owned()].map(|text| Some(text.into_bytes()));
    if found != wanted {
        return Ok(State::Differs);
    }
    // One question, since every run that changes nothing asks it.
    let name = format!("{}.timer", timer.name);
    let shown = systemctl(scheduler, &["show", "--property=ActiveState,UnitFileState", &name]).await?;
    let says = |wanted: &str| shown.out.lines().any(|line| line == wanted);
    let waits = says("ActiveState=active") && says("UnitFileState=enabled");
    Ok(if waits { State::Installed } else { State::Differs })
}

pub(super) async fn install(timer: &Timer, scheduler: Scheduler) -> Result<Option<String>> {
    let folder = folder(scheduler)?;
    files::make_folder(&folder, 0o755)?;
    let [unit, clock] = paths(timer, &folder);
    files::write(&unit, service(timer, scheduler).as_bytes(), 0o644)?;
    files::write(&clock, schedule().as_bytes(), 0o644)?;
    systemctl(scheduler, &["daemon-reload"]).await?.ok("systemctl daemon-reload")?;
    let name = format!("{}.timer", timer.name);
    systemctl(scheduler, &["enable", "--now", &name]).await?.ok("systemctl enable")?;
    if scheduler == Scheduler::User { Ok(linger().await) } else { Ok(None) }
}

/// Has this user's units run while nobody is logged in; what is to be done if that is not allowed.
async fn linger() -> Option<String> {
    let user = accounts::name_of(accounts::USERS, host::ids().0);
    let is_set = || files::exists(&Path::new("/var/lib/systemd/linger").join(&user));
    if !is_set() {
        drop(host::ask("loginctl", &["--no-ask-password", "enable-linger"], &[]).await);
    }
    let command = format!("sudo loginctl enable-linger {user}");
    (!is_set()).then(|| format!("the timer runs only while you are logged in; `{command}` lets it run always"))
}

pub(super) async fn remove(timer: &Timer) -> Result<bool> {
    let scheduler = if host::is_root() { Scheduler::System } else { Scheduler::User };
    let Ok(folder) = folder(scheduler) else { return Ok(false) };
    let paths = paths(timer, &folder);
    if !paths.iter().any(|path| files::exists(path)) {
        return Ok(false);
    }
    // Where nothing runs units, there is nothing to be told.
    let runs = Scheduler::of_this_host() == Some(scheduler);
    if runs {
        systemctl(scheduler, &["disable", "--now", &format!("{}.timer", timer.name)]).await?;
    }
    for path in &paths {
        files::remove(path)?;
    }
    files::remove(&folder.join("timers.target.wants").join(format!("{}.timer", timer.name)))?;
    files::remove_empty_folder(&folder.join("timers.target.wants"));
    if scheduler == Scheduler::User {
        files::remove_empty_folder(&folder);
    }
    if runs {
        systemctl(scheduler, &["daemon-reload"]).await?.ok("systemctl daemon-reload")?;
        // What stands of a run that failed, and when it ran last.
        let units = ["service", "timer"].map(|kind| format!("{}.{kind}", timer.name));
        systemctl(scheduler, &["reset-failed", &units[0], &units[1]]).await?;
        let [_, clock] = units.map(|unit| format!("/var/lib/systemd/timers/stamp-{unit}"));
        if scheduler == Scheduler::System {
            files::remove(Path::new(&clock))?;
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_systemd_is_escaped() {
        let timer = Timer {
            name: "x".to_owned(),
            program: "/opt/100% \"mine\"/pro vision".to_owned(),
            arguments: "maintain",
            environment: vec![("PROVISION_HOME", r"/srv/a\b".to_owned())],
            seed: 0,
        };
        let text = service(&timer, Scheduler::System);
        assert!(text.contains("ExecStart=\"/opt/100%% \\\"mine\\\"/pro vision\" maintain\n"), "{text}");
        assert!(text.contains("Environment=\"PROVISION_HOME=/srv/a\\\\b\"\n"), "{text}");
    }
}
