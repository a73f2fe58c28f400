//! All deployments at a glance, and names of deployments that are left out.

use std::fs;
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::sandbox::{Outcome, Sandbox, listing};
use crate::snapshot;

/// A sandbox with a deployment of each of these names.
fn with(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        let outcome = sandbox.run(&format!("certs --cn localhost --out ./{name} --name {name}"));
        assert_eq!(outcome.code, 0, "{}", outcome.text);
    }
    sandbox
}

fn status(sandbox: &Sandbox) -> (Outcome, Vec<Json>) {
    let outcome = sandbox.run("status --output json");
    let found: Json =
        serde_json::from_str(outcome.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {}", outcome.text));
    assert_eq!(found["event"], "overview");
    let rows = found["deployments"].as_array().unwrap().clone();
    assert_eq!(found["wrong"], rows.iter().filter(|row| row["state"] == "wrong").count());
    (outcome, rows)
}

/// Has a deployment's playbook, as it was at its last run, say something else.
fn rewrite(sandbox: &Sandbox, name: &str, playbook: &str) {
    let path = sandbox.home(&format!("deployments/{name}/deployment.json"));
    let mut record: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    record["playbook"] = json!({ "name": "certs", "path": null, "text": playbook });
    record["inputs"] = json!({});
    fs::write(path, record.to_string()).unwrap();
}

const NETWORK: &str = "resources:\n  - network: net\n";

#[test]
fn all_deployments_are_told_at_a_glance() {
    let sandbox = with(&[]);
    let none = sandbox.run("status");
    assert_eq!(none.code, 0);
    let sandbox = with(&["mail", "web"]);
    let before = listing(&sandbox.home(""));
    let well = sandbox.run("status");
    assert_eq!(listing(&sandbox.home("")), before, "what is found out at once is not kept");
    let (outcome, rows) = status(&sandbox);
    assert_eq!((outcome.code, rows.len()), (0, 2));
    assert_eq!(
        (&rows[0]["deployment"], &rows[0]["playbook"], &rows[0]["state"]),
        (&json!("mail"), &json!("certs"), &json!("ok"))
    );
    assert_eq!(rows[0]["certificate"]["days"], 89);
    for nothing in ["url", "up_since", "space", "backup"] {
        assert_eq!(rows[0][nothing], Json::Null, "{nothing}");
    }
    fs::remove_file(sandbox.path("web/ca.crt")).unwrap();
    let ill = sandbox.run("status");
    let (outcome, rows) = status(&sandbox);
    assert_eq!((well.code, ill.code, outcome.code), (0, 3, 3));
    assert_eq!((&rows[0]["state"], &rows[1]["state"]), (&json!("ok"), &json!("wrong")));
    assert!(rows[1]["wrong"][0]["what"].as_str().unwrap().contains("is missing"), "{rows:?}");
    // A deployment whose folder is damaged, and one of which only its data is left, are told as well.
    fs::create_dir_all(sandbox.home("deployments/bad")).unwrap();
    fs::write(sandbox.home("deployments/bad/deployment.json"), "{").unwrap();
    let path = sandbox.home("deployments/mail/deployment.json");
    let kept = fs::read_to_string(&path).unwrap().replace("\"kept\": false", "\"kept\": true");
    fs::write(path, kept).unwrap();
    let worse = sandbox.run("status");
    assert_eq!(worse.code, 3);
    snapshot!("overview_told", [none.text, well.text, ill.text, worse.text].join("\n"));
}

#[test]
fn an_engine_that_is_down_is_one_line() {
    let sandbox = with(&["a", "b", "c"]);
    rewrite(&sandbox, "a", NETWORK);
    rewrite(&sandbox, "b", NETWORK);
    let outcome = sandbox.run("status");
    assert_eq!(outcome.code, 3, "{}", outcome.text);
    assert_eq!(outcome.stdout.matches("no Docker engine answers").count(), 1, "{}", outcome.text);
    assert!(outcome.stdout.contains("wrong  a, b: network `net`: no Docker engine"), "{}", outcome.text);
    assert_eq!(outcome.stderr, "", "it is no error");
}

#[test]
fn an_engine_that_hangs_holds_nothing_up() {
    let sandbox = with(&["a", "b"]);
    rewrite(&sandbox, "a", NETWORK);
    let socket = sandbox.path("engine.sock");
    // Connections are taken by the kernel, and nobody ever reads from them.
    let _listener = UnixListener::bind(&socket).unwrap();
    let begun = Instant::now();
    let output =
        sandbox.command(&["status"]).env("DOCKER_HOST", format!("unix://{}", socket.display())).output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("does not answer within 1.5 s"), "{said}");
    let b = said.lines().find(|line| line.starts_with("b ")).unwrap();
    assert!(b.contains("ends in 89 days") && !said.contains("wrong  b"), "{said}");
}

#[test]
fn a_run_under_way_is_not_wrong_and_one_that_was_killed_is() {
    let sandbox = with(&["a"]);
    fs::remove_file(sandbox.path("a/ca.crt")).unwrap();
    let lock = sandbox.home("locks/a");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "`provision apply` of me, process 1\n").unwrap();
    let script = "flock -n \"$1\" sh -c 'echo taken; cat'";
    let mut holder = std::process::Command::new("sh");
    holder.args(["-c", script, "sh"]).arg(&lock).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()), &mut said).unwrap();
    let busy = sandbox.run("status");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(busy.code, 0, "{}", busy.text);
    assert!(busy.text.contains("`provision apply` of me, process 1 works on it"), "{}", busy.text);
    let killed = sandbox.run("status");
    assert_eq!(killed.code, 3, "{}", killed.text);
    assert!(killed.text.contains("`provision apply` of me, process 1 was interrupted"), "{}", killed.text);
}

#[test]
fn with_one_deployment_a_plan_needs_no_name() {
    let sandbox = with(&["web"]);
    let named = sandbox.run("plan web").stdout;
    for line in ["plan", "plan --exit-code", "plan -v", "-v plan --output text", "plan --images build"] {
        let outcome = sandbox.run(line);
        assert_eq!((outcome.code, &outcome.stdout), (0, &named), "{}", outcome.text);
    }
    assert!(sandbox.run("plan --help").stdout.contains("Usage"));
    assert!(sandbox.run("plan --output json").stdout.contains("\"deployment\":\"web\""));
}

#[test]
fn a_name_that_is_left_out_is_told() {
    let none = with(&[]);
    assert!(none.run("destroy").stderr.contains("<NAME>"), "the parser's own text");
    let one = with(&["web"]);
    let lines = ["destroy", "rotate", "output", "users add alice", "backup", "apply", "render", "restore"];
    let text: Vec<String> = lines.map(|line| one.run(line).text).into();
    let two = with(&["mail", "web"]);
    let more: Vec<String> = ["plan", "plan --exit-code", "secrets", "graph"].map(|line| two.run(line).text).into();
    snapshot!("overview_unnamed", [text, more].concat().join("\n"));
}
