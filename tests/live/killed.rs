//! Runs on a host that are killed at any point: the next one goes on, and nothing is left that nobody knows of.

use std::time::Instant;

use crate::machine::{BARE, Host, PROGRAMS, same, use_registry};

const REGISTRY: &str =
    "registry --on host --port 5443 --hosts-entry --cn registry.example.com --san localhost --trust system";
/// How many points of a run are tried.
const POINTS: u32 = 12;

/// Runs a command and kills it after some milliseconds, with what it had started left to itself.
fn kill_after(host: &Host, milliseconds: u32, arguments: &str) {
    host.run(&format!(
        "PROVISION_HOME=/root/home provision {arguments} >/tmp/killed 2>&1 & p=$!; sleep {}.{:03}; kill -9 $p; wait $p; \
         while grep -qxe apt-get -e dpkg -e systemctl -e update-ca-certi /proc/[0-9]*/comm 2>/dev/null; do sleep 0.05; done",
        milliseconds / 1000,
        milliseconds % 1000
    ));
}

/// How many milliseconds a command takes.
fn time(host: &Host, arguments: &str) -> u32 {
    let started = Instant::now();
    host.provision(arguments).ok();
    u32::try_from(started.elapsed().as_millis()).unwrap()
}

#[test]
fn a_run_on_a_host_may_be_killed_at_any_step() {
    let host = Host::start("killed", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    // nginx serves something else already, so it has to take up the site rather than start with it.
    host.run("printf 'server { listen 80; }\\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    let before = host.state();
    let up = time(&host, REGISTRY);
    let down = time(&host, "destroy registry --yes");
    same(&host.state(), &before, "destroyed");
    for point in 1..=POINTS {
        // The way there: the next run goes on.
        kill_after(&host, up * point / POINTS, REGISTRY);
        host.provision(REGISTRY).ok();
        host.provision("registry").ok().says("nothing to change");
        // The way back: the next one ends it, or all of it comes again.
        kill_after(&host, down * point / POINTS, "destroy registry --yes");
        if point % 2 == 0 {
            host.provision(REGISTRY).ok();
            host.provision("registry").ok().says("nothing to change");
            let password = host.provision("secrets registry password").ok().out;
            let ca = host.provision("output registry ca").ok().out;
            use_registry(&host, "localhost:5443", ca.trim(), password.trim());
        }
        if !host.provision("list").out.contains("no deployments") {
            host.provision("destroy registry --yes");
        }
        same(&host.state(), &before, &format!("killed at {point}/{POINTS} of {up} ms and {down} ms"));
        // The way there, and straight back.
        kill_after(&host, up * point / POINTS, REGISTRY);
        host.provision("destroy registry --yes");
        same(&host.state(), &before, &format!("killed at {point}/{POINTS} of {up} ms, and destroyed"));
    }
}
