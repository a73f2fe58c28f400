//! Deployments at a glance, with containers, data, users and a backup.

use std::time::{Duration, Instant};

use serde_json::Value as Json;

use crate::engine::{Sandbox, SecondEngine, shell};

/// What `provision status` says of this sandbox's deployment, and its exit code.
fn glance(sandbox: &Sandbox) -> (i32, Json) {
    let begun = Instant::now();
    let ran = sandbox.command(&["status", "--output", "json"]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let told: Json = serde_json::from_str(ran.out.trim()).unwrap_or_else(|error| panic!("{error}: {}", ran.all()));
    let row = told["deployments"].as_array().unwrap().iter().find(|row| row["deployment"] == sandbox.name);
    (ran.code, row.unwrap_or_else(|| panic!("{told}")).clone())
}

#[test]
fn a_registry_is_told_at_a_glance() {
    let sandbox = Sandbox::new("glance");
    sandbox.registry(&["--user", "ci", "--trust", "no"]).ok();
    sandbox.command(&["users", &sandbox.name, "add", "alice", "--generate"]).ok();
    let (code, row) = glance(&sandbox);
    assert_eq!((code, &row["state"]), (0, &Json::from("ok")), "{row}");
    assert_eq!(row["url"], format!("https://localhost:{}", sandbox.port));
    assert_eq!((&row["certificate"]["days"], &row["backup"]), (&Json::from(89), &Json::Null));
    assert_eq!(row["users"], serde_json::json!(["alice", "ci"]));
    let started = shell(&format!(
        "docker inspect {0}-registry {0}-proxy --format '{{{{.State.StartedAt}}}}' | sort | tail -1 | cut -c1-19",
        sandbox.name
    ));
    assert_eq!(row["up_since"], format!("{}Z", started.ok().out.trim()), "since the last of them");

    // Data that is pushed takes room, as the engine counts it.
    let before = row["space"]["bytes"].as_u64().unwrap_or_else(|| panic!("{row}"));
    let data = format!("{}-data", sandbox.name);
    shell(&format!("docker run --rm -v {data}:/data --entrypoint sh $(docker images -q provision/nginx | head -1) -c 'head -c 3000000 /dev/urandom >/data/more'")).ok();
    let (_, row) = glance(&sandbox);
    assert!(row["space"]["bytes"].as_u64().unwrap() >= before + 3_000_000, "{row}");
    assert_eq!(row["space"]["fresh"], true);

    let passphrase = sandbox.write("passphrase", "correct horse battery staple\n");
    let file = sandbox.home.path().join("one.age").display().to_string();
    sandbox.command(&["backup", &sandbox.name, &file, "--passphrase-file", &passphrase]).ok();
    let (_, row) = glance(&sandbox);
    assert_eq!(row["backup"]["file"], file);
    sandbox.command(&["status", &sandbox.name]).ok().says("ok        container registry").says("nothing is wrong");

    // What is wrong is told, and how to see more of it.
    shell(&format!("docker stop {}-registry", sandbox.name)).ok();
    let (code, row) = glance(&sandbox);
    assert_eq!((code, &row["state"], &row["up_since"]), (3, &Json::from("wrong"), &Json::Null), "{row}");
    let ran = sandbox.command(&["status"]).fails(3);
    ran.says("container registry differs: state").says(&format!("`provision plan {}` shows it", sandbox.name));
    sandbox.destroy().ok();
    assert!(!sandbox.home.path().join("home/measured").exists(), "nothing of it stays");
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_what_was_known_last() {
    let mut sandbox = Sandbox::new("silent");
    let engine = SecondEngine::bare("silent", tempfile::tempdir().unwrap(), Vec::new());
    sandbox.socket = Some(engine.socket());
    let playbook = sandbox.write("x.yml", "resources:\n  - volume: data\n");
    sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    // It waits until the data is counted, however busy the machine is.
    sandbox.command(&["status", &sandbox.name]).ok();
    let (_, row) = glance(&sandbox);
    assert_eq!((&row["state"], row["space"]["measured"].is_string()), (&Json::from("ok"), true), "{row}");
    engine.pause();
    let (code, silent) = glance(&sandbox);
    engine.resume();
    assert_eq!(code, 3, "{silent}");
    assert!(silent.to_string().contains("does not answer within 1.5 s"), "{silent}");
    assert_eq!(
        (&silent["space"]["measured"], &silent["space"]["fresh"]),
        (&row["space"]["measured"], &Json::from(false))
    );
    sandbox.destroy().ok();
}
