//! The declarations of inputs.

use crate::sandbox::checks;
use crate::snapshot;

#[test]
fn an_input_is_declared_with_a_type_it_fits() {
    snapshot!(
        "inputs_declared",
        checks(&[
            ("an unknown type", "inputs:\n  a: { type: sting }\n"),
            ("no type", "inputs:\n  a: { default: x }\n"),
            ("a word alone", "inputs:\n  a: port\n"),
            ("an unknown field", "inputs:\n  a: { type: port, defualt: 80 }\n"),
            ("a bad name", "inputs:\n  My_Port: { type: port }\n"),
            ("the name `name`", "inputs:\n  name: { type: string }\n"),
            ("the name `verbose`", "inputs:\n  verbose: { type: bool }\n"),
            ("a list instead of a mapping", "inputs:\n  - port\n"),
            ("a choice without choices", "inputs:\n  a: { type: choice, default: x }\n"),
            ("choices that are a text", "inputs:\n  a: { type: choice, choices: x }\n"),
            ("choices of a port", "inputs:\n  a: { type: port, choices: [\"80\"], default: 80 }\n"),
            ("a list of lists", "inputs:\n  a: { type: list, of: list, default: [] }\n"),
            ("a list of unknown things", "inputs:\n  a: { type: list, of: prot, default: [] }\n"),
            (
                "a condition without a default",
                "inputs:\n  a: { type: port, when: b }\n  b: { type: bool, default: false }\n"
            ),
            (
                "a condition on nothing",
                "inputs:\n  a: { type: port, default: 80, when: c }\n  b: { type: bool, default: false }\n"
            ),
            ("a condition in braces", "inputs:\n  a: { type: port, default: 80, when: \"{{ b }}\" }\n"),
            ("a condition that is cut off", "inputs:\n  a: { type: port, default: 80, when: \"a ==\" }\n"),
            ("`of` without a list", "inputs:\n  a: { type: port, of: port, default: 80 }\n"),
        ])
    );
}

#[test]
fn a_default_is_of_the_type_of_its_input() {
    snapshot!(
        "inputs_defaults",
        checks(&[
            ("a port", "inputs:\n  a: { type: port, default: 70000 }\n"),
            ("a port that is a word", "inputs:\n  a: { type: port, default: http }\n"),
            ("a truth", "inputs:\n  a: { type: bool, default: yes }\n"),
            ("a choice", "inputs:\n  a: { type: choice, choices: [local, s3], default: loca }\n"),
            ("a domain", "inputs:\n  a: { type: domain, default: \"https://x\" }\n"),
            ("a size", "inputs:\n  a: { type: size, default: 5 apples }\n"),
            ("a list that is a text", "inputs:\n  a: { type: list, default: x }\n"),
            ("an item of a list", "inputs:\n  a: { type: list, of: port, default: [80, http] }\n"),
            ("a text that is a list", "inputs:\n  a: { type: string, default: [x] }\n"),
            ("an expression", "inputs:\n  a: { type: string, default: \"{{ name }}\" }\n"),
            ("a file", "inputs:\n  a: { type: file, default: /etc/hostname }\n"),
            ("a secret from a file", "inputs:\n  a: { type: secret, default: \"@/nowhere\" }\n"),
        ])
    );
}
