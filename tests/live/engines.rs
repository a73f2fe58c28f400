//! Engines as people have them: other versions of the API, settings that change what is published, and what only resembles one.

use crate::engine::{Recorder, Sandbox, SecondEngine, shell, wait_until};

/// A network, which needs an engine and no image.
const NETWORK: &str = "resources:\n  - network: net\n";

/// The version of the API that the engine of this machine speaks.
fn version() -> String {
    shell("docker version --format '{{.Server.APIVersion}}'").ok().out.trim().to_owned()
}

#[test]
fn the_newest_version_that_both_know_is_spoken_and_asked_for_once() {
    let mut sandbox = Sandbox::new("api");
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let playbook = sandbox.write("net.yml", NETWORK);
    let version = version();
    let apply = |more: &str| sandbox.command(&["apply", &playbook, "--name", &sandbox.name, more]);
    apply("-v").ok().says(&format!("engine: unix://{}, API {version}", recorder.socket.display()));
    let asked = |requests: &[String]| requests.iter().filter(|line| line.starts_with("GET /version")).count();
    let first = recorder.requests();
    assert_eq!(asked(&first), 1, "{first:?}");
    assert!(
        first.iter().all(|line| line.contains(&format!(" /v{version}/")) || line.starts_with("GET /version")),
        "{first:?}"
    );

    // A run that changes nothing begins with the version of the last one.
    apply("-v").ok().says("nothing to change").says(&format!(", API {version}"));
    let second = recorder.requests()[first.len()..].to_vec();
    assert_eq!(asked(&second), 0, "{second:?}");

    // The engine of that address is another one by now, which takes this version no more, or does not know it yet.
    let record = sandbox.home.path().join(format!("home/deployments/{}/deployment.json", sandbox.name));
    for other in [5, 53] {
        let text = std::fs::read_to_string(&record).unwrap();
        let minor = version.trim_start_matches("1.");
        let spoken = format!("\"api\": {minor}");
        assert!(text.contains(&spoken), "{text}");
        std::fs::write(&record, text.replace(&spoken, &format!("\"api\": {other}"))).unwrap();
        apply("-v").ok().says("nothing to change");
    }
    sandbox.destroy().ok();
}

#[test]
fn podman_is_refused_before_anything_is_made() {
    let sandbox = Sandbox::new("podman");
    let folder = sandbox.home.path().display().to_string();
    let podman = format!("podman --root {folder}/root --runroot {folder}/run --storage-driver vfs");
    let mut service = std::process::Command::new("bash");
    service.args(["-c", &format!("exec {podman} system service --time=0 unix://{folder}/sock >{folder}/log 2>&1")]);
    let mut service = service.spawn().unwrap();
    wait_until(|| shell(&format!("curl -sf --unix-socket {folder}/sock http://d/_ping")).code == 0);
    let variables = format!("DOCKER_HOST=unix://{folder}/sock PROVISION_HOME={folder}/pods");
    let program = env!("CARGO_BIN_EXE_provision");
    let said = ["registry --trust no", "plan registry", "blog", "ci -- true"]
        .map(|line| shell(&format!("{variables} {program} {line}")));
    let left = shell(&format!("{podman} ps -aq; {podman} volume ls -q; ls {folder}/pods/deployments 2>/dev/null"));
    service.kill().unwrap();
    service.wait().unwrap();
    for ran in said {
        ran.fails(1).says("is Podman ").says("nothing was made; start Docker Engine 20.10 or newer");
    }
    assert_eq!(left.out, "", "nothing of it is there");
}

