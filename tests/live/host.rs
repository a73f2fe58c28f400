//! Installations on a host: rendered and carried there, or made there, with a real systemd, nginx and registry in a container
//! that stands for the host.

use std::path::Path;

use serde_json::Value as Json;

use crate::engine::{Ran, Sandbox, shell};

/// What a host of the test has: systemd, and for some the programs already.
pub const BARE: &str = "systemd systemd-sysv dbus ca-certificates curl openssl iproute2";
pub const PROGRAMS: &str = "docker-registry nginx skopeo logrotate";

/// A container that stands for a host, removed when it is dropped.
pub struct Host {
    name: String,
}

impl Host {
    /// Starts one with these packages. Its image is built once, by what goes into it.
    pub fn start(test: &str, packages: &str) -> Self {
        let sandbox = Sandbox::new("base");
        let base = "resources:\n  - image: nginx\n    reference: nginx:1.26\n    build: nginx\n";
        let playbook = sandbox.write("base.yml", base);
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
        sandbox.destroy().ok();
        let base =
            shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/base | grep trixie | head -1").ok();
        let recipe = format!(
            "FROM {}\nRUN set -e; printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends {packages} >/dev/null; rm -f /usr/sbin/policy-rc.d; systemctl disable nginx docker-registry 2>/dev/null || true\n",
            base.out.trim()
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Dockerfile"), &recipe).unwrap();
        let tag = shell(&format!("sha256sum {}/Dockerfile | cut -c1-12", folder.path().display())).ok().out;
        let image = format!("provision-test/host:{}", tag.trim());
        shell(&format!(
            "docker image inspect {image} >/dev/null 2>&1 || DOCKER_BUILDKIT=0 docker build -q -t {image} {}",
            folder.path().display()
        ))
        .ok();
        let name = format!("t{}-{test}-host", std::process::id());
        shell(&format!("docker run -d --name {name} --hostname {test} --cap-add SYS_ADMIN --tmpfs /run --tmpfs /tmp:exec -v /sys/fs/cgroup:/sys/fs/cgroup {image} /sbin/init")).ok();
        let host = Self { name };
        host.run("for i in $(seq 200); do systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded' && exit 0; sleep 0.1; done; exit 1").ok();
        host
    }

    pub fn run(&self, script: &str) -> Ran {
        let quoted = script.replace('\'', r"'\''");
        shell(&format!("docker exec {} sh -c '{quoted}'", self.name))
    }

    /// Brings the binary there.
    pub fn bring_provision(&self) {
        shell(&format!("docker cp {} {}:/usr/local/bin/provision", env!("CARGO_BIN_EXE_provision"), self.name)).ok();
    }

    /// All that is configured there, with modes, owners and digests. What the system itself writes at any time is left out.
    pub fn tree(&self) -> String {
        self.run(
            "find /etc /usr/local /lib/systemd /var/lib/registry /var/log/docker-registry /srv -not -path '/etc/ssl/certs/*' \\( -type f -printf '%p %m %u:%g ' -exec sha256sum {} \\; -o -printf '%p %m %u:%g %l\\n' \\) 2>/dev/null | grep -v -e /etc/ld.so.cache -e /etc/mtab -e /etc/machine-id | sort; ls /etc/ssl/certs | sort | grep -v -e '\\.0$' -e pem",
        )
        .out
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        shell(&format!("docker rm -fv {}", self.name));
    }
}

/// Makes a small image in `/tmp/image`, in OCI's layout, with the tag 1.
pub const IMAGE: &str = r#"set -e; cd /tmp; rm -rf image copy; mkdir -p image; printf hello >layer; tar -cf layer.tar layer; \
    digest=$(sha256sum layer.tar | cut -d' ' -f1); size=$(stat -c %s layer.tar); mkdir -p image/blobs/sha256; cp layer.tar image/blobs/sha256/$digest; \
    printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $digest >config; cd=$(sha256sum config | cut -d' ' -f1); cs=$(stat -c %s config); cp config image/blobs/sha256/$cd; \
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' $cd $cs $digest $size >manifest; \
    md=$(sha256sum manifest | cut -d' ' -f1); ms=$(stat -c %s manifest); cp manifest image/blobs/sha256/$md; \
    printf '{"imageLayoutVersion":"1.0.0"}' >image/oci-layout; \
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"1"}}]}' $md $ms >image/index.json;"#;

/// Uses a registry on a host as its clients would.
pub fn use_registry(host: &Host, address: &str, ca: &str, password: &str) {
    let status = |login: &str| {
        host.run(&format!("curl -s --cacert {ca} {login} -o /dev/null -w '%{{http_code}}' https://{address}/v2/")).out
    };
    assert_eq!(status(""), "401");
    assert_eq!(status("-u admin:wrong"), "401");
    assert_eq!(status(&format!("-u admin:{password}")), "200");
    host.run(&format!(
        "{IMAGE} \
         export SSL_CERT_FILE={ca}; skopeo --insecure-policy copy -q --preserve-digests --dest-creds admin:{password} oci:image:1 docker://{address}/team/app:1; \
         skopeo --insecure-policy copy -q --src-creds admin:{password} docker://{address}/team/app:1 dir:copy; cmp copy/$digest layer.tar"
    ))
    .ok();
}

/// Renders a registry into `tree` and gives what was told: a list of files, and the commands that remain.
fn render(sandbox: &Sandbox, more: &[&str]) -> Json {
    let tree = sandbox.home.path().join("tree").display().to_string();
    let mut arguments = vec!["render", "registry", "--out", &tree, "--name", &sandbox.name, "--output", "json"];
    arguments.extend(more);
    let told = sandbox.command(&arguments).ok().out;
    let mut lines = told.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.find(|event| event["event"] == "rendered").unwrap_or_else(|| panic!("{told}"))
}

#[test]
fn a_rendered_tree_makes_a_registry_where_it_is_carried() {
    let sandbox = Sandbox::new("tree");
    let told = render(&sandbox, &["--cn", "localhost", "--port", "5443"]);
    let tree = sandbox.home.path().join("tree");
    let host = Host::start("tree", &format!("{BARE} {PROGRAMS}"));
    let there = tree.display();
    shell(&format!(
        "tar -C {there} -cf - . | docker exec -i {} sh -c 'mkdir -p {there}; tar -C {there} -xf -'",
        host.name
    ))
    .ok();
    // The commands as they are told.
    let commands: Vec<&str> =
        told["commands"].as_array().unwrap().iter().map(|command| command.as_str().unwrap()).collect();
    assert!(commands[0].starts_with("apt-get install "), "{commands:?}");
    for command in &commands[1..] {
        host.run(command).ok();
    }
    let password = sandbox.command(&["secrets", &sandbox.name, "password"]).ok().out;
    use_registry(&host, "localhost:5443", "/usr/local/share/ca-certificates/docker-registry/ca.crt", password.trim());
    // As it was told, so it is.
    for file in told["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let found = host.run(&format!("[ -L {path} ] || stat -c '0%a %U:%G' {path}")).ok().out;
        let wanted = format!("{} {}", file["mode"].as_str().unwrap(), file["owner"].as_str().unwrap());
        assert!(found.is_empty() || found.trim() == wanted, "{path}: {found}, not {wanted}");
    }
    host.run("systemd-analyze verify /etc/systemd/system/docker-registry.service").ok();
    let exposure = host.run("systemd-analyze security --no-pager docker-registry.service | tail -1").ok().out;
    let level: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(10.0);
    assert!(level < 3.0, "{exposure}");
    host.run("sh -n /etc/init.d/docker-registry; logrotate -d /etc/logrotate.d/docker-registry").ok();
    // nginx as Debian brings it, the site, and nothing else.
    host.run("ss -Hltn | grep -v -e :5443 -e :80").fails(1);
    // The same once more changes nothing; a changed file is named.
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok().says("nothing to change");
    std::fs::write(tree.join("etc/docker/registry/config.yml"), "version: 0.1\n").unwrap();
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).fails(3).says("files./etc/docker/registry/config.yml");
    sandbox.command(&["destroy", &sandbox.name, "--yes"]).ok();
    assert!(!Path::new(&tree).join("etc/nginx").exists());
}

