//! `provision gc` as a user runs it and as upkeep does. That it breaks nothing is shown by the races and the soak.

use crate::client::Client;
use crate::engine::{Sandbox, shell};

/// What the store takes on the disk, in kB.
fn used(sandbox: &Sandbox) -> u64 {
    let counted = shell(&format!("docker exec {}-registry du -sk /var/lib/registry/docker", sandbox.name)).ok().out;
    counted.split_whitespace().next().unwrap().parse().unwrap()
}

/// Uploads a layer of 100 kB that no image needs.
fn garbage(sandbox: &Sandbox, letter: &str) {
    let client = Client::of(sandbox);
    assert_eq!(client.upload("team/app", &letter.repeat(100_000)), 201);
}

/// Turns the hands of the clock by which upkeep knows what it did, and what was listed, back by days.
fn days_pass(sandbox: &Sandbox) {
    let measured = sandbox.home.path().join(format!("home/measured/{}.json", sandbox.name));
    let mut text: serde_json::Value = serde_json::from_slice(&std::fs::read(&measured).unwrap()).unwrap();
    text["collected"] = "2020-01-01T00:00:00Z".into();
    std::fs::write(&measured, text.to_string()).unwrap();
    shell(&format!(
        "docker run --rm --user 65532:65532 -v {0}-watch:/run/watch --entrypoint sh $(docker inspect {0}-proxy --format '{{{{.Image}}}}') -c \
         '[ ! -e /run/watch/keys/list.map ] || sed -i \"s/\\\" \\\"[0-9]* /\\\" \\\"1 /\" /run/watch/keys/list.map'",
        sandbox.name
    ))
    .ok();
}

#[test]
fn what_nothing_needs_is_listed_and_freed_at_once_or_by_upkeep() {
    let sandbox = Sandbox::new("gc");
    sandbox.registry(&["--trust", "no"]).ok();
    let gc = |more: &[&str]| sandbox.command(&[&["gc", &sandbox.name], more].concat());
    let maintain = || sandbox.command(&["maintain", &sandbox.name]).ok();
    // What the set-up tried the registry with.
    gc(&["--now"]).ok().says("nothing is left to free");
    garbage(&sandbox, "a");
    let full = used(&sandbox);
    gc(&["--dry-run"]).ok().says("no image needs 1 blobs (100 kB)");
    gc(&[]).ok().says("freed 0 blobs").says("a run in 24 h frees them");
    assert_eq!(used(&sandbox), full);
    gc(&["--now"]).ok().says("may get an error and need a retry").says("freed 1 blobs (100 kB)");
    assert!(used(&sandbox) < full);

    // A new registry is kept free of garbage by upkeep.
    garbage(&sandbox, "b");
    maintain().says("no image needs 1 blobs (100 kB): a run in 24 h frees them");
    maintain().says("nothing was due");
    days_pass(&sandbox);
    maintain().says("freed 1 blobs (100 kB)");

    // One of an earlier version is not, until that is wanted.
    garbage(&sandbox, "c");
    let record = sandbox.home.path().join(format!("home/deployments/{}/deployment.json", sandbox.name));
    let text = std::fs::read_to_string(&record).unwrap();
    let mut earlier: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(earlier["upkeep"].as_object_mut().unwrap().remove("gc"), Some(true.into()));
    std::fs::write(&record, earlier.to_string()).unwrap();
    days_pass(&sandbox);
    maintain().says(&format!("no image needs 1 blobs (100 kB): `provision registry --name {} --gc yes`", sandbox.name));
    days_pass(&sandbox);
    maintain().says("--gc yes");
    maintain().says("nothing was due");
    sandbox.registry(&["--trust", "no", "--gc", "yes"]).ok();
    days_pass(&sandbox);
    maintain().says("a run in 24 h frees them");
    days_pass(&sandbox);
    maintain().says("freed 1 blobs (100 kB)");
    sandbox.registry(&["--trust", "no", "--gc", "no"]).ok();
    garbage(&sandbox, "d");
    days_pass(&sandbox);
    maintain().says("nothing was due");

    // What takes the possibility away is said, and that it is wanted is refused.
    sandbox
        .plan(&["--trust", "no", "--mirror-of", "https://mirror.test", "--gc", "yes"])
        .fails(1)
        .says("passes pulls on");
    gc(&["--grace", "1s"]).ok().says("freed 0 blobs");
    sandbox.destroy().ok();
}

#[test]
fn the_grace_is_no_shorter_than_the_longest_push() {
    let sandbox = Sandbox::new("grace");
    sandbox.registry(&["--trust", "no"]).ok();
    let (ca, password, port) = (sandbox.output("ca"), sandbox.password(), sandbox.port);
    let slow = sandbox.write("layer", &"slow".repeat(100_000));
    let digest = format!("sha256:{}", shell(&format!("sha256sum {slow} | cut -d' ' -f1")).ok().out.trim());
    let script = format!(
        "set -e; curl='curl -sSf --noproxy * --cacert {ca} -u admin:{password}'; url=https://localhost:{port}; \
         at=$($curl -o /dev/null -D - -X POST $url/v2/app/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); \
         case $at in /*) at=$url$at;; esac; \
         $curl --limit-rate 100k -X PUT -H 'Content-Type: application/octet-stream' --data-binary @{slow} \"$at&digest={digest}\"; \
         $curl -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' $url/v2/app/manifests/v1 --data-binary \
         '{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":400000,\"digest\":\"{digest}\"}},\"layers\":[]}}'"
    );
    shell(&script).ok();
    let gc = |more: &[&str]| sandbox.command(&[&["gc", &sandbox.name], more].concat()).ok();
    gc(&["--grace", "1s"]).says("a push took ").says("that is the grace, instead of 1 s");
    assert!(!gc(&["--grace", "1h"]).all().contains("a push took"));
    assert!(!gc(&["--now"]).says("nothing is left to free").all().contains("a push took"));
    sandbox.destroy().ok();
}
