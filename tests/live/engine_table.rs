//! Engines that people have, and the whole product on each: `make engines` prints a table of what was run. Minutes an engine, so it is
//! a target of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::engine::{Fate, Ran, Recorder, Sandbox, SecondEngine, Settings, free_port, shell};
use crate::rootless::Rootless;

/// What is run on each engine, in this order: a column of the table, and its script.
const COLUMNS: [(&str, &str); 12] = [
    ("up", "provision registry --name $N --port $P"),
    ("empty plan", "provision plan $N --exit-code; provision registry --name $N | grep 'nothing to change'"),
    (
        "client",
        "export DOCKER_CONFIG=$H/docker; test $UID = 0 || install -D -m 644 $(provision output $N ca) $HOME/.config/docker/certs.d/localhost:$P/ca.crt; \
         provision secrets $N password | docker login -u admin --password-stdin localhost:$P; docker tag $I localhost:$P/team/app:1; \
         docker push -q localhost:$P/team/app:1; docker rmi localhost:$P/team/app:1; docker pull -q localhost:$P/team/app:1; docker rmi localhost:$P/team/app:1",
    ),
    (
        "drifts",
        "differs() { provision plan $N --exit-code && exit 9; provision registry --name $N; provision plan $N --exit-code; }; \
         docker exec -u 0 $N-proxy sh -c 'echo \"# x\" >>/etc/provision/nginx.conf'; differs; \
         docker stop $N-registry; differs; docker rm -f $N-proxy; differs; docker rename $N-proxy other-$N; differs; \
         docker update --restart no $N-registry; differs; \
         if [ $UID = 0 ]; then docker pause $N-registry; differs; docker update --pids-limit 77 $N-registry; differs; fi; \
         docker network disconnect $(docker inspect $N-proxy -f '{{range $n, $v := .NetworkSettings.Networks}}{{$n}}{{end}}') $N-proxy; differs",
    ),
    (
        "users",
        "provision users $N add alice --generate; \
         code=$(curl -s --cacert $(provision output $N ca) -o /dev/null -w '%{http_code}' -u alice:$(provision secrets $N users.alice) https://localhost:$P/v2/); test $code = 200; \
         provision users $N remove alice; provision plan $N --exit-code",
    ),
    (
        "rotate",
        "provision rotate $N --what certificates; provision rotate $N --what authority; provision plan $N --exit-code",
    ),
    (
        "backup, restore",
        "echo correct horse battery >$H/pass; provision backup $N $H/one.age --passphrase-file $H/pass; \
         provision restore $N-2 $H/one.age --passphrase-file $H/pass --set port=$Q; \
         curl -sf --cacert $(provision output $N-2 ca) -u admin:$(provision secrets $N-2 password) https://localhost:$Q/v2/team/app/tags/list | grep '\"1\"'; \
         provision destroy $N-2 --yes",
    ),
    // The engine was restarted; the registry checks its store before it serves.
    (
        "restart",
        "for i in $(seq 120); do test $(docker ps -q --filter name=$N --filter status=running | wc -l) = 2 && provision plan $N --exit-code && exit 0; \
         sleep 0.5; done; exit 9",
    ),
    // Runs that are killed at a request.
    ("kill", ""),
    (
        "ci",
        "provision ci --seed $I -- sh -c 'docker pull -q $REGISTRY/'$I' && docker rmi $REGISTRY/'$I; \
         test -z \"$(docker ps -aq --filter name=ci-)\"",
    ),
    (
        "blog",
        "provision blog --name $N-b --port $R --title T --admin-user keeper --admin-email keeper@example.com; provision plan $N-b --exit-code; \
         curl -sf http://localhost:$R/ | grep '<title>T'; provision destroy $N-b --yes",
    ),
    (
        "destroy",
        "provision destroy $N --yes; test -z \"$(docker ps -aq)$(docker volume ls -q)$(docker network ls -q --filter label=provision.id)\"",
    ),
];

/// Docker 28.5 of Debian's unstable release, unpacked for all clones on this machine.
fn docker_28() -> Vec<String> {
    let folder = shell("scripts/part.sh docker28").ok().out.trim().to_owned();
    vec!["env".into(), format!("PATH={folder}/usr/bin:{}", std::env::var("PATH").unwrap())]
}

