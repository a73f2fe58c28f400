//! What is printed, and to whom: nobody who reads slowly or not at all may stop a run, and nothing foreign acts on a terminal.

use std::fmt::Write as _;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

/// Runs a line of bash in which `$provision` is the binary, and gives its exit code and all that was printed.
fn bash(sandbox: &Sandbox, line: &str) -> (i32, String) {
    let provision = sandbox.command(&[]);
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(sandbox.path("")).env_clear();
    command.envs(provision.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.env("provision", env!("CARGO_BIN_EXE_provision")).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("it ended by itself"), said)
}

/// A playbook that has more to tell than a pipe holds.
fn many(sandbox: &Sandbox) {
    let secrets: String = (0..3000).map(|number| format!("  - secret: password-with-a-long-name-{number}\n")).collect();
    sandbox.write("many.yml", format!("resources:\n{secrets}outputs:\n  done: \"yes\"\n"));
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(50), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_goes_on_when_nobody_reads() {
    for (index, rest) in [
        "2>&1 | head -1; exit ${PIPESTATUS[0]}",
        "| true; exit ${PIPESTATUS[0]}",
        "2>/dev/full",
        ">/dev/full",
        ">/dev/full 2>/dev/full",
        "2>&-",
        ">&- 2>&-",
        "--output json >/dev/full",
        "-v 2>&1 | head -1; exit ${PIPESTATUS[0]}",
    ]
    .into_iter()
    .enumerate()
    {
        let sandbox = Sandbox::new();
        let (code, said) = bash(&sandbox, &format!("$provision certs --cn localhost --out ./tls {rest}"));
        assert_eq!(code, 0, "{rest}: {said}");
        assert!(sandbox.path("tls/localhost.key").exists(), "{index}: {rest}");
        assert_eq!(sandbox.run("plan certs --exit-code").code, 0, "{rest}");
    }
}

#[test]
fn a_reader_that_stands_still_holds_up_nothing() {
    let sandbox = Sandbox::new();
    many(&sandbox);
    let mut command = sandbox.command(&["apply", "./many.yml"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Nothing is read until all is done, and the lock is free for others.
    let record = sandbox.home("deployments/many/deployment.json");
    wait_until("the run stands still with its reader", || {
        std::fs::read_to_string(&record).is_ok_and(|text| text.contains("\"done\": \"yes\""))
    });
    assert_eq!(sandbox.run("plan many --exit-code").code, 0);
    assert!(child.try_wait().unwrap().is_none(), "what it has to tell fits into the pipe");
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(told.matches("created   secret").count(), 3000, "and all of it is told");
}

#[test]
fn a_verb_that_only_prints_fails_where_that_is_lost() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls").code, 0);
    for verb in ["list", "schema", "output certs", "output certs ca", "graph certs", "completions bash"] {
        let (code, said) = bash(&sandbox, &format!("$provision {verb} >/dev/full"));
        assert!(
            code == 1 && said.contains("cannot write to standard output: no space left on device"),
            "{verb}: {said}"
        );
        let (code, said) = bash(&sandbox, &format!("$provision {verb} | true; exit ${{PIPESTATUS[0]}}"));
        assert_eq!(code, 0, "{verb}: {said}");
    }
}

/// Opens a pipe for writing once somebody reads it.
fn writer(sandbox: &Sandbox, name: &str) -> std::fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    let mut found = None;
    wait_until("nobody reads the pipe", || {
        // O_NONBLOCK: fails as long as there is no reader (fifo(7)).
        found = std::fs::OpenOptions::new().write(true).custom_flags(0o4000).open(sandbox.path(name)).ok();
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_signal_is_heard_while_a_pipe_is_read() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", format!("resources:\n  - secret: word\n  - htpasswd: people\n    users: {{ admin: \"{{{{ word }}}}\" }}\n    cost: 5\n  - file: out\n    path: {}/users\n    content: \"{{{{ people.content }}}}\"\n", sandbox.path("").display()));
    assert_eq!(sandbox.run("apply ./x.yml").code, 0);
    let made = Command::new("mkfifo").arg(sandbox.path("pipe")).status().unwrap();
    assert!(made.success());
    for verb in [
        "users x add alice --password-file pipe",
        "users x password admin --password-file pipe",
        "backup x ./x.age --passphrase-file pipe",
    ] {
        for signal in ["INT", "TERM", "HUP"] {
            let mut child = direct(&sandbox, verb);
            let writer = writer(&sandbox, "pipe");
            let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
            assert!(sent.success());
            assert_eq!(child.wait().unwrap().code(), Some(130), "{verb}: {signal}");
            drop(writer);
        }
    }
    assert!(!sandbox.read("users").contains("alice"));
    // What was started to survive its terminal does.
    let provision =
        format!("trap '' HUP; exec {} users x add alice --password-file pipe", env!("CARGO_BIN_EXE_provision"));
    let mut child = environment(&sandbox, Command::new("sh").args(["-c", &provision])).spawn().unwrap();
    let mut writer = writer(&sandbox, "pipe");
    Command::new("kill").args(["-HUP", &child.id().to_string()]).status().unwrap();
    std::io::Write::write_all(&mut writer, b"correct horse\n").unwrap();
    drop(writer);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(sandbox.read("users").contains("alice:"));
}

/// An engine that takes a connection and never answers.
#[test]
fn a_signal_is_heard_while_an_engine_is_waited_for() {
    let sandbox = Sandbox::new();
    for line in ["plan registry", "registry --trust no", "plan registry --output json"] {
        for signal in ["INT", "TERM", "HUP"] {
            let socket = sandbox.path(&format!("{signal}.sock"));
            drop(std::fs::remove_file(&socket));
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
            let command = environment(&sandbox, command.args(line.split_whitespace()));
            let mut child = command.env("DOCKER_HOST", format!("unix://{}", socket.display())).spawn().unwrap();
            let connection = listener.accept().unwrap();
            Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(130), "{line}: {signal}");
            drop(connection);
        }
    }
    assert!(!sandbox.home("deployments/registry").exists(), "nothing is left behind");
}

/// The binary itself, so that signals reach it.
fn direct(sandbox: &Sandbox, line: &str) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
    environment(sandbox, command.args(line.split_whitespace())).spawn().unwrap()
}

fn environment<'a>(sandbox: &Sandbox, command: &'a mut Command) -> &'a mut Command {
    let like = sandbox.command(&[]);
    command.current_dir(sandbox.path("")).env_clear();
    command.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

