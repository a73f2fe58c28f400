//! Names in `/etc/hosts` of a host, and what others have in that file.

use crate::engine::{Sandbox, shell};
use crate::machine::{BARE, Host, PROGRAMS, same};

const REGISTRY: &str = "registry --on host --port 5443 --hosts-entry --cn registry.example.com --san localhost --san 10.1.2.3 --san alias.example.com";

/// The file with its mode and owner.
fn file(host: &Host) -> String {
    host.run("stat -c '%a %U:%G' /etc/hosts; cat /etc/hosts").ok().out
}

/// Edits the file where it stands.
fn edit(host: &Host, command: &str) {
    host.run(&format!("{command} </etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts")).ok();
}

#[test]
fn names_are_entered_and_taken_out_again() {
    let host = Host::start("names", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    // In a container the file is a mount of its own, whose name cannot be given to another file. Its last line does not end.
    host.run("printf '10.0.0.9 elsewhere' >>/etc/hosts").ok();
    let before = file(&host);
    host.provision(REGISTRY).ok();
    assert_eq!(
        file(&host),
        format!(
            "{before}\n# provision: registry (begin)\n127.0.0.1 registry.example.com alias.example.com\n# provision: registry (end)\n"
        )
    );
    host.run("getent ahostsv4 alias.example.com").ok().says("127.0.0.1");
    let ca = host.provision("output registry ca").ok().out;
    let asked = format!(
        "curl -s --cacert {} -o /dev/null -w '%{{http_code}}' https://registry.example.com:5443/v2/",
        ca.trim()
    );
    assert_eq!(host.run(&asked).ok().out, "401");
    host.provision("registry").ok().says("nothing to change");

    let drift = |command: &str, field: &str| {
        let right = file(&host);
        edit(&host, command);
        host.provision("plan registry --exit-code").fails(3).says(field);
        host.provision("registry").ok();
        assert_eq!(file(&host), right);
    };
    drift("sed 's/^127.0.0.1 reg/10.9.9.9 reg/'", "address: 10.9.9.9 → 127.0.0.1");
    drift("sed 's/ alias.example.com//'", "names: registry.example.com → registry.example.com, alias.example.com");
    drift("sed '/(end)/i 10.9.9.9 mine'", "lines: 127.0.0.1 registry.example.com alias.example.com; 10.9.9.9 mine → ");
    drift("sed '/(begin)/,/(end)/d'", "the block in `/etc/hosts` is gone");

    // Half of it there: it cannot be told whose the lines are.
    let right = file(&host);
    for mark in ["(end)", "(begin)"] {
        edit(&host, &format!("grep -vF '{mark}'"));
        let half = file(&host);
        for verb in ["plan registry", "registry", "destroy registry --yes"] {
            host.provision(verb)
                .fails(1)
                .says("--> /etc/hosts:")
                .says("hint: put back the line `# provision: registry");
            assert_eq!(file(&host), half);
        }
        host.run(&format!("cat >/etc/hosts <<'EOF'\n{}EOF", right.split_once('\n').unwrap().1)).ok();
        host.provision("registry").ok();
    }
    // Lines that others added since stay.
    host.run("echo '10.0.0.7 late' >>/etc/hosts").ok();
    host.provision("destroy registry --yes").ok();
    assert_eq!(file(&host), format!("{before}\n10.0.0.7 late\n"));
}

#[test]
fn the_file_is_as_it_was_whatever_it_was() {
    let host = Host::start("file", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    // As on a host: a file like any other.
    host.run("umount /etc/hosts; printf '127.0.0.1 localhost\\n# no end' >/etc/hosts; chmod 0640 /etc/hosts; chown root:adm /etc/hosts").ok();
    let (before, tree) = (file(&host), host.tree());
    host.provision(REGISTRY).ok();
    assert!(file(&host).starts_with("640 root:adm\n127.0.0.1 localhost\n# no end\n# provision: registry (begin)\n"));
    host.provision("destroy registry --yes").ok();
    assert_eq!(file(&host), before);
    same(&host.tree(), &tree, "destroyed");

    // Without such a file.
    host.run("rm /etc/hosts").ok();
    host.provision(REGISTRY).ok();
    assert!(file(&host).starts_with("644 root:root\n# provision: registry (begin)\n"));
    host.provision("destroy registry --yes").ok();
    host.run("test -e /etc/hosts").fails(1);

    // Somebody else's line, and somebody else's block.
    let refused = |line: &str, text: &str| {
        host.run(&format!("printf '127.0.0.1 localhost\\n{line}\\n' >/etc/hosts")).ok();
        let tree = host.tree();
        host.provision(REGISTRY).fails(1).says(text).says("--> /etc/hosts:2:1").says("hint:");
        same(&host.tree(), &tree, line);
    };
    refused(
        "10.0.0.8 x Alias.example.com",
        "gives `Alias.example.com` the address 10.0.0.8 already, and it is to be 127.0.0.1",
    );
    refused("# provision: registry (begin)\\n# provision: registry (end)", "this one did not write it");
    host.run("printf '' >/etc/hosts; useradd -m someone; mkdir -m 777 /srv/home").ok();
    let own = "inputs: {}\nresources:\n  - hosts-entry: own\n    names: [a.example.com]\n    address: 10.0.0.1\n";
    host.run(&format!("printf '{}' >/srv/home/own.yml", own.replace('\n', "\\n"))).ok();
    host.run("su someone -c 'cd /srv/home; PROVISION_HOME=/srv/home/x provision apply ./own.yml'")
        .fails(1)
        .says("only root may change `/etc/hosts`")
        .says("sudo");
    // What does not work out is taken back.
    let own = format!("{own}  - probe: never\n    tcp: 127.0.0.1:9\n    timeout: 1\n    after: [own]\n");
    host.run(&format!("printf '{}' >/srv/home/own.yml", own.replace('\n', "\\n"))).ok();
    host.run("cd /srv/home; provision apply ./own.yml").fails(1).says("everything is as it was before");
    assert_eq!(file(&host), "644 root:root\n");
}

#[test]
fn a_name_leads_to_the_engine() {
    let sandbox = Sandbox::new("entry");
    let name = format!("{}.example.com", sandbox.name);
    let before = shell("cat /etc/hosts").out;
    sandbox.registry(&["--cn", &name, "--hosts-entry"]).ok();
    shell(&format!("getent ahostsv4 {name}")).ok().says("127.0.0.1");
    let asked = shell(&format!(
        "curl -s --cacert {} https://{name}:{}/v2/ -o /dev/null -w '%{{http_code}}'",
        sandbox.output("ca"),
        sandbox.port
    ));
    assert_eq!(asked.ok().out, "401");
    sandbox.destroy().ok();
    assert_eq!(shell("cat /etc/hosts").out, before);
}
