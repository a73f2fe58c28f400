//! The command line: what is wrong with it, and the exit codes.

use std::fmt::Write as _;

use crate::sandbox::Sandbox;
use crate::snapshot;

fn said(sandbox: &Sandbox, lines: &[&str]) -> String {
    lines.iter().map(|line| sandbox.run(line).text).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_mistyped_command_line_ends_with_2() {
    let sandbox = Sandbox::new();
    let lines = [
        "",
        "rgistry",
        "certs --cm localhost",
        "certs --cn",
        "destroy",
        "completions tcsh",
        "list --output yaml",
        "plan",
        "certs localhost",
        "registry --images never",
    ];
    for line in lines {
        assert_eq!(sandbox.run(line).code, 2, "{line}");
    }
    snapshot!("usage_parser", said(&sandbox, &lines[1..]));
}

#[test]
fn a_value_that_does_not_fit_its_flag_ends_with_2() {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    let registry = [
        ["--port", "0"],
        ["--port", "70000"],
        ["--port", "x"],
        ["--port", "-1"],
        ["--port", ""],
        ["--flavor", "floppy"],
        ["--flavor", "locl"],
    ];
    for [flag, value] in registry {
        let outcome = sandbox.call(&["registry", &format!("{flag}={value}")]);
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        writeln!(text, "{}", outcome.text).unwrap();
    }
    for value in [
        "https://x",
        "a b",
        "mydomain.com:5000",
        "",
        "a_b",
        "-a.com",
        "*.com",
        "a..b",
        "bücher.example.",
        "[::1",
        "1.2.3.4/24",
    ] {
        let outcome = sandbox.call(&["certs", &format!("--cn={value}")]);
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        writeln!(text, "{}", outcome.text).unwrap();
    }
    for arguments in [
        ["certs", "--cn=localhost", "--san=a b"],
        ["certs", "--cn=localhost", "--out="],
        ["certs", "--cn=localhost", "--algorithm=rsa"],
    ] {
        let outcome = sandbox.call(&arguments);
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        writeln!(text, "{}", outcome.text).unwrap();
    }
    assert!(!sandbox.home("").exists(), "nothing is left behind");
    snapshot!("usage_values", text);
}

#[test]
fn every_type_of_input_is_a_flag() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "x.yml",
        concat!(
            "inputs:\n",
            "  flag: { type: bool, default: false }\n",
            "  size: { type: size, default: 1m }\n",
            "  ports: { type: list, of: port, default: [] }\n",
            "  token: { type: secret, default: \"\" }\n",
            "  folder: { type: path, default: . }\n",
            "  text: { type: string, default: \"\" }\n",
            "outputs:\n  all: \"{{ flag }}, {{ not flag }} {{ size }} {{ ports }} {{ folder }} {{ text }}\"\n",
        ),
    );
    sandbox.write("token", "opensesame\n");
    sandbox.write("empty", "\n");
    let mut text = String::new();
    let cases: [&[&str]; 9] = [
        &[],
        &["--flag", "--size=2k", "--ports=80", "--ports=81", "--folder=a/../b", "--text=-", "--token=@token"],
        &["--flag=false"],
        &["--flag=maybe"],
        &["--size=much"],
        &["--ports=80", "--ports=x"],
        &["--token=@nowhere"],
        &["--token=@empty"],
        &["--token=-"],
    ];
    for case in cases {
        let outcome = sandbox.call(&[&["apply", "./x.yml", "--name", "fresh"], case].concat());
        assert!(!outcome.text.contains("opensesame"));
        writeln!(text, "{}", outcome.text).unwrap();
    }
    snapshot!("usage_types", text);
}

#[test]
fn what_is_needed_is_asked_for() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("certs").code, 2);
    snapshot!("usage_needed", said(&sandbox, &["certs", "plan certs", "apply certs"]));
}

#[test]
fn an_unknown_deployment_or_file_ends_with_1() {
    let sandbox = Sandbox::new();
    let lines = [
        "plan nosuch",
        "plan registy",
        "apply missing.yml",
        "status nosuch",
        "destroy nosuch",
        "output nosuch",
        "secrets nosuch",
        "graph nosuch",
        "status ../x",
        "destroy ../x",
        "plan a/b",
    ];
    let none = said(&sandbox, &lines);
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls").code, 0);
    std::fs::create_dir_all(sandbox.home("deployments/bad")).unwrap();
    std::fs::write(sandbox.home("deployments/bad/deployment.json"), "{").unwrap();
    let lines = [
        "plan bad",
        "plan certz",
        "status cert",
        "output certs nosuch",
        "output certs keys",
        "secrets certs nosuch",
        "apply other",
    ];
    let some = said(&sandbox, &lines);
    snapshot!("usage_unknown", format!("{none}\n# with a deployment\n\n{some}"));
}

#[test]
fn a_name_is_one_and_belongs_to_one_playbook() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("certs --cn localhost --out ./tls --name mine").code, 0);
    sandbox.write("x.yml", "resources:\n  - secret: password\n");
    let mut text = said(&sandbox, &["registry --name mine", "apply ./x.yml --name mine", "plan ./x.yml --name mine"]);
    let long = "a".repeat(41);
    for name in ["../x", "", ".", "-x", "a/b", "a b", &long] {
        let outcome = sandbox.call(&["certs", "--cn", "localhost", &format!("--name={name}")]);
        assert_eq!(outcome.code, 2, "{}", outcome.text);
        write!(text, "\n{}", outcome.text).unwrap();
    }
    snapshot!("usage_names", text);
}

#[test]
fn plan_ends_with_3_only_when_asked_to() {
    let sandbox = Sandbox::new();
    let code = |line: &str| sandbox.run(line).code;
    assert_eq!(code("plan certs --cn localhost --out ./tls"), 0);
    assert_eq!(code("plan certs --cn localhost --out ./tls --exit-code"), 3);
    assert_eq!(code("certs --cn localhost --out ./tls"), 0);
    assert_eq!(code("plan certs --exit-code"), 0);
    assert_eq!(code("status certs"), 0);
    std::fs::remove_file(sandbox.path("tls/ca.crt")).unwrap();
    assert_eq!(code("plan certs --exit-code"), 3);
    assert_eq!(code("status certs"), 3);
    assert_eq!(code("plan registry --exit-code"), 1, "there is no engine");
    assert_eq!(code("plan ./missing.yml --exit-code"), 1);
    assert_eq!(code("plan certs --cn a_b --exit-code"), 2);
}

#[test]
fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    let sandbox = Sandbox::new();
    // Which of the first resources asks for it first is left to chance.
    let text = said(&sandbox, &["plan registry", "registry"]);
    let lines = text.lines().map(|line| {
        line.split_once("`: no Docker")
            .map_or(line.to_owned(), |(_, rest)| format!("error: [resource]: no Docker{rest}"))
    });
    snapshot!("usage_engine", lines.collect::<Vec<_>>().join("\n"));
    assert!(!sandbox.home("deployments/registry").exists(), "nothing is left behind");
}
