//! Runs on a host that are killed at any point: the next one goes on, and nothing is left that nobody knows of.

use crate::machine::{BARE, Host, PROGRAMS, same, use_registry};

const REGISTRY: &str =
    "registry --on host --port 5443 --hosts-entry --cn registry.example.com --san localhost --trust system";
const DESTROY: &str = "destroy registry --yes";
/// More than any run tells of.
const NEVER: usize = 1_000_000;
/// How many points of a run are tried.
const POINTS: usize = 6;

/// Runs a command until it has told of this many things, and kills it, with what it had started left to itself; gives how many it
/// told of, if it was not killed.
fn kill_at(host: &Host, steps: usize, arguments: &str) -> Option<usize> {
    let ran = host.run(&format!(
        "rm -f /tmp/told; mkfifo /tmp/told; PROVISION_HOME=/root/home provision {arguments} --output json >/tmp/told 2>/tmp/said & p=$!; n=0; \
         while read -r line; do n=$((n+1)); [ $n -lt {steps} ] || kill -9 $p; done </tmp/told; wait $p; code=$?; \
         while grep -qxe apt-get -e dpkg -e systemctl -e update-ca-certi /proc/[0-9]*/comm 2>/dev/null; do sleep 0.05; done; \
         echo $code $n; cat /tmp/said"
    ));
    let mut words = ran.out.split_whitespace();
    match words.next() {
        Some("137") => None,
        Some("0") => words.next().and_then(|steps| steps.parse().ok()),
        _ => panic!("{arguments}: {}", ran.all()),
    }
}

/// Sets it up again after whatever was broken off, and finds nothing left to do.
#[track_caller]
fn converges(host: &Host) {
    host.provision(REGISTRY).ok();
    host.provision("plan registry --exit-code").ok().says("nothing to change");
}

fn is_there(host: &Host) -> bool {
    host.run("test -e /root/home/deployments/registry/deployment.json").code == 0
}

fn destroyed(host: &Host, before: &str, when: &str) {
    if is_there(host) {
        host.provision(DESTROY).ok();
    }
    host.provision("list").ok().says("none yet");
    same(&host.state(), before, when);
}

fn at_points(test: &str, points: usize) {
    let host = Host::start(test, &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    // nginx serves something else already, so it has to take up the site rather than start with it.
    host.run("printf 'server { listen 80; }\\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    let before = host.state();
    let up = kill_at(&host, NEVER, REGISTRY).unwrap();
    let down = kill_at(&host, NEVER, DESTROY).unwrap();
    same(&host.state(), &before, "destroyed");
    assert!(up > 10 && down > 10, "{up} and {down} steps");
    let mut killed = 0;
    for point in 1..=points {
        let (there, back) = ((up * point / points).max(1), (down * point / points).max(1));
        // The way there: the next run goes on.
        killed += usize::from(kill_at(&host, there, REGISTRY).is_none());
        converges(&host);
        // The way back: the next one ends it, or all of it comes again.
        killed += usize::from(kill_at(&host, back, DESTROY).is_none());
        if point % 2 == 0 {
            converges(&host);
            let password = host.provision("secrets registry password").ok().out;
            let ca = host.provision("output registry ca").ok().out;
            use_registry(&host, "localhost:5443", ca.trim(), password.trim());
        }
        destroyed(&host, &before, &format!("killed at step {there} of {up}, and {back} of {down}"));
        // The way there, and straight back.
        killed += usize::from(kill_at(&host, there, REGISTRY).is_none());
        destroyed(&host, &before, &format!("killed at step {there} of {up}, and destroyed"));
    }
    // At the last steps it may have been done already.
    assert!(killed > points, "{killed} were killed");
}

#[test]
fn a_run_on_a_host_may_be_killed_at_any_step() {
    at_points("killed", POINTS);
}

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_a_run_on_a_host_may_be_killed_at_any_step() {
    at_points("killeds", 24);
}
