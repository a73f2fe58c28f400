//! Deployments at a glance, as a table, and below it what is wrong.

use super::clean::clean_line;
use crate::event::{DeploymentEvent, WrongEvent};
use crate::text::columns::aligned;
use crate::text::size::readable;

/// How many names of users and how many faults of one deployment are told; JSON has all.
const USERS: usize = 3;
const FAULTS: usize = 12;

const TITLES: [&str; 7] = ["deployment", "url", "up since", "certificate", "space", "last backup", "users"];

/// The lines of an overview.
pub(super) fn lines(deployments: &[DeploymentEvent]) -> Vec<String> {
    if deployments.is_empty() {
        return vec!["no deployments yet; `provision list` shows what can be set up".to_owned()];
    }
    let mut lines = table(deployments);
    lines.extend(faults(deployments));
    let told = |row: &DeploymentEvent| {
        row.notes.iter().map(|note| clean_line(&format!("{}: {note}", row.deployment))).collect()
    };
    lines.extend(deployments.iter().flat_map(|row| -> Vec<String> { told(row) }));
    let wrong = deployments.iter().filter(|row| row.state == "wrong").count();
    let count = match deployments.len() {
        1 => "1 deployment".to_owned(),
        count => format!("{count} deployments"),
    };
    lines.push(match wrong {
        0 => format!("{count}: nothing is wrong"),
        _ if deployments.len() == 1 => format!("{count}: something is wrong"),
        wrong => format!("{count}: something is wrong with {wrong}"),
    });
    lines
}

fn table(deployments: &[DeploymentEvent]) -> Vec<String> {
    let rows: Vec<[String; 7]> = [TITLES.map(str::to_owned)]
        .into_iter()
        .chain(deployments.iter().map(|row| cells(row).map(|cell| clean_line(&cell))))
        .collect();
    aligned(&rows)
}

fn cells(row: &DeploymentEvent) -> [String; 7] {
    let none = || "-".to_owned();
    let certificate = row.certificate.as_ref().map(|certificate| match certificate.days {
        days if days < 0 => "has ended".to_owned(),
        1 => "ends in 1 day".to_owned(),
        days => format!("ends in {days} days"),
    });
    let space = row.space.as_ref().map(|space| {
        let of = if space.fresh { String::new() } else { format!(" ({})", minute(&space.measured)) };
        format!("{}{of}", readable(space.bytes))
    });
    let up = match (row.state, &row.up_since) {
        ("kept", _) => "data kept".to_owned(),
        (_, Some(since)) => minute(since),
        _ => none(),
    };
    [
        row.deployment.clone(),
        row.url.clone().unwrap_or_else(none),
        up,
        certificate.unwrap_or_else(none),
        space.unwrap_or_else(none),
        row.backup.as_ref().map_or_else(|| "none".to_owned(), |backup| minute(&backup.time)),
        users(&row.users),
    ]
}

fn users(users: &[String]) -> String {
    match users.len() {
        0 => "-".to_owned(),
        count if count > USERS => format!("{} and {} more", users[..USERS].join(", "), count - USERS),
        _ => users.join(", "),
    }
}

/// A time of RFC 3339 to its minute: `2026-11-26 10:02Z`.
fn minute(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(date), Some(clock)) => format!("{date} {clock}Z"),
        _ => time.to_owned(),
    }
}

/// What is wrong. What is the same with several is told once: an engine that is down, for instance.
fn faults(deployments: &[DeploymentEvent]) -> Vec<String> {
    let mut found: Vec<(&WrongEvent, Vec<&str>)> = Vec::new();
    for row in deployments {
        for fault in row.wrong.iter().take(FAULTS) {
            match found.iter_mut().find(|(other, _)| *other == fault) {
                Some((_, names)) => names.push(&row.deployment),
                None => found.push((fault, vec![&row.deployment])),
            }
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut hint: Option<&String> = None;
    for (fault, names) in found {
        if hint != fault.hint.as_ref() {
            lines.extend(hint.map(|hint| format!("       hint: {hint}")));
        }
        hint = fault.hint.as_ref();
        lines.push(format!("wrong  {}: {}", names.join(", "), fault.what));
    }
    lines.extend(hint.map(|hint| format!("       hint: {hint}")));
    let more = deployments.iter().filter(|row| row.wrong.len() > FAULTS).map(|row| {
        let (count, name) = (row.wrong.len() - FAULTS, &row.deployment);
        format!("       {count} more with {name}: `provision plan {name}`")
    });
    lines.extend(more);
    lines.iter().map(|line| clean_line(line)).collect()
}
