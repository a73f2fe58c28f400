//! What is damaged, in the way or closed: one error that says what to do, and nothing changed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::certs::{all, cut, made, sorted_steps, succeed};
use crate::sandbox::{Sandbox, listing};
use crate::snapshot;

#[test]
fn a_damaged_deployment_is_said_once_and_renew_mends_a_certificate() {
    let kept = "deployments/certs/certificate/server";
    let mut text = String::new();
    for (what, file) in [("half a chain", "chain.crt"), ("half a key", "private.key")] {
        let sandbox = made();
        cut(sandbox.home(kept).join(file));
        let before = all(&sandbox);
        for line in ["certs", "plan certs", "status certs"] {
            let outcome = sandbox.run(line);
            assert_eq!(outcome.code, 1, "{}", outcome.text);
            assert_eq!(outcome.stderr.matches("error:").count(), 1);
            assert_eq!(outcome.stderr.matches("hint:").count(), 1);
        }
        assert_eq!(all(&sandbox), before);
        write!(text, "# {what}\n{}", sandbox.run("certs").text).unwrap();
        writeln!(text, "{}", sorted_steps(&succeed(&sandbox, "certs --renew").text)).unwrap();
        assert!(succeed(&sandbox, "certs").text.contains("nothing to change"));
    }
    let sandbox = made();
    fs::remove_file(sandbox.home(kept).join("private.key")).unwrap();
    writeln!(text, "# no key\n{}", sandbox.run("certs").text).unwrap();
    succeed(&sandbox, "certs --renew");
    fs::copy(sandbox.home("deployments/certs/authority/ca/root.key"), sandbox.home(kept).join("private.key")).unwrap();
    writeln!(text, "# another's key\n{}", sandbox.run("certs").text).unwrap();
    fs::write(sandbox.home(kept).join("private.key"), "").unwrap();
    writeln!(text, "# an empty key\n{}", sandbox.run("certs").text).unwrap();
    fs::remove_dir_all(sandbox.home(kept)).unwrap();
    succeed(&sandbox, "certs");
    cut(sandbox.home("deployments/certs/authority/ca/issuing.crt"));
    let outcome = sandbox.run("certs");
    assert_eq!(outcome.code, 1);
    writeln!(text, "# half an authority\n{}", outcome.text).unwrap();
    snapshot!("faults_damaged", text);
    assert!(!text.contains("PRIVATE KEY"));
}

#[test]
fn a_damaged_record_is_shown_with_its_place() {
    let sandbox = made();
    let record = sandbox.home("deployments/certs/deployment.json");
    let text = fs::read_to_string(&record).unwrap();
    let mut said = String::new();
    for (what, damaged) in [
        ("half of it", text[..text.len() / 2].to_owned()),
        ("empty", String::new()),
        ("another field", text.replace("\"kept\"", "\"keep\"")),
        ("a later form", text.replace("\"version\": 2", "\"version\": 99")),
    ] {
        fs::write(&record, damaged).unwrap();
        for line in ["certs", "destroy certs --yes"] {
            writeln!(said, "# {what}\n{}", sandbox.run(line).text).unwrap();
        }
    }
    snapshot!("faults_record", said);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_nothing_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "of somebody\n");
    let below_a_file = sandbox.run("certs --cn localhost --out ./file/tls");
    sandbox.write("theirs/ca.crt", "of somebody\n");
    let foreign = sandbox.run("certs --cn localhost --out ./theirs");
    fs::create_dir_all(sandbox.path("folder/localhost.key")).unwrap();
    let folder = sandbox.run("certs --cn localhost --out ./folder");
    fs::create_dir(sandbox.path("linked")).unwrap();
    symlink("/nowhere", sandbox.path("linked/localhost.crt")).unwrap();
    let link = sandbox.run("certs --cn localhost --out ./linked");
    assert!(listing(&sandbox.home("")).is_empty(), "nothing is kept");
    // Nobody can write here, not even root, and only an attempt tells.
    let system = sandbox.run("certs --cn localhost --out /proc/nowhere");
    assert_eq!(fs::read_dir(sandbox.home("deployments")).unwrap().count(), 0, "nothing is kept");
    assert!(system.text.contains("failed; everything is as it was before"), "{}", system.text);
    let texts = [below_a_file, foreign, folder, link].map(|outcome| {
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        outcome.text
    });
    assert_eq!(sandbox.read("theirs/ca.crt"), "of somebody\n");
    assert!(!sandbox.path("theirs/localhost.key").exists());
    snapshot!("faults_unwritable", texts.join("\n"));
}

#[test]
fn a_read_only_folder_is_named() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("tls")).unwrap();
    fs::set_permissions(sandbox.path("tls"), fs::Permissions::from_mode(0o555)).unwrap();
    if File::create(sandbox.path("tls/root")).is_ok() {
        return; // root writes anywhere
    }
    let outcome = sandbox.run("certs --cn localhost --out ./tls");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("cannot be written by this user"), "{}", outcome.text);
}

/// What is damaged is told with its place, and nothing of what stands there.
#[test]
fn no_damaged_file_of_a_deployment_is_quoted() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        format!(
            "inputs:\n  token: {{ type: secret }}\nresources:\n  - secret: word\n    value: \"{{{{ token }}}}\"\n  - authority: ca\n    names: [localhost]\n  - htpasswd: people\n    users: {{ admin: \"{{{{ word }}}}\" }}\n    cost: 4\n  - file: out\n    path: {}/users\n    content: \"{{{{ people.content }}}}\"\n",
            sandbox.path("").display()
        ),
    );
    assert_eq!(sandbox.run("apply ./x.yml --token hunter2hunter2").code, 0);
    assert_eq!(sandbox.run("users x add bob --generate").code, 0);
    let secrets = sandbox.run("secrets x --output json").stdout;
    let secrets: std::collections::BTreeMap<String, String> = serde_json::from_str(&secrets).unwrap();
    let folder = sandbox.home("deployments/x");
    let files = walk(&folder);
    assert!(files.len() > 6, "{files:?}");
    for path in files.iter().filter(|path| !path.ends_with("lock")) {
        let before = fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&before).into_owned();
        let mut damages =
            vec![text[..text.len() / 2].to_owned(), text.replacen(['{', ':'], "", 1), text.replacen('"', "", 1)];
        for secret in secrets.values() {
            // As a number, a name of a field, in the middle of nothing.
            damages.push(text.replace(&format!("\"token\": \"{secret}\""), &format!("\"token\": {secret}")));
            damages.push(text.replace("\"kinds\": [", &format!("\"kinds\": \"{secret}\", \"{secret}\": [")));
            damages.push(text.replace("\"version\": 2", &format!("\"version\": \"{secret}\"")));
        }
        for damaged in damages.iter().filter(|damaged| **damaged != text) {
            for line in [
                "plan x",
                "apply x",
                "status x",
                "output x",
                "users x",
                "list",
                "backup x ./x.age --passphrase-file x.yml",
                "graph x",
            ] {
                fs::write(path, damaged).unwrap();
                let said = sandbox.run(line).text;
                let told = secrets.values().find(|secret| said.contains(&secret[..12]));
                assert!(told.is_none() && !said.contains("PRIVATE KEY"), "{}: {line}: {said}", path.display());
            }
        }
        fs::write(path, before).unwrap();
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