#[test]
fn every_nginx_of_debian_accepts_the_rendered_site() {
    let sandbox = Sandbox::new("sites");
    render(&sandbox, &["--cn", "registry.example.com", "--san", "10.0.0.5", "--port", "443"]);
    let tree = sandbox.home.path().join("tree");
    for (suite, version) in [("bookworm", "1.22"), ("trixie", "1.26"), ("sid", "1.30")] {
        let text = format!(
            "resources:\n  - image: nginx\n    reference: nginx:{version}\n    build: nginx\n    suite: {suite}\noutputs:\n  image: \"{{{{ nginx.reference }}}}\"\n"
        );
        let playbook = sandbox.write(&format!("{suite}.yml"), &text);
        let name = format!("{}-{suite}", sandbox.name);
        sandbox.command(&["apply", &playbook, "--name", &name]).ok();
        let image = sandbox.command(&["output", &name, "image"]).ok().out;
        let tested = shell(&format!(
            "set -e -o pipefail; id=$(docker create -i --entrypoint sh {} -c 'tar -C / -xf - --no-same-owner --no-overwrite-dir; nginx -v; nginx -t -c /etc/nginx/nginx.conf'); tar -C {} -cf - . | docker start -ai $id 2>&1; code=$(docker inspect $id --format '{{{{.State.ExitCode}}}}'); docker rm -fv $id >/dev/null; exit $code",
            image.trim(),
            tree.display()
        ));
        tested.ok().says(&format!("nginx/{version}")).says("test is successful");
        sandbox.command(&["destroy", &name, "--yes"]).ok();
    }
    sandbox.command(&["destroy", &sandbox.name, "--yes"]).ok();
}

