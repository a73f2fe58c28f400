//! A container that stands for a host: [`Host`].

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::engine::{Ran, Sandbox, shell};

/// What a host of the test has: systemd, and for some the programs already.
pub const BARE: &str = "systemd systemd-sysv dbus ca-certificates curl openssl iproute2";
pub const PROGRAMS: &str = "docker-registry nginx skopeo logrotate";

/// A container that stands for a host, removed when it is dropped.
pub struct Host {
    pub name: String,
}

impl Host {
    /// Starts one with these packages, and systemd runs it.
    pub fn start(test: &str, packages: &str) -> Self {
        Self::with_systemd(test, packages, "trixie")
    }

    /// The same of the last release with Python 2.7, whose base the image of the first registry has left.
    pub fn start_old(test: &str, packages: &str) -> Self {
        Self::with_systemd(test, packages, "bullseye")
    }

    fn with_systemd(test: &str, packages: &str, suite: &str) -> Self {
        let options = "--cap-add SYS_ADMIN --tmpfs /run --tmpfs /tmp:exec -v /sys/fs/cgroup:/sys/fs/cgroup";
        let host = Self::of(test, packages, suite, options, "/sbin/init");
        host.run("for i in $(seq 200); do systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded' && exit 0; sleep 0.1; done; exit 1").ok();
        host
    }

    /// Starts one on which nothing runs that starts services: its scripts do.
    pub fn start_with_scripts(test: &str, packages: &str) -> Self {
        Self::of(test, packages, "trixie", "--init --tmpfs /run --tmpfs /tmp:exec", "sleep infinity")
    }

    /// Starts one with `sshd`, in the network of this host and with its engine.
    pub fn with_ssh(test: &str) -> Self {
        let options = "--init --network host --tmpfs /run --tmpfs /tmp:exec --tmpfs /small:exec,size=8m -v /var/run/docker.sock:/var/run/docker.sock";
        Self::of(test, "openssh-server sudo tcsh fish procps", "trixie", options, "sleep infinity")
    }

    fn of(test: &str, packages: &str, suite: &str, options: &str, command: &str) -> Self {
        let image = Self::image(packages, suite);
        let name = format!("t{}-{test}-host", std::process::id());
        shell(&format!("docker run -d --name {name} --hostname {test} {options} {image} {command}")).ok();
        Self { name }
    }

    /// Its image is built once, by what goes into it.
    fn image(packages: &str, suite: &str) -> String {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock();
        let sandbox = Sandbox::new("base");
        let base = "resources:\n  - image: nginx\n    reference: nginx:1.26\n    build: nginx\n";
        let playbook = sandbox.write("base.yml", base);
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
        sandbox.destroy().ok();
        let base = shell(&format!(
            "docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/base | grep {suite} | head -1"
        ))
        .ok();
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
        image
    }

    /// Its address in the engine's network.
    pub fn address(&self) -> String {
        let found = shell(&format!("docker inspect {} --format '{{{{.NetworkSettings.IPAddress}}}}'", self.name));
        found.ok().out.trim().to_owned()
    }

    /// Runs `provision` there, with its deployments in `/root/home`, and no timer.
    pub fn provision(&self, arguments: &str) -> Ran {
        self.run(&format!("PROVISION_HOME=/root/home provision {arguments}"))
    }

    pub fn run(&self, script: &str) -> Ran {
        let quoted = script.replace('\'', r"'\''");
        shell(&format!("docker exec -e PROVISION_MAINTAIN=no {} sh -c '{quoted}'", self.name))
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

    /// The same with all that the system trusts, what runs and what starts with the host, and passing files that a run may leave.
    pub fn state(&self) -> String {
        let more = self.run(
            "cd /etc/ssl/certs; find . -printf '%p %m %l\\n' | sort; sha256sum ca-certificates.crt; ls -d /run/docker-registry; \
             systemctl is-active nginx docker-registry; systemctl is-enabled nginx docker-registry; \
             find / -xdev -name '*provision*' -not -path '/proc/*' -not -path '/root/home*' | sort",
        );
        self.tree() + &more.out
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
        "{IMAGE} export SSL_CERT_FILE={ca}; skopeo --insecure-policy copy -q --preserve-digests --dest-creds admin:{password} oci:image:1 docker://{address}/team/app:1; \
         skopeo --insecure-policy copy -q --src-creds admin:{password} docker://{address}/team/app:1 dir:copy; cmp copy/$digest layer.tar"
    ))
    .ok();
}

/// Fails if two listings differ, and tells the lines that only one of them has.
#[track_caller]
pub fn same(found: &str, wanted: &str, when: &str) {
    let only = |one: &str, other: &str| {
        let other: BTreeSet<&str> = other.lines().collect();
        one.lines().filter(|line| !other.contains(line)).collect::<Vec<_>>().join("\n")
    };
    let (more, less) = (only(found, wanted), only(wanted, found));
    assert!(found == wanted, "{when}\nthere is also:\n{more}\nthere is no:\n{less}");
}
