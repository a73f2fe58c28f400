//! Who guesses passwords, or never ends what they say, holds up nobody else, and no right password is refused.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::engine::{Sandbox, shell};

const CLIENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/clients.py");

/// A registry, its proxy as it is reached on its own network, and two addresses of this host that it tells apart: what goes
/// through a published port of 127.0.0.1 comes from one address, whoever sends it.
struct Crowd {
    sandbox: Sandbox,
    proxy: String,
    here: String,
    there: String,
}

impl Crowd {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        sandbox.registry(&["--trust", "no"]).ok();
        let network = |part: &str| {
            let format = format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{part}}}}}{{{{end}}}}");
            shell(&format!("docker inspect {}-proxy --format '{format}'", sandbox.name)).ok().out.trim().to_owned()
        };
        let (proxy, here) = (network("IPAddress"), network("Gateway"));
        let all = shell("hostname -I").ok().out;
        let mut others = all.split_whitespace().filter(|address| !address.contains(':') && *address != here);
        // The first is that of the host itself; networks of an engine come and go.
        let there = others.next().expect("this host has an address beside that of the network").to_owned();
        sandbox.write("right", &sandbox.password());
        Self { sandbox, proxy, here, there }
    }

    fn clients(&self, from: &str, what: &str, more: &[&str]) -> Command {
        let mut command = Command::new("python3");
        command.args(["-B", CLIENTS, what, &self.proxy, "8443", "--source", from]).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// How often each answer was met by clients that know the password.
    fn ask(&self, from: &str, connections: usize, requests: usize) -> serde_json::Value {
        let right = self.sandbox.home.path().join("right").display().to_string();
        let numbers = [connections, requests].map(|number| number.to_string());
        let more = ["--password-file", &right, "--connections", &numbers[0], "--connects", &numbers[1]];
        met(self.clients(from, "ask", &[more.as_slice(), &["--seconds", "600", "--timeout", "60"]].concat()))
    }

    /// How many passwords were looked at so far, and found wrong.
    fn looked_at(&self) -> usize {
        let logs = format!("docker logs {}-proxy 2>&1 | grep -c 'password mismatch'", self.sandbox.name);
        shell(&logs).out.trim().parse().unwrap()
    }
}

fn met(mut command: Command) -> serde_json::Value {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().last().unwrap_or_default();
    let found: serde_json::Value =
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    found["met"].clone()
}

#[test]
fn right_passwords_of_many_are_never_limited() {
    let crowd = Crowd::new("right");
    assert_eq!(crowd.ask(&crowd.here, 50, 6), serde_json::json!({ "200": 300 }));
    // Eight images at once, by the published port.
    let (password, host) = (crowd.sandbox.password(), format!("localhost:{}", crowd.sandbox.port));
    let folder = crowd.sandbox.home.path().display().to_string();
    shell(&format!(
        "set -e; mkdir {folder}/images; cd {folder}/images; for i in 1 2 3 4 5 6 7 8; do mkdir $i; head -c 1000000 /dev/urandom >$i/file; \
         tar -C $i -c file | docker import - {host}/team/image-$i:1 >/dev/null; done"
    ))
    .ok();
    let pushed = shell(&format!(
        "for i in 1 2 3 4 5 6 7 8; do SSL_CERT_FILE={} skopeo copy -q --dest-creds admin:{password} docker-daemon:{host}/team/image-$i:1 docker://{host}/team/image-$i:1 & done; \
         failed=0; for job in $(jobs -p); do wait $job || failed=$((failed + 1)); done; docker rmi {host}/team/image-{{1,2,3,4,5,6,7,8}}:1 >/dev/null; echo failed $failed",
        crowd.sandbox.output("ca")
    ));
    pushed.ok().says("failed 0");
    crowd.sandbox.destroy().ok();
}

