//! A command line that is carried out on another host: `--host`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::engine::{Ran, free_port, shell, wait_until};
use crate::ssh::Far;

impl Far {
    /// Carries a command line out on the host.
    fn there(&self, arguments: &[&str]) -> Ran {
        self.sandbox.command(&[&["--host", "ssh://far"], arguments].concat())
    }

    fn registry_there(&self, more: &[&str]) -> Ran {
        let (name, port) = (self.sandbox.name.clone(), self.sandbox.port.to_string());
        self.there(&[&["registry", "--name", &name, "--port", &port], more].concat())
    }

    /// The registry is reached through a tunnel by its name here, by its name there, or by its host.
    fn reach_by_tunnel(&self) {
        let name = self.sandbox.name.clone();
        let (own, there) = (free_port().to_string(), self.sandbox.port.to_string());
        let through = format!("/etc/docker/certs.d/localhost:{own}/provision-tunnel-{own}.crt");
        let ask =
            format!("curl -sS -o /dev/null -w 'status %{{http_code}}' --cacert {through} https://localhost:{own}/v2/");
        for registry in [&[&*format!("{name}-at-far")][..], &[&*name], &["ssh://far", "--far-port", &there]] {
            let tunnel = [&["tunnel"], registry, &["--port", &own, "--", "sh", "-c", &ask]].concat();
            self.sandbox.command(&tunnel).ok().says("status 401");
            assert!(!std::path::Path::new(&through).exists());
        }
        self.there(&["tunnel", &name]).fails(2).says("`tunnel ssh://HOST`");
    }

    fn cache(&self) -> String {
        self.host.run("find /root /home /tmp /var/lib -path '*provision*' -type f | sort").out
    }
}

/// A look at the command lines and environments of all processes, again and again.
struct Scan {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Scan {
    fn begin(secret: &'static str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut found = Vec::new();
            while !end.load(Ordering::SeqCst) {
                let processes = std::fs::read_dir("/proc").unwrap().flatten();
                for path in processes.flat_map(|process| ["cmdline", "environ"].map(|file| process.path().join(file))) {
                    let shown = std::fs::read(&path).unwrap_or_default();
                    if shown.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                        found.push(String::from_utf8_lossy(&shown).into_owned());
                    }
                }
            }
            found
        });
        Self { ended, thread }
    }

    fn end(self) -> Vec<String> {
        self.ended.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

#[test]
fn a_command_is_carried_out_on_another_host() {
    let far = Far::host("there");
    let (name, folder) = (far.sandbox.name.clone(), far.folder.clone());
    let path = |file: &str| format!("{folder}/{file}");

    // Whatever stands in the way is told before anything is done.
    far.registry_there(&[]).fails(1).says("the host key of `far` is unknown").says("SHA256:");
    far.know();
    assert_eq!(far.cache(), "");

    far.registry_there(&["--trust", "no"]).ok().says("created   container").says("checked   probe round-trip");
    assert!(far.sandbox.things().contains("container"));
    far.sandbox.command(&["status", &name]).fails(1);
    far.there(&["status", &name]).ok().says(&name).says("nothing is wrong");
    far.registry_there(&[]).ok().says("nothing to change");
    far.there(&["plan", &name, "--exit-code", "--output", "json"]).ok().says("{\"event\":\"plan\"");
    far.there(&["plan", "nothing"]).fails(1).says("is not a playbook, a deployment or a `.yml` file");
    far.there(&["plan", &name, "--prot", "1"]).fails(2).says("--prot");
    far.there(&["plan", &name, "--set", "delete=false", "--exit-code"]).fails(3);

    // Files of the command line are of this machine, read and written. No process on either shows what is in them.
    let scan = Scan::begin("alice-has-one");
    std::fs::write(path("password"), "alice-has-one\n").unwrap();
    far.there(&["users", &name, "add", "alice", "--password-file", &path("password")]).ok();
    far.there(&["users", &name, "list"]).ok().says("alice");
    let provision = env!("CARGO_BIN_EXE_provision");
    shell(&format!(
        "echo bob-has-one | PATH={folder}/bin:$PATH {provision} --host far users {name} add bob --password-file -"
    ))
    .ok();
    far.there(&["users", &name, "add", "carol"]).fails(2).says("no terminal to ask for the password");
    far.there(&["users", &name, "add", "carol", "--password-file", "/root/other"]).fails(1).says("/root/other");
    let seal = path("password");
    far.there(&["backup", &name, &path("b.age"), "--passphrase-file", &seal]).ok().says("backed up");
    assert!(std::fs::metadata(path("b.age")).unwrap().len() > 1000);
    assert!(!far.host.run("find / -xdev -name '*.age'").out.contains("age"));
    far.there(&["backup", &name, &path("b.age"), "--passphrase-file", &seal]).fails(1).says("exists already");
    far.there(&["destroy", &name]).fails(1).says("this deletes data permanently").says("--yes");
    far.there(&["destroy", &name, "--yes"]).ok();
    far.there(&["restore", &name, &path("b.age"), "--passphrase-file", &seal]).ok();
    far.there(&["users", &name, "list"]).ok().says("alice").says("bob");

    assert_eq!(scan.end(), Vec::<String>::new());

    // Clients of this machine trust it as long as it is there.
    let authority = format!("/etc/docker/certs.d/127.0.0.1:{}/provision-{name}-at-far.crt", far.sandbox.port);
    let trusted = || std::path::Path::new(&authority).exists();
    assert!(!trusted());
    far.registry_there(&["--set", "trust=auto"]).ok().says("created   trust clients");
    let status = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' --cacert {authority} https://localhost:{}/v2/",
        far.sandbox.port
    );
    assert_eq!(shell(&status).out, "401");
    far.reach_by_tunnel();
    far.registry_there(&["--set", "trust=no"]).ok();
    assert!(!trusted());
    far.registry_there(&["--set", "trust=auto"]).ok();
    assert!(trusted());

    // A playbook of one's own, with what stands beside it.
    std::fs::write(path("part.yml"), "resources:\n  - secret: inner\n").unwrap();
    std::fs::write(path("own.yml"), "resources:\n  - playbook: part.yml\n  - secret: outer\n").unwrap();
    let own = format!("{name}-own");
    far.there(&["apply", &path("own.yml"), "--name", &own]).ok().says("outer").says("inner");
    far.there(&["plan", &own, "--exit-code"]).ok().says("nothing to change");
    far.there(&["destroy", &own]).ok();

    far.there(&["destroy", &name, "--yes"]).ok();
    assert!(!trusted());
    assert_eq!(far.sandbox.things(), "");
    let left = far.cache();
    assert_eq!(left.lines().count(), 1, "{left}");
    assert!(left.starts_with("/root/.cache/provision/bin/provision-"), "{left}");
}