#[test]
fn a_registry_is_installed_on_a_host_and_taken_away_again() {
    let host = Host::start("install", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    host.run("printf 'server { listen 80; }\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    let before = host.tree();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    provision("plan registry --on host --port 5443")
        .ok()
        .says("create    service docker-registry")
        .says("create    service proxy/proxy");
    assert_eq!(host.tree(), before, "a plan changes nothing");
    provision("registry --on host --port 5443").ok().says("checked   probe round-trip");
    let password = provision("secrets registry password").ok().out;
    let ca = provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    provision("registry").ok().says("nothing to change");

    // Drift, field by field.
    let drift = |cause: &str, field: &str| {
        host.run(cause).ok();
        provision("plan registry --exit-code").fails(3).says(field);
        provision("registry").ok();
        provision("plan registry --exit-code").ok();
    };
    drift(
        "sed -i s/TLSv1.2/TLSv1.1/ /etc/nginx/sites-available/docker-registry.conf",
        "files./etc/nginx/sites-available/docker-registry.conf",
    );
    drift("chmod 0777 /etc/ssl/private/docker-registry", "files./etc/ssl/private/docker-registry.mode: 0777 → 0640");
    drift(
        "chown www-data /etc/docker/registry/config.yml",
        "files./etc/docker/registry/config.yml.owner: www-data:docker-registry → root:docker-registry",
    );
    drift("rm /etc/nginx/sites-enabled/docker-registry.conf", "files./etc/nginx/sites-enabled/docker-registry.conf");
    drift("systemctl stop docker-registry", "state: stopped → running");
    drift("systemctl -q disable docker-registry", "at start of the host: not started → started");
    drift("chmod 0700 /var/lib/registry", "mode: 0700 → 0750");

    // A site of somebody else that nginx does not accept: nothing changes, and nginx goes on.
    host.run("cp /etc/nginx/sites-enabled/own /root/own; echo 'server { listen' >/etc/nginx/sites-enabled/own").ok();
    let tree = host.tree();
    provision("registry --san other.example.com").fails(1).says("nginx -t").says("everything is as it was before");
    assert_eq!(host.tree(), tree);
    host.run("mv /root/own /etc/nginx/sites-enabled/own").ok();
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());

    // A new user, at once.
    let since = host.run("systemctl show -p ExecMainStartTimestamp docker-registry nginx").ok().out;
    provision("users registry add alice --generate").ok();
    let alice = provision("secrets registry users.alice").ok().out;
    host.run(&format!("curl -sf --cacert {} -u alice:{} https://localhost:5443/v2/", ca.trim(), alice.trim())).ok();
    assert_eq!(host.run("systemctl show -p ExecMainStartTimestamp docker-registry nginx").ok().out, since);

    // What stands there before is put back; what was edited by hand is kept beside.
    provision("destroy registry").fails(1).says("/var/lib/registry");
    host.run("echo '# mine' >>/etc/logrotate.d/docker-registry").ok();
    provision("destroy registry --yes").ok().says("/etc/logrotate.d/docker-registry.kept");
    host.run("rm /etc/logrotate.d/docker-registry.kept").ok();
    assert_eq!(host.tree(), before);
    host.run("systemctl is-active nginx && curl -s -o /dev/null http://localhost/").ok();
    host.run("systemctl is-active docker-registry").fails(3);
}

#[test]
fn packages_come_with_a_registry_and_go_with_it() {
    let host = Host::start("packages", &format!("{BARE} skopeo"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let packages = || host.run("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | sort").ok().out;
    let before = packages();
    // Killed while packages are installed: what came is known all the same, and nothing of ours is left in their way.
    host.run(
        "PROVISION_HOME=/root/home provision registry --on host --port 5443 >/dev/null 2>&1 & p=$!; \
         until [ -e /usr/sbin/policy-rc.d ]; do sleep 0.05; done; sleep 1; kill -9 $p; \
         while grep -qx apt-get /proc/[0-9]*/comm 2>/dev/null; do sleep 0.2; done; test -e /usr/sbin/policy-rc.d",
    )
    .ok();
    provision("registry --on host --port 5443").ok();
    host.run("test -e /usr/sbin/policy-rc.d").fails(1);
    let password = provision("secrets registry password").ok().out;
    let ca = provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    // The package's own service never ran: it would have listened on port 5000 for everybody.
    host.run("ss -Hltn | grep -v -e :5443 -e :80").fails(1);
    provision("destroy registry --yes").ok();
    assert_eq!(packages(), before);
    host.run("ls /etc/nginx /etc/docker /var/lib/registry").fails(2);
}

#[test]
fn what_stands_in_the_way_is_told_and_left_alone() {
    let host = Host::start("way", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let refused = |arguments: &str, text: &str| {
        let before = host.tree();
        provision(arguments).fails(1).says(text).says("hint:");
        assert_eq!(host.tree(), before);
    };
    host.run("printf 'server { listen 5443; }\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    refused("registry --on host --port 5443", "port 5443 is taken by `nginx");
    refused(
        "registry --on host --port 6443 --init upstart",
        "services of this host are started by systemd, not by upstart",
    );
    host.run("echo '# by hand' >/etc/nginx/sites-available/docker-registry.conf").ok();
    refused("registry --on host --port 6443", "`/etc/nginx/sites-available/docker-registry.conf` is there already");
    host.run("rm /etc/nginx/sites-available/docker-registry.conf; echo '# by hand' >>/etc/docker/registry/config.yml")
        .ok();
    refused("registry --on host --port 6443", "`/etc/docker/registry/config.yml` is there already");
    host.run("useradd -m someone; chmod 755 /root; mkdir -m 777 /srv/home").ok();
    host.run("su someone -c 'PROVISION_HOME=/srv/home/x provision registry --on host --port 6443'")
        .fails(1)
        .says("only root")
        .says("sudo");
}
