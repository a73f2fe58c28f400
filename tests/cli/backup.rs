//! Backups without an engine: what is written, what is refused, and what comes back.

use std::fs;

use age::secrecy::ExposeSecret;

use crate::certs::sorted_steps;
use crate::sandbox::{Sandbox, listing, mode};
use crate::snapshot;

/// A sandbox with a deployment `tls`, an identity in `key.txt`, and its recipient.
pub fn prepared() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls --name tls").code, 0);
    let recipient = key(&sandbox, "key.txt");
    (sandbox, recipient)
}

fn key(sandbox: &Sandbox, file: &str) -> String {
    let identity = age::x25519::Identity::generate();
    sandbox.write(file, format!("# a key\n{}\n", identity.to_string().expose_secret()));
    identity.to_public().to_string()
}

#[test]
fn what_was_backed_up_comes_back_the_same() {
    let (sandbox, recipient) = prepared();
    let tree = || ["localhost.crt", "localhost.key", "ca.crt"].map(|file| sandbox.read(&format!("tls/{file}")));
    let before = tree();
    let backup = sandbox.run(&format!("backup tls one.age --recipient {recipient}"));
    snapshot!(
        "backup_written",
        backup.text.replace(&recipient, "[recipient]").replace(&size(&backup.stdout), "[size]")
    );
    assert_eq!(mode(&sandbox.path("one.age")), 0o600);
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 3, "nothing lies beside the file");
    assert_eq!(sandbox.run("destroy tls --yes").code, 0);
    assert!(!sandbox.path("tls").exists());

    let restored = sandbox.run("restore tls one.age --identity key.txt").text;
    snapshot!("backup_restored", sorted_steps(&restored));
    assert_eq!(tree(), before);
    assert_eq!(sandbox.run("plan tls --exit-code").code, 0);

    // Beside the original, as another deployment.
    let beside =
        sandbox.run(&format!("restore two one.age --identity key.txt --set out={}", sandbox.path("other").display()));
    assert_eq!(beside.code, 0, "{}", beside.text);
    assert_eq!(sandbox.read("other/localhost.key"), before[1]);
    assert_eq!(sandbox.run("destroy two --yes").code, 0);
    assert_eq!(tree(), before, "the other's end is not the first one's");

    // In place of files that somebody else wrote, nothing comes back and nothing is left.
    let state = listing(&sandbox.home("deployments/tls"));
    snapshot!("backup_in_the_way", sandbox.run("restore three one.age --identity key.txt").text);
    assert!(!sandbox.home("deployments/three").exists());
    assert_eq!((tree(), listing(&sandbox.home("deployments/tls"))), (before, state));
}

/// A user's own playbook in several files: its parts are remembered with it, backed up as the files that they are, and put back.
#[test]
fn a_playbook_in_parts_comes_back_in_parts() {
    let sandbox = Sandbox::new();
    let recipient = key(&sandbox, "key.txt");
    fs::create_dir(sandbox.path("own")).unwrap();
    let main = "parts: [words.yml, { part: more.yml, when: more }]\ninputs:\n  more: { type: bool, default: false }\n\
                resources:\n  - file: one\n    path: \"{{ folder }}/one\"\n    content: \"{{ word }}\\n\"\n";
    let folder = sandbox.path("written").display().to_string();
    sandbox.write("own/site.yml", main);
    sandbox.write("own/words.yml", format!("values:\n  word: hello\n  folder: {folder}\n"));
    let more = "takes: [folder, one, word]\nresources:\n  - file: two\n    path: \"{{ folder }}/two\"\n    \
                content: \"{{ word }} again\\n\"\n    after: [one]\n";
    sandbox.write("own/more.yml", more);
    fs::create_dir(&folder).unwrap();
    let run = |line: &str| {
        let done = sandbox.run(line);
        assert_eq!(done.code, 0, "{line}: {}", done.text);
        done.text
    };
    run("apply ./own/site.yml");
    assert!(!sandbox.path("written/two").exists());
    run("apply ./own/site.yml --more");
    assert_eq!(sandbox.read("written/two"), "hello again\n");
    assert!(run("plan site --exit-code").contains("nothing to change"));
    run(&format!("backup site one.age --recipient {recipient}"));
    run("destroy site --yes");
    fs::remove_dir_all(sandbox.path("own")).unwrap();
    run("restore site one.age --identity key.txt");
    assert_eq!(sandbox.read("written/two"), "hello again\n");
    assert!(run("plan site --exit-code").contains("nothing to change"));
    let kept = sandbox.home("deployments/site/playbook");
    assert_eq!(fs::read_to_string(kept.join("more.yml")).unwrap(), more);
    // They are a playbook again.
    let again = run(&format!("plan {} --exit-code --more", kept.join("site.yml").display()));
    assert!(again.contains("nothing to change"), "{again}");
}

fn size(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("size  ")).unwrap_or_default().to_owned()
}

