//! Options and inputs: neither is ever taken for the other, and a verb reads no option that it does not have.

use crate::sandbox::Sandbox;
use crate::snapshot;

/// Every option and argument that some verb has, but for `name`, which means something in expressions.
const OPTIONS: [&str; 22] = [
    "command",
    "delete-data",
    "deployment",
    "env-file",
    "environment",
    "exit-code",
    "file",
    "help",
    "images",
    "inputs",
    "keep-data",
    "key",
    "out",
    "output",
    "paths",
    "renew",
    "root",
    "set",
    "verbose",
    "version",
    "what",
    "yes",
];

fn deployed(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        let made = sandbox.run(&format!("certs --cn localhost --out ./{name} --name {name}"));
        assert_eq!(made.code, 0, "{}", made.text);
    }
    sandbox
}

#[test]
fn a_verb_about_a_deployment_takes_no_other_name_beside_it() {
    let sandbox = deployed(&["a", "b"]);
    let before = crate::sandbox::listing(&sandbox.home("deployments"));
    for first in ["a", "nosuch"] {
        for verb in ["destroy --yes", "rotate --what certificates", "status", "output", "secrets"] {
            let refused = sandbox.run(&format!("{verb} {first} --name b"));
            assert_eq!(refused.code, 2, "{}", refused.text);
            assert!(refused.stderr.contains("unexpected argument '--name'"), "{}", refused.text);
        }
    }
    for line in ["plan a", "graph a", "apply a", "render a --out ./tree"] {
        let refused = sandbox.run(&format!("{line} --name b"));
        assert_eq!(refused.code, 2, "{}", refused.text);
        assert!(refused.stderr.contains("`a` is a deployment, so `--name b` cannot name another"), "{}", refused.text);
    }
    assert_eq!(crate::sandbox::listing(&sandbox.home("deployments")), before, "nothing was touched");
    assert_eq!(sandbox.run("plan certs --name b").code, 0, "beside a playbook it stays");
}

#[test]
fn an_input_that_is_called_like_an_option_is_given_by_set() {
    let sandbox = Sandbox::new();
    let inputs: String =
        OPTIONS.iter().map(|name| format!("  {name}: {{ type: string, default: unset, about: mine }}\n")).collect();
    let outputs: String =
        OPTIONS.iter().map(|name| format!("  {name}: \"{{{{ {} }}}}\"\n", name.replace('-', "_"))).collect();
    sandbox.write("x.yml", format!("inputs:\n{inputs}resources:\n  - secret: word\noutputs:\n{outputs}"));
    let set: Vec<String> = OPTIONS.iter().map(|name| format!("--set={name}=mine-{name}")).collect();
    let call = |verb: &[&str]| {
        let mut words = verb.to_vec();
        words.extend(set.iter().map(String::as_str));
        sandbox.call(&words)
    };
    for verb in [&["plan", "./x.yml"] as &[&str], &["graph", "./x.yml"], &["apply", "./x.yml"]] {
        assert_eq!(call(verb).code, 0, "{}", call(verb).text);
    }
    for name in OPTIONS {
        assert_eq!(sandbox.run(&format!("output x {name}")).stdout.trim(), format!("mine-{name}"));
    }
    // What is no option here is a flag; what is one stays the option.
    let changed = sandbox.run("apply ./x.yml --what keys --renew --keep-data=no --file ./nowhere --yes");
    assert_eq!(changed.code, 0, "{}", changed.text);
    for (name, value) in [("what", "keys"), ("keep-data", "no"), ("file", "./nowhere"), ("renew", "mine-renew")] {
        assert_eq!(sandbox.run(&format!("output x {name}")).stdout.trim(), value);
    }
    let json = sandbox.run("plan ./x.yml --output json --set output=text");
    assert!(json.stdout.starts_with('{'), "{}", json.text);
    let help = sandbox.run("apply ./x.yml --help").text;
    assert!(help.contains("Inputs with the name of an option, set by `--set NAME=VALUE`"), "{help}");
}

#[test]
fn set_takes_what_a_flag_takes() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "inputs:\n  port: { type: port, default: 80 }\n  yes: { type: port, default: 1 }\n  hosts: { type: list, of: domain, default: [] }\nresources:\n  - secret: word\noutputs:\n  all: \"{{ port }} {{ yes }} {{ hosts }}\"\n",
    );
    sandbox.write("given.yml", "port: 81\nyes: 2\n");
    let mut text = String::new();
    for line in [
        "apply ./x.yml --inputs given.yml --set port=82 --set hosts=a --set hosts=b",
        "apply ./x.yml --set hosts=",
        "plan ./x.yml --port 1 --set port=2",
        "plan ./x.yml --set port=1 --set port=2",
        "plan ./x.yml --set prot=1",
        "plan ./x.yml --set port",
        "plan ./x.yml --set yes=x",
        "plan x --set yes=x",
    ] {
        text.push_str(&sandbox.run(line).text);
        text.push('\n');
    }
    snapshot!("options_set", text);
}

#[test]
fn no_input_of_a_built_in_playbook_is_called_like_an_option() {
    let sandbox = Sandbox::new();
    for playbook in ["blog", "certs", "ci", "registry", "registry-v1"] {
        for verb in ["", "apply ", "plan ", "graph "] {
            let help = sandbox.run(&format!("{verb}{playbook} --help"));
            assert_eq!(help.code, 0, "{}", help.text);
            assert!(!help.stdout.contains("Inputs with the name of an option"), "{}", help.text);
        }
    }
}

#[test]
fn a_choice_that_is_another_playbook_is_also_found_behind_set() {
    let sandbox = Sandbox::new();
    for line in ["graph registry --api v1", "graph registry --set api=v1", "graph registry --set=api=v1"] {
        let graph = sandbox.run(line);
        assert!(graph.stdout.starts_with("digraph \"registry-v1\""), "{}", graph.text);
    }
}