#[test]
fn foreign_text_acts_on_no_terminal() {
    let sandbox = Sandbox::new();
    let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || ('\u{202a}'..='\u{202e}').contains(&c);
    let hostile = "a\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J\u{202e}b";
    let mut yaml = String::new();
    for c in hostile.chars() {
        if c.is_ascii_graphic() { yaml.push(c) } else { write!(yaml, "\\u{:04x}", u32::from(c)).unwrap() }
    }
    sandbox.write(
        "x.yml",
        format!("inputs:\n  text: {{ type: string, default: \"{yaml}\" }}\nrules:\n  - warn: \"look: {{{{ text }}}}\"\n    when: \"true\"\n  - refuse: \"no: {{{{ text }}}}\"\n    when: text == 'x\u{9b}'\nresources:\n  - secret: word\noutputs:\n  out: \"{{{{ text }}}}\"\n"),
    );
    for line in
        ["apply ./x.yml", "plan ./x.yml", "output x", "list", "plan ./x.yml --output json", "output x --output json"]
    {
        let said = sandbox.run(line);
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(!said.stdout.contains(acts) && !said.stderr.contains(acts), "{line}: {:?}", said.text);
    }
    assert!(sandbox.run("apply ./x.yml").stdout.contains("a\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\u{202e}b"));
    let json: serde_json::Value = serde_json::from_str(&sandbox.run("output x --output json").stdout).unwrap();
    assert_eq!(json["out"], hostile, "a program is told what it is");
    assert_eq!(sandbox.run("output x out").stdout.trim_end(), hostile, "and so is one that asks for a value");
    // Neither does what the parser of the command line says.
    let help = format!(
        "about: \"{yaml}\"\ninputs:\n  text: {{ type: string, default: \"{yaml}\", about: \"{yaml}\", group: \"{yaml}\" }}\n"
    );
    sandbox.write("help.yml", help);
    let outcomes =
        [sandbox.run("plan ./help.yml --help"), sandbox.call(&["plan", "./x.yml", hostile]), sandbox.call(&[hostile])];
    for said in outcomes {
        assert!(!said.stdout.contains(acts) && !said.stderr.contains(acts), "{:?}", said.stdout + &said.stderr);
    }
    let refused = sandbox.call(&["plan", "./x.yml", "--text", "x\u{9b}"]);
    assert!(refused.code != 0 && refused.stderr.contains("no: x\\x9b"), "{}", refused.text);
}
