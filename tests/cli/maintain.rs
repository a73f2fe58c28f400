//! Maintenance without an engine: what is due is done, told once, and kept for the overview.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value as Json;

use crate::certs::succeed;
use crate::lock::hold;
use crate::sandbox::{Outcome, Sandbox, mode};
use crate::snapshot;

fn at(time: &str, sandbox: &Sandbox, line: &str) -> Outcome {
    sandbox.around(&["faketime", "-f", time], &line.split_whitespace().collect::<Vec<_>>())
}

/// A certificate of 61 days ago, of which less than a third of its life is left.
fn due() -> Sandbox {
    let sandbox = Sandbox::new();
    let made = at("-61d", &sandbox, "certs --cn a.test --out ./tls");
    assert_eq!(made.code, 0, "{}", made.text);
    sandbox
}

#[test]
fn a_certificate_is_renewed_once_it_is_due_and_not_before() {
    let sandbox = due();
    let before = sandbox.read("tls/a.test.crt");
    let early = at("-5d", &sandbox, "maintain");
    assert!(early.code == 0 && early.text.contains("certs: nothing was due"), "{}", early.text);
    assert_eq!(sandbox.read("tls/a.test.crt"), before);
    let done = succeed(&sandbox, "maintain");
    assert!(done.text.contains("certs: renewed "), "{}", done.text);
    assert_ne!(sandbox.read("tls/a.test.crt"), before);
    assert!(succeed(&sandbox, "maintain certs").text.contains("nothing was due"));
    assert!(succeed(&sandbox, "status").text.contains("certs: maintenance at 20"));
    assert!(succeed(&sandbox, "plan certs --exit-code").text.contains("nothing to change"));
}

#[test]
fn a_deployment_that_is_locked_is_skipped_and_one_that_wants_none_is_left_alone() {
    let sandbox = due();
    let before = sandbox.read("tls/a.test.crt");
    {
        let _lock = hold(&sandbox, "certs");
        let told = succeed(&sandbox, "maintain").text;
        assert!(told.contains("certs: skipped, `provision apply` of tester, process 1 works on it"), "{told}");
    }
    fs::remove_file(sandbox.home("locks/certs")).unwrap();
    assert_eq!(at("-61d", &sandbox, "certs --maintain no").code, 0);
    let told = succeed(&sandbox, "maintain").text;
    assert!(told.contains("no deployment to maintain"), "{told}");
    assert_eq!(sandbox.read("tls/a.test.crt"), before);
    // By its name it is maintained all the same.
    assert!(succeed(&sandbox, "maintain certs").text.contains("renewed"));
}

#[test]
fn settings_that_no_timer_can_carry_out_are_refused() {
    let sandbox = Sandbox::new();
    let recipient = succeed(&sandbox, "backup --new-key key.txt").stdout;
    assert_eq!(mode(&sandbox.path("key.txt")), 0o600);
    let again = sandbox.run("backup --new-key key.txt");
    assert_ne!(again.code, 0, "{}", again.text);
    assert!(sandbox.read("key.txt").contains(recipient.trim()));
    sandbox.write("tool", "#!/bin/sh\n");
    let tool = sandbox.path("tool").display().to_string();
    let lines = [
        "certs --cn a.test --backup-to .".to_owned(),
        "certs --cn a.test --keep 3".to_owned(),
        format!("certs --cn a.test --backup-to ./nowhere --backup-recipient {}", recipient.trim()),
        format!("certs --cn a.test --backup-to ftp://host/folder --backup-recipient {}", recipient.trim()),
        "certs --cn a.test --backup-to . --backup-recipient age1x".to_owned(),
        "certs --cn a.test --notify mail".to_owned(),
        format!("certs --cn a.test --notify {tool}"),
        "certs --cn a.test --notify @missing".to_owned(),
        "certs --cn a.test --maintain perhaps".to_owned(),
        "certs --cn a.test --keep 0".to_owned(),
        "maintain nothing".to_owned(),
    ];
    let told: Vec<String> =
        lines.iter().map(|line| sandbox.run(line).text.replace(recipient.trim(), "[recipient]")).collect();
    assert!(!sandbox.home("deployments").exists(), "nothing was set up");
    snapshot!("maintain_refused", told.join("\n"));
}