#[test]
fn an_engine_without_a_bridge_is_told() {
    let mut sandbox = Sandbox::new("nobridge");
    let engine =
        SecondEngine::bare("nobridge", tempfile::tempdir().unwrap(), ["--bridge", "none"].map(str::to_owned).to_vec());
    engine.load(&[&sandbox.built("nginx:1.30", "nginx", "trixie")]);
    let image = engine.shell("docker images --format '{{.Repository}}:{{.Tag}}' | head -1").ok().out;
    sandbox.socket = Some(engine.socket());
    let playbook = sandbox.write(
        "web.yml",
        &format!("resources:\n  - container: web\n    image: {}\n    publish: [\"0:80\"]\n  - probe: answers\n    http: \"http://localhost:{{{{ web.port }}}}/\"\n    address: \"engine:{{{{ web.port }}}}\"\n", image.trim()),
    );
    let ran = sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).fails(1);
    let said = ran.says("publishes no port of the container").says("bridge: none").all();
    assert!(!said.contains('\u{e000}') && !said.contains("is no address"), "{said}");
    assert_eq!(engine.shell("docker ps -aq").ok().out, "", "nothing of it is left");
}

/// A daemon may publish ports on one address of its host alone: there they are looked for.
#[test]
fn a_port_is_looked_for_where_the_engine_publishes_it() {
    let mut sandbox = Sandbox::new("bound");
    let engine =
        SecondEngine::bare("bound", tempfile::tempdir().unwrap(), ["--ip", "127.0.0.9"].map(str::to_owned).to_vec());
    engine.load(&[&sandbox.built("nginx:1.30", "nginx", "trixie")]);
    let image = engine.shell("docker images --format '{{.Repository}}:{{.Tag}}' | head -1").ok().out;
    sandbox.socket = Some(engine.socket());
    let site = "server { listen 81; location / { return 204; } }\\n";
    let playbook = sandbox.write(
        "web.yml",
        &format!("resources:\n  - container: web\n    image: {}\n    files: {{ /etc/nginx/conf.d/site.conf: {{ content: \"{site}\" }} }}\n    command: [nginx, -g, \"daemon off;\"]\n    publish: [\"8080:81\"]\n    ready: {{ tcp: 81 }}\n  - probe: answers\n    http: \"http://localhost:8080/\"\n    status: [204]\n    address: \"engine:8080\"\n", image.trim()),
    );
    let home = sandbox.home.path().join("home");
    let run = |verb: &str| {
        engine.shell(&format!("PROVISION_HOME={} {} {verb}", home.display(), env!("CARGO_BIN_EXE_provision")))
    };
    run(&format!("apply {playbook} --name {}", sandbox.name)).ok().says("checked   probe answers");
    // Somebody else who listens at the usual address is not taken for it.
    engine.shell(&format!("python3 -m http.server --bind 127.0.0.1 8080 >/dev/null 2>&1 & echo $! >{}/stranger; until curl -s -o /dev/null http://127.0.0.1:8080/; do sleep 0.1; done", home.display())).ok();
    let plan = run(&format!("plan {} --exit-code", sandbox.name));
    shell(&format!("kill $(cat {}/stranger)", home.display())).ok();
    plan.ok().says("nothing to change");
    run(&format!("destroy {} --yes", sandbox.name)).ok();
}

/// Where the processes of a container cannot be seen, a program in it waits, and no address is tried.
#[test]
fn readiness_is_looked_for_in_the_container_itself() {
    let mut sandbox = Sandbox::new("ready");
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let image = sandbox.built("nginx:1.30", "nginx", "trixie");
    let playbook = sandbox.write(
        "web.yml",
        &format!("resources:\n  - container: port\n    image: {image}\n    command: [sh, -c, \"sleep 3; exec nginx -g 'daemon off;'\"]\n    ready: {{ tcp: 80, timeout: 30 }}\n  - container: socket\n    image: {image}\n    files: {{ /etc/nginx/conf.d/site.conf: {{ content: \"server {{ listen unix:/run/a.sock; }}\\n\" }} }}\n    command: [sh, -c, \"sleep 3; exec nginx -g 'daemon off;'\"]\n    ready: {{ socket: /run/a.sock, timeout: 30 }}\n"),
    );
    let home = sandbox.home.path().join("home").display().to_string();
    for way in ["", "unshare --pid --fork --mount-proc"] {
        let before = recorder.requests().len();
        let begun = std::time::Instant::now();
        shell(&format!(
            "DOCKER_HOST=unix://{} PROVISION_HOME={home} {way} {} apply {playbook} --name {}",
            recorder.socket.display(),
            env!("CARGO_BIN_EXE_provision"),
            sandbox.name
        ))
        .ok();
        assert!(begun.elapsed().as_secs() >= 3, "it waits until something listens");
        let programs = recorder.requests()[before..].iter().filter(|line| line.contains("/exec")).count();
        // Each takes three requests.
        assert!(programs <= if way.is_empty() { 0 } else { 6 }, "{programs} requests for programs in containers");
        sandbox.destroy().ok();
    }
}

