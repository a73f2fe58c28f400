//! Law 4 for containers: whatever field of the real thing is changed behind our back, the plan names it.

use serde_json::{Value, json};

use crate::engine::{SOCKET, Sandbox, shell};

const PLAYBOOK: &str = r#"
resources:
  - network: net
  - volume: data
  - image: nginx
    reference: nginx:1.30
    build: nginx
  - container: web
    image: "{{ nginx.reference }}"
    command: [nginx, "-g", "daemon off;"]
    networks: ["{{ net.name }}"]
    volumes: { /data: "{{ data.name }}" }
    env: { COLOUR: blue }
    labels: { team: a }
    files: { /etc/motd: { content: "hello\n", mode: "0644" } }
    publish: ["127.0.0.1:PORT:80"]
    tmpfs: { /scratch: size=1m }
    memory: 64m
    cpus: 0.5
    pids: 50
    cap_drop: [NET_RAW]
    restart: unless-stopped
    reload: { signal: HUP }
"#;

/// Makes the container anew by the engine's own API, as it was but for one field.
fn recreate(name: &str, change: &dyn Fn(&mut Value)) {
    let inspected = shell(&format!("docker inspect {name}")).ok().out;
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    let mut body = inspected[0]["Config"].clone();
    // The engine gives each container a name of its own.
    body.as_object_mut().unwrap().remove("Hostname");
    body["HostConfig"] = inspected[0]["HostConfig"].clone();
    let networks = inspected[0]["NetworkSettings"]["Networks"].as_object().unwrap();
    let endpoints: serde_json::Map<String, Value> =
        networks.keys().map(|network| (network.clone(), json!({}))).collect();
    body["NetworkingConfig"] = json!({ "EndpointsConfig": endpoints });
    change(&mut body);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body.to_string()).unwrap();
    shell(&format!(
        "set -e; docker cp {name}:/etc/motd {0}.motd; docker rm -f {name} >/dev/null; curl -sf --unix-socket {SOCKET} -H 'Content-Type: application/json' -d @{0} -X POST http://d/containers/create?name={name} >/dev/null; docker cp {0}.motd {name}:/etc/motd; rm {0}.motd; docker start {name}",
        file.path().display()
    ))
    .ok();
}

/// A change to the body that a container is created from.
type Edit = Box<dyn Fn(&mut Value)>;

/// What a plan says of each change.
fn changes() -> Vec<(&'static str, Edit)> {
    vec![
        ("nothing to change", Box::new(|_| {})),
        ("env.COLOUR: (none) → blue", Box::new(|body| body["Env"] = json!([]))),
        ("env.EXTRA: 1 → (none)", Box::new(|body| body["Env"].as_array_mut().unwrap().push(json!("EXTRA=1")))),
        ("labels.team: b → a", Box::new(|body| body["Labels"]["team"] = json!("b"))),
        ("labels.other: x → (none)", Box::new(|body| body["Labels"]["other"] = json!("x"))),
        (
            "labels.provision.resource: other → web",
            Box::new(|body| body["Labels"]["provision.resource"] = json!("other")),
        ),
        (
            "an earlier version had it read files by a signal of the engine",
            Box::new(|body| drop(body["Labels"].as_object_mut().unwrap().remove("provision.reload"))),
        ),
        (
            "command: nginx -g 'daemon off; worker_processes 1;' → nginx -g 'daemon off;'",
            Box::new(|body| body["Cmd"] = json!(["nginx", "-g", "daemon off; worker_processes 1;"])),
        ),
        ("user: 0:0 → (none)", Box::new(|body| body["User"] = json!("0:0"))),
        (
            "memory: 134217728 → 67108864",
            Box::new(|body| {
                body["HostConfig"]["Memory"] = json!(134_217_728);
                body["HostConfig"]["MemorySwap"] = json!(-1);
            }),
        ),
        ("cpus: 1000000000 → 500000000", Box::new(|body| body["HostConfig"]["NanoCpus"] = json!(1_000_000_000))),
        ("pids: 60 → 50", Box::new(|body| body["HostConfig"]["PidsLimit"] = json!(60))),
        (
            "restart: always → unless-stopped",
            Box::new(|body| body["HostConfig"]["RestartPolicy"] = json!({ "Name": "always" })),
        ),
        ("cap_drop: (none) → NET_RAW", Box::new(|body| body["HostConfig"]["CapDrop"] = json!([]))),
        ("cap_add: SYS_TIME → (none)", Box::new(|body| body["HostConfig"]["CapAdd"] = json!(["SYS_TIME"]))),
        ("security: (none) → no-new-privileges", Box::new(|body| body["HostConfig"]["SecurityOpt"] = json!([]))),
        ("tmpfs: (none) → /scratch:size=1m", Box::new(|body| body["HostConfig"]["Tmpfs"] = json!({}))),
        ("HostConfig.ShmSize: 1048576 → 67108864", Box::new(|body| body["HostConfig"]["ShmSize"] = json!(1_048_576))),
        (
            "max-size=1m Type=json-file → ",
            Box::new(|body| body["HostConfig"]["LogConfig"]["Config"]["max-size"] = json!("1m")),
        ),
        (
            "HostConfig.ExtraHosts: a:1.2.3.4 → (none)",
            Box::new(|body| body["HostConfig"]["ExtraHosts"] = json!(["a:1.2.3.4"])),
        ),
        ("Config.WorkingDir: /tmp → (none)", Box::new(|body| body["WorkingDir"] = json!("/tmp"))),
        ("volumes./data: (none) → ", Box::new(|body| body["HostConfig"]["Mounts"] = json!([]))),
        ("volumes./host: /tmp → (none)", Box::new(|body| body["HostConfig"]["Binds"] = json!(["/tmp:/host"]))),
    ]
}

