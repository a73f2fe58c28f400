//! Folders that an earlier version made, as they stand in `tests/data/before.tar.gz`: what is at rest stays so, what was kept is
//! taken up again, what was killed is finished, and all of it is rotated, backed up, restored and destroyed.
//!
//! The keys and passwords in there are of no other use. They were made on 2026-11-26 by the version of commit 2f50d61, below a
//! folder that is written `@ROOT@` there, by:
//!
//! ```text
//! provision certs --cn a.test --san b.test --out ./tls
//! provision apply ./own.yml --yes; provision users own add bob --generate
//! provision render registry --cn registry.test --out ./tree; provision users registry-render add bob --generate
//! provision apply ./keep.yml; provision destroy keep --keep-data --yes
//! timeout -s KILL 0.06 provision apply ./kill.yml --yes
//! provision backup certs ./certs.backup --passphrase-file ./passphrase
//! ```

use std::path::Path;
use std::process::Command;

use crate::sandbox::{Outcome, Sandbox};

/// The day after they were made: their certificates are not due.
const DAY: &str = "@2026-11-27 12:00:00";

fn unpacked() -> Sandbox {
    let sandbox = Sandbox::new();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/before.tar.gz");
    let root = sandbox.path("..").canonicalize().unwrap();
    let done = Command::new("tar").arg("-xpzf").arg(archive).arg("--no-same-owner").arg("-C").arg(&root).status();
    assert!(done.unwrap().success());
    replace(&root, root.to_str().unwrap());
    sandbox
}

/// Puts the folder's own path in the place of `@ROOT@`; each file keeps its mode.
fn replace(folder: &Path, root: &str) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            replace(&path, root);
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && text.contains("@ROOT@")
        {
            std::fs::write(&path, text.replace("@ROOT@", root)).unwrap();
        }
    }
}

fn on_that_day(sandbox: &Sandbox, line: &str) -> Outcome {
    sandbox.around(&["faketime", "-f", DAY], &line.split_whitespace().collect::<Vec<_>>())
}

fn done(sandbox: &Sandbox, line: &str) -> Outcome {
    let outcome = on_that_day(sandbox, line);
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    outcome
}

fn is_at_rest(sandbox: &Sandbox, name: &str) {
    done(sandbox, &format!("plan {name} --exit-code"));
}

#[test]
fn what_was_at_rest_is_planned_empty() {
    let sandbox = unpacked();
    for name in ["certs", "own"] {
        is_at_rest(&sandbox, name);
    }
    // What this version gives a registry on a host comes with one run: a mark in its folder of images, and what looks for it.
    let plan = on_that_day(&sandbox, "plan registry-render --exit-code");
    assert!(plan.code == 3 && plan.text.contains("mark: (none) → .provision"), "{}", plan.text);
    assert!(!plan.text.lines().any(|line| line.starts_with("delete") || line.starts_with("replace")), "{}", plan.text);
    done(&sandbox, "apply registry-render");
    is_at_rest(&sandbox, "registry-render");
    let users = done(&sandbox, "users own list").stdout;
    assert!(users.contains("ada") && users.contains("bob"), "{users}");
}

#[test]
fn what_was_kept_or_killed_is_taken_up() {
    let sandbox = unpacked();
    let password = || std::fs::read_to_string(sandbox.home("deployments/keep/secret/password")).unwrap();
    let root = || std::fs::read_to_string(sandbox.home("deployments/kill/authority/ca/root.crt")).unwrap();
    let (kept, made) = (password(), root());
    done(&sandbox, "apply keep");
    done(&sandbox, "apply ./kill.yml");
    assert_eq!((password(), root()), (kept, made));
    for name in ["keep", "kill"] {
        is_at_rest(&sandbox, name);
    }
    assert!(sandbox.path("killnote/users").exists() && sandbox.path("keptnote/users").exists());
}

#[test]
fn all_verbs_work_on_what_an_earlier_version_made() {
    let sandbox = unpacked();
    let before = sandbox.read("tls/a.test.crt");
    done(&sandbox, "rotate certs --what certificates");
    assert_ne!(sandbox.read("tls/a.test.crt"), before);
    done(&sandbox, "users own remove bob");
    done(&sandbox, "apply own --word two");
    assert_eq!(sandbox.read("note/one.txt"), "two");
    done(&sandbox, "backup own ./own.backup --passphrase-file ./passphrase");
    for name in ["certs", "own", "keep", "kill", "registry-render"] {
        done(&sandbox, &format!("destroy {name} --yes"));
    }
    assert_eq!(std::fs::read_dir(sandbox.home("deployments")).unwrap().count(), 0);
    assert!(!sandbox.path("tls").exists() && !sandbox.path("note").exists() && !sandbox.path("tree/etc").exists());
    done(&sandbox, "restore certs ./certs.backup --passphrase-file ./passphrase --set out=./tls");
    assert_eq!(sandbox.read("tls/a.test.crt"), before);
    is_at_rest(&sandbox, "certs");
}

/// A folder that a later version wrote is left as it is, and every verb says in one line which version it takes.
#[test]
fn what_a_later_version_made_is_refused_and_left_alone() {
    let sandbox = unpacked();
    let record = sandbox.home("deployments/own/deployment.json");
    let mut later: serde_json::Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    later["version"] = 99.into();
    // A later version may have written anything else in there.
    later["inputs"] = serde_json::json!("elsewhere");
    std::fs::write(&record, later.to_string()).unwrap();
    let before = std::fs::read(&record).unwrap();
    for line in [
        "plan own",
        "apply own",
        "apply ./own.yml --name own",
        "status own",
        "rotate own --what certificates",
        "users own add eve --generate",
        "users own list",
        "output own",
        "secrets own",
        "backup own ./own.backup --passphrase-file ./passphrase",
        "destroy own --yes",
        "maintain own",
    ] {
        let outcome = on_that_day(&sandbox, line);
        assert!(
            outcome.code == 1 && outcome.text.contains("written by another version of provision"),
            "{line}: {}",
            outcome.text
        );
        assert!(outcome.text.contains("form 99"), "{line}: {}", outcome.text);
    }
    // The others go on, and an overview tells of it.
    let all = on_that_day(&sandbox, "status");
    assert!(all.code == 3 && all.text.contains("written by another version"), "{}", all.text);
    is_at_rest(&sandbox, "certs");
    assert_eq!(std::fs::read(&record).unwrap(), before);
}
