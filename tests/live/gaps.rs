//! What a plan tells of the time without an answer, against requests of a client meanwhile.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Sandbox, shell};

/// Asks again and again, and notes when each request was sent and whether it was answered.
fn ask(port: u16, ended: &AtomicBool, seen: &Mutex<Vec<(Instant, bool)>>) {
    while !ended.load(Ordering::SeqCst) {
        let sent = Instant::now();
        let answered = Command::new("curl")
            .args([
                "-sko",
                "/dev/null",
                "--max-time",
                "2",
                "-w",
                "%{http_code}",
                &format!("https://localhost:{port}/v2/"),
            ])
            .output()
            .is_ok_and(|output| output.stdout == b"401");
        seen.lock().unwrap().push((sent, answered));
        thread::sleep(Duration::from_millis(10));
    }
}

/// Seconds in a plan's `about 1.2 s`.
fn told(plan: &str) -> f64 {
    let text = plan.split_once("nobody answers for about ").unwrap_or_else(|| panic!("{plan}")).1;
    text.split_once(" s").unwrap().0.parse().unwrap()
}

#[test]
fn the_time_without_an_answer_is_as_long_as_the_plan_tells() {
    let sandbox = Sandbox::new("gap");
    sandbox.registry(&["--trust", "no"]).ok();
    let name = &sandbox.name;
    let drift = |containers: &[&str]| {
        for container in containers {
            shell(&format!("docker update --pids-limit 77 {name}-{container}")).ok();
        }
    };
    // Once before: from then on it is known how long a replacement takes, and not only a first start.
    drift(&["registry", "proxy"]);
    sandbox.registry(&["--trust", "no"]).ok();
    for containers in [&["proxy"][..], &["registry", "proxy"][..]] {
        drift(containers);
        let plan = sandbox.plan(&["--trust", "no"]).ok().all();
        assert_eq!(plan.matches("nobody answers").count(), 1, "{plan}");
        if containers.len() > 1 {
            assert!(plan.contains(" are replaced, as long as their last starts took"), "{plan}");
        }
        let told = told(&plan);
        let (ended, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let client = thread::spawn({
            let (ended, seen, port) = (ended.clone(), seen.clone(), sandbox.port);
            move || ask(port, &ended, &seen)
        });
        sandbox.registry(&["--trust", "no"]).ok();
        ended.store(true, Ordering::SeqCst);
        client.join().unwrap();
        let seen = seen.lock().unwrap();
        let failed = seen.iter().filter(|(_, answered)| !answered).count();
        let first = seen.iter().position(|(_, answered)| !answered).unwrap_or_else(|| panic!("nothing failed: {plan}"));
        let last = seen.iter().rposition(|(_, answered)| !answered).unwrap();
        // From the last answer before to the first one after.
        let (before, after) = (seen[first.saturating_sub(1)].0, seen[(last + 1).min(seen.len() - 1)].0);
        let measured = after.duration_since(before).as_secs_f64();
        eprintln!("{containers:?}: told {told} s, {failed} of {} failed in {measured:.2} s", seen.len());
        assert!(measured <= told * 2.0 + 0.5, "told {told} s, and it was {measured:.2} s");
        assert!(told <= measured * 4.0 + 1.5, "told {told} s, and it was {measured:.2} s");
    }
    sandbox.destroy().ok();
}
