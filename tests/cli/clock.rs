//! Certificates and the clock: made, looked at and replaced at another time, by Debian's `faketime` around the real binary.

use std::process::Command;

use crate::certs::succeed;
use crate::sandbox::{Outcome, Sandbox, mode};

const COMMAND: &str = "`provision rotate certs --what authority`";
const ROTATE: &str = "rotate certs --what authority";

/// Runs a line at another time, such as `2010-01-01` or `+3600d`.
fn at(time: &str, sandbox: &Sandbox, line: &str) -> Outcome {
    sandbox.around(&["faketime", "-f", time], &line.split_whitespace().collect::<Vec<_>>())
}

/// What OpenSSL's strict mode says of a chain to a client that trusts this file, now or at another time.
fn verify(sandbox: &Sandbox, trusted: &str, chain: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", trusted, "-untrusted", chain, chain]);
    command.current_dir(sandbox.path("")).output().unwrap().status.success()
}

fn is_at_rest(sandbox: &Sandbox, time: &str) {
    let outcome = at(time, sandbox, "certs");
    assert!(outcome.code == 0 && outcome.text.contains("nothing to change"), "{time}: {}", outcome.text);
}

/// Whatever a clock that was wrong has made, one command that is told leads out of it.
#[test]
fn a_root_that_is_not_valid_has_one_way_out() {
    for (made, told) in [
        ("@2010-01-01 00:00:00", "the root that clients trust ended on 2019-12-29"),
        ("@2060-01-01 00:00:00", "the root that clients trust is not valid before 2059-12-31"),
    ] {
        let sandbox = Sandbox::new();
        let first = at(made, &sandbox, "certs --cn a.test --out ./tls");
        assert_eq!(first.code, 0, "{}", first.text);
        let before = sandbox.read("tls/ca.crt");
        for line in ["certs", "certs --renew", "plan certs", "rotate certs --what certificates"] {
            let outcome = sandbox.run(line);
            assert_eq!(outcome.code, 1, "{}", outcome.text);
            assert!(outcome.text.contains(told) && outcome.text.contains(COMMAND), "{}", outcome.text);
        }
        assert_eq!(sandbox.read("tls/ca.crt"), before);
        let rotated = succeed(&sandbox, ROTATE);
        assert!(rotated.text.contains("clients on other machines have to fetch the new root now"), "{}", rotated.text);
        assert!(verify(&sandbox, "tls/ca.crt", "tls/a.test.crt"));
        let now = sandbox.read("tls/ca.crt");
        assert!(!now.contains(before.trim()), "nobody needs a root that is not valid");
        assert!(succeed(&sandbox, "certs").text.contains("nothing to change"));
    }
}

/// A run at a wrong time, and then the right one again: what is under the root is made anew by itself.
#[test]
fn certificates_of_another_time_are_made_anew() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, "certs --cn a.test --out ./tls");
    let ca = sandbox.read("tls/ca.crt");
    for time in ["+1000d", "+0d", "+2000d", "+0d"] {
        let outcome = at(time, &sandbox, "certs");
        assert!(outcome.text.contains("expires: "), "{time}: {}", outcome.text);
        is_at_rest(&sandbox, time);
    }
    assert_eq!(sandbox.read("tls/ca.crt"), ca);
    assert!(verify(&sandbox, "tls/ca.crt", "tls/a.test.crt"));
}

#[test]
fn the_last_days_of_a_root_are_quiet_and_told() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, "certs --cn a.test --out ./tls");
    for left in [300, 170, 119, 60, 1] {
        let time = format!("+{}d", 3650 - left);
        let outcome = at(&time, &sandbox, "certs");
        assert_eq!(outcome.code, 0, "{}", outcome.text);
        assert_eq!(outcome.text.matches(COMMAND).count(), usize::from(left < 180), "once a run: {}", outcome.text);
        is_at_rest(&sandbox, &time);
    }
    let over = at("+3650d", &sandbox, "certs");
    assert!(over.code == 1 && over.text.contains(COMMAND), "{}", over.text);
}