/// A playbook that needs no engine.
fn own(far: &Far) -> String {
    far.sandbox.write("only.yml", "resources:\n  - secret: only\n")
}

#[test]
fn what_stands_in_the_way_of_another_host_is_told() {
    let far = Far::host("odd");
    far.know();
    let list = || far.there(&["list"]);
    // Login shells that print, or that are no shells of POSIX.
    far.host.run("echo 'echo welcome; echo provision' >/root/.bashrc; echo 'echo hello' >/root/.cshrc").ok();
    for shell in ["/bin/bash", "/bin/tcsh", "/usr/bin/fish"] {
        far.host.run(&format!("usermod -s {shell} root")).ok();
        list().ok().says("registry");
    }
    far.host.run("usermod -s /bin/sh root").ok();
    // A cache folder that cannot be used.
    far.host.run("rm -rf /root/.cache; mkdir /run/cache; ln -s /run/cache /root/.cache").ok();
    list().fails(1).says("programs in the cache folder `/root/.cache/provision/bin` cannot be run").says("noexec");
    far.host.run("rm /root/.cache; ln -s /small /root/.cache").ok();
    list().fails(1).says("there is no space for this program in `/root/.cache/provision/bin`");
    far.host.run("rm /root/.cache").ok();
    far.host.run("mkdir -p /root/.cache; rm -rf /root/.cache/provision; touch /root/.cache/provision").ok();
    list().fails(1).says("the cache folder `/root/.cache/provision/bin` cannot be written");
    far.host.run("rm /root/.cache/provision; mv /bin/uname /bin/uname.real; printf '#!/bin/sh\\n[ \"$1\" = -m ] && echo riscv64 || echo Linux\\n' >/bin/uname; chmod 755 /bin/uname").ok();
    list().fails(1).says("it is a host of Linux on `riscv64`");
    far.host.run("mv /bin/uname.real /bin/uname").ok();
    // Not root, and root by sudo, with and without a password.
    let address = format!("ssh://stranger@far:{}", far.port);
    let stranger = |more: &[&str]| far.sandbox.command(&[&["--host", &address], more].concat());
    stranger(&["registry", "--name", &far.sandbox.name]).fails(1).says("Docker");
    stranger(&["list", "--sudo"]).fails(1).says("`sudo` on `ssh://stranger@far").says("no terminal");
    far.host.run("echo 'stranger ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/stranger").ok();
    stranger(&["status", "--sudo"]).ok().says("no deployments yet");
    far.host.run("test -d /root/.cache/provision/bin").ok();
    // The same host twice, and two hosts of which one does not answer.
    far.sandbox.command(&["status", "--host", "far", "--host", "ssh://far"]).fails(2).says("named twice");
    let both = far.sandbox.command(&["status", "--host", "far", "--host", "ssh://far:1"]);
    both.fails(1).says("no deployments yet").says("error: far:1: ssh").says("Connection refused");
    // What is to be typed is told as it is typed here.
    far.there(&["destroy", "nothing"]).fails(1).says("`provision --host far list`");
}

