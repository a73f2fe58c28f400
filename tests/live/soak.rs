//! Collections under the load of many clients: nothing fails, nothing breaks, and what nothing needs is gone one grace later. The
//! registry's own collector breaks images under the same load.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Sandbox, shell};

/// Seconds that nothing may need what goes: longer than the longest push below.
const GRACE: u64 = 15;

struct Soaked {
    counts: serde_json::Value,
    faults: String,
    runs: usize,
}

impl Soaked {
    fn count(&self, what: &str) -> u64 {
        self.counts[what].as_u64().unwrap_or_default()
    }
}

/// Lets clients work for some seconds while `collect` runs again and again.
fn soak(sandbox: &Sandbox, seconds: u64, mut collect: impl FnMut(usize)) -> Soaked {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/soak.py");
    let folder = sandbox.home.path().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let (ca, password, address) = (folder.join("ca.crt"), sandbox.password(), format!("localhost:{}", sandbox.port));
    std::fs::copy(sandbox.output("ca"), &ca).unwrap();
    shell(&format!("docker login -u admin --password-stdin {address} <<<'{password}'")).ok();
    let mut clients = Command::new("python3");
    clients.args([script, &address, &ca.display().to_string(), &password, &seconds.to_string(), &sandbox.name, "yes"]);
    let mut clients = clients.stdout(Stdio::piped()).spawn().unwrap();
    // A registry that stands still now and then makes races likely.
    let registry = shell(&format!("docker inspect {}-registry --format '{{{{.State.Pid}}}}'", sandbox.name)).ok().out;
    let registry = registry.trim().to_owned();
    let mut runs = 0;
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while begun.elapsed().as_secs() < seconds {
                shell(&format!("kill -STOP {registry}; sleep 0.3; kill -CONT {registry}; sleep 0.7"));
            }
        });
        while clients.try_wait().unwrap().is_none() {
            collect(runs);
            runs += 1;
        }
    });
    let output = clients.wait_with_output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let faults: Vec<&str> = said["faults"].as_array().unwrap().iter().filter_map(|fault| fault.as_str()).collect();
    shell(&format!("docker logout {address}; docker rmi soak-{}", sandbox.port));
    Soaked { counts: said["counts"].clone(), faults: faults.join("\n"), runs }
}

/// Blobs that the registry's own collector would delete.
fn left(sandbox: &Sandbox) -> usize {
    let command =
        format!("docker exec {}-registry registry garbage-collect --dry-run /etc/provision/config.yml", sandbox.name);
    shell(&command).ok().out.lines().filter(|line| line.contains("blob eligible for deletion")).count()
}

/// Runs collections until all that nothing needs is gone: one grace after the last push, or after the longest one if that took longer.
fn finish(sandbox: &Sandbox, grace: &str) {
    let begun = Instant::now();
    let collect = || sandbox.command(&["gc", &sandbox.name, "--grace", grace, "--untagged", grace]).ok().all();
    while !collect().contains("nothing is left to free") && begun.elapsed().as_secs() < 20 * GRACE {
        thread::sleep(Duration::from_secs(GRACE / 3)); // a part of the grace
    }
}

#[expect(clippy::print_stderr, reason = "the figures of a soak are its result")]
fn collections_break_nothing(test: &str, seconds: u64, kill: bool) {
    let sandbox = Sandbox::new(test);
    sandbox.registry(&[]).ok();
    let grace = format!("{GRACE}s");
    let mut freed = 0;
    let soaked = soak(&sandbox, seconds, |run| {
        let mut child = sandbox.start(&["gc", &sandbox.name, "--grace", &grace, "--untagged", &grace]);
        if kill && run % 2 == 0 {
            // At any point of a collection, which takes some seconds.
            thread::sleep(Duration::from_millis(1500 + u64::try_from(run).unwrap() * 137 % 1500));
            shell(&format!("docker kill {}-helper", sandbox.name));
            child.wait().unwrap();
            return;
        }
        let ended = crate::engine::Ran::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, 0, "{}", ended.all());
        freed += usize::from(!ended.all().contains("freed 0 blobs"));
    });
    finish(&sandbox, &grace);
    let (left, fsck) = (left(&sandbox), sandbox.command(&["fsck", &sandbox.name, "--deep"]));
    eprintln!(
        "{test}: {} in {} runs, of which {freed} freed something; {left} left; {}",
        soaked.counts,
        soaked.runs,
        fsck.all()
    );
    assert!(freed > 0, "no run under load freed anything: {}", soaked.counts);
    assert_eq!((soaked.count("failed"), soaked.count("broken")), (0, 0), "{}\n{}", soaked.counts, soaked.faults);
    assert!(soaked.count("pushes") > 20 && soaked.count("docker") > 2, "{}", soaked.counts);
    fsck.ok().says("no damage");
    assert_eq!(left, 0, "of {}", soaked.counts);
    sandbox.destroy().ok();
}

#[test]
fn collections_under_load_break_nothing() {
    collections_break_nothing("soak", 60, false);
}

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_collections_under_load_for_long() {
    collections_break_nothing("long", 1200, false);
}

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_collections_that_are_killed_break_nothing() {
    collections_break_nothing("killed", 120, true);
}

/// The registry's own collector under the same load: what all of this is for.
#[test]
#[ignore = "minutes: `make soak`"]
fn soak_the_registrys_own_collector_breaks_images() {
    let sandbox = Sandbox::new("stock");
    sandbox.registry(&[]).ok();
    let soaked = soak(&sandbox, 60, |_| {
        shell(&format!("docker exec {}-registry registry garbage-collect /etc/provision/config.yml", sandbox.name));
    });
    eprintln!("stock: {} in {} runs", soaked.counts, soaked.runs);
    assert!(soaked.count("failed") + soaked.count("broken") > 0, "{}", soaked.counts);
    sandbox.destroy().ok();
}
