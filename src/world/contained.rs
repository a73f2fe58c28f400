//! Whether this process runs in a container, as far as can be told from in there: [`ids`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use super::host;

/// The files that an engine mounts into each container from a folder that has the container's id as its name.
const MOUNTED: [&str; 3] = ["/etc/hostname", "/etc/resolv.conf", "/etc/hosts"];

/// What may be the id of the container that this process runs in, the surest first; nothing on a host. Only an engine can tell
/// whether it is one of its own.
pub(crate) fn ids() -> Vec<String> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = of(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"), &host::name());
    let mut seen = Vec::new();
    found.retain(|id| {
        !seen.contains(id) && {
            seen.push(id.clone());
            true
        }
    });
    found
}

/// By the control groups (`cgroups(7)`), by what is mounted (`proc_pid_mountinfo(5)`), and by the name that engines give a
/// container's host: the first twelve digits of its id.
fn of(groups: &str, mounts: &str, host: &str) -> Vec<String> {
    let by_group = groups.lines().filter_map(|line| line.rsplit('/').find_map(whole));
    let by_mount = mounts.lines().filter_map(|line| {
        // The root in its file system is the fourth field, the place where it is mounted the fifth.
        let mut fields = line.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        if MOUNTED.contains(&place) { root.rsplit('/').find_map(whole) } else { None }
    });
    let short = (host.len() == 12 && is_hexadecimal(host)).then(|| host.to_owned());
    by_group.chain(by_mount).chain(short).collect()
}

/// The id in a name such as `docker-ID.scope`.
fn whole(name: &str) -> Option<String> {
    let id = name.split(['-', '.', ':']).find(|part| part.len() == 64)?;
    is_hexadecimal(id).then(|| id.to_owned())
}

fn is_hexadecimal(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_id_of_the_container_is_found_in_control_groups_mounts_and_the_name_of_the_host() {
        let id = "0123456789abcdef".repeat(4);
        let old = format!("12:memory:/docker/{id}\n1:name=systemd:/docker/{id}/init.scope\n");
        assert_eq!(of(&old, "", "job"), [id.clone(), id.clone()]);
        let systemd = format!("0::/system.slice/docker-{id}.scope\n");
        assert_eq!(of(&systemd, "", "job"), std::slice::from_ref(&id));
        let mount = |root: &str, place: &str| format!("626 611 8:1 {root} {place} rw,relatime - ext4 /dev/sda1 rw\n");
        let mounts = mount(&format!("/var/lib/docker/containers/{id}/hostname"), "/etc/hostname");
        assert_eq!(of("0::/\n", &mounts, "job"), std::slice::from_ref(&id));
        // Whoever mounts the folders of all containers is none of these for that.
        assert!(
            of("0::/\n", &mount(&format!("/var/lib/docker/containers/{id}/hosts"), "/mnt/hosts"), "job").is_empty()
        );
        assert_eq!(of("0::/\n", "", "0123456789ab"), ["0123456789ab"]);
    }

    #[test]
    fn a_host_is_no_container() {
        let groups = "4:pids:/user.slice/user-0.slice/session-1.scope\n0::/user.slice/user-0.slice/session-1.scope\n";
        let mounts = "26 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n";
        assert!(of(groups, mounts, "build-host-1").is_empty());
    }
}
