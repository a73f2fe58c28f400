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

    // A file with a certificate and its key: the key goes nowhere, and that it stood there is told. One that has ended as well.
    host.run(
        "cd /root && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=other -keyout key -out crt 2>/dev/null && \
         cat key crt >both.pem && sed -n 2p key >line && chmod 600 both.pem && openssl x509 -in crt -trustout -addtrust serverAuth -out trusted.pem",
    )
    .ok();
    for file in ["both.pem", "trusted.pem"] {
        let told = host.provision(&format!("registry --also-trust /root/{file}")).ok();
        assert_eq!(told.all().contains("a private key stands in `/root/both.pem` as well"), file == "both.pem");
        host.run("grep -rlF -f /root/line /etc /usr/local /root/home").fails(1);
        assert_eq!(
            host.run("cat /etc/docker/certs.d/localhost:5443/*.crt /etc/containers/certs.d/localhost:5443/*.crt | grep -c '^-----BEGIN CERTIFICATE-----$'").ok().out.trim(),
            "4"
        );
        host.provision("registry --also-trust ''").ok();
    }
    host.run("echo hello >/root/hello").ok();
    host.provision("registry --also-trust /root/hello").fails(2).says("it is not PEM").says("hint:");

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
