//! Containers in every state that an engine knows, whatever they are called, and after a restart of the engine itself.

use std::time::{Duration, Instant};

use crate::engine::{Ran, Sandbox, SecondEngine, shell};

/// A container that reloads, and ends again and again once it has a file `/broken`.
const WEB: &str = r#"
resources:
  - image: nginx
    reference: nginx:1.30
    build: nginx
  - container: web
    image: "{{ nginx.reference }}"
    command: [sh, -c, "echo up; test ! -e /broken && exec nginx -g 'daemon off;'"]
    env: { COLOUR: blue }
    files: { /etc/nginx/conf.d/site.conf: { content: "server { listen 80; }\n", mode: "0644" } }
    restart: unless-stopped
    ready: { log: up, tcp: 80, timeout: 20 }
    reload: { check: [nginx, -t], signal: SIGHUP }
"#;

/// Waits until a command succeeds.
#[track_caller]
fn wait(script: impl Fn() -> Ran) {
    let begun = Instant::now();
    loop {
        let ran = script();
        if ran.code == 0 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", ran.all());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends the first process of a container, as its own fault would: through the engine it would be a stop by hand.
fn die(name: &str) -> String {
    format!("kill -9 $(docker inspect {name} --format '{{{{.State.Pid}}}}')")
}

#[test]
fn a_container_is_mended_in_every_state_with_every_change() {
    let sandbox = Sandbox::new("states");
    let name = format!("{}-web", sandbox.name);
    let apply = |text: &str| {
        let playbook = sandbox.write("web.yml", text);
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name])
    };
    let (blue, other) = (WEB.to_owned(), WEB.replace("COLOUR: blue", "COLOUR: red"));
    let filed = WEB.replace("listen 80;", "listen 80; listen 81;");
    let loops = format!(
        "docker exec {name} touch /broken && {} && until docker inspect {name} --format '{{{{.RestartCount}}}}' | grep -q '[2-9]'; do sleep 0.05; done",
        die(&name)
    );
    let states = [
        ("true".to_owned(), ""),
        (format!("docker stop -t 1 {name}"), "ended with exit code"),
        (format!("docker pause {name}"), "paused"),
        (loops, "ends again and again"),
    ];
    for (script, told) in &states {
        for text in [&blue, &filed, &other] {
            apply(&blue).ok();
            shell(script).ok();
            apply(text).ok().says(told);
            shell(&format!("docker exec {name} nginx -t")).ok();
            apply(text).ok().says("nothing to change");
        }
    }
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

#[test]
fn a_container_of_ours_is_known_by_its_labels_whatever_its_name() {
    let sandbox = Sandbox::new("renamed");
    sandbox.registry(&["--trust", "no"]).ok();
    let (name, proxy) = (&sandbox.name, format!("{}-proxy", sandbox.name));
    let id = || shell(&format!("docker inspect {proxy} --format '{{{{.Id}}}}'")).ok().out;
    let before = id();
    shell(&format!("docker rename {proxy} {name}-aside; docker rename {name}-registry {name}-store")).ok();
    let renamed = format!("name: {name}-aside → {proxy}");
    sandbox.plan(&["--trust", "no"]).ok().says(&renamed);
    sandbox.registry(&["--trust", "no"]).ok().says(&renamed);
    assert_eq!(id(), before);
    sandbox.plan(&["--trust", "no", "--exit-code"]).ok();
    // Somebody else's has taken the name meanwhile.
    shell(&format!(
        "docker rename {proxy} {name}-aside; docker create --name {proxy} $(docker images -q provision/nginx | head -1)"
    ))
    .ok();
    sandbox.registry(&["--trust", "no"]).fails(1).says("was not made by provision");
    sandbox.destroy().ok();
    assert_eq!(shell(&format!("docker ps -aq --filter label=provision.deployment={name}")).out, "");
}

/// Every way to reload, on an engine that keeps no log either; then the engine is restarted once.
#[test]
fn what_was_reloaded_comes_back_with_the_engine_and_what_was_stopped_does_not() {
    let sandbox = Sandbox::new("back");
    let images = shell("docker images --format '{{.Repository}}:{{.Tag}}' | grep -E 'provision/(registry|nginx)' | sort -u | tr '\\n' ' '").ok().out;
    let images: Vec<&str> = images.split_whitespace().collect();
    let silent = ["--log-driver", "none"].map(str::to_owned).to_vec();
    let mut engine = SecondEngine::bare("back-eng", tempfile::tempdir().unwrap(), silent);
    engine.load(&images);
    let (name, port) = (&sandbox.name, sandbox.port);
    let home = sandbox.home.path().join("home").display().to_string();
    let provision = format!("PROVISION_HOME={home} {}", env!("CARGO_BIN_EXE_provision"));
    let registry = format!("{provision} registry --name {name} --port {port} --trust no");
    engine.shell(&registry).ok();
    let reloaded = "updated   container tls/proxy";
    engine.shell(&format!("{provision} users {name} add x --generate")).ok().says(reloaded);
    engine.shell(&format!("{registry} --renew")).ok().says(reloaded);
    let spoil = format!("docker exec -u 0 {name}-proxy sh -c 'echo \"# mine\" >>/etc/provision/nginx.conf'");
    engine.shell(&format!("{spoil} && {registry}")).ok().says(reloaded);
    // nginx's master dies, and comes back by itself even after a reload.
    engine.shell(&die(&format!("{name}-proxy"))).ok();
    let proxy = format!("docker inspect {name}-proxy --format '{{{{.State.Running}}}} {{{{.RestartCount}}}}'");
    wait(|| engine.shell(&format!("{proxy} | grep -q 'true 1'")));
    engine.shell(&format!("{provision} users {name} add y --generate")).ok().says(reloaded);
    // A user's own, that is called ready by a line of a log that nobody keeps.
    let own = sandbox.write("own.yml", WEB);
    let apply = format!("{provision} apply {own} --name {name}-own");
    engine.shell(&apply).ok().says("keeps no log");
    sandbox.write("own.yml", &WEB.replace("listen 80;", "listen 80; listen 81;"));
    engine.shell(&apply).ok().says("updated   container web");
    let stopped = sandbox.write("stopped.yml", WEB);
    engine.shell(&format!("{provision} apply {stopped} --name {name}-stopped && docker stop {name}-stopped-web")).ok();
    engine.kill();
    engine.start();
    wait(|| engine.shell("[ $(docker ps -q | wc -l) = 3 ]"));
    let running = engine.shell("docker ps --format '{{.Names}}' | sort").ok().out;
    assert_eq!(running, format!("{name}-own-web\n{name}-proxy\n{name}-registry\n"));
    let again = engine.shell(&registry).ok().all();
    assert!(!again.contains("container "), "{again}");
}
