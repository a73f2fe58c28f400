//! Playbooks, templates and files that ask for more than anybody means: each ends by itself with an error that names the limit, in
//! little memory; and what is large and means no harm is done.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::process::{Command, Stdio};

use crate::sandbox::Sandbox;
use crate::scale::cost;

/// What a run may take at most, in megabytes and in seconds of the processor.
const MEMORY: f64 = 100.0;
const TIME: f64 = 10.0;

/// Runs a plan of a playbook and tells what it says, once it is known to have cost little.
#[track_caller]
fn said(sandbox: &Sandbox, title: &str, playbook: &str) -> String {
    sandbox.write("x.yml", playbook);
    let (cost, said) = cost(sandbox, &["plan", "./x.yml"]);
    assert!(cost.megabytes < MEMORY, "{title}: {} MB", cost.megabytes);
    assert!(cost.seconds < TIME, "{title}: {} s", cost.seconds);
    assert!(!said.contains("panicked") && !said.contains("overflow"), "{title}: {said}");
    said
}

fn content(expression: &str) -> String {
    format!("resources:\n  - file: a\n    path: /tmp/a\n    content: '{}'\n", expression.replace('\'', "''"))
}

/// So many values, each of which is built of the one before it.
fn values(count: usize, step: impl Fn(usize) -> String) -> String {
    let first = "values:\n  v0: 'some text'\n".to_owned();
    let values = (1..count).fold(first, |text, number| format!("{text}  v{number}: '{}'\n", step(number - 1)));
    format!("{values}{}", content(&format!("{{{{ v{} }}}}", count - 1)))
}

#[test]
fn an_expression_ends_within_its_limits_and_is_shown() {
    let sandbox = Sandbox::new();
    let sum = format!("{{{{ {}1 }}}}", "1+".repeat(40_000));
    for (expression, wanted) in [
        ("{{ \"\"[::-1] }}", "it cannot be computed"),
        ("{{ 1 is divisibleby(0) }}", "it cannot be computed"),
        ("{{ [1,2]|slice(999999999) }}", "more than 16 MiB"),
        ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "more than 500000 steps"),
        ("{% for i in range(999999) %}{% endfor %}", "a range has 10000 numbers at most"),
        (&sum, "more than 2000 words and signs"),
    ] {
        let said = said(&sandbox, expression, &content(expression));
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("--> ./x.yml:4:14"), "{said}");
    }
}

#[test]
fn an_expression_of_a_template_is_told_with_its_place_there() {
    let sandbox = Sandbox::new();
    sandbox.write("page.txt", "one\n{% if true %}\n  {{ \"\"[::-1] }}\n{% endif %}\n");
    let said = said(&sandbox, "template", "resources:\n  - file: a\n    path: /tmp/a\n    template: page.txt\n");
    assert!(said.contains("it cannot be computed") && said.contains("page.txt:3:3"), "{said}");
}

#[test]
fn values_that_build_on_each_other_have_limits() {
    let sandbox = Sandbox::new();
    let twice = |number: usize| format!("{{{{ v{number} }}}}{{{{ v{number} }}}}");
    assert!(said(&sandbox, "doubled", &values(40, twice)).contains("more than 16 MiB"));
    // Each names two before it: as many ways lead through them as there are grains on a chessboard.
    let both = |number: usize| format!("{{{{ v{number} and v{} }}}}", number.saturating_sub(1));
    assert!(said(&sandbox, "ways", &values(90, both)).contains("1 to create"));
    let one = |number: usize| format!("{{{{ v{number} }}}}");
    assert!(said(&sandbox, "deep", &values(200, one)).contains("1 to create"));
    assert!(said(&sandbox, "deeper", &values(300, one)).contains("build on each other more than 200 deep"));
    // Through included playbooks it is no other.
    sandbox.write(
        "y.yml",
        format!(
            "inputs: {{ i: {{ type: string }} }}\n{}",
            values(150, |number| match number {
                0 => "{{ i }}".to_owned(),
                number => one(number),
            })
        ) + "outputs: { o: '{{ v149 }}' }\n",
    );
    let both =
        format!("{}  - playbook: ./y.yml\n    as: first\n    inputs: {{ i: '{{{{ v149 }}}}' }}\n", values(150, one));
    let said = said(&sandbox, "included", &both);
    assert!(said.contains("build on each other more than 200 deep"), "{said}");
}

/// Its memory is in no core file: the kernel shows that by whom the files of the process belong to.
#[test]
fn no_memory_gets_into_a_core_file() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", format!("inputs: {{ password: {{ type: secret }} }}\n{}", content("{{ password }}")));
    let pipe = sandbox.path("pipe");
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&pipe).status().unwrap().success());
    fs::set_permissions(sandbox.path(".."), fs::Permissions::from_mode(0o755)).unwrap();
    // Somebody else than root, to whom all of a process's files belong anyway.
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups", env!("CARGO_BIN_EXE_provision")]);
    command.args(["plan", "./x.yml", "--password", "@pipe"]).current_dir(sandbox.path(""));
    let mut run = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It is at work once it reads from the pipe.
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let writer = loop {
        match fs::OpenOptions::new().write(true).custom_flags(nonblocking).open(&pipe) {
            Ok(writer) => break writer,
            Err(error) => {
                assert!(run.try_wait().unwrap().is_none(), "it has ended: {error}");
                std::thread::yield_now();
            }
        }
    };
    let process = format!("/proc/{}", run.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    assert!(status.lines().any(|line| line.starts_with("Uid:\t65534")), "{status}");
    assert_eq!(fs::metadata(format!("{process}/mem")).unwrap().uid(), 0);
    drop(writer);
    run.wait().unwrap();
}
