//! A secret where it would show is refused when a playbook is checked, before any engine is asked.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

fn refused(title: &'static str, rest: &str) -> (&'static str, String) {
    (title, format!("inputs:\n  token: {{ type: secret, default: \"\" }}\nresources:\n  - secret: password\n{rest}"))
}

#[test]
fn a_secret_is_refused_where_it_would_show() {
    let container = |field: &str| format!("  - container: web\n    image: nginx\n    {field}\n");
    let cases = [
        refused("a label", &container("labels: { a: \"{{ password }}\" }")),
        refused("a label's key", &container("labels: { \"{{ password }}\": a }")),
        refused("an environment variable", &container("env: { PASSWORD: \"{{ password }}\" }")),
        refused("an image", "  - container: web\n    image: \"nginx:{{ password }}\"\n"),
        refused("a container's name", &container("name: \"{{ password }}\"")),
        refused("a network's name", "  - network: net\n    name: \"{{ password }}\"\n"),
        refused("a command", &container("command: [sh, \"-c\", \"echo {{ password }}\"]")),
        refused("a path in a container", &container("files: { \"/{{ password }}\": { content: a } }")),
        refused("a mount", &container("volumes: { /data: \"{{ password }}\" }")),
        refused("a path", "  - file: a\n    path: \"/nowhere/{{ password }}\"\n    content: a\n"),
        refused("an output", "outputs:\n  password: \"{{ password }}\"\n"),
        refused("`when`", "  - secret: b\n    when: password\n"),
        refused("an input that is a secret", &container("env: { TOKEN: \"{{ token }}\" }")),
        refused("behind a filter", &container("env: { PASSWORD: \"{{ password | upper }}\" }")),
        refused("in a list", &container("env: { PASSWORD: \"{{ ['a', password] | last }}\" }")),
        refused("by its output", &container("env: { PASSWORD: \"{{ password.value }}\" }")),
        refused("by a variable", &container("env: { PASSWORD: \"{% set a = password %}{{ a }}\" }")),
        refused("in a branch", &container("env: { PASSWORD: \"{{ 'yes' if password else 'no' }}\" }")),
        refused("a private key", "  - authority: ca\n    names: [localhost]\noutputs:\n  ca: \"{{ ca.issuer }}\"\n"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(title, playbook)| (*title, playbook.as_str())).collect();
    let said = checks(&cases);
    assert_eq!(said.matches("[exit code 1]").count(), cases.len(), "{said}");
    assert!(!said.contains("nonexistent.sock"), "an engine was asked");
    snapshot!("secrets_refused", said);
}

#[test]
fn a_secret_is_followed_through_included_playbooks() {
    let sandbox = Sandbox::new();
    sandbox.write("plain.yml", "inputs:\n  text: { type: string }\nresources:\n  - file: a\n    path: /nowhere/a\n    content: \"{{ text }}\"\noutputs:\n  text: \"{{ text }}\"\n");
    sandbox.write("kept.yml", "inputs:\n  text: { type: secret }\nresources:\n  - file: a\n    path: /nowhere/a\n    content: \"{{ text }}\"\n");
    sandbox.write("shown.yml", "inputs:\n  text: { type: secret }\nresources:\n  - file: a\n    path: \"/nowhere/{{ text }}\"\n    content: a\n");
    let mut text = String::new();
    for part in ["plain.yml", "kept.yml", "shown.yml"] {
        let playbook = format!(
            "resources:\n  - secret: password\n  - playbook: {part}\n    as: part\n    inputs: {{ text: \"{{{{ password }}}}\" }}\n"
        );
        writeln!(text, "# {part}\n{}", sandbox.check(&playbook).text).unwrap();
    }
    snapshot!("secrets_included", text);
}

#[test]
fn a_condition_sees_whether_a_secret_was_given_and_not_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "inputs:\n  token: { type: secret, default: \"\" }\nrules:\n  - warn: given\n    when: token\n  - warn: compared\n    when: token == 'abc'\nresources:\n  - secret: a\n",
    );
    let plan = |more: &str| sandbox.run(&format!("plan ./x.yml {more}")).stderr;
    assert_eq!(plan(""), "");
    sandbox.write("token", "abc\n");
    assert_eq!(plan("--token @token"), "warning: given\n");
    // Others see it there.
    for line in ["--token abc", "--token=abc", "--set token=abc"] {
        assert!(plan(line).starts_with("warning: `--token`: a secret on the command line"), "{line}");
    }
}

/// What a secret is used for may fail; the failure must not tell the secret.
#[test]
fn no_error_tells_a_secret() {
    let sandbox = Sandbox::new();
    for expression in [
        "token | int",
        "token + 1",
        "token | float",
        "token.a.b",
        "token | items",
        "token | tojson | nope",
        "range(token)",
        "token['x']",
        "token | date",
    ] {
        sandbox.write("x.yml", format!("inputs:\n  token: {{ type: secret }}\nresources:\n  - file: a\n    path: ./a\n    content: \"{{{{ {expression} }}}}\"\n"));
        let outcome = sandbox.run("apply ./x.yml --token opensesame");
        assert!(!outcome.text.replace("--token opensesame", "").contains("opensesame"), "{}", outcome.text);
    }
}

