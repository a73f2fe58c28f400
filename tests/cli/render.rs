//! Files of a host, written into a folder.

use std::os::unix::fs::PermissionsExt;

use crate::certs::sorted_steps;
use crate::sandbox::Sandbox;
use crate::snapshot;

/// The entries of a tree with their modes.
fn entries(sandbox: &Sandbox, tree: &str) -> String {
    let mut find = std::process::Command::new("find");
    let found = find.args([tree, "-printf", "%M %p %l\n"]).current_dir(sandbox.path("")).output().unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.sort_by_key(|line| line.split(' ').nth(1).map(str::to_owned));
    lines.join("\n")
}

#[test]
fn a_registry_for_a_host_is_rendered() {
    let sandbox = Sandbox::new();
    let first = sandbox.run("render registry --out ./tree --cn registry.example.com --port 443");
    let tree = entries(&sandbox, "tree");
    let site = sandbox.read("tree/etc/nginx/sites-available/docker-registry.conf");
    let units =
        ["etc/systemd/system/docker-registry.service", "etc/init/docker-registry.conf", "etc/init.d/docker-registry"]
            .map(|path| sandbox.read(&format!("tree/{path}")));
    snapshot!("render_registry", format!("{}\n{tree}\n{site}\n{}", sorted_steps(&first.text), units.join("\n")));
    for (script, shell) in [("etc/init.d/docker-registry", "sh"), ("etc/init.d/docker-registry", "bash")] {
        let checked = std::process::Command::new(shell).arg("-n").arg(sandbox.path(&format!("tree/{script}"))).status();
        assert!(checked.unwrap().success(), "{script}");
    }
    assert_eq!(sandbox.run("plan registry-render --exit-code").code, 0);

    // What is changed in the tree is drift as anywhere.
    let key = sandbox.path("tree/etc/ssl/private/docker-registry");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o777)).unwrap();
    let plan = sandbox.run("plan registry-render --exit-code");
    assert_eq!(plan.code, 3);
    assert!(plan.text.contains("files./etc/ssl/private/docker-registry.mode: 0777 → 0640"), "{}", plan.text);
    assert_eq!(sandbox.run("render registry --out ./tree").code, 0);
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o640);

    assert_eq!(sandbox.run("destroy registry-render --yes").code, 0);
    let left = entries(&sandbox, "tree");
    assert!(!left.contains("docker-registry"), "{left}");
}

/// The stanzas of the tutorials' upstart job and the arguments of its program, each with the file that holds what stands for it
/// here, and why that is another where it is.
const TUTORIALS: [(&str, &str, &str, &str); 16] = [
    ("description \"Docker Registry\"", JOB, "description \"Docker registry\"", "a registry is no proper name"),
    ("start on runlevel [2345]", JOB, "start on runlevel [2345]", ""),
    ("stop on runlevel [016]", JOB, "stop on runlevel [016]", ""),
    ("respawn", JOB, "\nrespawn\n", ""),
    ("respawn limit 10 5", JOB, "respawn limit 10 5", ""),
    ("script", JOB, "\nscript\n", ""),
    ("exec gunicorn", JOB, "exec start-stop-daemon --start", "the program is not root: it runs as a user of its own"),
    (
        "docker_registry.wsgi:application",
        JOB,
        "serve /etc/docker/registry/config.yml",
        "the registry is a program of Go",
    ),
    ("end script", JOB, "\nend script\n", ""),
    ("--access-logfile", SITE, "access_log /var/log/nginx/", "nginx sees every request, those that it refuses too"),
    (
        "--error-logfile",
        JOB,
        ">>/var/log/docker-registry/registry.log 2>&1",
        "the registry writes one log, to its output",
    ),
    (
        "-b 127.0.0.1:15000",
        SITE,
        "server unix:/run/docker-registry/registry.sock;",
        "a port of the host is anybody's on it",
    ),
    ("-k gevent", JOB, "limit nofile 65536 65536", "requests are not processes: what they need is open files"),
    ("-w 8", JOB, "limit nofile 65536 65536", "requests are not processes: what they need is open files"),
    ("-t 3600", SITE, "proxy_read_timeout 900;", "it counts from the last byte, not from the first"),
    ("--graceful-timeout 3600", JOB, "kill timeout 15", "an upload goes on where it was, so nobody waits an hour"),
];
const JOB: &str = "etc/init/docker-registry.conf";
const SITE: &str = "etc/nginx/sites-available/docker-registry.conf";