#[test]
fn a_passphrase_comes_from_a_file_or_the_standard_input() {
    let (sandbox, _) = prepared();
    sandbox.write("pass", "correct horse\n");
    sandbox.write("wrong", "battery staple\n");
    assert_eq!(sandbox.run("backup tls one.age --passphrase-file pass").code, 0);
    let said = [
        "restore b two.age",
        "restore b one.age --passphrase-file none",
        "restore b one.age --passphrase-file wrong",
        "restore b one.age",
        "restore b one.age --identity key.txt",
    ];
    snapshot!("backup_passphrase", said.map(|line| sandbox.run(line).text).join("\n"));
    assert!(!sandbox.home("deployments/b").exists());
    assert_eq!(sandbox.run("destroy tls --yes").code, 0);
    let mut command = sandbox.command(&["restore", "tls", "one.age", "--passphrase-file", "-"]);
    command.stdin(fs::File::open(sandbox.path("pass")).unwrap());
    assert!(command.output().unwrap().status.success());
    assert!(sandbox.path("tls/localhost.crt").exists());
}

#[test]
fn what_cannot_be_written_is_refused() {
    let (sandbox, recipient) = prepared();
    sandbox.write("there.age", "precious");
    sandbox.write("empty", "\n");
    let before = listing(&sandbox.path(""));
    let lines = [
        "backup tls there.age --passphrase-file key.txt",
        "backup tls none/one.age --passphrase-file key.txt",
        "backup tsl one.age --passphrase-file key.txt",
        "backup tls one.age",
        "backup tls one.age --recipient age1nonsense",
        "backup tls one.age --passphrase-file empty",
        "backup tls one.age --passphrase-file missing",
        "backup tls",
    ];
    let mut text = lines.map(|line| sandbox.run(line).text).join("\n");
    let both = sandbox.run(&format!("backup tls one.age --passphrase-file key.txt --recipient {recipient}"));
    text.push_str(&both.text.replace(&recipient, "[recipient]"));
    snapshot!("backup_refused", text);
    assert_eq!(listing(&sandbox.path("")), before);
}

