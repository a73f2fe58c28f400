//! The verbs that only print, and a playbook of one's own from the first run to the last.

use std::fmt::Write as _;

use serde_json::Value as Json;

use crate::sandbox::{Sandbox, listing, mode};
use crate::snapshot;

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn list_names_playbooks_and_deployments() {
    let sandbox = Sandbox::new();
    let before = sandbox.run("list");
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls --name mine").code, 0);
    std::fs::create_dir_all(sandbox.home("deployments/bad")).unwrap();
    std::fs::write(sandbox.home("deployments/bad/deployment.json"), "{").unwrap();
    let after = sandbox.run("list");
    snapshot!("verbs_list", format!("{}\n{}", before.text, after.text));
    let found = json(&sandbox.run("list --output json").stdout);
    assert_eq!(found["deployments"]["mine"], "certs");
    assert!(found["playbooks"]["registry"].is_string());
}

#[test]
fn the_schema_says_what_the_built_in_playbooks_are() {
    let sandbox = Sandbox::new();
    let schema = json(&sandbox.run("schema").stdout);
    assert_eq!(schema["additionalProperties"], false);
    for part in ["about", "inputs", "resources", "outputs"] {
        assert!(schema["properties"][part].is_object(), "{part}");
    }
    let kinds = schema["properties"]["resources"]["items"]["oneOf"].as_array().unwrap();
    for name in ["secret", "authority", "certificate", "file", "container", "network", "volume", "image", "playbook"] {
        let kind = kinds.iter().find(|kind| {
            kind["properties"][name].is_object() && kind["required"].as_array().unwrap().contains(&Json::from(name))
        });
        let kind = kind.unwrap_or_else(|| panic!("no kind {name}"));
        assert_eq!(kind["additionalProperties"], false, "{name}");
        assert!(
            kind["description"].is_string()
                && kind["properties"]["when"].is_object()
                && kind["properties"]["after"].is_object(),
            "{name}"
        );
    }
    let file = kinds.iter().find(|kind| kind["required"].as_array().unwrap().contains(&Json::from("file"))).unwrap();
    let fields: Vec<&String> = file["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["after", "content", "file", "mode", "path", "template", "when"]);
    assert!(!schema.to_string().contains("x-secret"), "only what a validator knows");
}

#[test]
fn the_graph_names_every_resource() {
    let sandbox = Sandbox::new();
    snapshot!("verbs_graph", sandbox.run("graph certs --cn localhost").text);
    let registry = sandbox.run("graph registry").stdout;
    for resource in [
        "password",
        "http-secret",
        "users",
        "network",
        "data",
        "registry-image",
        "registry",
        "tls/ca",
        "tls/server",
        "tls/proxy",
        "round-trip",
    ] {
        assert!(registry.contains(&format!("  \"{resource}\" [label")), "{resource}");
    }
    assert!(registry.contains("\"tls/ca\" -> \"tls/server\""));
}

#[test]
fn completions_are_made_for_every_shell() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = sandbox.run(&format!("completions {shell}"));
        assert!(outcome.code == 0 && outcome.stdout.contains("registry") && outcome.stderr.is_empty(), "{shell}");
    }
}

#[test]
fn help_shows_the_inputs_of_a_playbook() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", "about: A thing of mine\ninputs:\n  port: { type: port, default: 80, about: where it listens }\n  token: { type: secret, about: opens it }\n  hosts: { type: list, of: domain, default: [], about: more names }\n");
    let lines = ["--help", "certs --help", "plan ./x.yml --help"];
    snapshot!("verbs_help", lines.map(|line| sandbox.run(line).text).join("\n"));
}

const OWN: &str = r#"about: A note with a password in it
inputs:
  greeting: { type: string, default: hello }
  loud:     { type: bool, default: false }
resources:
  - secret: password
    length: 12
  - file: note
    path: "{{ out }}/note"
    template: note.txt
    mode: "0600"
  - file: shout
    when: loud
    path: "{{ out }}/shout"
    content: "{{ greeting | upper }}\n"
outputs:
  note: "{{ note.path }}"
  shout: "{{ shout.path if loud else 'none' }}"
"#;

#[test]
fn a_playbook_of_ones_own_lives_like_a_built_in_one() {
    let sandbox = Sandbox::new();
    sandbox.write("mine/note.yml", OWN.replace("inputs:\n", "inputs:\n  out: { type: path }\n"));
    sandbox.write("mine/note.txt", "{{ greeting }}, the password is {{ password }}\n");
    let mut text = String::new();
    let mut run = |line: &str| {
        let outcome = sandbox.run(line);
        writeln!(text, "{}", outcome.text).unwrap();
        outcome
    };
    run("plan ./mine/note.yml --out ./tree/a");
    run("apply ./mine/note.yml --out ./tree/a");
    let password = sandbox.run("secrets note password").stdout;
    assert_eq!(password.trim().len(), 12);
    assert_eq!(sandbox.read("tree/a/note"), format!("hello, the password is {password}"));
    assert_eq!(mode(&sandbox.path("tree/a/note")), 0o600);
    run("apply ./mine/note.yml");
    run("plan note");
    run("status note");
    run("output note note");
    run("apply note --loud --greeting hi");
    assert_eq!(sandbox.read("tree/a/shout"), "HI\n");
    run("apply note --loud=false");
    assert!(!sandbox.path("tree/a/shout").exists());
    run("output note");
    sandbox.write("mine/note.txt", "changed\n");
    run("plan note");
    run("destroy note");
    assert!(!sandbox.path("tree").exists() && !sandbox.home("deployments/note").exists());
    assert!(!text.contains(password.trim()), "{text}");
    snapshot!("verbs_own", text);
}

/// What cannot be evaluated in the end must not be found out only after everything was made.
#[test]
fn a_mistake_in_an_output_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "resources:\n  - secret: a\n  - secret: b\n    when: false\noutputs:\n  x: \"{{ name | shout }}\"\n",
    );
    let outcome = sandbox.run("apply ./x.yml");
    snapshot!("verbs_output_fails", outcome.text);
    assert!(listing(&sandbox.home("")).is_empty());
}