/// The same, demanding of its clients what Docker 29.0 to 29.2 demand.
fn demanding() -> Vec<String> {
    let mut by = docker_28();
    by.push("DOCKER_MIN_API_VERSION=1.44".into());
    by
}

/// An engine that keeps images with containerd, as Docker 29 does by default.
fn with_containerd_store(by: Vec<String>) -> Settings {
    Settings {
        by,
        storage: "overlayfs",
        daemon: r#"{"features":{"containerd-snapshotter":true}}"#,
        ..Settings::default()
    }
}

fn with_daemon(daemon: &'static str) -> Settings {
    Settings { by: docker_28(), daemon, ..Settings::default() }
}

/// An engine of the table.
enum Engine {
    Root(SecondEngine),
    Rootless(Rootless),
}

impl Engine {
    /// A program that is run by the engine's user, where its published ports are.
    fn command(&self, program: &str) -> Command {
        match self {
            Self::Root(engine) => {
                let mut command = Command::new("nsenter");
                command
                    .args([&format!("--net=/run/netns/{}", engine.name()), program])
                    .env("DOCKER_HOST", engine.address());
                command
            }
            Self::Rootless(engine) => engine.command(program),
        }
    }

    fn socket(&self) -> PathBuf {
        match self {
            Self::Root(engine) => engine.socket(),
            Self::Rootless(engine) => engine.socket(),
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Root(engine) => engine.restart(),
            Self::Rootless(engine) => engine.restart(),
        }
    }
}

struct Row<'a> {
    sandbox: Sandbox,
    engine: Engine,
    /// Where its deployments and other files are.
    home: String,
    program: String,
    image: &'a str,
    ports: [u16; 3],
    cells: BTreeMap<&'static str, String>,
}