/// Where containers have other numbers of users than the host, files are read and put back with the container's own.
#[test]
fn files_keep_their_owners_where_the_engine_maps_them() {
    let mut sandbox = Sandbox::new("remap");
    let image = sandbox.built("nginx:1.30", "nginx", "trixie");
    let engine = SecondEngine::remapped("remap", Vec::new());
    engine.load(&[&image]);
    sandbox.socket = Some(engine.socket());
    let (name, folder) = (sandbox.name.clone(), sandbox.home.path().display().to_string());
    let text = |site: &str| {
        format!(
            "resources:\n  - volume: data\n  - container: web\n    image: {image}\n    volumes: {{ /data: \"{{{{ data.name }}}}\" }}\n    files: {{ /etc/nginx/conf.d/site.conf: {{ content: \"{site}\\n\", owner: \"33:33\", mode: \"0644\" }} }}\n    command: [nginx, -g, \"daemon off;\"]\n    ready: {{ tcp: 81 }}\n    reload: {{ check: [nginx, -t], signal: HUP }}\n"
        )
    };
    let playbook = sandbox.write("web.yml", &text("server { listen 81; }"));
    sandbox.command(&["apply", &playbook, "--name", &name]).ok();
    let plan = |code: i32| sandbox.command(&["plan", &name, "--exit-code"]).fails(code);
    let inside =
        |container: &str, script: &str| engine.shell(&format!("docker exec {container}-web sh -c '{script}'")).ok().out;
    plan(0);
    // Another time alone is no drift, and another owner is.
    inside(&name, "touch /etc/nginx/conf.d/site.conf");
    plan(0);
    inside(&name, "chown 7:7 /etc/nginx/conf.d/site.conf");
    plan(3).says("site.conf.owner: 7:7 → 33:33");
    sandbox.command(&["apply", &playbook, "--name", &name]).ok();
    plan(0);

    // New files that the program does not take are put back as they were.
    let before = inside(&name, "cat /etc/nginx/conf.d/site.conf; stat -c %u:%g /etc/nginx/conf.d/site.conf");
    sandbox.write("web.yml", &text("nonsense"));
    sandbox.command(&["apply", &playbook, "--name", &name]).fails(1).says("does not accept its new files");
    assert_eq!(inside(&name, "cat /etc/nginx/conf.d/site.conf; stat -c %u:%g /etc/nginx/conf.d/site.conf"), before);
    sandbox.write("web.yml", &text("server { listen 81; }"));
    plan(0);

    // A backup comes back with its owners.
    inside(&name, "mkdir -p /data/a && echo precious >/data/a/b && chown -R 33:44 /data/a");
    let passphrase = sandbox.write("passphrase", "correct horse battery staple\n");
    let file = format!("{folder}/one.age");
    sandbox.command(&["backup", &name, &file, "--passphrase-file", &passphrase]).ok();
    let other = format!("{name}-2");
    sandbox.command(&["restore", &other, &file, "--passphrase-file", &passphrase]).ok();
    assert_eq!(inside(&other, "cat /data/a/b; stat -c %u:%g /data/a /data/a/b"), "precious\n33:44\n33:44\n");
    for name in [&other, &name] {
        sandbox.command(&["destroy", name, "--yes"]).ok();
    }
}
