//! An engine of another host, reached by the system's `ssh`.

use std::path::Path;

use crate::engine::{Ran, Sandbox, free_port, shell, wait_until};
use crate::machine::Host;

/// A host with `sshd` on the loopback, from which the engine of this machine is used, and a client with a key for it.
pub struct Far {
    pub sandbox: Sandbox,
    pub host: Host,
    pub folder: String,
    pub port: u16,
}

impl Far {
    /// One whose engine is used.
    pub fn new(test: &str) -> Self {
        let mut far = Self::host(test);
        far.sandbox.variables.push(("DOCKER_HOST", "ssh://far".into()));
        far
    }

    /// One that is reached by `ssh far`.
    pub fn host(test: &str) -> Self {
        let mut sandbox = Sandbox::new(test);
        let folder = sandbox.home.path().display().to_string();
        let port = free_port();
        let host = Host::with_ssh(&format!("far-{test}"));
        // The system's own, with a configuration that is not this user's.
        shell(&format!(
            "set -e; mkdir {folder}/bin; printf '#!/bin/sh\\nexec /usr/bin/ssh -F {folder}/config \"$@\"\\n' >{folder}/bin/ssh; chmod 755 {folder}/bin/ssh; \
             printf 'Host far\\n HostName 127.0.0.1\\n Port {port}\\n User root\\n IdentityFile {folder}/id\\n IdentitiesOnly yes\\n UserKnownHostsFile {folder}/known\\n' >{folder}/config; \
             ssh-keygen -q -t ed25519 -N '' -f {folder}/id"
        ))
        .ok();
        let path = std::env::var("PATH").unwrap();
        sandbox.variables = vec![("PATH", format!("{folder}/bin:{path}"))];
        let key = std::fs::read_to_string(Path::new(&folder).join("id.pub")).unwrap();
        host.run(&format!(
            "set -e; mkdir -p /run/sshd /root/.ssh; echo \"{}\" >/root/.ssh/authorized_keys; chmod 700 /root/.ssh; chmod 600 /root/.ssh/authorized_keys; \
             useradd --create-home stranger; mkdir /home/stranger/.ssh; cp /root/.ssh/authorized_keys /home/stranger/.ssh/; chown -R stranger /home/stranger",
            key.trim()
        ))
        .ok();
        let far = Self { sandbox, host, folder, port };
        far.serve();
        far
    }

    /// Starts `sshd`, which bears that its key is asked for again and again.
    pub fn serve(&self) {
        let port = self.port;
        self.host
            .run(&format!(
                "/usr/sbin/sshd -p {port} -o ListenAddress=127.0.0.1 -o PerSourcePenalties=no -o PidFile=/run/sshd/pid"
            ))
            .ok();
        wait_until(|| self.shown().contains("ssh-ed25519"));
    }

    /// The key that it shows.
    pub fn shown(&self) -> String {
        shell(&format!("ssh-keyscan -t ed25519 -p {} 127.0.0.1 2>/dev/null", self.port)).out
    }

    /// The host is known from now on.
    pub fn know(&self) {
        std::fs::write(format!("{}/known", self.folder), self.shown()).unwrap();
    }

    fn registry(&self) -> Ran {
        self.sandbox.registry(&["--trust", "no"])
    }
}

#[test]
fn an_engine_of_another_host_is_used_by_ssh() {
    let far = Far::new("ssh");
    // A host that is not known is not believed, and nothing is made.
    let shown =
        shell(&format!("ssh-keyscan -t ed25519 -p {} 127.0.0.1 2>/dev/null | ssh-keygen -lf -", far.port)).ok().out;
    let fingerprint = shown.split_whitespace().nth(1).unwrap().to_owned();
    far.registry().fails(1).says("the host key of `far` is unknown").says(&fingerprint).says("`ssh far`");
    assert_eq!(far.sandbox.things(), "");

    far.know();
    far.registry().ok().says("checked   probe round-trip");
    far.sandbox.plan(&["--trust", "no", "--exit-code"]).ok().says("nothing to change");
    far.sandbox.command(&["users", &far.sandbox.name, "add", "alice", "--generate"]).ok();

    // A run that is killed leaves no connection behind.
    let mut child = far.sandbox.start(&["rotate", &far.sandbox.name, "--what", "certificates"]);
    let connections =
        || shell(&format!("pgrep -f '{}/config.*[C]ontrolPath' | wc -l", far.folder)).out.trim().to_owned();
    wait_until(|| connections() != "0");
    drop(child.kill());
    drop(child.wait());
    wait_until(|| connections() == "0");
    far.registry().ok();
    far.sandbox.plan(&["--trust", "no", "--exit-code"]).ok();

    // Somebody else there may not use the engine.
    let address = format!("ssh://stranger@far:{}", far.port);
    let refused = shell(&format!(
        "PATH={0}/bin:$PATH DOCKER_HOST={address} PROVISION_HOME={0}/other {1} registry --name {2}-other",
        far.folder,
        env!("CARGO_BIN_EXE_provision"),
        far.sandbox.name
    ));
    refused.fails(1).says("this user may not use the Docker engine on `far`").says("usermod -aG docker");

    // A host that shows another key than before may be somebody else.
    far.host.run("kill $(cat /run/sshd/pid); rm /etc/ssh/ssh_host_*; ssh-keygen -A").ok();
    wait_until(|| far.shown().is_empty());
    far.serve();
    far.sandbox.plan(&["--trust", "no"]).fails(1).says("the host key of `far` has changed").says("ssh-keygen -R far");
    far.know();
    far.sandbox.destroy().ok();

    // A host that does not answer.
    far.host.run("kill $(cat /run/sshd/pid)").ok();
    wait_until(|| far.shown().is_empty());
    far.registry().fails(1).says("Connection refused").says("`ssh far true`");
}
