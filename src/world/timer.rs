//! What runs a program once a day by itself: a timer of systemd, or a line of cron: [`Timer`].

mod cron;
mod systemd;

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::world::{files, host, itself};

/// What is looked for, so that another folder of deployments has another timer.
const NAME: &str = "provision-maintain";

/// A run of this program once a day, for the deployments in one folder.
#[derive(Debug, Clone)]
pub(crate) struct Timer {
    /// The name of its unit, or of its file.
    pub name: String,
    /// The whole path of this program.
    program: String,
    arguments: &'static str,
    /// `HOME` and `PROVISION_HOME`.
    environment: Vec<(&'static str, String)>,
    /// A number that differs from host to host and from folder to folder, and never changes.
    seed: u32,
}

/// What starts programs by the clock here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheduler {
    /// systemd as it runs the host: this is root.
    System,
    /// systemd as it runs for this user.
    User,
    Cron,
}

/// How a timer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Missing,
    /// It runs another program, has other settings, or waits for no time.
    Differs,
    Installed,
}

impl Scheduler {
    pub fn of_this_host() -> Option<Self> {
        if host::is_root() && files::exists("/run/systemd/system".as_ref()) {
            return Some(Self::System);
        }
        if !host::is_root() && systemd::has_manager() {
            return Some(Self::User);
        }
        cron::is_there().then_some(Self::Cron)
    }
}

impl Timer {
    /// The timer for the folder of deployments that is in use.
    pub fn of_this_folder() -> Result<Self> {
        let folder = files::state_home()?.display().to_string();
        let home = host::home().map(|home| home.display().to_string()).unwrap_or_default();
        let usual = format!("{home}/.local/state/provision");
        let name =
            if folder == usual { NAME.to_owned() } else { format!("{NAME}-{}", &sha256(folder.as_bytes())[..8]) };
        let program = itself::path()?;
        if [&folder, &home, &program].iter().any(|text| text.contains(|c: char| c.is_control())) {
            return Err(Error::new("the path of the program or of `PROVISION_HOME` contains control characters"));
        }
        let digits = sha256(format!("{} {folder}", host::name()).as_bytes());
        let seed = u32::from_str_radix(&digits[..8], 16).unwrap_or_default();
        let mut environment = vec![("PROVISION_HOME", folder)];
        if !home.is_empty() {
            environment.push(("HOME", home));
        }
        Ok(Self { name, program, arguments: "maintain", environment, seed })
    }

    pub async fn state(&self, scheduler: Scheduler) -> Result<State> {
        match scheduler {
            Scheduler::Cron => cron::state(self).await,
            _ => systemd::state(self, scheduler).await,
        }
    }

    /// Installs it, in the place of one that differs; gives what a user should know.
    pub async fn install(&self, scheduler: Scheduler) -> Result<Option<String>> {
        match scheduler {
            Scheduler::Cron => cron::install(self).await.map(|()| None),
            _ => systemd::install(self, scheduler).await,
        }
    }

    /// Removes it, however it was installed; true if there was one.
    pub async fn remove(&self) -> Result<bool> {
        let of_systemd = systemd::remove(self).await?;
        Ok(cron::remove(self).await? || of_systemd)
    }

    /// How a user looks at what it did last.
    pub fn log(&self, scheduler: Scheduler) -> String {
        match scheduler {
            Scheduler::System => format!("journalctl -u {}", self.name),
            Scheduler::User => format!("journalctl --user -u {}", self.name),
            Scheduler::Cron => format!("journalctl -t {NAME}"),
        }
    }
}

/// A path below the folder of a user's own configuration.
fn configuration(rest: &str) -> Result<PathBuf> {
    let folder = host::variable("XDG_CONFIG_HOME")
        .map_or_else(|| host::home().map(|home| home.join(".config")), |set| Ok(set.into()));
    Ok(folder?.join(rest))
}
