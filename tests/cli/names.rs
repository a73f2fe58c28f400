//! The names in expressions, and what needs what.

use std::fmt::Write as _;

use crate::sandbox::{Sandbox, checks};
use crate::snapshot;

#[test]
fn an_unknown_name_in_an_expression_brings_the_nearest_one() {
    snapshot!(
        "names_unknown",
        checks(&[
            (
                "a name",
                "inputs:\n  domain: { type: domain, default: localhost }\noutputs:\n  url: \"http://{{ domian }}/\"\n"
            ),
            (
                "a name like no other",
                "inputs:\n  domain: { type: domain, default: localhost }\noutputs:\n  url: \"http://{{ x }}/\"\n"
            ),
            ("a name with a hyphen", "resources:\n  - network: my-net\noutputs:\n  net: \"{{ my-net.name }}\"\n"),
            ("an output of a resource", "resources:\n  - network: net\noutputs:\n  net: \"{{ net.nam }}\"\n"),
            ("a resource without an output", "resources:\n  - network: net\noutputs:\n  net: \"{{ net }}\"\n"),
            (
                "an attribute of an input",
                "inputs:\n  port: { type: port, default: 80 }\noutputs:\n  net: \"{{ port.number }}\"\n"
            ),
            ("in a key", "resources:\n  - container: a\n    image: nginx\n    links: { \"{{ db.name }}\": db }\n"),
            ("in `after`", "resources:\n  - secret: a\n  - secret: b\n    after: [aa]\n"),
            ("itself in `after`", "resources:\n  - secret: a\n    after: [a]\n"),
            ("an unknown filter", "outputs:\n  net: \"{{ name | shout }}\"\n"),
            ("an unknown function", "outputs:\n  net: \"{{ lookup('env') }}\"\n"),
        ])
    );
}

#[test]
fn an_expression_that_cannot_be_read_is_shown() {
    snapshot!(
        "names_syntax",
        checks(&[
            ("not closed", "outputs:\n  url: \"http://{{ name\"\n"),
            ("two words", "outputs:\n  url: \"{{ name name }}\"\n"),
            ("nothing in it", "outputs:\n  url: \"{{ }}\"\n"),
            ("an operator without its right side", "outputs:\n  url: \"a {{ name + }} b\"\n"),
            ("a block that is not closed", "outputs:\n  url: \"{% if name %}a\"\n"),
            ("in the second line", "outputs:\n  url: |\n    one\n    two {{ name + }}\n"),
        ])
    );
}

#[test]
fn every_resource_has_a_name_of_its_own() {
    snapshot!(
        "names_twice",
        checks(&[
            ("of one kind", "resources:\n  - secret: a\n  - secret: a\n"),
            ("of two kinds", "resources:\n  - secret: a\n  - network: a\n"),
            ("as an input has", "inputs:\n  port: { type: port, default: 80 }\nresources:\n  - secret: port\n"),
            ("as every playbook has", "resources:\n  - secret: name\n"),
            ("as an included playbook has", "resources:\n  - secret: tls\n  - playbook: tls-proxy\n    as: tls\n"),
        ])
    );
}

#[test]
fn a_circle_is_shown_with_its_whole_path() {
    snapshot!(
        "names_circle",
        checks(&[
            ("of one", "resources:\n  - file: a\n    path: \"{{ a.path }}\"\n    content: x\n"),
            (
                "of two",
                "resources:\n  - file: a\n    path: \"{{ b.path }}\"\n    content: x\n  - file: b\n    path: \"{{ a.path }}\"\n    content: x\n"
            ),
            (
                "of three, with `after`",
                "resources:\n  - secret: c\n    after: [b]\n  - secret: b\n    after: [a]\n  - secret: a\n    after: [c]\n  - secret: z\n    after: [c]\n"
            ),
        ])
    );
}