#[test]
fn the_upstart_job_has_every_stanza_of_the_tutorials() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run("render registry --out ./tree").code, 0);
    for (theirs, file, ours, why) in TUTORIALS {
        let text = sandbox.read(&format!("tree/{file}"));
        assert!(text.contains(ours), "{theirs}: no `{ours}` in {text}");
        assert_eq!(theirs == ours.trim(), why.is_empty(), "{theirs}: what differs has a reason");
    }
    let job = sandbox.read(&format!("tree/{JOB}"));
    // `--max-requests 100` was against a leak of that program, and has nothing to stand for it here.
    assert!(!job.contains("gunicorn") && !job.contains("max-requests"), "{job}");
    // The folder of the log must be there before the job starts.
    assert!(sandbox.path("tree/var/log/docker-registry").is_dir());
    for (_, script) in job.match_indices("script\n").filter_map(|(at, word)| {
        let rest = &job[at + word.len()..];
        rest.split_once("end script").map(|(script, _)| (at, script))
    }) {
        let mut shell = std::process::Command::new("sh");
        let checked = shell.args(["-n", "-c", script]).status().unwrap();
        assert!(checked.success(), "{script}");
    }
}

#[test]
fn what_remains_to_be_done_is_told_for_whatever_starts_services() {
    for (init, started, not) in [
        ("systemd", "systemctl enable docker-registry && systemctl restart docker-registry", "update-rc.d"),
        ("sysv", "update-rc.d docker-registry defaults && service docker-registry restart", "systemctl"),
        ("sysv", "nginx -t -q && update-rc.d nginx defaults && service nginx restart", "systemctl"),
        ("upstart", "service docker-registry restart || service docker-registry start", "systemctl"),
    ] {
        let sandbox = Sandbox::new();
        let told = sandbox.run(&format!("render registry --out ./tree --init {init}"));
        assert_eq!(told.code, 0, "{}", told.text);
        assert!(told.text.contains(started) && !told.text.contains(not), "{init}: {}", told.text);
    }
}

#[test]
fn what_cannot_be_rendered_is_refused() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("other/etc/logrotate.d")).unwrap();
    sandbox.write("other/etc/logrotate.d/docker-registry", "by hand\n");
    let mut text = String::new();
    for line in [
        "render blog --out ./tree",
        "render registry --out /",
        "render registry",
        "render registry --out ./other",
        "registry --on host --mirror registry.example.com",
        "registry --on host --image registry:2",
        "registry --init systemd",
        "registry --on host --data-folder /home/images",
        "registry --data-folder /srv/images",
    ] {
        let refused = sandbox.run(line);
        assert_ne!(refused.code, 0, "{line}");
        text.push_str(&refused.text);
        text.push('\n');
    }
    assert_eq!(sandbox.read("other/etc/logrotate.d/docker-registry"), "by hand\n");
    assert_eq!(sandbox.run("render registry --out ./tree").code, 0);
    text.push_str(&sandbox.run("render registry --out ./elsewhere").text);
    snapshot!("render_refused", text);
}

/// Every command that is printed can be pasted.
#[test]
fn what_is_printed_can_be_pasted() {
    let sandbox = Sandbox::new();
    let rendered = sandbox.call(&["render", "registry", "--user", "robot$ci+push; id", "--out", "a b;id"]);
    assert_eq!(rendered.code, 0, "{}", rendered.text);
    let line = rendered.stdout.lines().find(|line| line.trim().starts_with("tar -C")).unwrap();
    assert!(line.contains("/a b;id' -cf -"), "{line}");
    let tree = std::process::Command::new("sh")
        .args(["-c", &format!("{} | tar -tf -", line.split(" | ").next().unwrap())])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&tree.stdout).contains("./etc/docker/registry/config.yml"));
    let login = sandbox.run("output registry-render login").stdout;
    assert!(login.contains("--username 'robot$ci+push; id'"), "{login}");
}

/// What a folder is called ends no value and adds none.
#[test]
fn a_folder_of_any_name_stands_in_every_file_as_it_is() {
    let sandbox = Sandbox::new();
    let folder = "/srv/my \"images\": #1 100% {x}";
    let rendered = sandbox.call(&["render", "registry", "--data-folder", folder, "--out", "tree"]);
    assert_eq!(rendered.code, 0, "{}", rendered.text);
    // What JSON says in quotes, YAML says too.
    let config = sandbox.read("tree/etc/docker/registry/config.yml");
    let line = config.lines().find_map(|line| line.trim().strip_prefix("rootdirectory: ")).unwrap();
    assert_eq!(serde_json::from_str::<String>(line).unwrap(), folder);
    let unit = sandbox.path("tree/etc/systemd/system/docker-registry.service");
    if let Ok(verified) = std::process::Command::new("systemd-analyze").arg("verify").arg(unit).output() {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(!said.contains("ReadWritePaths"), "{said}");
    }
    assert!(rendered.stdout.contains("'/srv/my \"images\": #1 100% {x}"), "{}", rendered.text);
}
