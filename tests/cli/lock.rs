//! Runs at the same time: each reads what there is once the other has ended, and waits for it no longer than it was told.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::certs::{all, made, succeed};
use crate::sandbox::Sandbox;
use crate::snapshot;
use crate::users::{site, users};

/// Holds a deployment's lock, as another process would.
pub fn hold(sandbox: &Sandbox, name: &str) -> File {
    let path = sandbox.home("locks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&path, "`provision apply` of tester, process 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

fn start(sandbox: &Sandbox, line: &str) -> Child {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let mut command = sandbox.command(&arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a program says something, and gives what more it says.
fn says<R: Read>(from: R, text: &str) -> BufReader<R> {
    let mut from = BufReader::new(from);
    let mut said = String::new();
    while !said.contains(text) {
        assert_ne!(from.read_line(&mut said).unwrap(), 0, "no `{text}` in: {said}");
    }
    from
}

#[track_caller]
fn ends_well(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn fifo(sandbox: &Sandbox) -> std::path::PathBuf {
    let path = sandbox.path("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_second_run_says_who_holds_the_lock_and_waits() {
    let sandbox = made();
    let lock = hold(&sandbox, "certs");
    let before = all(&sandbox);
    let lines =
        ["certs --renew --wait 0", "destroy certs --yes --wait 1s", "rotate certs --what certificates --wait 0s"];
    let texts = lines.map(|line| {
        let outcome = sandbox.run(line);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        outcome.text
    });
    succeed(&sandbox, "plan certs");
    assert_eq!(all(&sandbox), before);
    snapshot!("lock_held", texts.join("\n"));
    let mut waiting = start(&sandbox, "certs --renew");
    let _more = says(waiting.stderr.take().unwrap(), "waiting for `provision apply` of tester");
    assert_eq!(all(&sandbox), before);
    drop(lock);
    ends_well(waiting);
    assert_ne!(all(&sandbox), before);
    assert_eq!(sandbox.run("certs --wait 5").code, 2, "a time has a unit");
}

#[test]
fn runs_at_the_same_time_all_succeed_and_leave_one_set_of_files() {
    let sandbox = made();
    let runs: Vec<Child> = (0..4).map(|_| start(&sandbox, "certs --renew")).collect();
    runs.into_iter().for_each(ends_well);
    assert!(succeed(&sandbox, "certs").text.contains("nothing to change"));
    assert_eq!(fs::read_dir(sandbox.home("locks")).unwrap().count(), 0, "no lock stays");
}

/// The folder goes and comes while others wait for it: still no two work at once.
#[test]
fn a_deployment_that_comes_and_goes_is_worked_on_by_one_at_a_time() {
    let sandbox = Sandbox::new();
    let worker = |line: &'static str| {
        let sandbox = &sandbox;
        move || {
            for _ in 0..12 {
                let outcome = sandbox.run(line);
                let gone = outcome.stderr.contains("there is no deployment `certs`");
                assert!(outcome.code == 0 || gone, "{}", outcome.text);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(worker("certs --cn localhost --out ./tls"));
        scope.spawn(worker("certs --cn localhost --out ./tls --renew"));
        scope.spawn(worker("destroy certs --yes"));
    });
    sandbox.run("destroy certs --yes");
    assert!(!sandbox.path("tls").exists() && !sandbox.home("deployments/certs").exists());
}

#[test]
fn nobody_is_lost_while_a_password_is_read() {
    let sandbox = site();
    sandbox.write("word", "correct horse battery\n");
    succeed(&sandbox, "users site add carol --password-file word");
    let fifo = fifo(&sandbox);
    let adding = start(&sandbox, "users site add dave --password-file fifo");
    // It waits for its password, and holds nobody up.
    let mut input = File::options().write(true).open(&fifo).unwrap();
    succeed(&sandbox, "users site remove carol --wait 0");
    succeed(&sandbox, "users site add erin --generate --wait 0");
    writeln!(input, "correct horse battery").unwrap();
    drop(input);
    ends_well(adding);
    assert_eq!(users(&sandbox), ["admin", "dave", "erin"]);
    let password = succeed(&sandbox, "secrets site people.erin").stdout;
    assert!(password.trim().len() >= 20);
    assert!(succeed(&sandbox, "apply site").text.contains("nothing to change"));
}

#[test]
fn inputs_are_read_before_others_are_kept_out() {
    let sandbox = made();
    let fifo = fifo(&sandbox);
    let reading = start(&sandbox, "certs --inputs fifo");
    let mut input = File::options().write(true).open(&fifo).unwrap();
    succeed(&sandbox, "certs --renew --wait 0");
    input.write_all(b"cn: localhost\n").unwrap();
    drop(input);
    ends_well(reading);
}

/// A question on a terminal: others may work meanwhile, and what they did is seen before anything is deleted.
#[test]
fn others_work_while_a_question_is_open() {
    let sandbox = made();
    let asking = |line: &str| {
        let words = sandbox.command(&line.split(' ').collect::<Vec<_>>());
        let program: Vec<_> = words.get_args().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &program.join(" "), "/dev/null"]).env_clear().current_dir(sandbox.path(""));
        script.envs(words.get_envs().filter_map(|(name, value)| Some((name, value?))));
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut child = asking("certs --cn other.localhost");
    let mut output = child.stdout.take().unwrap();
    wait_for(&mut output, "Type `yes` to go on:");
    succeed(&sandbox, "certs --renew --wait 0");
    child.stdin.as_mut().unwrap().write_all(b"yes\n").unwrap();
    drop(std::io::copy(&mut output, &mut std::io::sink()));
    assert!(child.wait().unwrap().success());
    assert!(sandbox.path("tls/other.localhost.key").exists());
    // Destroyed by another while the question was open: nothing comes back.
    let mut child = asking("certs --cn third.localhost");
    let mut output = child.stdout.take().unwrap();
    wait_for(&mut output, "Type `yes` to go on:");
    succeed(&sandbox, "destroy certs --yes --wait 0");
    child.stdin.as_mut().unwrap().write_all(b"yes\n").unwrap();
    drop(std::io::copy(&mut output, &mut std::io::sink()));
    child.wait().unwrap();
    assert!(!sandbox.path("tls/other.localhost.key").exists());
}

/// Reads until a text has come; a question ends in no line.
fn wait_for(from: &mut impl Read, text: &str) {
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.contains(text) {
        assert_ne!(from.read(&mut byte).unwrap(), 0, "no `{text}` in: {said}");
        said.push(char::from(byte[0]));
    }
}

#[test]
fn a_lock_follows_no_link_and_is_no_other_file() {
    let sandbox = made();
    let victim = sandbox.write("victim", "of somebody\n");
    let lock = sandbox.home("locks/certs");
    let refused = |what: &str| {
        let started = Instant::now();
        let outcome = sandbox.run("certs --renew");
        assert_eq!(outcome.code, 1, "{what}: {}", outcome.text);
        assert!(outcome.stderr.contains("lock"), "{what}: {}", outcome.text);
        assert!(started.elapsed() < Duration::from_secs(20), "{what} is not waited for");
        assert_eq!(sandbox.read("victim"), "of somebody\n", "{what}");
        drop(fs::remove_file(&lock));
    };
    symlink(&victim, &lock).unwrap();
    refused("a link");
    fs::hard_link(&victim, &lock).unwrap();
    refused("a second name of a file");
    assert!(Command::new("mkfifo").arg(&lock).status().unwrap().success());
    refused("a pipe");
    succeed(&sandbox, "certs --renew");
}

#[test]
fn a_folder_that_others_may_change_is_refused() {
    let sandbox = made();
    let before = all(&sandbox);
    for folder in ["", "deployments", "deployments/certs", "locks"] {
        let path = sandbox.home(folder);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        let outcome = sandbox.run("certs --renew");
        assert_eq!(outcome.code, 1, "{folder}: {}", outcome.text);
        assert!(outcome.stderr.contains("others may write into the folder"), "{folder}: {}", outcome.text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    assert_eq!(all(&sandbox), before);
    let lost = std::os::unix::fs::chown(sandbox.home(""), Some(65534), None);
    if lost.is_err() {
        return; // only root can give a folder away
    }
    for line in ["certs --renew", "destroy certs --yes", "secrets certs", "status certs"] {
        let outcome = sandbox.run(line);
        assert_eq!(outcome.code, 1, "{}", outcome.text);
        assert!(outcome.stderr.contains("belongs to another user (uid 65534)"), "{}", outcome.text);
    }
    assert!(sandbox.path("tls/localhost.key").exists());
}

/// What belongs together, as a key and its certificate, is whole or as before, though the run was killed between two files.
#[test]
fn half_of_what_belongs_together_is_put_back() {
    let sandbox = made();
    let kept = |name: &str| sandbox.home("deployments/certs").join(name);
    let pending = |name: &str, keys: [(&str, Option<String>); 2]| {
        let before = keys.map(|(key, before)| serde_json::json!({ "key": key, "before": before }));
        fs::create_dir_all(kept("pending")).unwrap();
        fs::write(kept("pending").join(name), serde_json::json!(before).to_string()).unwrap();
    };
    // A certificate that was being renewed: its new key was there already.
    let [key, chain] = ["certificate/server/private.key", "certificate/server/chain.crt"];
    let [old_key, old_chain] = [key, chain].map(|name| fs::read_to_string(kept(name)).unwrap());
    succeed(&sandbox, "certs --renew");
    fs::write(kept(chain), &old_chain).unwrap();
    pending("certificate.server", [(key, Some(old_key)), (chain, Some(old_chain))]);
    succeed(&sandbox, "plan certs");
    assert!(!kept("pending").exists());
    succeed(&sandbox, "certs");
    // An authority that was being made.
    let [certificate, key] = ["authority/ca/issuing.crt", "authority/ca/issuing.key"];
    fs::remove_file(kept(key)).unwrap();
    pending("authority.ca", [(certificate, None), (key, None)]);
    succeed(&sandbox, "certs --renew");
    assert!(succeed(&sandbox, "certs").text.contains("nothing to change"));
    assert!(!kept("pending").exists());
}

/// Kills where keys are written, a few milliseconds after the start.
#[test]
#[ignore = "minutes: `make soak`"]
fn soak_no_key_is_lost_by_a_kill() {
    let sandbox = Sandbox::new();
    let line = "certs --cn localhost --out ./tls";
    for round in 0..200_u64 {
        for (milliseconds, killed) in [(round * 7 % 60, line), (round * 11 % 60, "certs --renew")] {
            let mut child = start(&sandbox, killed);
            std::thread::sleep(Duration::from_millis(milliseconds));
            Command::new("pkill").args(["-9", "-P", &child.id().to_string()]).status().unwrap();
            child.wait().unwrap();
            succeed(&sandbox, if killed == line { "plan certs --cn localhost --out ./tls" } else { "plan certs" });
            succeed(&sandbox, line);
        }
        let mut child = start(&sandbox, "destroy certs --yes");
        std::thread::sleep(Duration::from_millis(round * 3 % 30));
        Command::new("pkill").args(["-9", "-P", &child.id().to_string()]).status().unwrap();
        child.wait().unwrap();
        succeed(&sandbox, line);
        succeed(&sandbox, "destroy certs --yes");
        assert!(!sandbox.path("tls").exists(), "round {round}");
    }
}
