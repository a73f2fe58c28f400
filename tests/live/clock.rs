//! A registry whose root a wrong clock has made, and the roots after it, with clients that know only one of them.

use crate::engine::{Ran, Sandbox, shell};

/// A command that was given up to a time, a umask or both.
fn under(what: &str, sandbox: &Sandbox, line: &str) -> Ran {
    let home = sandbox.home.path().join("home");
    shell(&format!("export PROVISION_HOME={}; {what} {} {line}", home.display(), env!("CARGO_BIN_EXE_provision")))
}

/// What the registry answers to clients that trust the certificates of a file.
fn answer(sandbox: &Sandbox, trusted: &str) -> String {
    let (password, port) = (sandbox.password(), sandbox.port);
    let asked = format!("https://localhost:{port}/v2/_catalog");
    shell(&format!("curl -s --cacert {trusted} -u admin:{password} -o /dev/null -w '%{{http_code}}' {asked}")).out
}

#[test]
fn a_root_is_replaced_while_clients_go_on() {
    let sandbox = Sandbox::new("root");
    let (name, port) = (&sandbox.name, sandbox.port);
    let folder = sandbox.home.path().display().to_string();
    let line = format!("registry --name {name} --port {port}");
    under("umask 077; faketime -f '@2010-01-01 00:00:00'", &sandbox, &line).ok();
    let trust = format!("/etc/docker/certs.d/localhost:{port}");
    assert_eq!(shell(&format!("stat -c %a {trust} {trust}/*")).out, "755\n644\n");
    // Ended: said with the way out, by every run.
    let command = format!("`provision rotate {name} --what authority`");
    for verb in ["registry", "plan"] {
        let ran = if verb == "plan" { sandbox.plan(&[]) } else { sandbox.registry(&[]) };
        ran.fails(1).says("the root that clients trust ended on 2019-12-29").says(&command);
    }
    let rotate = || sandbox.command(&["rotate", name, "--what", "authority"]);
    rotate().ok().says("have to fetch the new root now");
    let ca = sandbox.output("ca");
    assert_eq!(answer(&sandbox, &ca), "200");
    assert_eq!(shell(&format!("grep -c BEGIN {trust}/*")).out, "1\n");

    // Those who know only this one notice nothing of the next.
    shell(&format!("cp {ca} {folder}/first.crt")).ok();
    let password = sandbox.password();
    let script = format!(
        "while [ ! -e {folder}/end ]; do curl -s --cacert {folder}/first.crt -u admin:{password} -o /dev/null \
         -w '%{{http_code}}\\n' https://localhost:{port}/v2/; done > {folder}/answers"
    );
    let mut client = std::process::Command::new("bash").args(["-c", &script]).spawn().unwrap();
    let rotated = rotate();
    std::fs::write(sandbox.home.path().join("end"), "").unwrap();
    client.wait().unwrap();
    rotated.ok().says("before that ends on");
    let answers = std::fs::read_to_string(sandbox.home.path().join("answers")).unwrap();
    assert!(answers.lines().count() > 3 && answers.lines().all(|line| line == "200"), "{answers}");
    assert_eq!([answer(&sandbox, &format!("{folder}/first.crt")), answer(&sandbox, &ca)], ["200", "200"]);
    assert_eq!(shell(&format!("grep -c BEGIN {trust}/*")).out, "2\n");
    sandbox.registry(&[]).ok().says("nothing to change");
    // Clients of this host, by the files that they look into.
    shell(&format!("export DOCKER_CONFIG={folder}/docker; echo {password} | docker login -u admin --password-stdin localhost:{port}")).ok();
    shell(&format!("skopeo list-tags --creds admin:{password} docker://localhost:{port}/none")).says("404 (Not Found)");

    // A folder that another umask has closed is told and mended.
    shell(&format!("chmod 700 {trust}")).ok();
    sandbox.plan(&[]).ok().says(&format!("{trust}: 0700 → 0755"));
    sandbox.registry(&[]).ok();
    assert_eq!(shell(&format!("stat -c %a {trust}")).out, "755\n");
    sandbox.destroy().ok();
}
