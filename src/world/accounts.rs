//! The users and groups of this host, as its tables have them.

use std::path::{Path, PathBuf};

use super::{host, read};

fn rows(table: &str) -> String {
    let found = read::file(Path::new(table), read::FILE).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&found).into_owned()
}

/// The number of a user (`/etc/passwd`) or group (`/etc/group`) of this host: a name, or the number itself. Users of services
/// stand in these files, not in a directory of people.
pub(crate) fn id_of(table: &str, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = rows(table);
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// The name of a user or group with that number, or the number.
pub(crate) fn name_of(table: &str, id: u32) -> String {
    let text = rows(table);
    let wanted = id.to_string();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&wanted));
    line.and_then(|line| line.split(':').next()).map_or(wanted.clone(), str::to_owned)
}

/// The home of the user with that number.
fn home_of(id: u32) -> Option<String> {
    let text = rows(USERS);
    let wanted = id.to_string();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&wanted))?;
    line.split(':').nth(5).filter(|home| !home.is_empty()).map(str::to_owned)
}

pub(crate) const USERS: &str = "/etc/passwd";
pub(crate) const GROUPS: &str = "/etc/group";

/// The home of this user, else what the table of users says: a service of the system has no `HOME`.
pub(crate) fn home_or_table() -> Option<PathBuf> {
    host::home().ok().or_else(|| home_of(rustix::process::getuid().as_raw()).map(PathBuf::from))
}