#[test]
fn an_earlier_root_is_trusted_beside_the_new_one_until_it_ends() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, "certs --cn a.test --out ./tls");
    let copy = |from: &str, to: &str| sandbox.write(to, sandbox.read(from));
    copy("tls/ca.crt", "first.crt");
    copy("tls/a.test.crt", "first-chain.crt");
    let plan = succeed(&sandbox, "plan certs");
    assert!(plan.text.contains("nothing"), "{}", plan.text);
    let middle = at("+1000d", &sandbox, ROTATE);
    assert!(middle.code == 0 && middle.text.contains("before that ends on"), "{}", middle.text);
    for time in ["+1000d", "+1001d"] {
        is_at_rest(&sandbox, time);
    }
    let second = sandbox.read("tls/ca.crt");
    assert_eq!(second.matches("BEGIN").count(), 2);
    // Who knows only the root before, only the new one, or what was fetched now: each accepts what servers show.
    sandbox.write("second.crt", format!("{}-----END CERTIFICATE-----\n", second.split("-----END").next().unwrap()));
    let accepts = |trusted: &str, chain: &str| {
        let seconds = 1001 * 24 * 3600 + time::OffsetDateTime::now_utc().unix_timestamp();
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-attime", &seconds.to_string(), "-CAfile", trusted]);
        command.args(["-untrusted", chain, chain]).current_dir(sandbox.path("")).output().unwrap().status.success()
    };
    for trusted in ["first.crt", "second.crt", "tls/ca.crt"] {
        assert!(accepts(trusted, "tls/a.test.crt"), "{trusted}");
    }
    // The first has ended: it is neither trusted nor shown any more.
    let last = at("+3700d", &sandbox, "certs");
    assert_eq!(last.code, 0, "{}", last.text);
    assert_eq!(sandbox.read("tls/ca.crt").matches("BEGIN").count(), 1);
    assert_eq!(sandbox.read("tls/a.test.crt").matches("BEGIN").count(), 2);
    is_at_rest(&sandbox, "+3700d");
}

/// A root is never replaced in silence; what was damaged is, by the same command.
#[test]
fn only_the_command_makes_another_root() {
    let sandbox = Sandbox::new();
    succeed(&sandbox, "certs --cn a.test --out ./tls");
    let gone =
        |file: &str| std::fs::remove_file(sandbox.home(&format!("deployments/certs/authority/ca/{file}"))).unwrap();
    let ca = sandbox.read("tls/ca.crt");
    gone("issuing.crt");
    gone("issuing.key");
    succeed(&sandbox, "certs");
    assert_eq!(sandbox.read("tls/ca.crt"), ca, "the root stays");
    gone("root.crt");
    gone("root.key");
    let refused = sandbox.run("certs");
    assert!(refused.code == 1 && refused.text.contains(COMMAND), "{}", refused.text);
    let rotated = succeed(&sandbox, ROTATE);
    assert!(rotated.text.contains("have to fetch the new root now"), "{}", rotated.text);
    assert!(verify(&sandbox, "tls/ca.crt", "tls/a.test.crt"));
}

/// Files and folders have the modes that they need, and one that a run of another umask left is told and mended.
#[test]
fn a_umask_counts_for_nothing() {
    for umask in ["0077", "0000", "0027"] {
        let sandbox = Sandbox::new();
        let under = |line: &str| {
            let script = format!("umask {umask}; exec \"$@\"");
            sandbox.around(&["sh", "-c", &script, "sh"], &line.split_whitespace().collect::<Vec<_>>())
        };
        let made = under("certs --cn a.test --out ./tls/a");
        assert_eq!(made.code, 0, "{}", made.text);
        let modes = ["tls", "tls/a", "tls/a/ca.crt", "tls/a/a.test.key"].map(|path| mode(&sandbox.path(path)));
        assert_eq!(modes, [0o755, 0o755, 0o644, 0o600], "{umask}");
        assert_eq!(mode(&sandbox.home("deployments/certs/authority/ca")), 0o700);
        let rendered = under("render registry --out ./tree --cn a.test");
        assert_eq!(rendered.code, 0, "{}", rendered.text);
        assert_eq!(mode(&sandbox.path("tree/etc/nginx/sites-available")), 0o755);

        let close = |path: &str| {
            let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(sandbox.path(path), closed).unwrap();
        };
        close("tls");
        close("tree/etc/nginx");
        for (deployment, folder, line) in
            [("certs", "tls", "certs"), ("registry-render", "tree/etc/nginx", "render registry --out ./tree")]
        {
            let plan = sandbox.run(&format!("plan {deployment}"));
            assert!(plan.text.contains(&format!("{folder}: 0700 → 0755")), "{}", plan.text);
            succeed(&sandbox, line);
            assert_eq!(mode(&sandbox.path(folder)), 0o755);
            assert_eq!(sandbox.run(&format!("plan {deployment} --exit-code")).code, 0);
        }
    }
}

/// A pause is no end: 900 s without progress, for those who know the password, in both directions and on both sides.
#[test]
fn what_pauses_is_waited_for() {
    let sandbox = Sandbox::new();
    for api in ["v2", "v1"] {
        let line = format!("render registry --api {api} --out ./{api} --cn a.test --name {api}");
        assert_eq!(sandbox.run(&line).code, 0);
        let site = sandbox.read(&format!("{api}/etc/nginx/sites-available/docker-registry.conf"));
        for directive in ["client_body_timeout", "send_timeout", "proxy_read_timeout", "proxy_send_timeout"] {
            assert!(site.contains(&format!("\n    {directive} 900;")), "{directive} in {site}");
        }
        assert!(site.contains("\n    client_header_timeout 10;"), "{site}");
        // Who is let in without a password has less time.
        let open = site.matches("auth_request off;\n        client_body_timeout 20;\n        send_timeout 20;").count();
        // And what asks whether a password is right, or tells that it is not, asks for none itself.
        assert_eq!(open + 3, site.matches("auth_request off;").count(), "{site}");
    }
}
