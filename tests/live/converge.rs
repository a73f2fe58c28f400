//! A run that is killed, at whatever request: the next one needs no hand, and nothing is left that nobody knows of.

use std::os::unix::process::ExitStatusExt;

use crate::engine::{Fate, Ran, Recorder, SOCKET, Sandbox, shell};

/// Runs a command whose requests meet their fate; true if it was killed.
pub fn killed(sandbox: &mut Sandbox, fate: Fate, arguments: &[&str]) -> (bool, Recorder) {
    let recorder = Recorder::of(SOCKET.as_ref(), fate);
    sandbox.socket = Some(recorder.socket.clone());
    let child = sandbox.start(arguments);
    recorder.watch(child.id());
    let ended = child.wait_with_output().unwrap();
    sandbox.socket = None;
    let killed = ended.status.signal() == Some(9);
    assert!(killed || ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    (killed, recorder)
}

/// The command line of this sandbox's registry.
fn registry(sandbox: &Sandbox) -> Vec<String> {
    let words = ["registry", "--name", &sandbox.name, "--port", &sandbox.port.to_string(), "--trust", "no"];
    words.map(str::to_owned).to_vec()
}

/// Kills the way up and the way down at requests that `fate` counts, each followed at once by the same command. Every `stride`th
/// request is one; gives how many there were.
fn at_every_request(sandbox: &mut Sandbox, fate: fn(usize) -> Fate, stride: usize) -> usize {
    let up = registry(sandbox);
    let up: Vec<&str> = up.iter().map(String::as_str).collect();
    let name = sandbox.name.clone();
    let down = ["destroy", &name, "--yes"];
    let (mut points, mut at, mut more) = (0, 1, (true, true));
    while more.0 || more.1 {
        let context = format!("{:?}", fate(at));
        if more.0 {
            more.0 = killed(sandbox, fate(at), &up).0;
        }
        let again = sandbox.command(&up);
        assert_eq!(again.code, 0, "up, {context}: {}", again.all());
        let plan = sandbox.plan(&["--trust", "no", "--exit-code"]);
        assert_eq!(plan.code, 0, "up, {context}: {}\nthen {}", again.all(), plan.all());
        if more.1 {
            more.1 = killed(sandbox, fate(at), &down).0;
        }
        if sandbox.home.path().join("home/deployments").join(&name).join("deployment.json").exists() {
            let again = sandbox.command(&down);
            assert_eq!(again.code, 0, "down, {context}: {}", again.all());
        }
        assert_eq!(sandbox.things(), "", "down, {context}");
        points += usize::from(more.0) + usize::from(more.1);
        at += stride;
    }
    points
}

#[test]
fn a_run_that_is_killed_at_a_request_needs_no_hand() {
    let mut sandbox = Sandbox::new("point");
    let points = at_every_request(&mut sandbox, Fate::KilledAfter, 5);
    assert!(points > 3, "{points}");
}

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_a_run_that_is_killed_at_any_request_needs_no_hand() {
    let mut sandbox = Sandbox::new("points");
    for fate in [Fate::KilledBefore, Fate::KilledAfter] {
        let points = at_every_request(&mut sandbox, fate, 1);
        eprintln!("{points} points, {:?}", fate(0));
    }
}

/// The moments are random; the seed is told, so that a failure can be had again.
#[test]
#[ignore = "minutes: `make soak`"]
fn soak_200_runs_that_are_killed_at_random_need_no_hand() {
    let sandbox = Sandbox::new("random");
    let up = registry(&sandbox);
    let up: Vec<&str> = up.iter().map(String::as_str).collect();
    let mut seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    eprintln!("seed {seed}");
    for round in 0..200 {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = sandbox.start(&up);
        std::thread::sleep(std::time::Duration::from_millis(seed % 2000));
        drop(child.kill());
        drop(child.wait());
        let again = sandbox.command(&up);
        assert_eq!(again.code, 0, "round {round}: {}", again.all());
        sandbox.plan(&["--trust", "no", "--exit-code"]).ok();
        sandbox.destroy().ok();
        assert_eq!(sandbox.things(), "", "round {round}");
    }
}

/// Every request of a killed run that makes something lands when the next run has done its work already.
#[test]
fn what_a_killed_run_asked_for_may_land_late() {
    let mut sandbox = Sandbox::new("late");
    let up = registry(&sandbox);
    let up: Vec<&str> = up.iter().map(String::as_str).collect();
    let name = sandbox.name.clone();
    let (_, recorder) = killed(&mut sandbox, Fate::Nothing, &up);
    sandbox.destroy().ok();
    let making: Vec<usize> = recorder
        .mutating()
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("/create"))
        .map(|(index, _)| index + 1)
        .collect();
    assert!(making.len() >= 4, "{:?}", recorder.mutating());
    for at in making {
        let (was_killed, recorder) = killed(&mut sandbox, Fate::KilledLate(at), &up);
        assert!(was_killed);
        let request = recorder.mutating().pop().unwrap_or_default();
        sandbox.command(&up).ok();
        landed(&recorder);
        sandbox.command(&up).ok();
        sandbox.plan(&["--trust", "no", "--exit-code"]).ok();
        sandbox.destroy().ok();
        assert_eq!(sandbox.things(), "", "{request}");
        // The same when the deployment is gone already: its name is not blocked.
        let (_, recorder) = killed(&mut sandbox, Fate::KilledLate(at), &up);
        sandbox.command(&["destroy", &name, "--yes"]).ok();
        assert_eq!(sandbox.things(), "", "{request}");
        landed(&recorder);
        sandbox.command(&up).ok();
        sandbox.destroy().ok();
        assert_eq!(sandbox.things(), "", "{request}, gone");
    }
}