/// An item of a list is as secret as a value of its own.
#[test]
fn a_list_of_secrets_is_secret() {
    let head = "inputs:\n  tokens: { type: list, of: secret, default: [] }\n";
    let sandbox = Sandbox::new();
    for rest in [
        "outputs:\n  out: \"{{ tokens }}\"\n",
        "outputs:\n  out: \"{{ tokens | join }}\"\n",
        "outputs:\n  out: \"{{ tokens[0] }}\"\n",
        "outputs:\n  out: \"{% for token in tokens %}{{ token }}{% endfor %}\"\n",
        "resources:\n  - network: net\n    name: \"{{ tokens[0] }}\"\n",
        "resources:\n  - container: web\n    image: nginx\n    command: \"{{ tokens }}\"\n",
        "values:\n  first: \"{{ tokens | first }}\"\noutputs:\n  out: \"{{ first }}\"\n",
    ] {
        sandbox.write("x.yml", format!("{head}{rest}"));
        let said = sandbox.run("plan ./x.yml --tokens hunter2 --tokens hunter3");
        assert!(
            said.code == 1 && said.stderr.contains("secret") && !said.text.contains("error: hunter"),
            "{}",
            said.text
        );
        assert!(!said.stderr.contains("hunter"), "{}", said.text);
    }
    let path = sandbox.path("list").display().to_string();
    sandbox.write(
        "x.yml",
        format!("{head}variables:\n  OLD: {{ input: tokens }}\nrules:\n  - warn: given\n    when: tokens\nresources:\n  - file: a\n    path: {path}\n    content: \"{{{{ tokens | join(' ') }}}}\"\n"),
    );
    sandbox.write("old.env", "OLD=hunter2\n");
    sandbox.write("inputs.yml", "tokens:\n  - hunter2\n  - {hunter3: hunter4}\n");
    sandbox.write("scalar.yml", "tokens: hunter2\n");
    let mut said = String::new();
    for line in [
        "plan ./x.yml --tokens hunter2",
        "plan ./x.yml --env-file old.env",
        "plan ./x.yml --inputs inputs.yml",
        "plan ./x.yml --inputs scalar.yml",
        "apply ./x.yml --tokens hunter2 --tokens hunter3",
        "status x",
    ] {
        let outcome = sandbox.run(line);
        said.push_str(&format!("{}{}", outcome.stdout, outcome.stderr));
    }
    assert!(!said.contains("hunter"), "{said}");
    assert_eq!(sandbox.read("list"), "hunter2 hunter3");
    // And through a playbook that is included.
    sandbox.write("part.yml", format!("{head}outputs:\n  out: \"{{{{ tokens | join }}}}\"\n"));
    let part = "inputs:\n  token: { type: secret, default: \"\" }\nresources:\n  - playbook: part.yml\n    as: part\n    inputs: { tokens: [\"{{ token }}\"] }\noutputs:\n  out: \"{{ part.out }}\"\n";
    let refused = sandbox.check(part);
    assert!(refused.code == 1 && refused.stderr.contains("secret"), "{}", refused.text);
}

/// A plain hash of what may hold a secret can be tried offline.
#[test]
fn a_plan_tells_no_hash_of_a_content() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("word").display().to_string();
    sandbox.write("x.yml", format!("inputs:\n  token: {{ type: secret }}\nresources:\n  - file: word\n    path: {path}\n    content: \"{{{{ token }}}}\"\n"));
    assert_eq!(sandbox.run("apply ./x.yml --token hunter2").code, 0);
    let (one, two) = (sandbox.run("plan ./x.yml --token hunter3"), sandbox.run("plan ./x.yml --token hunter3"));
    for word in ["hunter2", "hunter3"] {
        let sum =
            std::process::Command::new("sh").args(["-c", "printf %s \"$1\" | sha256sum", "sh", word]).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap();
        assert!(!one.text.contains(&sum[..8]), "{}", one.text);
    }
    assert!(one.stdout.contains("content: (secret) → (another secret)"), "{}", one.text);
    assert_eq!(one.stdout, two.stdout);
    // Of a content with other lines as well, programs are told what stands for it in this plan alone.
    let path = sandbox.path("words").display().to_string();
    sandbox.write("y.yml", format!("inputs:\n  token: {{ type: secret }}\nresources:\n  - file: word\n    path: {path}\n    content: \"a\\n{{{{ token }}}}\"\n"));
    assert_eq!(sandbox.run("apply ./y.yml --token hunter2").code, 0);
    let plan = || sandbox.run("plan ./y.yml --token hunter3 --output json").stdout;
    let (one, two) = (plan(), plan());
    assert!(one.contains("\"old\":\"keyed:"), "{one}");
    assert_ne!(one, two, "the key is another in each process");
}
