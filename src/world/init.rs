//! The program that starts services on this host: [`Init`].

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{files, host};
use crate::error::{Error, Result};

/// How many lines of a log are shown.
const LINES: &str = "12";

/// systemd, upstart, or scripts in `/etc/init.d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Init {
    Systemd,
    Upstart,
    Sysv,
}

/// Whether a service runs now, and whether it will after the next start of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub running: bool,
    pub enabled: bool,
    /// Whether the run levels of scripts have links to it at all: those of one that is not to start are there to say so.
    #[serde(default)]
    pub linked: bool,
    /// Since when it runs, where that is known.
    #[serde(skip)]
    pub since: Option<OffsetDateTime>,
}

impl Init {
    /// The one that runs this host: systemd as `sd_booted(3)` tells it, upstart by its control program.
    pub fn of_this_host() -> Self {
        if files::exists(Path::new("/run/systemd/system")) {
            Self::Systemd
        } else if files::exists(Path::new("/sbin/initctl")) && files::exists(Path::new("/etc/init/rc.conf")) {
            Self::Upstart
        } else {
            Self::Sysv
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Upstart => "upstart",
            Self::Sysv => "sysv",
        }
    }

    pub async fn state(self, unit: &str) -> Result<State> {
        if self == Self::Systemd {
            let name = format!("{unit}.service");
            let found = host::ask(
                "systemctl",
                &["show", "--property=ActiveState,UnitFileState,ActiveEnterTimestampMonotonic", &name],
                &[],
            )
            .await?;
            let has = |line: &str| found.out.lines().any(|found| found == line);
            return Ok(State {
                running: has("ActiveState=active") || has("ActiveState=reloading"),
                enabled: has("UnitFileState=enabled") || has("UnitFileState=enabled-runtime"),
                linked: false,
                since: found.out.lines().find_map(|line| since(line.strip_prefix("ActiveEnterTimestampMonotonic=")?)),
            });
        }
        if !files::exists(&self.script(unit)) {
            return Ok(State::default());
        }
        let status = host::ask("service", &[unit, "status"], &[]).await?;
        let running = status.success && !status.out.contains("stop/waiting");
        let mut links = files::names(Path::new("/etc/rc2.d"))?;
        links.retain(|name| name.get(3..) == Some(unit));
        let starts = links.iter().any(|name| name.starts_with('S'));
        Ok(State { running, enabled: self == Self::Upstart || starts, linked: !links.is_empty(), since: None })
    }

    /// Where the service's own file stands, as far as it is not a unit of systemd.
    fn script(self, unit: &str) -> std::path::PathBuf {
        match self {
            Self::Upstart => Path::new("/etc/init").join(format!("{unit}.conf")),
            _ => Path::new("/etc/init.d").join(unit),
        }
    }

    /// Has it read what stands in its files now.
    pub async fn refresh(self) -> Result<()> {
        if self == Self::Systemd { host::run("systemctl", &["daemon-reload"]).await } else { Ok(()) }
    }

    /// `start`, `stop`, `restart` or `reload`.
    pub async fn order(self, verb: &str, unit: &str) -> Result<()> {
        let done = match self {
            Self::Systemd => host::ask("systemctl", &[verb, &format!("{unit}.service")], &[]).await?,
            _ => host::ask("service", &[unit, verb], &[]).await?,
        };
        if done.success {
            return Ok(());
        }
        let mut lines: Vec<String> = done.err.lines().chain(done.out.lines()).map(str::to_owned).collect();
        lines.extend(self.words(unit).await);
        Err(Error::new(format!("the service `{unit}` does not {verb}")).detail(lines))
    }

    /// The last lines that a service printed, where the init program keeps them, and of its own log.
    pub async fn words(self, unit: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        if self == Self::Systemd {
            let said = host::ask("journalctl", &["--no-pager", "-n", LINES, "-o", "cat", "-u", unit], &[]).await;
            words.extend(said.iter().flat_map(|said| said.out.lines()).map(str::to_owned));
        }
        let folder = Path::new("/var/log").join(unit);
        let logs = files::names(&folder).unwrap_or_default();
        // What was asked of it is no cause of anything.
        for log in logs.iter().filter(|name| name.ends_with(".log") && !name.starts_with("access")) {
            let path = folder.join(log).display().to_string();
            let said = host::ask("tail", &["-n", LINES, &path], &[]).await;
            words.extend(said.iter().flat_map(|said| said.out.lines()).map(str::to_owned));
        }
        words
    }

    /// Has it start with the host.
    pub async fn enable(self, unit: &str) -> Result<()> {
        match self {
            Self::Systemd => systemctl("enable", unit).await,
            // Its file being there is all that it takes.
            Self::Upstart => Ok(()),
            // The first makes links where there are none, the second turns those of one that is not to start.
            Self::Sysv => {
                host::run("update-rc.d", &[unit, "defaults"]).await?;
                host::run("update-rc.d", &[unit, "enable"]).await
            }
        }
    }

    /// Has it not start with the host any more, as it was before.
    pub async fn disable(self, unit: &str, before: State) -> Result<()> {
        match self {
            Self::Systemd => systemctl("disable", unit).await,
            Self::Upstart => Ok(()),
            Self::Sysv => host::run("update-rc.d", &[unit, if before.linked { "disable" } else { "remove" }]).await,
        }
    }
}

/// A time that systemd counts in microseconds from the start of the host.
fn since(microseconds: &str) -> Option<OffsetDateTime> {
    let reached = microseconds.parse().ok().filter(|reached: &i64| *reached > 0)?;
    Some(host::now() - host::uptime()? + Duration::microseconds(reached))
}

async fn systemctl(verb: &str, unit: &str) -> Result<()> {
    host::run("systemctl", &["--quiet", verb, &format!("{unit}.service")]).await
}