/// The same of how it is mounted and connected, and of what is no change.
fn more_changes() -> Vec<(&'static str, Edit)> {
    vec![
        (
            "volumes./data.options: ReadOnly=true → (none)",
            Box::new(|body| body["HostConfig"]["Mounts"][0]["ReadOnly"] = json!(true)),
        ),
        (
            "nothing to change",
            Box::new(|body| body["HostConfig"]["Mounts"][0]["VolumeOptions"] = json!({ "NoCopy": true })),
        ),
        (
            "volumes./data.options: ro → (none)",
            Box::new(|body| {
                let volume = body["HostConfig"]["Mounts"][0]["Source"].as_str().unwrap().to_owned();
                body["HostConfig"]["Mounts"] = json!([]);
                body["HostConfig"]["Binds"] = json!([format!("{volume}:/data:ro")]);
            }),
        ),
        (
            "command: nginx -g daemon 'off;' → nginx -g 'daemon off;'",
            Box::new(|body| body["Cmd"] = json!(["nginx", "-g", "daemon", "off;"])),
        ),
        ("nothing to change", Box::new(|body| body["HostConfig"]["CapDrop"] = json!(["CAP_NET_RAW"]))),
        (
            ".options: DriverOpts=com.example.note=x → (none)",
            Box::new(|body| {
                for endpoint in body["NetworkingConfig"]["EndpointsConfig"].as_object_mut().unwrap().values_mut() {
                    *endpoint = json!({ "DriverOpts": { "com.example.note": "x" } });
                }
            }),
        ),
        ("publish: ", Box::new(|body| body["HostConfig"]["PortBindings"] = json!({}))),
        (
            "networks: bridge → ",
            Box::new(|body| {
                body["HostConfig"]["NetworkMode"] = json!("bridge");
                body["NetworkingConfig"] = json!({});
            }),
        ),
    ]
}

#[test]
fn every_field_of_a_container_is_watched() {
    let sandbox = Sandbox::new("fields");
    let playbook = sandbox.write("web.yml", &PLAYBOOK.replace("PORT", &sandbox.port.to_string()));
    let apply = || sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    let plan = || sandbox.command(&["plan", &playbook, "--name", &sandbox.name, "--exit-code"]);
    apply();
    plan().ok();
    let name = format!("{}-web", sandbox.name);
    // What can be changed while it runs.
    shell(&format!("docker update --cpu-shares 512 {name}")).ok();
    plan().fails(3).says("HostConfig.CpuShares: 512 → (none)").says("nobody answers for about");
    apply();
    for (field, change) in changes().into_iter().chain(more_changes()) {
        recreate(&name, &*change);
        let told = plan();
        let code = if field == "nothing to change" { 0 } else { 3 };
        assert!(told.code == code && told.all().contains(field), "{field}: {}", told.all());
        apply();
        plan().ok().says("nothing to change");
    }
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

#[test]
fn a_network_made_anew_by_hand_is_told() {
    let sandbox = Sandbox::new("nets");
    let playbook = sandbox.write("net.yml", "resources:\n  - network: net\n    internal: true\n");
    sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    let name = format!("{}-net", sandbox.name);
    let labels = "$(docker network inspect NAME --format '{{range $k, $v := .Labels}}--label {{$k}}={{$v}} {{end}}')"
        .replace("NAME", &name);
    shell(&format!("set -e; labels=\"{labels}\"; docker network rm {name}; docker network create $labels {name}")).ok();
    let plan = || sandbox.command(&["plan", &playbook, "--name", &sandbox.name, "--exit-code"]);
    plan().fails(3).says("internal: false → true");
    sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    plan().ok();
    // `docker` itself refuses a second one of the same name; the engine's API does not.
    shell(&format!("curl -sf --unix-socket {SOCKET} -H 'Content-Type: application/json' -d '{{\"Name\":\"{name}\"}}' -X POST http://d/networks/create")).ok();
    plan().fails(1).says("2 networks called").says("docker network ls");
    sandbox.destroy().ok();
}
