//! The life of certificates: made, kept, mended, renewed, taken away.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use openssl::x509::X509;
use serde_json::Value as Json;

use crate::sandbox::{Outcome, Sandbox, listing, mode};
use crate::snapshot;

const FILES: [&str; 3] = ["tls/ca.crt", "tls/localhost.crt", "tls/localhost.key"];

/// A sandbox where the certificates of `localhost` stand in `tls/`.
pub fn made() -> Sandbox {
    let sandbox = Sandbox::new();
    let outcome = sandbox.run("certs --cn localhost --out ./tls");
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    sandbox
}

fn contents(sandbox: &Sandbox) -> [String; 3] {
    FILES.map(|file| sandbox.read(file))
}

/// Runs a line that must succeed.
pub fn succeed(sandbox: &Sandbox, line: &str) -> Outcome {
    let outcome = sandbox.run(line);
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    outcome
}

pub fn all(sandbox: &Sandbox) -> Vec<String> {
    [listing(&sandbox.path("")), listing(&sandbox.home(""))].concat()
}

pub fn cut(path: std::path::PathBuf) {
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, &text[..text.len() / 2]).unwrap();
}

/// The names in a chain's first certificate.
fn names(chain: &str) -> Vec<String> {
    let leaf = X509::from_pem(chain.as_bytes()).unwrap();
    leaf.subject_alt_names().unwrap().iter().filter_map(|name| name.dnsname().map(str::to_owned)).collect()
}

#[test]
fn the_first_run_makes_three_files_and_the_second_touches_nothing() {
    let sandbox = Sandbox::new();
    let line = "certs --cn localhost --out ./tls";
    let first = succeed(&sandbox, line);
    assert_eq!(FILES.map(|file| mode(&sandbox.path(file))), [0o644, 0o644, 0o600]);
    assert_eq!(mode(&sandbox.path("tls")), 0o755);
    let before = all(&sandbox);
    let second = succeed(&sandbox, line);
    let bare = succeed(&sandbox, "certs");
    assert_eq!(all(&sandbox), before);
    let rest = ["plan certs", "status certs", "output certs", "output certs key", "secrets certs"]
        .map(|line| succeed(&sandbox, line).text);
    assert_eq!(all(&sandbox), before, "looking changes nothing");
    let order = |text: &str| sorted_steps(text);
    snapshot!("certs_life", [order(&first.text), second.text, bare.text, rest.join("\n")].join("\n"));
}

/// A relative path counts from the folder where the first run was typed, also the one that nobody typed: `--out .`.
#[test]
fn a_later_run_may_be_typed_in_another_folder() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, "certs --cn localhost");
    assert!(sandbox.path("localhost.key").exists());
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    for line in [["certs", "--renew"], ["status", "certs"], ["plan", "certs"]] {
        let output = sandbox.command(&line).current_dir(sandbox.path("elsewhere")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), 0);
}

/// Steps that run at once are told in any order.
pub fn sorted_steps(text: &str) -> String {
    let (mut steps, rest): (Vec<&str>, Vec<&str>) = text
        .lines()
        .partition(|line| ["created ", "updated ", "replaced ", "deleted "].iter().any(|word| line.starts_with(word)));
    steps.sort_unstable();
    format!("{}\n", [rest, steps].concat().join("\n"))
}

#[test]
fn what_is_kept_is_closed_to_others() {
    let sandbox = made();
    let mut keys = 0;
    for path in listing(&sandbox.home("")).iter().map(|line| line.split(' ').next().unwrap().to_owned()) {
        let path = std::path::PathBuf::from(path);
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        if path.starts_with(sandbox.home("deployments")) || path.is_file() {
            let found = mode(&path);
            assert_eq!(found, wanted, "{}: {found:o}", path.display());
        }
        keys += usize::from(path.is_file() && fs::read_to_string(&path).unwrap().contains("PRIVATE KEY"));
    }
    assert_eq!(keys, 3, "the root's, the issuing one's and the server's");
}

#[test]
fn renew_issues_a_certificate_and_keeps_the_authority() {
    let sandbox = made();
    let [ca, chain, key] = contents(&sandbox);
    let outcome = succeed(&sandbox, "certs --renew");
    let renewed = contents(&sandbox);
    assert_eq!(renewed[0], ca);
    assert!(renewed[1] != chain && renewed[2] != key);
    snapshot!("certs_renew", sorted_steps(&outcome.text));
    assert!(succeed(&sandbox, "certs").text.contains("nothing to change"), "it was renewed once");
}

