//! An authority in the system's own store of a host.

use crate::machine::{BARE, Host, PROGRAMS, same};

const REGISTRY: &str = "registry --on host --port 5443 --trust system";

/// All that is trusted, and by whom.
fn store(host: &Host) -> String {
    let folders = host.run("ls /usr/local/share/ca-certificates /etc/docker/certs.d /etc/containers/certs.d 2>&1").out;
    links(host) + &folders
}

fn links(host: &Host) -> String {
    host.run("cd /etc/ssl/certs; find . -not -name docker-registry -printf '%p %m %l\\n' | sort; sha256sum ca-certificates.crt").ok().out
}

#[test]
fn the_system_trusts_a_registry_as_long_as_it_is_there() {
    let host = Host::start("trust", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let (before, before_links) = (store(&host), links(&host));
    host.provision(REGISTRY).ok().says("read the system's store when they start");
    // No word of an authority: the system's own.
    let asked = "curl -s -o /dev/null -w '%{http_code}' https://localhost:5443/v2/";
    assert_eq!(host.run(asked).ok().out, "401");
    host.provision("registry").ok().says("nothing to change");

    let drift = |cause: &str, field: &str| {
        host.run(cause).ok();
        host.provision("plan registry --exit-code").fails(3).says(field);
        host.provision("registry").ok();
        assert_eq!(host.run(asked).ok().out, "401");
        host.provision("plan registry --exit-code").ok();
    };
    drift(
        "rm /etc/ssl/certs/provision-registry.pem",
        "/etc/ssl/certs/provision-registry.pem: (none) → → /usr/local/share/ca-certificates/provision-registry.crt",
    );
    drift(
        "mv /usr/local/share/ca-certificates/provision-registry.crt /root; update-ca-certificates; mv /root/provision-registry.crt /usr/local/share/ca-certificates",
        "/etc/ssl/certs/ca-certificates.crt: (none) → keyed:",
    );
    drift(
        "rm /usr/local/share/ca-certificates/provision-registry.crt",
        "/usr/local/share/ca-certificates/provision-registry.crt: (none) → keyed:",
    );
    drift(
        "echo other >>/usr/local/share/ca-certificates/provision-registry.crt",
        "/usr/local/share/ca-certificates/provision-registry.crt: keyed:",
    );

    // Not any more, and then again.
    host.provision("registry --trust auto").ok();
    same(&links(&host), &before_links, "not any more");
    host.run(asked).fails(60);
    host.provision("registry --trust system").ok();
    assert_eq!(host.run(asked).ok().out, "401");
    host.provision("destroy registry --yes").ok();
    same(&store(&host), &before, "destroyed");

    // Where there is no such store.
    host.run("mv /usr/sbin/update-ca-certificates /root").ok();
    let tree = host.tree();
    host.provision(REGISTRY)
        .fails(1)
        .says("no `update-ca-certificates`")
        .says("hint: `apt-get install ca-certificates`");
    same(&host.tree(), &tree, "refused");
}
