//! Files of a container as its own processes see them, where those are processes of this host.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

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