#[test]
fn a_change_by_hand_is_named_and_mended() {
    let sandbox = made();
    let before = contents(&sandbox);
    let mut text = String::new();
    let mut mend = |what: &str| {
        let plan = succeed(&sandbox, "plan certs");
        let status = sandbox.run("status certs");
        assert_eq!(status.code, 3);
        let mended = succeed(&sandbox, "certs");
        assert_eq!(contents(&sandbox), before, "{what}");
        writeln!(text, "# {what}\n{}{}{}", plan.text, status.text, mended.text).unwrap();
    };
    fs::write(sandbox.path("tls/ca.crt"), "by hand\n").unwrap();
    mend("another content");
    fs::set_permissions(sandbox.path("tls/localhost.key"), fs::Permissions::from_mode(0o644)).unwrap();
    mend("another mode");
    cut(sandbox.path("tls/localhost.crt"));
    mend("half a file");
    fs::remove_file(sandbox.path("tls/localhost.key")).unwrap();
    mend("no file");
    fs::remove_dir_all(sandbox.path("tls")).unwrap();
    mend("no folder");
    assert_eq!(mode(&sandbox.path("tls/localhost.key")), 0o600);
    // Files of the run before the last step run at once.
    snapshot!(
        "certs_mended",
        text.split("# ").map(|part| format!("# {}", sorted_steps(part))).skip(1).collect::<String>()
    );
}

#[test]
fn another_name_is_put_into_a_new_certificate() {
    let sandbox = made();
    let ca = sandbox.read("tls/ca.crt");
    let plan = succeed(&sandbox, "plan certs --san www.localhost --san 127.0.0.1");
    succeed(&sandbox, "certs --san www.localhost --san 127.0.0.1");
    assert_eq!(sandbox.read("tls/ca.crt"), ca);
    assert_eq!(names(&sandbox.read("tls/localhost.crt")), ["localhost", "www.localhost"]);
    let days = succeed(&sandbox, "plan certs --days 30 --algorithm rsa3072");
    let wrong = ["plan certs --days many", "plan certs --days 0", "plan certs --days 826"].map(|line| {
        let outcome = sandbox.run(line);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        outcome.text
    });
    snapshot!("certs_san", [plan.text, days.text, wrong.join("\n")].join("\n"));
}

#[test]
fn an_old_key_is_deleted_only_after_a_yes() {
    let sandbox = made();
    let before = all(&sandbox);
    let asked = sandbox.run("certs --cn other.localhost");
    assert_eq!(asked.code, 1, "{}", asked.text);
    assert_eq!(all(&sandbox), before);
    let done = succeed(&sandbox, "certs --cn other.localhost --yes");
    assert!(!sandbox.path("tls/localhost.key").exists() && !sandbox.path("tls/localhost.crt").exists());
    assert_eq!(mode(&sandbox.path("tls/other.localhost.key")), 0o600);
    assert_eq!(names(&sandbox.read("tls/other.localhost.crt")), ["other.localhost"]);
    let moved = succeed(&sandbox, "certs --out ./elsewhere --yes");
    assert!(!sandbox.path("tls").exists(), "the folder was made for them");
    snapshot!("certs_moved", [asked.text, sorted_steps(&done.text), sorted_steps(&moved.text)].join("\n"));
}

#[test]
fn destroy_leaves_the_folder_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write("tls/foreign.txt", "of somebody\n");
    let before = listing(&sandbox.path("tls/foreign.txt"));
    succeed(&sandbox, "certs --cn localhost --out ./tls/a/b");
    let outcome = succeed(&sandbox, "destroy certs --yes");
    assert_eq!(listing(&sandbox.path("tls/foreign.txt")), before);
    assert!(!sandbox.path("tls/a").exists(), "folders that were made are gone");
    assert!(!sandbox.home("deployments/certs").exists());
    succeed(&sandbox, "certs --cn localhost --out ./tls/a");
    sandbox.write("tls/a/kept.txt", "of somebody\n");
    succeed(&sandbox, "destroy certs --yes");
    assert_eq!(fs::read_dir(sandbox.path("tls/a")).unwrap().count(), 1, "a foreign file keeps its folder");
    let again = sandbox.run("destroy certs --yes");
    snapshot!("certs_destroyed", [sorted_steps(&outcome.text), again.text].join("\n"));
}

