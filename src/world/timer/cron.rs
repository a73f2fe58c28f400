//! A line of cron: a file of its own for root, a line in the table of a user.

use std::path::{Path, PathBuf};

use super::{NAME, State, Timer};
use crate::error::Result;
use crate::text::shell;
use crate::world::{files, host, process};

/// Where a package puts the lines of its own (cron(8)).
const FOLDER: &str = "/etc/cron.d";
const PROGRAM: &str = "/usr/bin/crontab";
const DAEMONS: [&str; 4] = ["/usr/sbin/cron", "/usr/sbin/crond", "/usr/bin/cron", "/usr/bin/crond"];

/// Whether this user's lines can be put anywhere, and a daemon is there to read them.
pub(super) fn is_there() -> bool {
    let daemon = DAEMONS.iter().any(|path| files::exists(Path::new(path)));
    let place = if host::is_root() { files::is_folder(Path::new(FOLDER)) } else { files::exists(Path::new(PROGRAM)) };
    daemon && place
}

fn path(timer: &Timer) -> PathBuf {
    Path::new(FOLDER).join(&timer.name)
}

/// Once a day at a minute of the night that differs from host to host. What it prints goes to the system's log.
fn line(timer: &Timer, user: &str) -> String {
    let variables = timer.environment.iter().map(|(name, value)| format!("{name}={}", shell::quoted(value)));
    let variables: String = variables.map(|pair| pair + " ").collect();
    let command = format!("{variables}{} {} 2>&1 | logger -t {NAME}", shell::quoted(&timer.program), timer.arguments);
    // A percent sign is the end of a line to cron (crontab(5)).
    let command = command.replace('%', r"\%");
    format!("{} {} * * * {user}{command} # {}", timer.seed % 60, timer.seed / 60 % 6, timer.name)
}

fn own_file(timer: &Timer) -> String {
    format!(
        "# Written by provision; the last `provision destroy` removes it.\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{}\n",
        line(timer, "root ")
    )
}

/// The lines of this user, those of this timer apart.
async fn table(timer: &Timer) -> Result<(Vec<String>, Vec<String>)> {
    let found = host::ask(PROGRAM, &["-l"], &[]).await?;
    let mark = format!(" # {}", timer.name);
    // Without a table it fails, and says so.
    let lines = if found.success { found.out } else { String::new() };
    Ok(lines.lines().map(str::to_owned).partition(|line| !line.ends_with(&mark)))
}

pub(super) async fn state(timer: &Timer) -> Result<State> {
    if host::is_root() {
        let found = files::read(&path(timer))?.map(|found| found.content);
        return Ok(match found {
            None => State::Missing,
            Some(content) if content == own_file(timer).as_bytes() => State::Installed,
            Some(_) => State::Differs,
        });
    }
    let (_, ours) = table(timer).await?;
    Ok(if ours.is_empty() {
        State::Missing
    } else if ours == [line(timer, "")] {
        State::Installed
    } else {
        State::Differs
    })
}

pub(super) async fn install(timer: &Timer) -> Result<()> {
    if host::is_root() {
        return files::write(&path(timer), own_file(timer).as_bytes(), 0o644);
    }
    let (mut lines, _) = table(timer).await?;
    lines.push(line(timer, ""));
    write(&lines).await
}

async fn write(lines: &[String]) -> Result<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    process::feed(&[PROGRAM.to_owned(), "-".to_owned()], text.as_bytes()).await
}

/// Removes the line; true if there was one.
pub(super) async fn remove(timer: &Timer) -> Result<bool> {
    if host::is_root() {
        let path = path(timer);
        let is_there = files::exists(&path);
        files::remove(&path)?;
        return Ok(is_there);
    }
    if !files::exists(Path::new(PROGRAM)) {
        return Ok(false);
    }
    let (lines, ours) = table(timer).await?;
    if !ours.is_empty() {
        if lines.is_empty() {
            host::run(PROGRAM, &["-r"]).await?;
        } else {
            write(&lines).await?;
        }
    }
    Ok(!ours.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_runs_once_a_night_and_survives_its_own_signs() {
        let timer = Timer {
            name: "provision-maintain-1a2b3c4d".to_owned(),
            program: "/opt/100%/provision".to_owned(),
            arguments: "maintain",
            environment: vec![("PROVISION_HOME", "/srv/a b".to_owned())],
            seed: 61,
        };
        let wanted = r"1 1 * * * root PROVISION_HOME='/srv/a b' /opt/100\%/provision maintain 2>&1 | logger -t provision-maintain # provision-maintain-1a2b3c4d";
        assert_eq!(line(&timer, "root "), wanted);
    }
}