/// The backups in a folder.
fn backups(sandbox: &Sandbox) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(sandbox.path("backups"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_backup_is_written_daily_and_the_oldest_of_its_own_go() {
    let sandbox = Sandbox::new();
    let recipient = succeed(&sandbox, "backup --new-key key.txt").stdout;
    fs::create_dir(sandbox.path("backups")).unwrap();
    let foreign = ["certs-00000000-20200101T000000Z.backup.age", "photo.jpg"];
    foreign.iter().for_each(|name| drop(sandbox.write(&format!("backups/{name}"), "x")));
    succeed(
        &sandbox,
        &format!(
            "certs --cn a.test --out ./tls --backup-to ./backups --backup-recipient {} --keep 2",
            recipient.trim()
        ),
    );
    for (time, count) in [("+0d", 3), ("+1h", 3), ("+1d", 4), ("+2d", 4), ("+3d", 4)] {
        let done = at(time, &sandbox, "maintain");
        assert_eq!((done.code, backups(&sandbox).len()), (0, count), "{time}: {}", done.text);
    }
    assert!(foreign.iter().all(|name| backups(&sandbox).iter().any(|found| found == name)));
    // The setting is remembered, and what it wrote opens with the key.
    succeed(&sandbox, "certs");
    let newest =
        backups(&sandbox).into_iter().rfind(|name| name.starts_with("certs-") && !name.contains("-00000000-")).unwrap();
    assert_eq!(mode(&sandbox.path(&format!("backups/{newest}"))), 0o600);
    succeed(&sandbox, "destroy certs --yes");
    succeed(&sandbox, &format!("restore certs backups/{newest} --identity key.txt"));
    assert!(sandbox.path("tls/a.test.crt").exists());
    succeed(&sandbox, "certs --backup-to none");
    assert!(at("+9d", &sandbox, "maintain").text.contains("nothing was due"));
}

/// What a command was told, a line each.
fn told(sandbox: &Sandbox) -> Vec<Json> {
    let text = fs::read_to_string(sandbox.path("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_failure_is_told_once_and_once_more_when_it_is_mended() {
    let sandbox = Sandbox::new();
    let recipient = succeed(&sandbox, "backup --new-key key.txt").stdout;
    fs::create_dir(sandbox.path("backups")).unwrap();
    let tool = sandbox.write("tool", format!("#!/bin/sh\ncat >>{}\n", sandbox.path("told").display()));
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("certs --cn a.test --out ./tls --backup-to ./backups --backup-recipient {}", recipient.trim());
    let mut arguments: Vec<&str> = line.split_whitespace().collect();
    let notify = format!("{} --urgent", tool.display());
    arguments.extend(["--notify", &notify]);
    assert_eq!(sandbox.call(&arguments).code, 0);
    fs::remove_dir(sandbox.path("backups")).unwrap();
    for _ in 0..2 {
        let failed = sandbox.run("maintain");
        assert!(failed.code == 1 && failed.text.contains("backup failed: there is no folder"), "{}", failed.text);
        assert_eq!(told(&sandbox).len(), 1);
    }
    let first = &told(&sandbox)[0];
    assert_eq!([&first["deployment"], &first["task"], &first["state"]], ["certs", "backup", "failed"]);
    assert!(first["what"].as_str().unwrap().contains("there is no folder"));
    let overview = sandbox.run("status");
    assert!(overview.code == 3 && overview.text.contains("backup failed"), "{}", overview.text);
    fs::create_dir(sandbox.path("backups")).unwrap();
    for time in ["+0d", "+1d"] {
        assert_eq!(at(time, &sandbox, "maintain").code, 0);
        assert_eq!(told(&sandbox).len(), 2);
    }
    assert_eq!(told(&sandbox)[1]["state"], "mended");

    // One that does not take it is told again at the next run.
    fs::remove_dir_all(sandbox.path("backups")).unwrap();
    sandbox.write("tool", "#!/bin/sh\nexit 7\n");
    let failed = at("+3d", &sandbox, "maintain");
    assert!(failed.code == 1 && failed.text.contains("notify failed"), "{}", failed.text);
    sandbox.write("tool", format!("#!/bin/sh\ncat >>{}\n", sandbox.path("told").display()));
    assert_eq!(at("+3d", &sandbox, "maintain").code, 1);
    assert_eq!(told(&sandbox).len(), 3);
}

#[test]
fn a_url_is_posted_to_and_its_token_is_shown_nowhere() {
    let sandbox = Sandbox::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    sandbox.write("hook", format!("http://127.0.0.1:{port}/hidden-token\n"));
    succeed(&sandbox, "certs --cn a.test --out ./tls --notify @hook");
    let shown =
        ["status", "status certs", "plan certs", "certs --output json", "list"].map(|line| sandbox.run(line).text);
    assert!(!shown.concat().contains("hidden-token"));
    // A certificate that nothing can renew: its key's file is damaged.
    let chain = fs::read_dir(sandbox.home("deployments/certs/certificate")).unwrap().next().unwrap().unwrap().path();
    fs::write(chain.join("private.key"), "x").unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = Vec::new();
        let mut part = [0; 4096];
        while !text.ends_with(b"}\n") {
            let read = stream.read(&mut part).unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&text));
            text.extend_from_slice(&part[..read]);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        String::from_utf8(text).unwrap()
    });
    let failed = sandbox.run("maintain");
    assert_eq!(failed.code, 1, "{}", failed.text);
    let request = server.join().unwrap();
    assert!(request.starts_with("POST /hidden-token HTTP/1.1\r\n"), "{request}");
    let body: Json = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!([&body["deployment"], &body["task"], &body["state"]], ["certs", "look", "failed"]);
    // Nobody listens any more: told without the path.
    fs::write(chain.join("private.key"), "").unwrap();
    succeed(&sandbox, "certs --renew");
    let mended = sandbox.run("maintain");
    assert!(mended.code == 1 && mended.text.contains(&format!("`127.0.0.1:{port}` did not take")), "{}", mended.text);
    assert!(!mended.text.contains("hidden-token"));
}

/// Registries beside which nothing is collected: each refusal names what can be done instead.
#[test]
fn where_nothing_is_collected_that_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("certs --cn a.test").code, 0);
    for line in ["--name host", "--name redis --redis cache.test", "--name mirror --mirror-of https://registry.test"] {
        assert_eq!(sandbox.run(&format!("render registry --out ./{} {line}", line.len())).code, 0, "{line}");
    }
    let lines = [
        "gc host",
        "gc redis",
        "gc mirror --dry-run",
        "gc certs",
        "gc nothing",
        "gc https://registry.example.com:5000",
        "gc registry.example.com:5000",
        "gc host --grace soon",
        "gc host --now --grace 1h",
        "certs --cn a.test --gc yes",
        "certs --cn a.test --gc perhaps",
    ];
    snapshot!("gc_refused", lines.map(|line| sandbox.run(line).text).join("\n"));
}
