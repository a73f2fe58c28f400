//! Mistakes on the command line of `provision ci`: each is told before anything is made, with what to do about it.

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn mistakes_are_told_before_anything_is_made() {
    let sandbox = Sandbox::new();
    sandbox.write("empty/index.html", "");
    let lines = [
        "ci --ttl 10 -- true",
        "ci --ttl 5s -- true",
        "ci --ttl 99999999999999999999h -- true",
        "ci --seed a@sha256:00 -- true",
        "ci --seed : -- true",
        "ci --seed-dir empty -- true",
        "ci --pull-through registry.example.com -- true",
        "ci --pull-through https://registry.example.com --seed a:1 -- true",
        "ci --storage lots -- true",
        "ci --bind nowhere? -- true",
        "ci --format github",
        "ci --format yaml",
        "ci --format env -- true",
        "ci --env-file empty/index.html/variables --format env",
        "ci --report empty/index.html/report.xml -- true",
        "ci --output json -- true",
        "ci --name mine -- true",
        "ci true",
        "ci down",
        "ci down ci-00000000",
        "ci down mine",
    ];
    let text: String = lines.iter().map(|line| sandbox.run(line).text + "\n").collect();
    snapshot!("ci_mistakes", text);
    // Those that stand in the playbook are found once it is read.
    let left: Vec<_> = std::fs::read_dir(sandbox.home("deployments")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn without_an_engine_nothing_is_left() {
    let sandbox = Sandbox::new();
    let text = ["ci -- true", "ci", "ci reap"].map(|line| sandbox.run(line).text).join("\n");
    snapshot!("ci_no_engine", text);
    let left: Vec<_> = std::fs::read_dir(sandbox.home("deployments")).into_iter().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
