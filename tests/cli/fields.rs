//! The fields of resources: unknown ones, missing ones, and values that do not fit.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

#[test]
fn an_unknown_kind_or_field_brings_the_nearest_one() {
    snapshot!(
        "fields_unknown",
        checks(&[
            ("a kind", "resources:\n  - secrt: password\n"),
            ("a kind like no other", "resources:\n  - pod: web\n"),
            ("a field", "resources:\n  - secret: password\n    lenght: 8\n"),
            ("a field like no other", "resources:\n  - secret: password\n    colour: red\n"),
            ("an inner field", "resources:\n  - container: web\n    image: nginx\n    ready: { tpc: 80 }\n"),
            (
                "a field of a file",
                "resources:\n  - container: web\n    image: nginx\n    files: { /a: { contents: x } }\n"
            ),
            ("the kind is not the first key", "resources:\n  - length: 8\n    secret: password\n"),
        ])
    );
}

#[test]
fn a_missing_field_or_name_is_asked_for() {
    snapshot!(
        "fields_missing",
        checks(&[
            ("a field", "resources:\n  - container: web\n    restart: always\n"),
            (
                "a field of a mapping",
                "resources:\n  - container: web\n    image: nginx\n    reload: { check: [nginx] }\n"
            ),
            ("no name", "resources:\n  - secret:\n    length: 8\n"),
            ("an empty name", "resources:\n  - secret: \"\"\n"),
            ("a list as a name", "resources:\n  - secret: [a, b]\n"),
            ("no value", "resources:\n  - container: web\n    image:\n"),
            ("neither content nor template", "resources:\n  - file: a\n    path: /nowhere/a\n"),
        ])
    );
}

#[test]
fn a_bad_name_is_refused() {
    snapshot!(
        "fields_names",
        checks(&[
            ("capitals", "resources:\n  - secret: Password\n"),
            ("an underscore", "resources:\n  - secret: root_password\n"),
            ("a digit first", "resources:\n  - secret: 9lives\n"),
            ("a hyphen last", "resources:\n  - secret: password-\n"),
            ("two hyphens", "resources:\n  - secret: root--password\n"),
            ("a path", "resources:\n  - secret: ../password\n"),
            ("a word of expressions", "resources:\n  - secret: not\n"),
            ("a function of expressions", "inputs:\n  debug: { type: bool, default: false }\n"),
            ("an expression", "resources:\n  - secret: \"{{ name }}\"\n"),
        ])
    );
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_what_is_wanted() {
    snapshot!(
        "fields_types",
        checks(&[
            ("a text for a number", "resources:\n  - secret: a\n    length: many\n"),
            ("a list for a text", "resources:\n  - container: a\n    image: [nginx]\n"),
            ("a mapping for a text", "resources:\n  - container: a\n    image: { name: nginx }\n"),
            ("a list for a mapping", "resources:\n  - container: a\n    image: nginx\n    env: [A=1]\n"),
            ("a mapping for a list", "resources:\n  - container: a\n    image: nginx\n    networks: { a: b }\n"),
            ("a text for a list", "resources:\n  - container: a\n    image: nginx\n    networks: a\n"),
            ("a text for a mapping", "resources:\n  - container: a\n    image: nginx\n    env: A=1\n"),
            ("a word for a truth", "resources:\n  - container: a\n    image: nginx\n    read_only: yes\n"),
            ("a number for a truth", "resources:\n  - container: a\n    image: nginx\n    read_only: 1\n"),
            ("a fraction for a whole number", "resources:\n  - container: a\n    image: nginx\n    pids: 1.5\n"),
            ("no number at all", "resources:\n  - container: a\n    image: nginx\n    cpus: .nan\n"),
            ("too small a number", "resources:\n  - secret: a\n    length: 4\n"),
            ("too large a number", "resources:\n  - container: a\n    image: nginx\n    ready: { tcp: 65536 }\n"),
            ("no choice", "resources:\n  - container: a\n    image: nginx\n    restart: sometimes\n"),
            ("nearly a choice", "resources:\n  - container: a\n    image: nginx\n    restart: alway\n"),
            ("no mode", "resources:\n  - file: a\n    path: /nowhere/a\n    content: a\n    mode: \"09x\"\n"),
            ("no mode either", "resources:\n  - file: a\n    path: /nowhere/a\n    content: a\n    mode: 77777\n"),
            ("a list in a list", "resources:\n  - container: a\n    image: nginx\n    networks: [[a]]\n"),
            ("an expression of the wrong type", "resources:\n  - secret: a\n    length: \"{{ name }}\"\n"),
            (
                "an expression without a value",
                "resources:\n  - file: a\n    path: \"/{{ name.first }}\"\n    content: a\n"
            ),
        ])
    );
}

#[test]
fn a_template_that_is_missing_or_wrong_is_shown_in_its_own_file() {
    let sandbox = Sandbox::new();
    sandbox.write("own/broken.conf", "one\ntwo {{ name\n");
    sandbox.write("own/unknown.conf", "one\ntwo {{ nope }}\n");
    sandbox.write("own/late.conf", "one\ntwo {{ name + 1 }}\n");
    let mut text = String::new();
    for template in
        ["nginx/prox.conf", "own/missing.conf", "own/broken.conf", "own/unknown.conf", "own/late.conf", "{{ name }}"]
    {
        let playbook = format!("resources:\n  - file: a\n    path: /nowhere/a\n    template: \"{template}\"\n");
        writeln!(text, "# {template}\n{}", sandbox.check(&playbook).text).unwrap();
    }
    snapshot!("fields_templates", text);
}
