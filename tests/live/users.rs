//! Users of a registry that goes on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::engine::{Sandbox, shell};

#[test]
fn users_come_and_go_without_a_failed_request() {
    let sandbox = Sandbox::new("users");
    sandbox.registry(&["--trust", "no"]).ok();
    let (ca, password, host) = (sandbox.output("ca"), sandbox.password(), format!("localhost:{}", sandbox.port));
    let status = |user: &str, password: &str| {
        let asked =
            format!("curl -s --cacert {ca} -u {user}:{password} -o /dev/null -w '%{{http_code}}' https://{host}/v2/");
        shell(&asked).out
    };
    let started = || {
        let format = "{{.State.StartedAt}}";
        shell(&format!("docker inspect {0}-proxy {0}-registry --format '{format}'", sandbox.name)).ok().out
    };
    let since = started();
    let users = |arguments: &[&str]| {
        let mut all = vec!["users", sandbox.name.as_str()];
        all.extend(arguments);
        sandbox.command(&all)
    };
    // One client asks without a pause, each time with a connection of its own.
    let stop = AtomicBool::new(false);
    let (asked, failed) = thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut answers = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                answers.push(status("admin", &password));
            }
            let failed: Vec<String> = answers.iter().filter(|answer| *answer != "200").cloned().collect();
            (answers.len(), failed)
        });
        users(&["add", "alice", "--generate"]).ok().says("updated   container tls/proxy");
        let alice = sandbox.command(&["secrets", &sandbox.name, "users.alice"]).ok().out;
        assert_eq!(status("alice", alice.trim()), "200");
        let image = format!("docker://{host}/alice/copy:1");
        let source = format!(
            "docker-daemon:{}",
            shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/nginx | head -1").ok().out.trim()
        );
        shell(&format!("SSL_CERT_FILE={ca} skopeo copy --dest-creds alice:{} {source} {image}", alice.trim())).ok();
        for round in 0..5 {
            users(&["add", &format!("guest{round}"), "--generate"]).ok();
        }
        users(&["password", "alice", "--generate"]).ok();
        assert_eq!(status("alice", alice.trim()), "401", "the old password");
        users(&["remove", "alice"]).ok();
        stop.store(true, Ordering::SeqCst);
        client.join().unwrap()
    });
    // A file of Windows, with a name of two words, as nginx and the registry take it.
    let hash = bcrypt::hash("old password", 5).unwrap();
    let old =
        sandbox.write("users.old", &format!("\u{feff}jane doe:{hash}\r\n\r\n  # those of before\r\nkate:{hash} \r\n"));
    users(&["add", "--import", &old]).ok();
    for name in ["'jane doe'", "kate"] {
        assert_eq!(status(name, "'old password'"), "200", "{name}");
    }
    assert!(asked > 20, "the client asked {asked} times only");
    assert_eq!(failed, Vec::<String>::new(), "of {asked} requests");
    assert_eq!(started(), since, "nothing was started anew");
    let left = shell(&format!("docker exec {}-proxy ls -A /etc/provision", sandbox.name)).ok().out;
    assert!(!left.contains(".provision"), "{left}");
    // The playbook's own user, whose password clients know by `provision secrets`.
    users(&["password", "admin", "--generate"]).ok().says("checked   probe round-trip");
    assert_eq!(
        (status("admin", &password), status("admin", &sandbox.password())),
        ("401".to_owned(), "200".to_owned())
    );
    sandbox.registry(&[]).ok().says("nothing to change");
    sandbox.destroy().ok();
}
