//! Clients that pause for longer than a minute in the middle of what they send or fetch.

use crate::engine::{Sandbox, shell};

/// Seconds of the pause: longer than the 60 s that nginx waits by default.
const PAUSE: u32 = 70;

#[test]
#[ignore = "minutes: `make soak`"]
fn soak_a_push_and_a_pull_may_pause() {
    let sandbox = Sandbox::new("pauses");
    sandbox.registry(&["--trust", "no"]).ok();
    let (ca, password, port) = (sandbox.output("ca"), sandbox.password(), sandbox.port);
    let folder = sandbox.home.path().display();
    let half = "head -c 20000000 /dev/zero";
    let script = format!(
        "cd {folder}; url=https://localhost:{port}; ask() {{ curl -s --noproxy '*' --cacert {ca} -u admin:{password} \"$@\"; }}; \
         at() {{ tr -d '\\r' <headers | sed -n 's/^[Ll]ocation: //p' | sed \"s|^/|$url/|\"; }}; \
         ask -D headers -o /dev/null -X POST $url/v2/team/slow/blobs/uploads/; \
         ({half}; sleep {PAUSE}; {half}) | ask -D headers -o /dev/null -w '%{{http_code}} ' -X PATCH -H 'Content-Type: application/octet-stream' -T - \"$(at)\"; \
         digest=sha256:$(({half}; {half}) | sha256sum | cut -d' ' -f1); to=$(at); \
         case $to in *\\?*) to=\"$to&digest=$digest\";; *) to=\"$to?digest=$digest\";; esac; \
         ask -o /dev/null -w '%{{http_code}} ' -X PUT \"$to\"; \
         ask $url/v2/team/slow/blobs/$digest | (head -c 1000000; sleep {PAUSE}; cat) | wc -c"
    );
    assert_eq!(shell(&script).ok().out.trim(), "202 201 40000000");
    sandbox.destroy().ok();
}