#[test]
fn guesses_are_bounded_and_hold_up_nobody_else() {
    let crowd = Crowd::new("guesses");
    let word = crowd.sandbox.write("word", "a word of bob's\n");
    let users = ["users", &crowd.sandbox.name];
    crowd.sandbox.command(&[users.as_slice(), &["add", "bob", "--password-file", &word]].concat()).ok();
    let hash = shell(&format!("docker exec {}-proxy grep bob /etc/provision/htpasswd", crowd.sandbox.name)).ok();
    hash.says("bob:$2b$08$");

    // More of them than may wait for an answer at a time: the rest is refused unseen.
    let guess = ["--user", "bob", "--connections", "130", "--seconds", "12"];
    let guessing = crowd.clients(&crowd.here, "guess", &guess).spawn().unwrap();
    let begun = std::time::Instant::now();
    crate::engine::wait_until(|| crowd.looked_at() >= 100);
    for from in [&crowd.there, &crowd.here] {
        assert_eq!(crowd.ask(from, 4, 10), serde_json::json!({ "200": 40 }), "beside those who guess, from {from}");
    }
    let output = guessing.wait_with_output().unwrap();
    // A hundred may wait, and eight a second get their answer.
    let most = |seconds: u64| 100 + 8 * (usize::try_from(seconds).unwrap() + 2);
    let looked_at = crowd.looked_at();
    assert!(looked_at <= most(begun.elapsed().as_secs()), "{looked_at} passwords were looked at");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(answers["met"]["429"].as_u64().unwrap_or_default() > 0, "some were refused: {text}");
    assert!(answers["met"]["401"].as_u64().unwrap_or_default() > 0, "{text}");

    // Who does not wait for the answer counts like the others.
    let (before, begun) = (crowd.looked_at(), std::time::Instant::now());
    let leave = ["--user", "bob", "--connections", "60", "--connects", "10", "--seconds", "60", "--leave"];
    assert_eq!(met(crowd.clients(&crowd.here, "guess", &leave)), serde_json::json!({ "left": 600 }));
    let looked_at = crowd.looked_at() - before;
    // Of those before, up to a hundred still wait; and a log comes late on a busy machine. Without a limit all are looked at.
    let most = (most(begun.elapsed().as_secs()) + 200).min(500);
    assert!(looked_at <= most, "{looked_at} of 600 passwords were looked at, {most} at most may be");

    // What a client is told, and that the right one is let in once it is over.
    let proxy = format!("--connect-to localhost:443:{}:8443 --interface {}", crowd.proxy, crowd.here);
    let ca = crowd.sandbox.output("ca");
    let curl = |more: &str| shell(&format!("curl -s --cacert {ca} {proxy} {more} https://localhost/v2/"));
    crate::engine::wait_until(|| curl("-u \"bob:a word of bob's\" -o /dev/null -w '%{http_code}'").out == "200");
    crowd.sandbox.command(&[users.as_slice(), &["remove", "bob"]].concat()).ok();
    assert_eq!(curl("-u \"bob:a word of bob's\" -o /dev/null -w '%{http_code}'").out, "401", "gone at once");
    crowd.sandbox.destroy().ok();
}

#[test]
fn slow_clients_fail_no_request_of_others() {
    let crowd = Crowd::new("slow");
    let mut slow = crowd
        .clients(&crowd.here, "slow", &["--plain", "--connections", "5000", "--seconds", "14", "--timeout", "60"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(slow.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready", "all of them are connected");
    assert_eq!(crowd.ask(&crowd.there, 4, 50), serde_json::json!({ "200": 200 }));
    assert!(slow.wait().unwrap().success());
    let logs = shell(&format!("docker logs {}-proxy 2>&1", crowd.sandbox.name)).ok().out;
    assert!(!logs.contains("exited on signal") && !logs.contains("connections are not enough"), "{logs}");
    let killed = shell(&format!("docker inspect {}-proxy --format '{{{{.State.OOMKilled}}}}'", crowd.sandbox.name));
    assert_eq!(killed.ok().out.trim(), "false");
    crowd.sandbox.destroy().ok();
}
