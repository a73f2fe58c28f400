//! What is no YAML, or more YAML than a playbook is.

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

#[test]
fn a_text_that_is_no_playbook_is_shown_where_it_goes_wrong() {
    snapshot!(
        "yaml_syntax",
        checks(&[
            ("an empty file", ""),
            ("a comment alone", "# later\n"),
            ("a word", "hello\n"),
            ("a list", "- secret: password\n"),
            ("an open bracket", "resources: [\n"),
            ("a quote that is not closed", "about: \"a text\nresources: []\n"),
            ("a tab", "resources:\n\t- secret: password\n"),
            ("a wrong indent", "resources:\n  - secret: password\n   length: 8\n"),
            ("an expression without quotes", "resources:\n  - file: a\n    path: {{ name }}\n"),
            ("an alias", "about: &text hello\noutputs: { greeting: *text }\n"),
            ("a merge key", "inputs: { a: &a { type: port } }\nresources:\n  - secret: password\n    <<: *a\n"),
            ("two documents", "about: one\n---\nabout: two\n"),
            ("a key that is a list", "? [about]\n: text\n"),
            ("a key that stands twice", "about: one\nresources: []\nabout: two\n"),
            ("a field that stands twice", "resources:\n  - secret: password\n    length: 8\n    length: 9\n"),
            ("an unknown part", "resource:\n  - secret: password\n"),
            ("resources that are a mapping", "resources:\n  secret: password\n"),
            ("a resource that is a word", "resources:\n  - secret\n"),
            ("an empty resource", "resources:\n  - {}\n"),
        ])
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    sandbox.write("latin1.yml", b"about: na\xefve\n");
    sandbox.write("folder.yml/inner", "");
    let lines = ["plan missing.yml", "apply ./missing", "plan latin1.yml", "plan folder.yml"];
    snapshot!("yaml_files", lines.map(|line| sandbox.run(line).text).join("\n"));
}

#[test]
fn the_caret_stands_under_the_right_characters() {
    snapshot!(
        "yaml_caret",
        checks(&[
            ("after letters of two bytes", "resources:\n  - file: a\n    path: \"/größe/{{ nope }}\"\n"),
            ("under letters of two bytes", "resources:\n  - { secret: a, größe: 9 }\n"),
            ("after letters of two columns", "resources:\n  - file: a\n    path: \"/日本/{{ nope }}\"\n"),
            ("after a tab", "resources:\n  - file: a\n    path: \"/a\t{{ nope }}\"\n"),
            ("in a file with Windows line ends", "resources:\r\n  - secret: a\r\n    lenght: 9\r\n"),
            (
                "in the third line of a text",
                "resources:\n  - file: a\n    path: /a\n    content: |\n      one\n      two {{ nope }}\n"
            ),
            ("in a folded text", "outputs:\n  a: >-\n    one\n    two {{ nope }}\n"),
            ("not in a comment", "resources:\n  - file: a # nope\n    path: /a\n    content: \"nope {{ nope }}\"\n"),
        ])
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    let sandbox = Sandbox::new();
    let text = "about: a\nresources:\n  - secret: password\n    length: 8\n";
    for playbook in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        let outcome = sandbox.check(&playbook);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{}", outcome.text);
    }
}

#[test]
fn a_hostile_text_ends_in_a_short_error() {
    let long = "x".repeat(1 << 20);
    let nested = format!("about: {}{}\n", "[".repeat(100), "]".repeat(100));
    let deep = format!("about: {}\n", "[".repeat(100_000));
    let nested_maps = format!("about: {}1{}\n", "{a: ".repeat(100), "}".repeat(100));
    let long_line = format!("about: {long}\nouputs: {{}}\n");
    let long_key = format!("{long}: a\n");
    let long_expression = format!("outputs: {{ a: \"{long} {{{{ nope }}}}\" }}\n");
    let parentheses = format!("outputs: {{ a: \"{{{{ {}1{} }}}}\" }}\n", "(".repeat(5000), ")".repeat(5000));
    snapshot!(
        "yaml_hostile",
        checks(&[
            ("a hundred lists", &nested),
            ("a hundred thousand lists", &deep),
            ("a hundred mappings", &nested_maps),
            ("a mebibyte before the mistake", &long_line),
            ("a mebibyte as a key", &long_key),
            ("a mebibyte in the line of the mistake", &long_expression),
            ("five thousand parentheses", &parentheses),
        ])
    );
    let accepted = Sandbox::new().check(&format!("about: {long}\nresources: []\n"));
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
}