#[test]
fn when_knows_inputs_only() {
    snapshot!(
        "names_when",
        checks(&[
            ("a resource", "resources:\n  - secret: a\n  - secret: b\n    when: a\n"),
            (
                "an unknown name",
                "inputs:\n  trust: { type: bool, default: true }\nresources:\n  - secret: b\n    when: trusty\n"
            ),
            (
                "no expression",
                "inputs:\n  trust: { type: bool, default: true }\nresources:\n  - secret: b\n    when: trust ==\n"
            ),
            ("a list", "resources:\n  - secret: b\n    when: [a]\n"),
            (
                "braces around it",
                "inputs:\n  trust: { type: bool, default: false }\nresources:\n  - secret: b\n    when: \"{{ trust }}\"\n"
            ),
            (
                "switched off",
                "inputs:\n  trust: { type: bool, default: false }\nresources:\n  - secret: b\n    when: trust\n  - secret: c\n    when: not trust\n"
            ),
            (
                "a mistake in what is switched off",
                "resources:\n  - file: b\n    path: \"/{{ nope }}\"\n    content: a\n    when: false\n"
            ),
            (
                "a value of what is switched off",
                "resources:\n  - secret: b\n    when: false\n  - file: c\n    path: /nowhere/c\n    content: \"{{ b }}\"\n"
            ),
            (
                "an output of what is switched off",
                "resources:\n  - file: b\n    path: /nowhere/c\n    when: false\noutputs:\n  b: \"{{ b.path }}\"\n"
            ),
            ("empty", "resources:\n  - secret: b\n    when:\n"),
        ])
    );
}

#[test]
fn an_included_playbook_is_checked_with_its_inputs_and_outputs() {
    let sandbox = Sandbox::new();
    sandbox.write("part.yml", "inputs:\n  port: { type: port }\n  host: { type: domain, default: localhost }\noutputs:\n  url: \"http://{{ host }}:{{ port }}\"\n");
    sandbox.write("circle.yml", "resources:\n  - playbook: circle.yml\n    as: inner\n");
    sandbox.write("wrong.yml", "resources:\n  - secret: a\n    lenght: 8\n");
    let cases = [
        ("an unknown input", "  - playbook: part.yml\n    as: part\n    inputs: { prot: 80 }\n"),
        ("a missing input", "  - playbook: part.yml\n    as: part\n"),
        ("an input of the wrong type", "  - playbook: part.yml\n    as: part\n    inputs: { port: many }\n"),
        ("an input out of range", "  - playbook: part.yml\n    as: part\n    inputs: { port: 70000 }\n"),
        (
            "an input that is no domain",
            "  - playbook: part.yml\n    as: part\n    inputs: { port: 80, host: \"https://x\" }\n",
        ),
        ("inputs that are a list", "  - playbook: part.yml\n    as: part\n    inputs: [80]\n"),
        (
            "an unknown output",
            "  - playbook: part.yml\n    as: part\n    inputs: { port: 80 }\noutputs:\n  url: \"{{ part.ulr }}\"\n",
        ),
        (
            "no output",
            "  - playbook: part.yml\n    as: part\n    inputs: { port: 80 }\noutputs:\n  url: \"{{ part }}\"\n",
        ),
        ("an unknown field", "  - playbook: part.yml\n    sa: part\n    inputs: { port: 80 }\n"),
        (
            "no name in expressions",
            "  - playbook: part.yml\n    inputs: { port: 80 }\noutputs:\n  url: \"{{ part.url }}\"\n",
        ),
        ("a bad name in expressions", "  - playbook: part.yml\n    as: My Part\n    inputs: { port: 80 }\n"),
        ("a playbook that is not there", "  - playbook: prat.yml\n    as: part\n"),
        ("a built-in playbook that is not there", "  - playbook: tls-proxi\n    as: part\n"),
        ("a circle", "  - playbook: circle.yml\n    as: part\n"),
        ("a mistake in it", "  - playbook: wrong.yml\n    as: part\n"),
        (
            "all well",
            "  - playbook: part.yml\n    as: part\n    inputs: { port: 80 }\noutputs:\n  url: \"{{ part.url }}\"\n",
        ),
    ];
    let mut text = String::new();
    for (title, resources) in cases {
        let outcome = sandbox.check(&format!("resources:\n{resources}"));
        writeln!(text, "# {title}\n{}", outcome.text).unwrap();
    }
    snapshot!("names_included", text);
}