#[test]
fn two_deployments_stand_side_by_side() {
    let sandbox = Sandbox::new();
    for name in ["one", "two"] {
        succeed(&sandbox, &format!("certs --cn {name}.localhost --out ./tls/{name} --name {name}"));
    }
    assert_ne!(sandbox.read("tls/one/ca.crt"), sandbox.read("tls/two/ca.crt"));
    let before = listing(&sandbox.path("tls/two"));
    let clash = sandbox.run("certs --cn two.localhost --out ./tls/two --name one --yes");
    assert_eq!(clash.code, 1);
    succeed(&sandbox, "destroy one --yes");
    assert_eq!(listing(&sandbox.path("tls/two")), before);
    assert!(succeed(&sandbox, "certs --name two").text.contains("nothing to change"));
    snapshot!("certs_clash", clash.text);
}

#[test]
fn json_is_all_that_json_output_prints() {
    let sandbox = Sandbox::new();
    let lines = |outcome: &Outcome| -> Vec<Json> {
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let events = |outcome: &Outcome| -> Vec<String> {
        lines(outcome).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    };
    let first = succeed(&sandbox, "certs --cn localhost --out ./tls --output json");
    assert!(first.stderr.is_empty(), "{}", first.stderr);
    let found = events(&first);
    assert_eq!(found.iter().filter(|event| *event == "summary").count(), 1);
    assert_eq!(found.iter().filter(|event| *event == "finished").count(), 5);
    let summary = lines(&first).into_iter().find(|line| line["event"] == "summary").unwrap();
    assert_eq!(
        (&summary["outcome"], &summary["changed"], &summary["deployment"]),
        (&Json::from("done"), &Json::from(5), &Json::from("certs"))
    );
    assert_eq!(events(&succeed(&sandbox, "plan certs --output json")), ["plan"]);
    assert_eq!(events(&succeed(&sandbox, "certs --output json")), ["summary", "outputs"]);
    let failed = sandbox.run("certs --out ./tls/ca.crt/x --output json --yes");
    assert_eq!(failed.code, 1);
    assert_eq!(lines(&failed).last().unwrap()["event"], "error");
    let usage = sandbox.run("certs --cn a_b --output json");
    assert_eq!(
        (usage.code, usage.stdout.lines().count()),
        (2, usage.stdout.lines().filter(|line| line.starts_with('{')).count())
    );
    assert!([first.stdout, failed.stdout].iter().all(|text| !text.contains("PRIVATE KEY")));
    assert_eq!(events(&succeed(&sandbox, "destroy certs --yes --output json")).last().unwrap(), "summary");
}

#[test]
fn no_key_is_ever_told() {
    let sandbox = Sandbox::new();
    for line in [
        "certs --cn localhost --out ./tls -v",
        "certs --renew -v",
        "plan certs --renew --output json",
        "status certs --output json",
        "output certs --output json",
        "graph certs",
        "secrets certs",
        "list",
        "destroy certs --yes -v",
    ] {
        let text = succeed(&sandbox, line).text;
        assert!(!text.contains("PRIVATE KEY") && !text.contains("BEGIN"), "{line}: {text}");
    }
}

#[test]
fn the_folder_of_deployments_is_chosen_by_the_environment() {
    let sandbox = Sandbox::new();
    let run = |variable: &str, path: &str| {
        let mut command = sandbox.command(&["certs", "--cn", "localhost", "--out", path]);
        command.env_remove("PROVISION_HOME").env(variable, sandbox.path(variable));
        assert!(command.output().unwrap().status.success());
    };
    run("PROVISION_HOME", "a");
    assert!(sandbox.path("PROVISION_HOME/deployments/certs/deployment.json").exists());
    assert_eq!(mode(&sandbox.path("PROVISION_HOME/deployments/certs")), 0o700);
    run("XDG_STATE_HOME", "b");
    assert!(sandbox.path("XDG_STATE_HOME/provision/deployments/certs/deployment.json").exists());
    run("HOME", "c");
    assert!(sandbox.path("HOME/.local/state/provision/deployments/certs/deployment.json").exists());
}