#[test]
fn what_is_no_whole_backup_changes_nothing() {
    let (sandbox, recipient) = prepared();
    assert_eq!(sandbox.run(&format!("backup tls one.age --recipient {recipient}")).code, 0);
    let whole = fs::read(sandbox.path("one.age")).unwrap();
    // The header is random, and so is its length.
    let header = whole.windows(5).position(|bytes| bytes == b"\n--- ").unwrap() + 49;
    let ends = [
        ("nothing", 0),
        ("10 bytes", 10),
        ("a part of the header", 150),
        ("the header", header),
        ("the header and more", header + 100),
        ("half", whole.len() / 2),
        ("all but a byte", whole.len() - 1),
    ];
    let mut text = String::new();
    let mut attempt = |title: &str, content: &[u8], more: &str| {
        sandbox.write("bad.age", content);
        let outcome = sandbox.run(&format!("restore new bad.age --identity {more}"));
        assert_eq!(outcome.code, 1 + i32::from(more.contains("--set")), "{title}: {}", outcome.text);
        assert!(!sandbox.home("deployments/new").exists(), "{title}");
        text.push_str(&format!("# {title}\n{}\n", outcome.text));
    };
    for (title, end) in ends {
        attempt(title, &whole[..end], "key.txt");
    }
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    attempt("one bit changed", &changed, "key.txt");
    attempt("of a newer form of age", &[b"age-encryption.org/v2", &whole[21..]].concat(), "key.txt");
    attempt("garbage", b"no backup at all", "key.txt");
    key(&sandbox, "other.txt");
    attempt("another identity", &whole, "other.txt");
    sandbox.write("nonsense.txt", "AGE-SECRET-KEY-1NONSENSE\n");
    attempt("no identity", &whole, "nonsense.txt");
    attempt("something else", &encrypted(&recipient, b"a letter to a friend"), "key.txt");
    attempt(
        "of a newer form",
        &encrypted(&recipient, &archive(&[("backup.json", r#"{ "format": 2, "provision": "9.0.0", "more": 1 }"#)])),
        "key.txt",
    );
    let contents = r#"{ "format": 1, "provision": "0.1.0", "deployment": "a", "playbook": "certs", "file": null, "time": "", "parts": [] }"#;
    attempt("without a manifest", &encrypted(&recipient, &archive(&[("backup.json", contents)])), "key.txt");
    let manifest = r#"{ "entries": { "backup.json": { "size": 3, "sha256": "00" } } }"#;
    attempt(
        "another manifest",
        &encrypted(&recipient, &archive(&[("backup.json", contents), ("manifest.json", manifest)])),
        "key.txt",
    );
    attempt("an unknown input", &whole, "key.txt --set otu=/tmp");
    attempt("an input of another type", &whole, "key.txt --set cn=a/b");
    attempt("an input without a value", &whole, "key.txt --set cn");
    snapshot!("backup_damaged", text);
    // The header is random, so what a change in it does differs from time to time.
    for at in (22..300).step_by(13) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        sandbox.write("bad.age", changed);
        let outcome = sandbox.run("restore new bad.age --identity key.txt");
        assert!(outcome.code == 1 && outcome.text.contains("hint: nothing was changed"), "{at}: {}", outcome.text);
        assert!(!outcome.text.contains("newer form"), "{at}: {}", outcome.text);
    }
}

#[test]
fn a_deployment_that_exists_is_not_replaced() {
    let (sandbox, recipient) = prepared();
    assert_eq!(sandbox.run(&format!("backup tls one.age --recipient {recipient}")).code, 0);
    let before = listing(&sandbox.home("deployments/tls"));
    let taken = sandbox.run("restore tls one.age --identity key.txt");
    assert_eq!(listing(&sandbox.home("deployments/tls")), before);
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls --name tls").code, 0);
    assert_eq!(sandbox.run("destroy tls --keep-data").code, 0);
    let kept = sandbox.run("restore tls one.age --identity key.txt");
    snapshot!(
        "backup_taken",
        format!(
            "{}\n{}\n{}",
            taken.text,
            kept.text,
            sandbox.run(&format!("backup tls two.age --recipient {recipient}")).text.replace(&recipient, "[recipient]")
        )
    );
}

/// age reads a header anew with each of its lines: a mutated one did not end in a minute.
#[test]
fn a_header_without_an_end_is_refused_soon() {
    let (sandbox, _) = prepared();
    for lines in ["-> x\n\n".repeat(150_000), "-> x\n".to_owned() + &format!("{}\n", "A".repeat(64)).repeat(100_000)] {
        sandbox.write("long.age", format!("age-encryption.org/v1\n{lines}"));
        let refused =
            crate::hostile::ends(&sandbox, "a long header", "restore two long.age --identity key.txt", |_| {});
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("has no end within 2000 lines and 131072 bytes"), "{said}");
    }
}

fn encrypted(recipient: &str, content: &[u8]) -> Vec<u8> {
    age::encrypt(&recipient.parse::<age::x25519::Recipient>().unwrap(), content).unwrap()
}

fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A restore that was killed leaves a mark, by which no other verb takes the deployment for whole.
#[test]
fn what_is_half_restored_is_not_used() {
    let (sandbox, recipient) = prepared();
    let record = sandbox.home("deployments/tls/deployment.json");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replacen('{', "{ \"restoring\": true,", 1)).unwrap();
    sandbox.write("one.age", "");
    let backup = format!("backup tls two.age --recipient {recipient}");
    let lines = [
        "list",
        "plan tls",
        "apply tls",
        "certs --name tls",
        "status tls",
        &backup,
        "restore tls one.age",
        "destroy tls --yes",
    ];
    let text = lines.map(|line| sandbox.run(line).text).join("\n");
    snapshot!("backup_half_restored", text.replace(&recipient, "[recipient]"));
}

/// Runs a command on a terminal of its own, and answers what ends in a colon with the next line.
const TERMINAL: &str = r#"
import os, pty, sys
answers = sys.argv[1].encode().decode("unicode_escape").split("|")
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said = b""
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    said += more
    if said.endswith(b": ") and answers:
        os.write(terminal, answers.pop(0).encode())
print(said.decode().replace("\r", ""), end="")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

#[test]
fn a_passphrase_is_asked_for_and_not_shown() {
    let (sandbox, _) = prepared();
    let typed = |answers: &str, line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let provision = sandbox.command(&words);
        let mut command = std::process::Command::new("python3");
        command.args(["-c", TERMINAL, answers]).arg(provision.get_program()).args(provision.get_args());
        command.current_dir(sandbox.path("")).env_clear();
        command.envs(provision.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.contains("horse"), "{said}");
        (output.status.code().unwrap(), said)
    };
    let (code, said) = typed("horse\\n|horses\\n", "backup tls one.age");
    assert!(code == 2 && said.contains("the passphrases differ"), "{said}");
    // Ctrl-C gives the terminal its echo back, and writes nothing.
    let (code, said) = typed("hor\\x03", "backup tls one.age");
    assert!(code == 130 && said.contains("interrupted while waiting for an answer"), "{said}");
    assert!(!sandbox.path("one.age").exists());
    let (code, said) = typed("horse\\n|horse\\n", "backup tls one.age");
    assert!(code == 0 && said.contains("backed up"), "{said}");
    assert_eq!(sandbox.run("destroy tls --yes").code, 0);
    let (code, said) = typed("mare\\n", "restore tls one.age");
    assert!(code == 1 && said.contains("the passphrase does not open `one.age`"), "{said}");
    let (code, said) = typed("horse\\n", "restore tls one.age");
    assert!(code == 0 && said.contains("tls: done"), "{said}");
}
