//! The first registry (API v1) as far as it goes without an engine: its files for a host, and what is wrong with inputs.

use std::fmt::Write as _;
use std::process::Command;

use crate::certs::sorted_steps;
use crate::sandbox::Sandbox;
use crate::snapshot;

#[test]
fn the_first_registry_for_a_host_is_rendered() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "v1.env",
        "SETTINGS_FLAVOR=s3\nAWS_BUCKET=acme-docker\nAWS_KEY=12345678\nAWS_SECRET='quoted already'\nBUGSNAG=it's \"$a\\`b\nSEARCH_BACKEND=\n",
    );
    let first =
        sandbox.run("render registry --api v1 --out ./tree --cn registry.example.com --port 8080 --env-file v1.env");
    assert_eq!(first.code, 0, "{}", first.text);
    let read = |path: &str| sandbox.read(&format!("tree/{path}"));
    let files = [
        "etc/nginx/sites-available/docker-registry.conf",
        "etc/default/docker-registry",
        "etc/systemd/system/docker-registry.service",
        "etc/init/docker-registry.conf",
        "etc/init.d/docker-registry",
    ];
    snapshot!("registry_v1_render", format!("{}\n{}", sorted_steps(&first.text), files.map(read).join("\n")));
    for script in ["etc/init.d/docker-registry", "usr/local/lib/docker-registry/install.sh"] {
        assert!(Command::new("sh").arg("-n").arg(sandbox.path(&format!("tree/{script}"))).status().unwrap().success());
    }
    // The shell reads the variables as they were given, and a key of digits as a text of YAML.
    let names = ["SETTINGS_FLAVOR", "AWS_KEY", "AWS_SECRET", "BUGSNAG", "SEARCH_BACKEND"];
    let print: String = names.map(|name| format!("\"${name}\" ")).concat();
    let script = format!(". ./tree/etc/default/docker-registry; printf '%s|' {print}");
    let told = Command::new("sh").args(["-c", &script]).current_dir(sandbox.path("")).output().unwrap();
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "s3|\"12345678\"|'quoted already'|it's \"$a\\`b||");
    let again = sandbox.run("plan registry-v1-render --exit-code");
    assert_eq!(again.code, 0, "{}", again.text);
    assert_eq!(sandbox.run("destroy registry-v1-render --yes").code, 0);
}

/// The tutorials' upstart job, stanza by stanza: what it says there, and what it says here.
#[test]
fn the_upstart_job_is_that_of_the_tutorials() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("render registry --api v1 --out ./tree").code, 0);
    let job = sandbox.read("tree/etc/init/docker-registry.conf");
    for (there, here) in [
        ("description", "description \"Docker registry\"\n"),
        ("start on runlevel [2345]", "start on runlevel [2345]\n"),
        ("stop on runlevel [016]", "stop on runlevel [016]\n"),
        ("respawn", "respawn\n"),
        ("respawn limit 10 5", "respawn limit 10 5\n"),
        ("script", "\nscript\n"),
        ("exec gunicorn", "    exec start-stop-daemon --start --chuid docker-registry --chdir /run/docker-registry "),
        ("gunicorn", " --exec /usr/local/bin/gunicorn -- \\\n"),
        ("--access-logfile", " --access-logfile /var/log/docker-registry/access.log "),
        ("--error-logfile", " --error-logfile /var/log/docker-registry/server.log "),
        ("-k", " -k gevent "),
        ("--max-requests", " --max-requests 100 "),
        ("--graceful-timeout", " --graceful-timeout 3600 "),
        ("-t", " -t 3600 "),
        // Not 127.0.0.1:15000: any user of the host could reach that without the password.
        ("-b", " -b unix:/run/docker-registry/registry.sock "),
        ("-w", " -w 8 "),
        (
            "docker_registry.wsgi:application",
            " docker_registry.wsgi:application >>/var/log/docker-registry/registry.log 2>&1\n",
        ),
        ("end script", "\nend script\n"),
    ] {
        assert!(job.contains(here), "{there}: {job}");
    }
    let scripts = job.split("script\n").skip(1).step_by(2).map(|rest| rest.trim_end_matches("end "));
    for script in scripts {
        assert!(Command::new("sh").args(["-n", "-c", script]).status().unwrap().success(), "{script}");
    }
}

#[test]
fn what_the_first_registry_does_not_take() {
    let sandbox = Sandbox::new();
    sandbox.write("typo.yml", "mine:\n  <<: *local\n  storage_path: _evn:STORAGE_PATH:/mine\n");
    sandbox.write("unknown.yml", "mine:\n  <<: *s3\n  boto_bucket: _env:AWS_BUKET\n");
    sandbox.write("twice.yml", "local:\n  storage: local\n");
    sandbox.write("broken.yml", "mine: [\n");
    sandbox.write("text.yml", "mine: local\n");
    sandbox.write("typo.env", "AWS_BUKET=hush\n");
    sandbox.write("noname.env", "hush\n");
    sandbox.write("good.yml", "mine:\n  <<: *local\n  storage_path: _env:STORAGE_PATH:/mine\n");
    let mut text = String::new();
    for (line, code) in [
        ("render registry --api v1 --out ./tree --flavor locla", 2),
        ("render registry --api v1 --out ./tree --flavor mine", 2),
        ("render registry --api v1 --out ./tree --flavor common", 2),
        ("render registry --api v1 --out ./tree --flavor mine --flavors typo.yml", 1),
        ("render registry --api v1 --out ./tree --flavor mine --flavors unknown.yml", 1),
        ("render registry --api v1 --out ./tree --flavors twice.yml", 1),
        ("render registry --api v1 --out ./tree --flavors broken.yml", 1),
        ("render registry --api v1 --out ./tree --flavors text.yml", 1),
        ("render registry --api v1 --out ./tree --flavors nowhere.yml", 2),
        ("render registry --api v1 --out ./tree --settings @typo.env", 1),
        ("render registry --api v1 --out ./tree --settings @noname.env", 1),
        ("plan registry --api v1 --flavor gcs", 2),
        ("plan registry --api v1 --on host", 2),
        ("plan registry --api v3", 2),
        ("--output text -v plan registry --api v1 --bucket acme", 2),
        ("plan registry --api=v1 --bucket acme", 2),
    ] {
        let refused = sandbox.run(line);
        assert_eq!(refused.code, code, "{}", refused.text);
        assert!(!refused.text.contains("hush"), "a secret shows: {}", refused.text);
        writeln!(text, "{}", refused.text).unwrap();
        assert!(!sandbox.path("tree").exists(), "{line}");
    }
    let rendered = sandbox.run("render registry --api v1 --out ./tree --flavor mine --flavors good.yml");
    assert_eq!(rendered.code, 0, "{}", rendered.text);
    snapshot!("registry_v1_refused", text);
}
