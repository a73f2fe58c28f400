//! What goes wrong: taken ports and names, steps that fail, Ctrl-C, an engine that dies. Nothing is lost, and nothing is left.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::engine::{Fate, Ran, Recorder, SOCKET, Sandbox, free_port, shell};

#[test]
fn a_taken_port_is_told_by_the_plan_with_its_holder() {
    let sandbox = Sandbox::new("port");
    let listener = std::net::TcpListener::bind(("127.0.0.1", sandbox.port)).unwrap();
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let port = sandbox.port;
    sandbox
        .plan(&[])
        .fails(1)
        .says(&format!("port {port} is taken by `{} (process {})`", own.trim(), std::process::id()))
        .says("--port");
    sandbox.registry(&[]).fails(1).says("is taken by");
    drop(listener);
    shell(&format!(
        "docker run -d --name {0}-holder -p {port}:80 $(docker images -q provision/nginx | head -1)",
        sandbox.name
    ))
    .ok();
    sandbox.plan(&[]).fails(1).says(&format!("port {port} is taken by the container `{}-holder`", sandbox.name));
    assert!(
        !sandbox.home.path().join("home/deployments").join(&sandbox.name).exists(),
        "a refused run leaves no folder"
    );
}

#[test]
fn a_taken_name_is_told_by_the_plan_with_its_holder() {
    let sandbox = Sandbox::new("name");
    let name = &sandbox.name;
    let image = "$(docker images -q provision/nginx | head -1)";
    shell(&format!("docker create --name {name}-proxy {image}")).ok();
    sandbox
        .plan(&[])
        .fails(1)
        .says(&format!("the container `{name}-proxy` exists already, and it was not made by provision"))
        .says("--name");
    shell(&format!("docker rm {name}-proxy; docker network create {name}")).ok();
    sandbox.plan(&[]).fails(1).says(&format!("the network `{name}` exists already"));
    shell(&format!("docker network rm {name}; docker volume create {name}-data")).ok();
    sandbox.plan(&[]).fails(1).says(&format!("the volume `{name}-data` exists already"));
    shell(&format!("docker volume rm {name}-data; docker volume create --label provision.deployment=other --label provision.id=1 {name}-data")).ok();
    sandbox.plan(&[]).fails(1).says("it belongs to another deployment called `other`");
}

const FAILING: &str = r#"
inputs:
  command: { type: string, default: "exec nginx -g 'daemon off;'" }
  port: { type: port }
resources:
  - network: net
  - volume: data
  - image: nginx
    reference: nginx:1.30
    build: nginx
  - container: first
    image: "{{ nginx.reference }}"
    networks: ["{{ net.name }}"]
  - container: web
    image: "{{ nginx.reference }}"
    command: [sh, "-c", "echo its last words; {{ command }}"]
    networks: ["{{ net.name }}"]
    volumes: { /data: "{{ data.name }}" }
    publish: ["127.0.0.1:{{ port }}:80"]
    after: [first]
"#;

#[test]
fn a_failing_step_is_explained_and_all_is_as_before() {
    let sandbox = Sandbox::new("failing");
    let playbook = sandbox.write("web.yml", FAILING);
    let port = sandbox.port.to_string();
    let apply = |command: &str| {
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name, "--port", &port, "--command", command])
    };
    // The first time: nothing is left.
    let failed = apply("exit 7")
        .fails(1)
        .says("ended with exit code 7")
        .says("its last words")
        .says("hint:")
        .says("as it was before");
    assert!(failed.err.contains("undone"), "{}", failed.err);
    assert_eq!(sandbox.things(), "");
    assert!(!sandbox.home.path().join("home/deployments").join(&sandbox.name).exists());

    // Later: the old one goes on, the very same container.
    apply("exec nginx -g 'daemon off;'").ok();
    let id = || {
        shell(&format!("docker inspect {}-web --format '{{{{.Id}}}} {{{{.State.Running}}}}'", sandbox.name)).ok().out
    };
    let (before, things) = (id(), sandbox.things());
    apply("exit 7").fails(1).says("its last words");
    assert_eq!(id(), before);
    assert_eq!(sandbox.things(), things);
    sandbox.command(&["plan", &playbook, "--name", &sandbox.name, "--exit-code"]).ok().says("nothing to change");

    // A resource that the playbook no longer has is deleted by the next run.
    let shorter: String = FAILING.split("  - container: first").next().unwrap().to_owned();
    let playbook = sandbox.write("web.yml", &shorter);
    sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    assert!(!sandbox.things().contains("container"), "{}", sandbox.things());
    sandbox.destroy().ok();
}