impl Row<'_> {
    /// A script where the engine's ports are, with what it needs to know; the last line that it printed if it fails.
    fn script(&self, text: &str) -> Result<String, String> {
        let [port, second, third] = self.ports;
        let (name, home, image, program) = (&self.sandbox.name, &self.home, self.image, &self.program);
        let ran: Ran = self.engine.command("bash").args(["-c", &format!(
            "set -e -o pipefail; export PROVISION_HOME={home}/home N={name} P={port} Q={second} R={third} I={image} H={home}; provision() {{ {program} \"$@\" 2>&1; }}; {text}"
        )]).output().unwrap().into();
        if ran.code == 0 { Ok(ran.out) } else { Err(format!("{}: {}", ran.code, ran.all())) }
    }

    /// A run that is killed at a request needs no hand.
    fn killed(&self) -> Result<(), String> {
        let mut failures = String::new();
        for point in [1, 4, 9, 14] {
            let recorder = Recorder::of(&self.engine.socket(), Fate::KilledAfter(point));
            shell(&format!("chmod -R a+rwX {}", recorder.socket.parent().unwrap().display())).ok();
            let mut child = self.engine.command(&self.program);
            child.args([
                "registry",
                "--name",
                &format!("{}-k", self.sandbox.name),
                "--port",
                &self.ports[1].to_string(),
            ]);
            child.env("PROVISION_HOME", format!("{}/home", self.home));
            child.env("DOCKER_HOST", format!("unix://{}", recorder.socket.display()));
            let mut child = child.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            recorder.watch(child.id());
            drop(child.wait());
            let again = "provision registry --name $N-k --port $Q; provision plan $N-k --exit-code; provision destroy $N-k --yes; \
                         test -z \"$(docker ps -aq --filter name=$N-k)$(docker volume ls -q --filter name=$N-k)$(docker network ls -q --filter name=$N-k)\"";
            if let Err(error) = self.script(again) {
                write!(failures, "at {point}: {error} ").unwrap();
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }
}

/// How an engine of the table is started.
#[derive(Clone, Copy)]
enum Start {
    Root(fn() -> Settings),
    Remapped(fn() -> Vec<String>),
    Rootless,
}

/// Runs all columns on one engine.
fn run(label: &str, start: Start) -> (String, BTreeMap<&'static str, String>) {
    let sandbox = Sandbox::new(&format!("et-{label}"));
    sandbox.blog_images();
    let registry = sandbox.built("registry:3.1.1", "registry", "trixie");
    let nginx = sandbox.built("nginx:1.30", "nginx", "trixie");
    let mysql = sandbox.built("mysql:9.7", "mysql", "sid");
    let wordpress = sandbox.built("wordpress:7.1-apache", "wordpress", "sid");
    let test = format!("et-{label}");
    let (own, program) = (sandbox.home.path().display().to_string(), env!("CARGO_BIN_EXE_provision").to_owned());
    let (engine, home, program) = match start {
        Start::Root(settings) => (Engine::Root(SecondEngine::with(&test, settings())), own, program),
        Start::Remapped(by) => (Engine::Root(SecondEngine::remapped(&test, by())), own, program),
        Start::Rootless => {
            let engine = Rootless::new("rl");
            let (home, program) = (engine.home(), engine.program());
            (Engine::Rootless(engine), home, program)
        }
    };
    let address = format!("unix://{}", engine.socket().display());
    shell(&format!(
        "set -e -o pipefail; docker save {registry} {nginx} {mysql} {wordpress} | docker -H {address} load"
    ))
    .ok();
    let version = shell(&format!(
        "docker -H {address} version --format '{{{{.Server.Version}}}}, API {{{{.Server.APIVersion}}}}'"
    ))
    .ok()
    .out;
    let ports = [free_port(), free_port(), free_port()];
    let mut row = Row { sandbox, engine, home, program, image: &nginx, ports, cells: BTreeMap::new() };
    for (column, script) in COLUMNS {
        if column == "restart" {
            row.engine.restart();
        }
        let cell = if column == "kill" { row.killed() } else { row.script(script).map(drop) };
        row.cells.insert(column, cell.map_or_else(|error| format!("FAILED {error}"), |()| "ok".to_owned()));
    }
    (format!("{label} ({})", version.trim()), row.cells)
}

/// The table as it stands in `docs/engines.md`, and the failures.
fn table(rows: &[(String, BTreeMap<&'static str, String>)]) -> (String, String) {
    let mut text = format!(
        "| engine | {} |\n|---|{}\n",
        COLUMNS.map(|(column, _)| column).join(" | "),
        "---|".repeat(COLUMNS.len())
    );
    let mut failures = String::new();
    for (label, cells) in rows {
        let cell = |(column, _): &(&str, &str)| {
            cells.get(*column).map_or("-", |cell| if cell == "ok" { "ok" } else { "**failed**" })
        };
        writeln!(text, "| {label} | {} |", COLUMNS.iter().map(cell).collect::<Vec<_>>().join(" | ")).unwrap();
        for (column, cell) in cells.iter().filter(|(_, cell)| *cell != "ok") {
            writeln!(failures, "{label}, {column}: {cell}").unwrap();
        }
    }
    (text, failures)
}

/// `ENGINES=28,28-containerd` runs these only.
#[test]
#[ignore = "minutes for each engine, and packages of their own: `make engines`"]
fn soak_engines_that_people_have_serve_everything() {
    let all: [(&str, Start); 11] = [
        ("20", Start::Root(Settings::default)),
        ("20-log-none", Start::Root(|| Settings { daemon: r#"{"log-driver":"none"}"#, ..Settings::default() })),
        ("20-userns-remap", Start::Remapped(Vec::new)),
        ("20-rootless", Start::Rootless),
        ("28", Start::Root(|| Settings { by: docker_28(), ..Settings::default() })),
        ("28-api-1.44", Start::Root(|| Settings { by: demanding(), ..Settings::default() })),
        ("28-containerd", Start::Root(|| with_containerd_store(docker_28()))),
        ("28-containerd-api-1.44", Start::Root(|| with_containerd_store(demanding()))),
        ("28-live-restore", Start::Root(|| with_daemon(r#"{"live-restore":true}"#))),
        ("28-log-none", Start::Root(|| with_daemon(r#"{"log-driver":"none"}"#))),
        ("28-userns-remap", Start::Remapped(docker_28)),
    ];
    let wanted = std::env::var("ENGINES").unwrap_or_default();
    let is_wanted = |label: &str| wanted.is_empty() || wanted.split(',').any(|one| one == label);
    let rows: Vec<_> =
        all.iter().filter(|(label, _)| is_wanted(label)).map(|(label, start)| run(label, *start)).collect();
    let (table, failures) = table(&rows);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines.md"), &table).unwrap();
    eprintln!("{table}");
    assert!(failures.is_empty(), "{table}\n{failures}");
}
