//! Packages of a Debian host: which are installed, what they brought, and how they come and go.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use openssl::hash::{MessageDigest, hash};
use tokio::sync::{Mutex, MutexGuard};

use super::host::Ran;
use super::{files, host, lock};
use crate::error::{Error, Result};
use crate::text::digest::hex;

/// What keeps services from being started while their packages are installed (Debian's policy-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";
const NOT_NOW: &str = "#!/bin/sh\n# Written by provision while it installs packages: what they bring is started once it is configured.\nexit 101\n";
/// Seconds to wait for another program that installs packages: for `apt-get`, and for us.
const PATIENCE: &str = "DPkg::Lock::Timeout=120";
const PATIENCE_OF_OURS: Duration = Duration::from_mins(2);
/// What a program holds while it works on packages, dpkg among them.
const FRONTEND_LOCK: &str = "/var/lib/dpkg/lock-frontend";
/// Nobody is there to answer a question.
const ENVIRONMENT: [(&str, &str); 1] = [("DEBIAN_FRONTEND", "noninteractive")];
/// What `apt-get` wants to be run first, in every language, where dpkg was broken off; and the answers to its questions.
const CONFIGURE: &str = "dpkg --configure -a";
const CONFIGURE_ARGUMENTS: [&str; 4] = ["--configure", "-a", "--force-confdef", "--force-confold"];

/// Whether this host has packages at all.
pub(crate) fn is_there() -> bool {
    files::exists(Path::new("/usr/bin/apt-get")) && files::exists(Path::new("/usr/bin/dpkg-query"))
}

/// One step of ours at a time: what a step has brought is what was not there before it.
pub(crate) async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// The names of all packages that are installed.
pub(crate) async fn installed() -> Result<BTreeSet<String>> {
    let listed = host::ask("dpkg-query", &["--show", "--showformat", "${Package} ${db:Status-Status}\n"], &[]).await?;
    listed.ok("dpkg-query")?;
    Ok(listed.out.lines().filter_map(|line| line.strip_suffix(" installed")).map(str::to_owned).collect())
}

/// Installs packages without starting the services that they bring.
///
/// # Errors
/// `apt-get` fails: with its last lines.
pub(crate) async fn install(names: &[String]) -> Result<()> {
    let policy = Path::new(POLICY);
    // One of ours that is there already was left by a run that was killed.
    let own = files::read(policy)?.is_none_or(|found| found.content == NOT_NOW.as_bytes());
    if own {
        files::write(policy, NOT_NOW.as_bytes(), 0o755)?;
    }
    let done = install_all(names).await;
    if own {
        files::remove(policy)?;
    }
    done
}

/// Lets services start again where a run that was killed keeps them from it.
pub(crate) fn let_start() -> Result<()> {
    let policy = Path::new(POLICY);
    files::clear_unfinished(policy);
    let ours = files::read(policy)?.is_some_and(|found| found.content == NOT_NOW.as_bytes());
    if ours { files::remove(policy) } else { Ok(()) }
}

/// Waits until no other program works on packages, and keeps others from it until the file is dropped, as `apt-get` does.
///
/// # Errors
/// Another program does not come to an end.
async fn frontend_lock() -> Result<File> {
    let began = Instant::now();
    loop {
        if let Some(file) = lock::of_others(Path::new(FRONTEND_LOCK))? {
            return Ok(file);
        }
        if began.elapsed() > PATIENCE_OF_OURS {
            return Err(Error::new(format!(
                "another program has been installing packages for {} s: `{FRONTEND_LOCK}` is locked",
                PATIENCE_OF_OURS.as_secs()
            ))
            .hint("see which with `fuser -v /var/lib/dpkg/lock-frontend`; run again when it has ended"));
        }
        host::sleep(100).await;
    }
}

/// Runs `apt-get`. Where a kill or a power cut has broken dpkg off, it does nothing before that is brought to its end.
/// It takes a dpkg that still runs, such as that of a run which was killed, for one that was broken off.
async fn apt_get(arguments: &[&str]) -> Result<Ran> {
    let done = host::ask("apt-get", arguments, &ENVIRONMENT).await?;
    if done.success || !done.err.contains(CONFIGURE) {
        return Ok(done);
    }
    let policy = Path::new(POLICY);
    let mine = files::read(policy)?.is_none();
    if mine {
        files::write(policy, NOT_NOW.as_bytes(), 0o755)?;
    }
    let configured = configure().await;
    if mine {
        files::remove(policy)?;
    }
    configured?.ok(CONFIGURE)?;
    host::ask("apt-get", arguments, &ENVIRONMENT).await
}

async fn configure() -> Result<Ran> {
    let _lock = frontend_lock().await?;
    let environment = [ENVIRONMENT[0], ("DPKG_FRONTEND_LOCKED", "true")];
    host::ask("dpkg", &CONFIGURE_ARGUMENTS, &environment).await
}

async fn install_all(names: &[String]) -> Result<()> {
    let mut arguments =
        vec!["install", "--yes", "--quiet", "--no-install-recommends", "-o", PATIENCE, "-o", "Dpkg::Use-Pty=0"];
    arguments.extend(names.iter().map(String::as_str));
    if apt_get(&arguments).await?.success {
        return Ok(());
    }
    // The lists of packages may be old, or not there.
    apt_get(&["update", "--quiet", "-o", PATIENCE]).await?.ok("apt-get update")?;
    apt_get(&arguments).await?.ok("apt-get install")
}

/// Removes packages with their configuration, unless others need them. The names of those that stay come back.
pub(crate) async fn purge(names: &[String]) -> Result<Vec<String>> {
    let mut going: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    loop {
        let mut arguments = vec!["purge", "--simulate", "--quiet"];
        arguments.extend(going.iter());
        let simulated = apt_get(&arguments).await?;
        simulated.ok("apt-get purge --simulate")?;
        let removed = simulated.out.lines().filter_map(|line| line.strip_prefix("Purg ")?.split(' ').next());
        let others: Vec<&str> = removed.filter(|name| !going.contains(name)).collect();
        if others.is_empty() {
            break;
        }
        // Something that we did not install needs one of them: all that it needs is not worth finding out one by one.
        going.pop_last();
        if going.is_empty() {
            return Ok(names.to_vec());
        }
    }
    let mut arguments = vec!["purge", "--yes", "--quiet", "-o", PATIENCE, "-o", "Dpkg::Use-Pty=0"];
    arguments.extend(going.iter());
    apt_get(&arguments).await?.ok("apt-get purge")?;
    Ok(names.iter().filter(|name| !going.contains(name.as_str())).cloned().collect())
}

/// Whether a file is a configuration file of a package, as the package brought it.
pub(crate) async fn is_unchanged(path: &Path, content: &[u8]) -> bool {
    let path = path.display().to_string();
    let Ok(owner) = host::ask("dpkg-query", &["--search", &path], &[]).await else { return false };
    let Some(package) = owner.out.split(':').next().filter(|_| owner.success) else { return false };
    let Ok(listed) = host::ask("dpkg-query", &["--show", "--showformat", "${Conffiles}\n", package], &[]).await else {
        return false;
    };
    let Ok(digest) = hash(MessageDigest::md5(), content) else { return false };
    let wanted = format!("{path} {}", hex(&digest));
    listed.out.lines().any(|line| line.trim() == wanted)
}

/// The error where packages cannot be installed.
pub(crate) fn none() -> Error {
    Error::new("this host has no `apt-get`, so its packages cannot be installed").hint(
        "use a Debian or Ubuntu host; `provision render` writes the files for any other; without `--on host` all runs in containers",
    )
}