/// Lets go of what is held, and waits until the engine has answered it.
fn landed(recorder: &Recorder) {
    recorder.let_go();
    recorder.answered();
}

/// Two networks of one name are one afterwards, whichever of them containers are on.
#[test]
fn networks_that_are_there_twice_become_one() {
    let sandbox = Sandbox::new("twice");
    let up = registry(&sandbox);
    let up: Vec<&str> = up.iter().map(String::as_str).collect();
    sandbox.command(&up).ok();
    let name = &sandbox.name;
    let ids = || shell(&format!("docker network ls -q --no-trunc --filter name=^{name}$")).ok().out;
    let first = ids();
    let twin = || {
        let labels = shell(&format!("docker network inspect {} -f '{{{{json .Labels}}}}'", first.trim())).ok().out;
        let body = format!("{{\"Name\":\"{name}\",\"Labels\":{}}}", labels.trim());
        shell(&format!("curl -sf --unix-socket {SOCKET} -H 'content-type: application/json' -d '{body}' http://engine/networks/create | sed 's/.*\"Id\":\"\\([0-9a-f]*\\)\".*/\\1/'")).ok().out
    };
    twin();
    assert_eq!(ids().lines().count(), 2);
    sandbox.plan(&["--trust", "no", "--exit-code"]).fails(3).says("networks of this name: 2 → 1");
    sandbox.command(&up).ok();
    assert_eq!(ids(), first, "the one in use stays");
    // A container on each of them.
    let other = twin();
    let proxy = format!("{name}-proxy");
    shell(&format!(
        "docker network disconnect -f {0} {proxy}; docker network connect {1} {proxy}",
        first.trim(),
        other.trim()
    ))
    .ok();
    sandbox.command(&up).ok();
    assert_eq!(ids().lines().count(), 1);
    sandbox.plan(&["--trust", "no", "--exit-code"]).ok();
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// The plan is made, and then something comes that a run which was killed had asked for.
#[test]
fn what_appears_after_the_plan_is_looked_at_anew() {
    let mut sandbox = Sandbox::new("anew");
    let name = sandbox.name.clone();
    let playbook = sandbox.write(
        "anew.yml",
        "resources:\n  - network: net\n  - volume: data\n    options: { type: tmpfs, device: tmpfs }\n    after: [net]\n  - image: nginx\n    reference: nginx:1.30\n    build: nginx\n  - container: web\n    image: \"{{ nginx.reference }}\"\n    after: [data]\n",
    );
    let meanwhile = |sandbox: &mut Sandbox, script: &str| {
        let recorder = Recorder::of(SOCKET.as_ref(), Fate::Held(1));
        sandbox.socket = Some(recorder.socket.clone());
        let child = sandbox.start(&["apply", &playbook, "--name", &name]);
        recorder.wait_until_held();
        sandbox.socket = None;
        let record = sandbox.home.path().join("home/deployments").join(&name).join("deployment.json");
        let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(record).unwrap()).unwrap();
        let id = record["id"].as_str().unwrap();
        shell(&format!("label='--label provision.deployment={name} --label provision.id={id}'; {script}")).ok();
        recorder.let_go();
        Ran::from(child.wait_with_output().unwrap())
    };
    // A container: the run makes of it what it should be.
    let half = format!(
        "docker create --name {name}-web $label --label provision.resource=web $(docker images -q provision/nginx | head -1) true"
    );
    meanwhile(&mut sandbox, &half).ok().says("since the plan was made");
    sandbox.command(&["plan", &playbook, "--name", &name, "--exit-code"]).ok();
    sandbox.destroy().ok();
    // A volume with other options, which may hold data: nobody has agreed to lose it.
    let data = format!("docker volume create $label --label provision.resource=data {name}-data");
    meanwhile(&mut sandbox, &data).fails(1).says("it changed since the plan was made").says("which deletes its data");
    assert!(sandbox.things().contains(&format!("volume {name}-data\n")), "{}", sandbox.things());
    sandbox.command(&["apply", &playbook, "--name", &name]).fails(1).says("exists already");
}

/// Containers that somebody removed leave volumes with their files, keys among them: no run overlooks those.
#[test]
fn files_of_containers_that_were_removed_by_hand_are_removed() {
    let sandbox = Sandbox::new("loose");
    let name = &sandbox.name;
    let files = || {
        shell(&format!(
            "docker volume ls -q --filter label=provision.files --filter label=provision.deployment={name} | sort"
        ))
        .ok()
        .out
    };
    sandbox.registry(&["--trust", "no"]).ok();
    let first = files();
    assert!(!first.is_empty());
    let remove = format!("docker rm -f {name}-registry {name}-proxy");
    // The next run sees to it.
    shell(&remove).ok();
    sandbox.registry(&["--trust", "no"]).ok();
    let second = files();
    assert_eq!(second.lines().count(), first.lines().count());
    assert!(first.lines().all(|volume| !second.contains(volume)), "{first} {second}");
    sandbox.plan(&["--trust", "no", "--exit-code"]).ok();
    // And so does the way back.
    shell(&remove).ok();
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}
