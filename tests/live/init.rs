//! A registry on hosts that systemd does not run: started by its script, and as upstart would start its job.

use crate::engine::{Sandbox, shell};
use crate::machine::{BARE, Host, PROGRAMS, same, use_registry};

#[test]
fn scripts_start_a_registry_and_stop_it() {
    let host = Host::start_with_scripts("scripts", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let before = host.tree();
    // What starts its services is found out.
    host.provision("registry --on host --port 5443").ok().says("checked   probe round-trip");
    let password = host.provision("secrets registry password").ok().out;
    let ca = host.provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    host.run("test -e /etc/systemd/system/docker-registry.service").fails(1);
    host.run("stat -c '%A %U:%G' /run/docker-registry/registry.sock").ok().says("srwxrwx--- docker-registry:www-data");
    // nginx may open the socket, others may not.
    let through = "curl -s --unix-socket /run/docker-registry/registry.sock http://registry/v2/";
    host.run(&format!("setpriv --reuid www-data --regid www-data --clear-groups {through}")).ok();
    host.run(&format!("setpriv --reuid nobody --regid nogroup --clear-groups {through}")).fails(7);
    host.provision("registry").ok().says("nothing to change");

    let drift = |cause: &str, field: &str| {
        host.run(cause).ok();
        host.provision("plan registry --exit-code").fails(3).says(field);
        host.provision("registry").ok();
        use_registry(&host, "localhost:5443", ca.trim(), password.trim());
        host.provision("plan registry --exit-code").ok();
    };
    drift("service docker-registry stop", "service docker-registry");
    drift("service nginx stop", "state: stopped → running");
    drift("update-rc.d docker-registry disable", "at start of the host: not started → started");
    drift(
        "p=$(cat /run/docker-registry/pid); kill -9 $p; while [ -e /proc/$p ]; do sleep 0.05; done",
        "state: stopped → running",
    );
    drift("echo '# by hand' >>/etc/docker/registry/config.yml", "files./etc/docker/registry/config.yml");

    host.provision("destroy registry --yes").ok();
    same(&host.tree(), &before, "destroyed");
    host.run("test -e /run/docker-registry").fails(1);
    host.run("service nginx status").fails(3);
    // One that does not come up says why, and all is as it was.
    host.run("chmod 0 /usr/bin/docker-registry && chown nobody /usr/bin/docker-registry && chmod 0500 /usr/bin/docker-registry").ok();
    host.provision("registry --on host --port 5443")
        .fails(1)
        .says("accepts no connections")
        .says("everything is as it was before");
    same(&host.tree(), &before, "taken back");
}

/// Upstart itself is in no Debian release that can still be installed. What its job holds is run here as upstart's documentation
/// says: each script by `/bin/sh -e` as root, under the job's umask, and the process that `script` becomes is the service.
#[test]
fn the_upstart_job_starts_a_registry_and_ends_on_term() {
    let sandbox = Sandbox::new("upstart");
    let host = Host::start_with_scripts("upstart", &format!("{BARE} {PROGRAMS}"));
    let tree = sandbox.home.path().join("tree").display().to_string();
    sandbox.command(&["render", "registry", "--out", &tree, "--name", &sandbox.name, "--init", "upstart"]).ok();
    let job = std::fs::read_to_string(format!("{tree}/etc/init/docker-registry.conf")).unwrap();
    shell(&format!(
        "tar -C {tree} -cf - . | docker exec -i {} tar -C / -xf - --no-same-owner --no-overwrite-dir",
        host.name
    ))
    .ok();
    host.run("chown root:docker-registry /etc/docker/registry/config.yml; chown docker-registry:docker-registry /var/lib/registry; chown docker-registry:adm /var/log/docker-registry").ok();
    for stanza in ["pre-start script", "script", "post-stop script"] {
        let body = job.split_once(&format!("\n{stanza}\n")).unwrap().1.split_once("\nend script").unwrap().0;
        host.run(&format!("cat >'/root/{stanza}' <<'EOF'\n{body}\nEOF")).ok();
    }
    let umask = job.lines().find_map(|line| line.strip_prefix("umask ")).unwrap();
    let run = |stanza: &str| format!("umask {umask}; exec /bin/sh -e '/root/{stanza}'");
    // Twice: what the first leaves is not in the way of the second.
    for _ in 0..2 {
        host.run(&run("pre-start script")).ok();
        shell(&format!("docker exec -d {} sh -c \"echo \\$\\$ >/root/pid; {}\"", host.name, run("script"))).ok();
        let look = "curl -sf --unix-socket /run/docker-registry/registry.sock http://registry/v2/";
        host.run(&format!(
            "for i in $(seq 100); do {look} && exit 0; sleep 0.1; done; cat /var/log/docker-registry/*; exit 1"
        ))
        .ok();
        host.run("stat -c '%A %U:%G' /run/docker-registry /run/docker-registry/registry.sock")
            .ok()
            .says("drwxr-s--- docker-registry:www-data\nsrwxrwx--- docker-registry:www-data");
        // The process that upstart watches is the registry, and no longer root's.
        host.run("cat /proc/$(cat /root/pid)/comm; stat -c %U /proc/$(cat /root/pid)")
            .ok()
            .says("docker-registry\ndocker-registry\n");
        host.run("kill -TERM $(cat /root/pid); for i in $(seq 150); do [ -e /proc/$(cat /root/pid) ] || exit 0; sleep 0.1; done; exit 1").ok();
        host.run(&run("post-stop script")).ok();
        host.run("test -e /run/docker-registry").fails(1);
    }
    sandbox.destroy().ok();
}
