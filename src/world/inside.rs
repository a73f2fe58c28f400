//! Files of a container as its own processes see them, where those are processes of this host.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, open, openat2};

/// Whether a process is of a container: its number may be another process's, on this host or by now, and its control group names
/// the container that it is part of.
fn is_of(process: i64, container: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
    container.len() == 64 && groups.contains(container)
}

/// A table of the kernel's about the network of a container, such as `tcp`. None where it cannot be read here.
pub(crate) fn table(process: i64, container: &str, name: &str) -> Option<String> {
    if !is_of(process, container) {
        return None;
    }
    let table = std::fs::read_to_string(format!("/proc/{process}/net/{name}")).ok()?;
    is_of(process, container).then_some(table)
}

/// The user and the group that a file of a container belongs to, by the container's own numbers. None where that cannot be known
/// here: the container runs elsewhere, this user may not look, or the file is not there.
pub(crate) fn owner(process: i64, container: &str, path: &str) -> Option<(u64, u64)> {
    if !is_of(process, container) {
        return None;
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = open(format!("/proc/{process}/root"), flags | OFlags::DIRECTORY, Mode::empty()).ok()?;
    if !is_of(process, container) {
        return None;
    }
    // No link leads out of the container.
    let inner = path.trim_start_matches('/');
    let file = openat2(&root, inner, flags | OFlags::NOFOLLOW, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let found = fstat(&file).ok()?;
    let map = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).ok();
    Some((inner_id(&map("uid_map")?, found.st_uid.into())?, inner_id(&map("gid_map")?, found.st_gid.into())?))
}

/// What a look below a folder of a container has shown, by the container's own numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sampled {
    /// How many entries were looked at, where that is known.
    pub looked: Option<usize>,
    /// How many belong to others, at least.
    pub foreign: usize,
    /// The first of those.
    pub owner: (u32, u32),
    pub example: String,
}

/// Looks at a part of what is below a folder of a container, for what belongs to others than a user. None where that cannot be known
/// here, or where the folder is not there.
pub(crate) fn sample(process: i64, container: &str, path: &str, user: u32) -> Option<Sampled> {
    if !is_of(process, container) || !super::host::is_root() {
        return None;
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let root = open(format!("/proc/{process}/root"), flags, Mode::empty()).ok()?;
    if !is_of(process, container) {
        return None;
    }
    let inner = path.trim_matches('/');
    let folder = openat2(&root, inner, flags | OFlags::NOFOLLOW, Mode::empty(), ResolveFlags::IN_ROOT).ok()?;
    let map = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).ok();
    let (users, groups) = (map("uid_map")?, map("gid_map")?);
    let number = |map: &str, id: u32| inner_id(map, id.into()).and_then(|id| u32::try_from(id).ok());
    let place = format!("/proc/self/fd/{}", folder.as_raw_fd());
    let found = super::owners::sample(Path::new(&place), |found| number(&users, found) == Some(user)).ok()?;
    let none = Sampled { looked: Some(found.looked), foreign: 0, owner: (user, user), example: String::new() };
    let Some((example, (owner, group))) = found.example else { return Some(none) };
    let rest = example.strip_prefix(&place).ok()?.display().to_string();
    let owner = (number(&users, owner)?, number(&groups, group)?);
    Some(Sampled { foreign: found.foreign, owner, example: format!("/{inner}/{rest}"), ..none })
}

/// A number of this host as the processes of a namespace know it: by lines of the first number inside, the first outside, and
/// how many (`user_namespaces(7)`).
fn inner_id(map: &str, id: u64) -> Option<u64> {
    map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
        let (inside, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        id.checked_sub(outside).filter(|offset| *offset < count).map(|offset| inside + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_turned_into_the_one_inside() {
        assert_eq!(inner_id("         0          0 4294967295\n", 65532), Some(65532));
        let rootless = "0 1000 1\n1 100000 65536\n";
        assert_eq!((inner_id(rootless, 1000), inner_id(rootless, 165_531)), (Some(0), Some(65532)));
        assert_eq!((inner_id(rootless, 0), inner_id("", 0)), (None, None));
    }

    #[test]
    fn a_process_that_is_of_no_container_tells_nothing() {
        assert_eq!(owner(i64::from(std::process::id()), &"0".repeat(64), "/etc/passwd"), None);
        assert_eq!(owner(i64::from(std::process::id()), "", "/etc/passwd"), None);
    }
}
