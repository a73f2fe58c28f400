//! Processes of this host: which one this is, which others run, and one that is run in the foreground.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use rustix::process::{DumpableBehavior, Pid, Signal as Number, kill_process, set_dumpable_behavior};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::Error;
use crate::world::limit::{Breach, Limit};
use crate::world::stop::Signal;
use crate::world::{host, terminal};

/// What shells give for a command that is not there, and for one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;
/// How many signals a command is passed before it is killed.
const PATIENCE: u32 = 3;

/// A process of one boot and process namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Process {
    pub id: u32,
    /// When it was started, in ticks since the boot: `proc_pid_stat(5)`, field 22. A later process of the same id has another.
    pub started: u64,
}

/// Where a process is to be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub host: String,
    /// `machine-id(5)`. Copied machines may have the same.
    pub machine: String,
    /// A random number of each boot.
    pub boot: String,
    /// The inode of the process namespace.
    pub namespace: String,
}

/// What can be seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It runs, and was started then.
    Running(u64),
    Gone,
    /// The system hides the processes of others.
    Hidden,
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Keeps the memory of this process, in which secrets stand, out of core files and from other processes of the same user.
///
/// A limit on the size of core files would not do: where these go to a program (`core_pattern`), it does not count (core(5)),
/// and whatever is run from here would inherit it. This ends with the next `execve` (prctl(2), `PR_SET_DUMPABLE`).
pub fn keep_memory_private() {
    // It fails for no reason that the manual knows, and nothing else depends on it.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Where the processes that can be seen from here are.
pub(crate) fn here() -> Place {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    Place {
        host: text("/proc/sys/kernel/hostname"),
        machine: text("/etc/machine-id"),
        boot: text("/proc/sys/kernel/random/boot_id"),
        namespace: namespace.to_string_lossy().into_owned(),
    }
}

/// Who runs this process.
pub(crate) fn user() -> String {
    host::variable("USER").unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// This process.
pub(crate) fn this() -> Process {
    let id = std::process::id();
    let started = match see(id) {
        Seen::Running(started) => started,
        _ => 0,
    };
    Process { id, started }
}

/// What can be seen of a process. One that has ended and that nobody has waited for is gone.
pub(crate) fn see(id: u32) -> Seen {
    match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => started(&stat).map_or(Seen::Gone, Seen::Running),
        // With `hidepid` not even the first process can be seen.
        Err(_) if std::fs::read_to_string("/proc/1/stat").is_err() => Seen::Hidden,
        Err(_) => Seen::Gone,
    }
}

/// When a process was started, by its line in `/proc`; none if it has ended (`proc_pid_stat(5)`, fields 3 and 22).
fn started(stat: &str) -> Option<u64> {
    // The name of the program stands in parentheses and may hold any others.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

/// Runs a command with more in its environment, passes signals on to it, and gives its exit code: 128 and the signal's
/// number if one has ended it.
///
/// # Errors
/// It could not be started: with the exit code that shells give for that.
pub(crate) async fn run(
    command: &[String],
    variables: &BTreeMap<String, String>,
    mut signals: UnboundedReceiver<Signal>,
) -> Result<u8, (Error, u8)> {
    let (program, arguments) = command.split_first().expect("the command line has a command");
    let started = tokio::process::Command::new(program).args(arguments).envs(variables).spawn();
    let mut child = started.map_err(|error| not_started(program, &error))?;
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let mut passed = 0;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = signals.recv() => {
                passed += 1;
                // A terminal has sent Ctrl-C to the command as well.
                let told = signal == Signal::Interrupt && terminal::is_there();
                let number = match signal {
                    _ if passed >= PATIENCE => Number::KILL,
                    Signal::Interrupt => Number::INT,
                    Signal::Terminate => Number::TERM,
                    Signal::Hangup => Number::HUP,
                };
                if let Some(pid) = pid.filter(|_| !told || number == Number::KILL) {
                    // It may have ended just now.
                    let _ = kill_process(pid, number);
                }
            }
        }
    };
    let status = status.map_err(|error| (Error::new(format!("cannot wait for `{program}`: {error}")), NOT_RUN))?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// How long a program may take that is told something.
const TOLD: Limit = Limit::new(1 << 20, 30);

/// Runs a command, without a shell, that reads this from its standard input; what it prints is not kept.
///
/// # Errors
/// It cannot be started, fails, or takes longer than 30 s: then it is ended.
pub(crate) async fn feed(command: &[String], input: &[u8]) -> Result<(), Error> {
    let (program, arguments) = command.split_first().expect("a command has a program");
    let mut started = tokio::process::Command::new(program);
    started.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = started.spawn().map_err(|error| not_started(program, &error).0)?;
    let mut pipe = child.stdin.take();
    let work = async {
        if let Some(pipe) = pipe.as_mut() {
            // One that ends without reading tells by its exit code whether that is a fault.
            drop(pipe.write_all(input).await);
        }
        drop(pipe);
        child.wait().await
    };
    let status = match tokio::time::timeout(TOLD.time, work).await {
        Ok(status) => status.map_err(|error| Error::new(format!("cannot wait for `{program}`: {error}")))?,
        Err(_) => return Err(Error::new(format!("`{program}`: {}", TOLD.told(Breach::Time)))),
    };
    if status.success() { Ok(()) } else { Err(Error::new(format!("`{program}` failed with {status}"))) }
}

fn not_started(program: &str, error: &std::io::Error) -> (Error, u8) {
    if error.kind() == std::io::ErrorKind::NotFound {
        let error = Error::new(format!("there is no program `{program}`"));
        return (error.hint("check its name and `PATH`; a line for a shell is run with `-- sh -c 'LINE'`"), NOT_FOUND);
    }
    (Error::new(format!("cannot run `{program}`: {error}")), NOT_RUN)
}