#[test]
fn a_registry_that_cannot_start_leaves_the_old_one_serving() {
    let sandbox = Sandbox::new("broken");
    // An image that is there and is no registry.
    let image = shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/nginx | head -1").ok().out;
    let broken = ["--image", image.trim(), "--distribution", "3"];
    sandbox.registry(&broken[..2]).fails(1).says("it cannot be told which registry").says("--distribution 2.8");
    sandbox.registry(&broken).fails(1).says("container `registry`").says("everything is as it was before");
    assert_eq!(sandbox.things(), "");

    sandbox.registry(&[]).ok();
    let things = sandbox.things();
    let served = || {
        let (ca, password) = (sandbox.output("ca"), sandbox.password());
        shell(&format!(
            "curl -s --cacert {ca} -u admin:{password} -o /dev/null -w '%{{http_code}}' https://localhost:{}/v2/",
            sandbox.port
        ))
        .out
    };
    assert_eq!(served(), "200");
    sandbox.registry(&broken).fails(1).says("everything is as it was before");
    assert_eq!((served(), sandbox.things()), ("200".to_owned(), things));
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    sandbox.destroy().ok();
}

#[test]
fn what_a_container_said_before_it_was_killed_does_not_make_it_ready() {
    let sandbox = Sandbox::new("again");
    let playbook = sandbox.write(
        "web.yml",
        "resources:\n  - image: nginx\n    reference: nginx:1.30\n    build: nginx\n  - container: web\n    image: \"{{ nginx.reference }}\"\n    command: [sh, -c, 'sleep 0.4; echo up; exec sleep 1000']\n    ready: { log: up }\n",
    );
    // Within one second, which is what the engine counts its lines by.
    for starts in 1..=3 {
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
        let said = shell(&format!("docker logs {}-web", sandbox.name)).ok().out;
        assert_eq!(said.matches("up").count(), starts, "{said}");
        shell(&format!("docker kill {}-web", sandbox.name)).ok();
    }
    sandbox.destroy().ok();
}

#[test]
fn bad_files_for_a_running_container_are_refused_and_the_old_ones_stay() {
    let sandbox = Sandbox::new("reload");
    let text = |conf: &str| {
        format!(
            "resources:\n  - image: nginx\n    reference: nginx:1.30\n    build: nginx\n  - container: web\n    image: \"{{{{ nginx.reference }}}}\"\n    publish: [\"127.0.0.1:{}:80\"]\n    files: {{ /etc/nginx/conf.d/site.conf: {{ content: \"{conf}\", mode: \"0644\" }} }}\n    reload: {{ check: [nginx, -t], signal: HUP }}\n",
            sandbox.port
        )
    };
    let apply = |conf: &str| {
        let playbook = sandbox.write("web.yml", &text(conf));
        sandbox.command(&["apply", &playbook, "--name", &sandbox.name])
    };
    let conf = |answer: &str| format!("server {{ listen 80 default_server; server_name _; return 200 {answer}; }}");
    // A reload is not over when the signal is sent: workers that know the old files go on for a moment.
    let answers = |wanted: &str| {
        let get = format!("curl -s http://127.0.0.1:{}/", sandbox.port);
        shell(&format!(
            "for i in $(seq 100); do [ \"$({get})\" != {wanted} ] || exit 0; sleep 0.1; done; {get}; exit 1"
        ))
        .ok();
    };
    apply(&conf("one").replace("default_server", "")).ok();
    let id = || shell(&format!("docker inspect {}-web --format '{{{{.Id}}}}'", sandbox.name)).ok().out;
    let first = id();
    apply(&conf("two").replace(" default_server", "").replace("server_name _", "server_name 127.0.0.1")).ok();
    answers("two");
    apply("server { listen 80; nonsense on; }").fails(1).says("does not accept its new files").says("nonsense");
    answers("two");
    assert_eq!(id(), first);
    sandbox.destroy().ok();
}

