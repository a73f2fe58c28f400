//! The program that starts services on this host: [`Init`].

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{files, host};
use crate::error::{Error, Result};

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
            let found = host::ask("systemctl", &["show", "--property=ActiveState,UnitFileState", &name], &[]).await?;
            let has = |line: &str| found.out.lines().any(|found| found == line);
            return Ok(State {
                running: has("ActiveState=active") || has("ActiveState=reloading"),
                enabled: has("UnitFileState=enabled") || has("UnitFileState=enabled-runtime"),
            });
        }
        if !files::exists(&self.script(unit)) {
            return Ok(State::default());
        }
        let status = host::ask("service", &[unit, "status"], &[]).await?;
        let running = status.success && !status.out.contains("stop/waiting");
        let starts = files::names(Path::new("/etc/rc2.d"))?;
        let linked = starts.iter().any(|name| name.starts_with('S') && name.get(3..) == Some(unit));
        Ok(State { running, enabled: self == Self::Upstart || linked })
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

    /// The last lines that a service printed, where the init program keeps them.
    pub async fn words(self, unit: &str) -> Vec<String> {
        if self != Self::Systemd {
            return Vec::new();
        }
        let said = host::ask("journalctl", &["--no-pager", "-n", "12", "-o", "cat", "-u", unit], &[]).await;
        said.iter().flat_map(|said| said.out.lines()).map(str::to_owned).collect()
    }

    pub async fn enable(self, unit: &str, enabled: bool) -> Result<()> {
        match self {
            Self::Systemd => {
                let verb = if enabled { "enable" } else { "disable" };
                host::run("systemctl", &["--quiet", verb, &format!("{unit}.service")]).await
            }
            // Its file being there is all that it takes.
            Self::Upstart => Ok(()),
            Self::Sysv => {
                let what = if enabled { "defaults" } else { "remove" };
                host::run("update-rc.d", &[unit, what]).await
            }
        }
    }
}
