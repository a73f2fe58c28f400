//! The flavors of the registry as far as they go without an engine: what does not go together, and how it is taken back.

use std::fmt::Write as _;

use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn what_a_flavor_needs_and_what_it_does_not_know() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for more in [
        "--flavor gcs",
        "--flavor azure --azure-account acme",
        "--flavor swift --swift-user me --swift-container images",
        "--flavor oss --bucket acme --region oss-cn-hangzhou",
        "--flavor glance",
        "--flavor gcs --bucket acme --azure-account acme --swift-user me",
        "--flavor inmemory --prefix images",
        "--endpoint https://store.example.com",
        "--redis-password x",
        "--redis localhost:6379",
        "--mirror-of registry-1.docker.io",
        "--mirror-of http://localhost:5001",
        "--mirror-of https://registry-1.docker.io --mirror-user me",
        "--distribution 4",
    ] {
        let outcome = sandbox.run(&format!("plan registry {more}"));
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        writeln!(text, "{}", outcome.text).unwrap();
    }
    snapshot!("flavors_rules", text);
}

const STORES: &str = "inputs:
  flavor: { type: choice, choices: [local, s3], default: local }
  bucket: { type: string, default: \"\", when: flavor == 's3', group: Stores, about: where }
  class: { type: choice, choices: [hot, cold], default: hot, when: flavor == 's3', group: Stores }
  adopt: { type: bool, default: false, when: flavor == 's3' }
  key: { type: secret, default: \"\", when: bucket }
  ca: { type: file, default: \"\" }
  out: { type: path, default: . }
resources:
  - file: a
    path: \"{{ out }}/a\"
    content: \"{{ flavor }} {{ bucket }} {{ class }} {{ key }} {{ ca }}\"
";

#[test]
fn an_input_that_means_nothing_is_refused_and_taken_back() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", STORES);
    sandbox.write("secret", "hush\n");
    sandbox.write("ca.pem", "CERT");
    let mut text = String::new();
    for line in [
        "apply ./x.yml --bucket acme",
        "apply ./x.yml --key hush",
        "apply ./x.yml --flavor s3 --bucket acme --class cold --adopt --key @secret --ca ca.pem",
        "apply ./x.yml --flavor local",
        "apply ./x.yml --flavor local --bucket other",
        "apply ./x.yml --flavor s3 --key",
        "apply ./x.yml --ca nowhere.pem",
    ] {
        writeln!(text, "{}", sandbox.run(line).text).unwrap();
    }
    assert_eq!(sandbox.read("a"), "s3 acme cold hush CERT");
    std::fs::remove_file(sandbox.path("ca.pem")).unwrap();
    std::fs::remove_file(sandbox.path("secret")).unwrap();
    let again = sandbox.run("apply ./x.yml");
    assert!(again.stdout.contains("nothing to change"), "both files were read once: {}", again.text);
    let back = [
        "apply",
        "./x.yml",
        "--flavor",
        "local",
        "--bucket",
        "",
        "--class",
        "hot",
        "--adopt=false",
        "--key",
        "",
        "--ca",
        "",
    ];
    writeln!(text, "{}", sandbox.call(&back).text).unwrap();
    assert_eq!(sandbox.read("a"), "local  hot  ");
    writeln!(text, "{}", sandbox.run("apply ./x.yml --help").text).unwrap();
    assert!(!text.contains("- s3 acme cold hush"), "a secret that is taken back does not show: {text}");
    snapshot!("flavors_taken_back", text);
}

#[test]
fn a_requirement_is_checked_as_soon_as_it_can_be() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        "inputs:\n  size: { type: string, default: small }\nresources:\n  - requirement: fits\n    value: \"{{ size }}\"\n    one_of: [small, large]\n    refuse: \"`{{ size }}` is too much\"\n    hint: take less\n",
    );
    sandbox.write(
        "late.yml",
        "inputs:\n  print: { type: string, default: none }\nresources:\n  - authority: ca\n    names: [a.test]\n  - certificate: a\n    issuer: \"{{ ca.issuer }}\"\n    names: [a.test]\n  - requirement: known\n    value: \"{{ 'none' if false else a.fingerprint }}\"\n    one_of: [\"{{ print }}\"]\n    refuse: it is another certificate\n",
    );
    let mut text = String::new();
    for line in ["plan ./x.yml", "plan ./x.yml --size huge", "plan ./late.yml", "apply ./late.yml"] {
        writeln!(text, "{}", sandbox.run(line).text).unwrap();
    }
    assert!(!sandbox.home("deployments/late").exists(), "what was made until then is taken back");
    snapshot!("flavors_requirement", text);
}