#[test]
fn several_hosts_are_served_at_once() {
    let far = Far::host("several");
    far.know();
    far.host.run("useradd --create-home second; cp -r /root/.ssh /home/second/; chown -R second /home/second").ok();
    let second = format!("ssh://second@far:{}", far.port);
    far.there(&["apply", &own(&far), "--name", "one"]).ok();
    let all = far.sandbox.command(&["apply", &own(&far), "--name", "two", "--host", "far", "--host", &second]);
    all.ok().says("created   secret far/only").says(&format!("second@far:{}/only", far.port));
    let all = far.sandbox.command(&["status", "--host", "far", "--host", &second]).ok();
    all.says("far/one ")
        .says("far/two ")
        .says(&format!("second@far:{}/two ", far.port))
        .says("3 deployments: nothing is wrong");

    // The same by a file, with inputs of each.
    let input = "inputs: { word: { type: string, default: a } }\nresources:\n  - secret: only\noutputs: { word: \"{{ word }}\" }\n";
    let playbook = far.sandbox.write("input.yml", input);
    let hosts = format!(
        "one: {{ host: far, groups: [a], inputs: {{ word: first }} }}\ntwo: {{ host: '{second}', inputs: {{ word: second }} }}\n"
    );
    let hosts = far.sandbox.write("hosts.yml", &hosts);
    let all = |more: &[&str]| far.sandbox.command(&[&["--hosts", &hosts], more].concat());
    all(&["apply", &playbook, "--name", "three"])
        .ok()
        .says("created   secret one/only")
        .says("created   secret two/only");
    far.there(&["output", "three", "word"]).ok().says("first");
    all(&["plan", "three", "--exit-code"])
        .ok()
        .says("one/three: nothing to change")
        .says("two/three: nothing to change");
    far.there(&["destroy", "three", "--yes"]).ok();
    all(&["plan", "three", "--exit-code"]).fails(1).says("one: error:").says("two/three: nothing to change");
    all(&["destroy", "three", "--group", "a"]).fails(1);
    all(&["list", "--group", "b"]).fails(2).says("is of the group `b`");
}

#[test]
fn a_run_whose_connection_is_cut_takes_back() {
    let far = Far::host("cut");
    far.know();
    let name = far.sandbox.name.clone();
    // Cut while the program is copied.
    let mut child = far.sandbox.start(&["--host", "far", "list"]);
    wait_until(|| far.cache().contains("/.new."));
    drop(child.kill());
    drop(child.wait());
    wait_until(|| far.cache().is_empty());
    far.there(&["list"]).ok();
    let runs = || {
        far.host.run("pgrep -x -f '/root/.cache/provision/bin/provision-[0-9a-f]* far' | wc -l").out.trim().to_owned()
    };
    assert_eq!(runs(), "0");
    // Cut while containers are made.
    let port = far.sandbox.port.to_string();
    let mut child =
        far.sandbox.start(&["--host", "far", "registry", "--name", &name, "--port", &port, "--trust", "no"]);
    wait_until(|| far.sandbox.things().contains("network"));
    drop(child.kill());
    drop(child.wait());
    wait_until(|| runs() == "0");
    assert_eq!(far.sandbox.things(), "");
    far.registry_there(&[]).ok();
    far.there(&["plan", &name, "--exit-code"]).ok();
    far.there(&["destroy", &name, "--yes"]).ok();
}

#[test]
#[ignore = "minutes: `make soak`"]
fn a_run_that_hears_nothing_any_more_takes_back() {
    let far = Far::host("silent");
    far.know();
    let mut child = far.sandbox.start(&["--host", "far", "ci", "--", "sleep", "271"]);
    let sleeps = || !far.host.run("pgrep -x -f 'sleep 271'").out.is_empty();
    wait_until(sleeps);
    // The connection stands, and nothing comes through it: as where the network is cut and nobody tells.
    shell(&format!("kill -STOP {}", child.id())).ok();
    let begun = std::time::Instant::now();
    while sleeps() {
        assert!(begun.elapsed().as_secs() < 60, "it still runs");
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    wait_until(|| far.host.run("pgrep -f 'provision-[0-9a-f]* far'").out.is_empty());
    shell(&format!("kill -CONT {}", child.id())).ok();
    assert_ne!(child.wait().unwrap().code(), Some(0));
    assert_eq!(far.host.run("ls /root/.local/state/provision/deployments").out, "");
}
