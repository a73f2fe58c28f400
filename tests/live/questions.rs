//! What a run asks and tells, and who does not answer or listen.

use std::path::Path;

use crate::engine::{Sandbox, shell};

/// Runs a command on a terminal of its own and answers its question: with a text, with a signal, or by going away.
const TERMINAL: &str = r#"
import os, pty, signal, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
said, asked = b"", False
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    said += more
    if said.endswith(b": ") and not asked:
        asked = True
        if sys.argv[1] == "close":
            os.close(terminal)
            break
        elif sys.argv[1].startswith("SIG"):
            os.kill(child, getattr(signal, sys.argv[1]))
        else:
            os.write(terminal, sys.argv[1].encode().decode("unicode_escape").encode())
print(said.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), asked)
"#;

#[test]
fn a_question_before_data_is_deleted_hears_every_way_of_saying_no() {
    let sandbox = Sandbox::new("questions");
    let name = &sandbox.name;
    let playbook = sandbox.write("data.yml", &format!("resources:\n  - volume: data\n    name: {name}-data\n"));
    sandbox.command(&["apply", &playbook, "--name", name]).ok();
    let terminal = sandbox.write("terminal.py", TERMINAL);
    let home = Path::new(&terminal).with_file_name("home");
    let provision = env!("CARGO_BIN_EXE_provision");
    let answered = |answer: &str| {
        let line =
            format!("PROVISION_HOME={} python3 {terminal} '{answer}' {provision} destroy {name}", home.display());
        shell(&line).ok().out
    };
    for (answer, code) in [(r"\x03", 130), ("SIGINT", 130), ("SIGTERM", 130), ("SIGHUP", 130), (r"no\n", 1)] {
        let said = answered(answer);
        assert!(said.trim_end().ends_with(&format!("{code} True")), "{answer}: {said}");
        assert_eq!(sandbox.things().matches("volume").count(), 1, "{answer}: {said}");
        sandbox.command(&["plan", name, "--exit-code"]).ok();
    }
    // A terminal that goes away is an end of what is read and a signal: the signal counts.
    let said = answered("close");
    assert!(said.trim_end().ends_with("130 True"), "{said}");
    assert_eq!(sandbox.things().matches("volume").count(), 1, "{said}");
    assert!(answered(r"yes\n").trim_end().ends_with("0 True"));
    assert_eq!(sandbox.things(), "");
}

#[test]
fn a_registry_comes_up_whoever_reads() {
    let sandbox = Sandbox::new("readers");
    let home = Path::new(&sandbox.write("x", "")).with_file_name("home");
    let line = format!(
        "PROVISION_HOME={} {} registry --name {} --port {} --trust no",
        home.display(),
        env!("CARGO_BIN_EXE_provision"),
        sandbox.name,
        sandbox.port
    );
    shell(&format!("{line} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}")).ok();
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    sandbox.destroy().ok();
    shell(&format!("{line} 2>/dev/full")).ok();
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    sandbox.destroy().ok();
}
