//! A running nginx, whose processes can be seen from here: [`Nginx`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Result};
use crate::world::{files, host};

/// How long nginx may take until it has read its configuration and started new workers.
const RELOAD: Duration = Duration::from_mins(2);
/// Milliseconds between two looks.
const PAUSE: u64 = 20;

/// Where Debian's packages and nginx.org's bring the program.
const PROGRAM: &str = "/usr/sbin/nginx";
/// What stands before the text of each file in what [`written`] reads.
const FILE: &str = "# configuration file ";

/// The configuration of this host's nginx as it reads it, file by file: the path and the text of each. None where there is no nginx,
/// or where it does not accept its configuration.
pub(crate) async fn written() -> Result<Option<Vec<(String, String)>>> {
    if !files::exists(Path::new(PROGRAM)) {
        return Ok(None);
    }
    let said = host::ask(PROGRAM, &["-T", "-q"], &[]).await?;
    Ok(said.success.then(|| in_files(&said.out)))
}

fn in_files(dump: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in dump.lines() {
        let path = line.strip_prefix(FILE).and_then(|rest| rest.strip_suffix(':')).filter(|path| path.starts_with('/'));
        match (path, found.last_mut()) {
            (Some(path), _) => found.push((path.to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

pub(crate) struct Nginx {
    master: u32,
}

impl Nginx {
    /// The nginx with this process as its master.
    pub fn of(master: u32) -> Result<Self> {
        let command = std::fs::read_to_string(format!("/proc/{master}/cmdline")).unwrap_or_default();
        if command.starts_with("nginx: master") {
            return Ok(Self { master });
        }
        Err(Error::new(format!("process {master} is no master of nginx: `{}`", command.replace('\0', " ").trim())))
    }

    /// Makes nginx read its configuration anew.
    ///
    /// # Errors
    /// It refuses its configuration, or has ended.
    pub async fn reload(&self) -> Result<BTreeSet<u32>> {
        let older = self.workers();
        let failed = || {
            Error::new("nginx does not read its configuration anew")
                .hint("its log says why: `docker logs NAME-proxy`, or /var/log/nginx/error.log of a host")
        };
        let id = i32::try_from(self.master).ok().and_then(Pid::from_raw).ok_or_else(failed)?;
        kill_process(id, Signal::HUP).map_err(|error| failed().detail([error.to_string()]))?;
        let begun = Instant::now();
        while self.workers().is_subset(&older) {
            if begun.elapsed() > RELOAD {
                return Err(failed());
            }
            host::sleep(PAUSE).await;
        }
        Ok(older)
    }

    /// The same, and waits until every older request has ended: from then on all that are under way know the new configuration.
    ///
    /// # Errors
    /// A request takes longer than `patience`.
    pub async fn reload_and_wait(&self, patience: Duration) -> Result<()> {
        let older = self.reload().await?;
        let begun = Instant::now();
        while !self.workers().is_disjoint(&older) {
            if begun.elapsed() > patience {
                return Err(Error::new(format!(
                    "requests that began {} min ago have not ended",
                    patience.as_secs() / 60
                ))
                .hint("nothing was deleted; run the command again when they have"));
            }
            host::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The same, but goes on after `patience`; whether all had ended by then.
    ///
    /// # Errors
    /// It refuses its configuration, or has ended.
    pub async fn reload_and_wait_at_most(&self, patience: Duration) -> Result<bool> {
        let older = self.reload().await?;
        let begun = Instant::now();
        while !self.workers().is_disjoint(&older) {
            if begun.elapsed() > patience {
                return Ok(false);
            }
            host::sleep(PAUSE).await;
        }
        Ok(true)
    }

    /// Its workers, also those that only end what they have begun.
    fn workers(&self) -> BTreeSet<u32> {
        let found = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = found.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        processes.filter(|process| self.is_worker(*process)).collect()
    }

    fn is_worker(&self, process: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // The name stands in parentheses and may hold anything; state and parent follow it (proc_pid_stat(5)).
        let mut fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ')).into_iter().flatten();
        let (state, parent) = (fields.next(), fields.next());
        let is_child = parent.and_then(|parent| parent.parse().ok()) == Some(self.master);
        let command = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        is_child && state != Some("Z") && command.starts_with("nginx: worker")
    }
}
