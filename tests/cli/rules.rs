//! Values, rules, and what comes after what: the parts of a playbook that inputs alone decide.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

#[test]
fn a_rule_refuses_or_warns() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "inputs:\n  user: { type: string, default: \"\" }\n  mail: { type: string, default: \"\" }\n  out: { type: path, default: . }\nvalues:\n  address: \"{{ user or 'nobody' }}@{{ mail }}\"\nrules:\n  - refuse: \"`{{ address }}` has no user\"\n    when: mail and not user\n    hint: give `--user`\n  - warn: mail goes to {{ address }}\n    when: mail\n    hint: check that it arrives\nresources:\n  - secret: a\n  - file: b\n    path: \"{{ out }}/b\"\n    content: \"{{ address }}\"\n    mode: \"0644\"\n",
    );
    let mut text = String::new();
    for line in [
        "plan ./x.yml",
        "plan ./x.yml --mail x.org",
        "plan ./x.yml --mail x.org --user me",
        "apply ./x.yml --mail x.org --user me",
        "apply ./x.yml",
        "plan ./x.yml --output json --user you",
    ] {
        writeln!(text, "{}", sandbox.run(line).text).unwrap();
    }
    assert_eq!(sandbox.read("b"), "me@x.org");
    snapshot!("rules_said", text);
}

#[test]
fn a_rule_is_checked_before_it_is_needed() {
    snapshot!(
        "rules_wrong",
        checks(&[
            ("neither word", "rules:\n  - when: true\n"),
            ("both words", "rules:\n  - { refuse: a, warn: b, when: true }\n"),
            ("no condition", "rules:\n  - refuse: a\n"),
            ("an unknown field", "rules:\n  - { warn: a, when: true, hnit: b }\n"),
            ("a name that is none", "rules:\n  - { warn: a, when: prot }\n"),
            ("a resource", "rules:\n  - { warn: a, when: net.name }\nresources:\n  - network: net\n"),
            (
                "a text of a resource",
                "rules:\n  - { warn: \"{{ net.name }}\", when: true }\nresources:\n  - network: net\n"
            ),
            ("a mapping", "rules: { warn: a }\n"),
        ])
    );
}

#[test]
fn a_value_knows_what_stands_before_it() {
    snapshot!(
        "rules_values",
        checks(&[
            ("itself", "values:\n  a: \"{{ a }}\"\n"),
            ("a later one", "values:\n  a: \"{{ b }}\"\n  b: x\n"),
            ("nothing known", "values:\n  a: \"{{ b }}\"\n"),
            ("an input's name", "inputs:\n  a: { type: string, default: x }\nvalues:\n  a: x\n"),
            ("a resource's name", "values:\n  a: x\nresources:\n  - secret: a\n"),
            ("no name", "values:\n  A: x\n"),
            (
                "a secret that would show",
                "values:\n  b: \"{{ a }}\"\nresources:\n  - secret: a\n  - network: c\n    name: \"{{ b }}\"\n"
            ),
        ])
    );
}

#[test]
fn what_comes_after_what_can_depend_on_inputs() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "inputs:\n  later: { type: bool, default: false }\nresources:\n  - secret: a\n  - secret: b\n    after: \"{{ ['a'] if later else [] }}\"\n",
    );
    let graph = |more: &str| sandbox.run(&format!("graph ./x.yml {more}")).stdout;
    assert!(!graph("").contains("->"), "{}", graph(""));
    assert_eq!(graph("--later").matches("->").count(), 1, "{}", graph("--later"));
    snapshot!(
        "rules_after",
        checks(&[
            ("a text", "resources:\n  - secret: a\n  - secret: b\n    after: a\n"),
            ("no list", "resources:\n  - secret: a\n  - secret: b\n    after: \"{{ 'a' }}\"\n"),
            ("a list of lists", "resources:\n  - secret: a\n  - secret: b\n    after: [[a]]\n"),
            ("an unknown name", "resources:\n  - secret: a\n  - secret: b\n    after: \"{{ ['aa'] }}\"\n"),
            ("a resource", "resources:\n  - network: a\n  - secret: b\n    after: \"{{ [a.name] }}\"\n"),
        ])
    );
}

#[test]
fn an_included_playbook_comes_after_as_a_whole() {
    let sandbox = Sandbox::new();
    sandbox.write("part.yml", "resources:\n  - secret: one\n  - secret: two\n");
    sandbox.write("x.yml", "resources:\n  - secret: a\n  - playbook: part.yml\n    as: part\n    after: [a]\n");
    let graph = sandbox.run("graph ./x.yml").stdout;
    assert_eq!(graph.matches("->").count(), 2, "{graph}");
}

/// A pattern is for certificates; every other playbook needs a name that clients can call.
#[test]
fn a_pattern_is_no_name_of_a_server() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for line in [
        "plan registry --cn *.example.com",
        "plan registry-v1 --cn *.example.com",
        "plan ci --cn *.example.com",
        "plan blog --domain *.example.com",
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 2, "{}", ran.text);
        writeln!(text, "{}", ran.text).unwrap();
    }
    snapshot!("rules_patterns", text);
    assert_eq!(sandbox.run("apply certs --cn *.example.com --out tls").code, 0);
}

#[test]
fn a_secret_with_a_zero_byte_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", "right\0wrong\n");
    for line in ["plan blog --db-root-password @secret", "plan registry --redis cache --redis-password @secret"] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, 2, "{}", ran.text);
        assert!(ran.text.contains("a secret with a zero byte") && !ran.text.contains("right"), "{}", ran.text);
    }
}
