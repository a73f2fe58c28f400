//! The registry of another host on this machine's loopback: `provision tunnel`.

use std::io::Read;
use std::path::PathBuf;
use std::process::Child;

use crate::engine::{Ran, free_port, shell, wait_until};
use crate::ssh::Far;

/// A port of this machine that leads to a registry of another host. What it may leave is gone when this is dropped.
struct End<'a> {
    far: &'a Far,
    port: u16,
}

impl End<'_> {
    fn arguments<'a>(&self, registry: &[&'a str], port: &'a str, command: &[&'a str]) -> Vec<&'a str> {
        assert_eq!(port, self.port.to_string());
        [&["tunnel"], registry, &["--port", port], command].concat()
    }

    /// Runs a script through it.
    fn script(&self, registry: &[&str], script: &str) -> Ran {
        let port = self.port.to_string();
        self.far.sandbox.command(&self.arguments(registry, &port, &["--", "sh", "-c", script]))
    }

    fn start(&self, registry: &str) -> Child {
        let port = self.port.to_string();
        self.far.sandbox.start(&self.arguments(&[registry], &port, &[]))
    }

    /// Where Docker finds the authority while it lasts.
    fn trust(&self) -> PathBuf {
        format!("/etc/docker/certs.d/localhost:{0}/provision-tunnel-{0}.crt", self.port).into()
    }

    /// What a client that trusts nothing else is told.
    fn status(&self) -> String {
        let (port, trust) = (self.port, self.trust().display().to_string());
        shell(&format!(
            "curl -s --noproxy '*' -o /dev/null -w '%{{http_code}}' --cacert {trust} https://localhost:{port}/v2/"
        ))
        .out
    }

    fn connections(&self) -> String {
        shell(&format!("pgrep -f '{}/config.*[t]unnel.sock'", self.far.folder)).out
    }

    #[track_caller]
    fn leaves_nothing(&self) {
        assert_eq!(self.connections(), "");
        assert!(!self.trust().exists());
        let list = self.far.sandbox.command(&["list"]).ok();
        assert!(!list.out.contains(&format!("tunnel-{}", self.port)), "{}", list.out);
        assert_eq!(shell(&format!("ss -Hltn 'sport = :{}'", self.port)).out, "");
    }
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let port = self.port;
        shell(&format!(
            "for client in docker containers; do rm -rf /etc/$client/certs.d/localhost:{port}; done; docker rmi localhost:{port}/small:1"
        ));
    }
}

fn read(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn the_registry_of_another_host_is_reached_through_a_tunnel() {
    let far = Far::new("through");
    let end = End { far: &far, port: free_port() };
    let (name, there) = (far.sandbox.name.clone(), far.sandbox.port.to_string());
    let by_host = ["ssh://far", "--far-port", &there];

    // A host that is not known is not believed, and the command is not run.
    end.script(&by_host, "echo it ran").fails(1).says("the host key of `far` is unknown").says("SHA256:");
    far.know();
    let ran = end.script(&by_host, "echo it ran").fails(1).says("nothing answers").says("--far-port PORT");
    assert!(!ran.out.contains("it ran"));
    end.script(&["ssh://-oProxyCommand=id"], "true").fails(2);
    end.script(&["nothing"], "true").fails(1).says("there is no deployment `nothing`").says("ssh://HOST");
    let stranger = format!("ssh://nobody@far:{}", far.port);
    end.script(&[&stranger], "true").fails(1).says("Permission denied").says("ssh-copy-id");

    // It listens on the loopback of its host only. The engine takes any certificate there, so others are asked as well.
    far.sandbox.registry(&["--trust", "no", "--bind", "127.0.0.1", "--cn", "far.test"]).ok();
    let refused = end.script(&[&name], "test ! -e $0; exit 7").fails(7);
    let line = format!("`provision apply {name} --san far.test --san localhost`");
    refused.says("the certificate there is not for that name").says(&line);
    far.sandbox.command(&["apply", &name, "--san", "far.test", "--san", "localhost"]).ok();
    let used = format!(
        "set -e; unset DOCKER_HOST; export DOCKER_CONFIG={folder}/docker; image=localhost:{port}/small:1; \
         ss -Hltn 'sport = :{port}' | awk '{{print \"listens on \" $4}}'; test -e /etc/containers/certs.d/localhost:{port}/*.crt; \
         docker login -u admin --password-stdin localhost:{port} <{folder}/password; tar -cf - -C {folder} config | docker import - $image >/dev/null; \
         docker push -q $image; docker rmi $image >/dev/null; docker pull -q $image; \
         skopeo --insecure-policy copy -q --authfile {folder}/docker/config.json docker://$image dir:{folder}/copy && echo copied",
        folder = far.folder,
        port = end.port
    );
    std::fs::write(format!("{}/password", far.folder), far.sandbox.password()).unwrap();
    let used = end.script(&[&name], &used).ok().says("Login Succeeded").says("copied");
    let listens: Vec<&str> = used.out.lines().filter(|line| line.starts_with("listens on")).collect();
    assert_eq!(listens, [format!("listens on 127.0.0.1:{}", end.port)]);
    end.script(&by_host, "exit 0").ok();
    end.leaves_nothing();
    far.sandbox.command(&["tunnel", &name, "--port", &there, "--", "touch", "/tmp/it-ran"]).fails(1).says("is in use");
    far.sandbox.command(&["tunnel", &name, "--port", &end.port.to_string(), "--", "no-such-program"]).fails(127);
    end.leaves_nothing();

    // The connection is cut while the host takes no other, and whoever connects meanwhile is served once it does.
    let child = end.start(&name);
    wait_until(|| end.status() == "401");
    let first = end.connections();
    far.host.run("kill $(cat /run/sshd/pid); pkill -f '[s]shd-session|[s]shd: root'").ok();
    wait_until(|| end.connections() != first);
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| end.status());
        wait_until(|| !shell(&format!("ss -Htn state established 'sport = :{}'", end.port)).out.is_empty());
        far.serve();
        waiting.join().unwrap()
    });
    assert_eq!(waiting, "401");
    shell(&format!("kill -INT {}", child.id())).ok();
    let (code, said) = read(child);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the connection to `far` is lost") && said.contains("connected to `far` again"), "{said}");
    end.leaves_nothing();

    // One that is killed leaves no `ssh`, and the next one on any port takes back what clients were told.
    let mut child = end.start(&name);
    wait_until(|| end.status() == "401");
    drop(child.kill());
    drop(child.wait());
    wait_until(|| end.connections().is_empty());
    assert!(end.trust().exists());
    let other = End { far: &far, port: free_port() };
    other.script(&[&name], "true").ok();
    other.leaves_nothing();
    end.leaves_nothing();
    far.sandbox.destroy().ok();
}
