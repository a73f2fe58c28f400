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
    assert_eq!(plan("--token abc"), "warning: given\n");
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