/// Law 3 for Ctrl-C: at whatever request, all is as before, and the next run succeeds.
#[test]
fn ctrl_c_leaves_all_as_before() {
    let mut sandbox = Sandbox::new("ctrlc");
    for at in [1, 3, 6, 9, 11] {
        let recorder = Recorder::of(SOCKET.as_ref(), Fate::Held(at));
        sandbox.socket = Some(recorder.socket.clone());
        let port = sandbox.port.to_string();
        let child = sandbox.start(&["registry", "--name", &sandbox.name, "--port", &port]);
        recorder.wait_until_held();
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        recorder.let_go();
        let started = Instant::now();
        let ended = child.wait_with_output().unwrap();
        assert!(started.elapsed() < Duration::from_secs(30), "it ends soon");
        let text = Ran::from(ended).fails(130).all();
        assert!(text.contains("stopped; everything is as it was before"), "{text}");
        assert_eq!(sandbox.things(), "", "at request {at}: {text}");
        let trust = shell(&format!("find /etc/docker/certs.d /etc/containers/certs.d -name '*{}*'", sandbox.name)).out;
        assert_eq!(trust, "", "at request {at}");
        sandbox.socket = None;
    }
    sandbox.registry(&[]).ok();
    sandbox.destroy().ok();
}

#[test]
fn an_engine_that_dies_halfway_is_told_and_the_next_run_converges() {
    let mut sandbox = Sandbox::new("dies");
    for lives in [0, 2, 4, 6, 9] {
        let recorder = Recorder::new(lives);
        sandbox.socket = Some(recorder.socket.clone());
        let failed = sandbox.registry(&["--trust", "no"]).fails(1).says("no Docker engine answers at").says("hint:");
        assert!(recorder.is_dead(), "{}", failed.all());
        failed.says("failed; rollback incomplete; run again to continue");
        sandbox.socket = None;
    }
    sandbox.registry(&["--trust", "no"]).ok();
    sandbox.plan(&["--exit-code"]).ok();
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "", "nothing of the broken runs is left");
}

#[test]
fn no_engine_is_one_clear_error() {
    let mut sandbox = Sandbox::new("none");
    sandbox.socket = Some("/nonexistent/docker.sock".into());
    sandbox
        .registry(&[])
        .fails(1)
        .says("no Docker engine answers at `unix:///nonexistent/docker.sock`")
        .says("systemctl start docker");
    assert!(!sandbox.home.path().join("home/deployments").join(&sandbox.name).exists());
}

#[test]
fn two_deployments_of_one_playbook_stand_side_by_side() {
    let one = Sandbox::new("one");
    let mut two = Sandbox::new("two");
    two.port = free_port();
    one.registry(&[]).ok();
    two.registry(&[]).ok();
    one.plan(&["--exit-code"]).ok();
    // A second folder for deployments does not take the first one's things for its own.
    let stranger = Sandbox {
        name: one.name.clone(),
        port: one.port,
        home: tempfile::tempdir().unwrap(),
        socket: None,
        variables: Vec::new(),
    };
    stranger.plan(&["--trust", "no"]).fails(1).says("belongs to another deployment");
    std::mem::forget(stranger);
    two.destroy().ok();
    one.plan(&["--exit-code"]).ok();
    one.destroy().ok();
}

/// A container can make a file that is compared as large as it likes: it is not read, and mended like any other.
#[test]
fn a_file_that_a_container_has_grown_is_told_and_mended_without_being_read() {
    let sandbox = Sandbox::new("grown");
    let playbook = sandbox.write(
        "box.yml",
        "resources:\n  - image: a\n    reference: nginx:1.30\n    build: nginx\n  - container: box\n    image: \"{{ a.reference }}\"\n    command: [sleep, \"600\"]\n    files: { /etc/x: { content: text } }\n",
    );
    let (name, home, program) = (&sandbox.name, sandbox.home.path().display(), env!("CARGO_BIN_EXE_provision"));
    sandbox.command(&["apply", &playbook, "--name", name]).ok();
    shell(&format!("docker exec -u 0 {name}-box truncate -s 4G /etc/x")).ok();
    let planned = shell(&format!("PROVISION_HOME={home}/home /usr/bin/time -f 'memory %M' {program} plan {name}")).ok();
    let memory: u64 = planned.err.rsplit_once("memory ").unwrap().1.trim().parse().unwrap();
    assert!(memory < 100 << 10, "{memory} KiB");
    planned.says("4294967296 bytes");
    sandbox.command(&["apply", &playbook, "--name", name]).ok().says("replaced  container box");
    sandbox.command(&["plan", name]).ok().says("nothing to change");
    sandbox.destroy().ok();
}
