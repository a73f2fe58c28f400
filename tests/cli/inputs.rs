//! The declarations of inputs.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
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
            ("the name `rendering`", "inputs:\n  rendering: { type: bool }\n"),
            ("a default of a list of secrets", "inputs:\n  a: { type: list, of: secret, default: [x] }\n"),
            ("a default of a list of files", "inputs:\n  a: { type: list, of: file, default: [/etc/hostname] }\n"),
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

const PLAYBOOK: &str = "\
inputs:
  port:   { type: port, default: 80, about: a port }
  flavor: { type: choice, choices: [local, s3], default: local, about: a choice }
  bucket: { type: string, default: \"\", when: flavor == 's3', about: a text }
  names:  { type: list, of: domain, default: [], about: names }
  hush:   { type: secret, default: \"\", about: a secret }
  deep:   { type: bool, default: false, about: a truth }
variables:
  OLD_BUCKET: { input: bucket }
resources:
  - file: out
    path: ROOT/out
    content: \"{{ port }} {{ flavor }} {{ bucket }} {{ names | join(',') }} {{ hush }} {{ deep }}\"
    mode: \"0600\"
";

#[test]
fn inputs_stand_in_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", PLAYBOOK.replace("ROOT", &sandbox.path("").display().to_string()));
    sandbox.write("in.yml", "# of the host\nport: 8080\nflavor: s3\nbucket: of-file\nnames: [a.example.com, 10.0.0.1]\nhush: HUSH\ndeep: true\n");
    sandbox.write("old.env", "OLD_BUCKET=of-env-file\n");
    let apply = |line: &str, wanted: &str| {
        let outcome = sandbox.run(&format!("apply ./x.yml {line}"));
        assert_eq!(outcome.code, 0, "{}", outcome.text);
        assert!(!outcome.text.contains("HUSH"), "a secret shows: {}", outcome.text);
        assert_eq!(sandbox.read("out"), wanted, "{line}");
    };
    apply("--flavor s3 --env-file old.env", "80 s3 of-env-file   false");
    apply("--inputs in.yml --env-file old.env", "8080 s3 of-file a.example.com,10.0.0.1 HUSH true");
    apply("--inputs in.yml --bucket of-flag", "8080 s3 of-flag a.example.com,10.0.0.1 HUSH true");
    // What was given stays given.
    apply("", "8080 s3 of-flag a.example.com,10.0.0.1 HUSH true");
    sandbox.write("few.yml", "names: []\nport: 81\n");
    apply("--inputs few.yml", "81 s3 of-flag  HUSH true");
    sandbox.write("none.yml", "# nothing\n\n");
    apply("--inputs none.yml", "81 s3 of-flag  HUSH true");
    assert_eq!(sandbox.run("graph registry --inputs none.yml").code, 0);
}

#[test]
fn a_file_of_inputs_is_checked() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", PLAYBOOK);
    let mut text = String::new();
    for file in [
        "prot: 8080\n",
        "port: http\n",
        "port: [80]\n",
        "port: {}\n",
        "names: a.example.com\n",
        "names: [a.example.com, b c]\n",
        "names: [[a]]\n",
        "flavor: s4\n",
        "deep: yes\n",
        "bucket: b\n",
        "hush: [HUSH]\n",
        "hush: \"-\"\n",
        "hush: \"@nowhere\"\n",
        "hsuh: HUSH\n",
        "hush: \"HUSH\n",
        "port: 80\nport: 81\n",
        "- port\n",
        "port\n",
        "a: *b\n",
    ] {
        sandbox.write("in.yml", file);
        let refused = sandbox.run("plan ./x.yml --inputs in.yml");
        assert_eq!(refused.code, 2, "{file}: {}", refused.text);
        assert!(!refused.text.contains("HUSH"), "a secret shows: {}", refused.text);
        writeln!(text, "{}", refused.text.split_once('\n').unwrap().1).unwrap();
    }
    text.push_str(&sandbox.run("plan ./x.yml --inputs missing.yml").text);
    snapshot!("inputs_file", text);
}
