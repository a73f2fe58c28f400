//! What the live tests share: a sandbox with a deployment folder of its own, and a second engine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use crate::recorder::{Fate, Recorder};

pub const SOCKET: &str = "/var/run/docker.sock";

/// A place for one test: what it sets up is gone when it is dropped.
pub struct Sandbox {
    pub name: String,
    pub port: u16,
    pub home: tempfile::TempDir,
    pub socket: Option<PathBuf>,
    /// The environment of its commands, beside this process's own.
    pub variables: Vec<(&'static str, String)>,
}

/// What a command printed, and how it ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.all());
        self
    }

    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "no `{text}` in:\n{}", self.all());
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }
}

/// Runs a shell script and gives what it printed.
pub fn shell(script: &str) -> Ran {
    Command::new("bash").args(["-c", script]).env("PROVISION_MAINTAIN", "no").output().unwrap().into()
}

/// Waits until something is so, a minute at most.
#[track_caller]
pub fn wait_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it has not come about in a minute");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Two ports that are free now, for tests that run at the same time as others.
pub fn free_port() -> u16 {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    loop {
        let offset = NEXT.fetch_add(1, Ordering::SeqCst) + (std::process::id() as usize % 200) * 20;
        let port = u16::try_from(21000 + offset % 8000).unwrap();
        if TcpListener::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}

impl Sandbox {
    pub fn new(test: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        // No name begins another one: what a sandbox leaves is looked for by its name.
        let name = format!("t{}-{}-{test}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let sandbox =
            Self { name, port: free_port(), home: tempfile::tempdir().unwrap(), socket: None, variables: Vec::new() };
        sandbox.images();
        sandbox
    }

    /// Builds the images once, so that tests side by side do not build them twice.
    fn images(&self) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let playbook = self.write(
                "images.yml",
                "resources:\n  - image: a\n    reference: registry:3.1.1\n    build: registry\n  - image: b\n    reference: nginx:1.30\n    build: nginx\n",
            );
            self.command(&["apply", &playbook, "--name", &format!("{}-images", self.name)]).ok();
        });
    }

    /// Builds the images of the blog once, with both databases.
    pub fn blog_images(&self) {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let image = |name: &str, reference: &str, build: &str, suite: &str| {
                format!("  - image: {name}\n    reference: {reference}\n    build: {build}\n    suite: {suite}\n")
            };
            let playbook = self.write(
                "blog-images.yml",
                &format!(
                    "resources:\n{}{}{}",
                    image("a", "mysql:9.7", "mysql", "sid"),
                    image("b", "mariadb:11.8", "mariadb", "trixie"),
                    image("c", "wordpress:7.1-apache", "wordpress", "sid")
                ),
            );
            self.command(&["apply", &playbook, "--name", &format!("{}-blog-images", self.name)]).ok();
        });
    }

    /// The image that this version builds in the place of another: earlier ones may have left theirs beside it.
    pub fn built(&self, reference: &str, build: &str, suite: &str) -> String {
        let playbook = self.write(
            "built.yml",
            &format!(
                "resources:\n  - image: it\n    reference: {reference}\n    build: {build}\n    suite: {suite}\noutputs: {{ built: \"{{{{ it.reference }}}}\" }}\n"
            ),
        );
        let name = format!("{}-built", self.name);
        self.command(&["apply", &playbook, "--name", &name]).ok();
        let built = self.command(&["output", &name, "built"]).ok().out.trim().to_owned();
        self.command(&["destroy", &name, "--yes"]).ok();
        built
    }

    pub fn write(&self, file: &str, text: &str) -> String {
        let path = self.home.path().join(file);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command.args(arguments).env("PROVISION_HOME", self.home.path().join("home")).env("PROVISION_MAINTAIN", "no");
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        if let Some(socket) = &self.socket {
            command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
        }
        command
    }

    pub fn command(&self, arguments: &[&str]) -> Ran {
        self.prepared(arguments).output().unwrap().into()
    }

    pub fn start(&self, arguments: &[&str]) -> std::process::Child {
        use std::process::Stdio;
        self.prepared(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// `provision registry` with this sandbox's name and port.
    pub fn registry(&self, more: &[&str]) -> Ran {
        self.verb(&["registry"], more)
    }

    pub fn plan(&self, more: &[&str]) -> Ran {
        self.verb(&["plan", "registry"], more)
    }

    fn verb(&self, verb: &[&str], more: &[&str]) -> Ran {
        let port = self.port.to_string();
        self.command(&[verb, &["--name", &self.name, "--port", &port], more].concat())
    }

    pub fn destroy(&self) -> Ran {
        self.command(&["destroy", &self.name, "--yes"])
    }

    pub fn password(&self) -> String {
        self.command(&["secrets", &self.name, "password"]).ok().out.trim().to_owned()
    }

    pub fn output(&self, key: &str) -> String {
        self.command(&["output", &self.name, key]).ok().out.trim().to_owned()
    }

    /// Everything on the engine that has this sandbox's name in it.
    pub fn things(&self) -> String {
        let name = &self.name;
        shell(&format!(
            "docker ps -a --format 'container {{{{.Names}}}}' --filter name={name}; docker network ls --format 'network {{{{.Name}}}}' --filter name={name}; docker volume ls --format 'volume {{{{.Name}}}}' --filter name={name}; docker volume ls -q --filter label=provision.deployment={name}"
        ))
        .out
    }
}

/// The name and the id of every deployment in a folder that has something on an engine.
fn deployments(home: &Path) -> Vec<(String, String)> {
    let folders = std::fs::read_dir(home.join("home/deployments")).into_iter().flatten().flatten();
    let records = folders.filter_map(|folder| {
        let record = std::fs::read_to_string(folder.path().join("deployment.json")).ok()?;
        let record: serde_json::Value = serde_json::from_str(&record).ok()?;
        let kinds = record["kinds"].as_array()?.iter().filter_map(|kind| kind.as_str());
        let of_engine = kinds.filter(|kind| ["container", "network", "volume"].contains(kind)).count();
        let id = record["id"].as_str().filter(|_| of_engine > 0)?;
        Some((folder.file_name().to_string_lossy().into_owned(), id.to_owned()))
    });
    records.collect()
}

impl Sandbox {
    /// Everything on the engine that bears the label of a deployment is in some list: once all are destroyed, nothing does.
    fn leaves_nothing(&self) {
        let deployments = deployments(self.home.path());
        let all =
            deployments.iter().all(|(name, _)| self.command(&["destroy", name, "--yes", "--wait", "0"]).code == 0);
        if !all {
            // The test has broken what it takes to destroy one.
            return;
        }
        for (name, id) in deployments {
            let filter = format!("--filter label=provision.id={id}");
            let left = shell(&format!(
                "docker ps -a {filter} --format '{{{{.Names}}}}'; docker network ls {filter} --format '{{{{.Name}}}}'; docker volume ls -q {filter}"
            ));
            assert_eq!(left.out, "", "`{name}` was destroyed, and this bears its label");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let is_here = self.socket.is_none() && self.variables.iter().all(|(name, _)| *name != "DOCKER_HOST");
        if is_here && !thread::panicking() {
            self.leaves_nothing();
        }
        let name = &self.name;
        shell(&format!(
            "docker ps -aq --filter name={name} | xargs -r docker rm -fv; docker network ls -q --filter name={name} | xargs -r docker network rm; docker volume ls -q --filter name={name} | xargs -r docker volume rm; docker volume ls -q --filter label=provision.deployment={name} | xargs -r docker volume rm; find /etc/docker/certs.d /etc/containers/certs.d -name 'provision-{name}*.crt' -delete -printf '%h\\n' | xargs -r rmdir"
        ));
    }
}

/// Every file below a folder, with its mode and a digest.
pub fn tree(folder: &Path) -> String {
    shell(&format!(
        "cd {} 2>/dev/null && find . -printf '%p %m ' -type f -exec sha256sum {{}} \\; -o -printf '\\n' | sort",
        folder.display()
    ))
    .out
}

/// A Docker engine of the test's own, in a network of its own, that can be killed and started again.
pub struct SecondEngine {
    name: String,
    folder: tempfile::TempDir,
    settings: Settings,
    process: Option<std::process::Child>,
}

/// What a second engine is, beside where it is.
pub struct Settings {
    /// What its program is started by.
    pub by: Vec<String>,
    /// More of its command line.
    pub more: Vec<String>,
    pub storage: &'static str,
    /// Its `daemon.json`.
    pub daemon: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self { by: Vec::new(), more: Vec::new(), storage: "fuse-overlayfs", daemon: "{}" }
    }
}

impl SecondEngine {
    /// Starts it with these images of the first engine.
    pub fn new(test: &str, images: &[&str]) -> Self {
        let engine = Self::bare(test, tempfile::tempdir().unwrap(), Vec::new());
        engine.load(images);
        engine
    }

    /// Gives it images of the first engine.
    pub fn load(&self, images: &[&str]) {
        let (images, address) = (images.join(" "), self.address());
        shell(&format!("set -e -o pipefail; docker save {images} | docker -H {address} load")).ok();
    }

    /// Starts it without images, in a folder and with more of a command line.
    pub fn bare(test: &str, folder: tempfile::TempDir, more: Vec<String>) -> Self {
        Self::set(test, folder, Settings { more, ..Settings::default() })
    }

    /// The same for one whose containers have other numbers of users than this host.
    pub fn remapped(test: &str, mut by: Vec<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        shell(&format!("for file in subuid subgid; do for name in nobody nogroup; do echo $name:165536:65536; done >{path}/$file; done; chmod 711 {path}")).ok();
        // The table of this host stays as it is.
        let script =
            format!("mount --bind {path}/subuid /etc/subuid && mount --bind {path}/subgid /etc/subgid && exec \"$@\"");
        by.splice(0..0, ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned));
        let more = ["--userns-remap", "nobody:nogroup"].map(str::to_owned).to_vec();
        Self::set(test, folder, Settings { by, more, ..Settings::default() })
    }

    /// Starts one that is set up in another way.
    pub fn with(test: &str, settings: Settings) -> Self {
        Self::set(test, tempfile::tempdir().unwrap(), settings)
    }

    fn set(test: &str, folder: tempfile::TempDir, settings: Settings) -> Self {
        let name = format!("t{}-{test}", std::process::id());
        std::fs::write(folder.path().join("daemon.json"), settings.daemon).unwrap();
        shell(&format!("set -e; ip netns add {name}; nsenter --net=/run/netns/{name} ip link set lo up")).ok();
        let mut engine = Self { name, folder, settings, process: None };
        engine.start();
        engine
    }

    /// The name of its network.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn address(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// A command in its network, where its published ports are.
    pub fn shell(&self, script: &str) -> Ran {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).args(["bash", "-c", script]);
        command.env("DOCKER_HOST", self.address()).env("PROVISION_MAINTAIN", "no").output().unwrap().into()
    }

    pub fn start(&mut self) {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(path("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).args(&self.settings.by).arg("dockerd");
        command.args([
            "--config-file",
            &path("daemon.json"),
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
        ]);
        command.args(["--pidfile", &path("pid"), "--host", &self.address(), "--storage-driver", self.settings.storage]);
        command.args(&self.settings.more);
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        for _ in 0..300 {
            if shell(&format!("docker -H {} version", self.address())).code == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }

    /// Stops it from answering, without an end.
    pub fn pause(&self) {
        self.send("STOP");
    }

    pub fn resume(&self) {
        self.send("CONT");
    }

    fn send(&self, signal: &str) {
        let process = self.process.as_ref().unwrap().id();
        shell(&format!("kill -{signal} {process}")).ok();
    }

    /// Starts it again while its containers go on.
    pub fn restart_alone(&mut self) {
        std::fs::write(self.folder.path().join("daemon.json"), "{\"live-restore\":true}").unwrap();
        self.send("HUP");
        let live = || shell(&format!("docker -H {} info -f '{{{{.LiveRestoreEnabled}}}}'", self.address())).out;
        wait_until(|| live().trim() == "true");
        self.restart();
    }

    /// Ends it and starts it again, as an upgrade of its package does.
    pub fn restart(&mut self) {
        self.send("TERM");
        self.process.take().unwrap().wait().unwrap();
        self.start();
    }

    /// Kills it, as a power cut would, with all that runs on it.
    pub fn kill(&mut self) {
        let exec = self.folder.path().join("exec").display().to_string();
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
        // Its containers run below containerd's shims, which name its folder.
        shell(&format!(
            "for pid in $(pgrep -f -- '{exec}'); do [ $pid = $$ ] || {{ pkill -9 -P $pid; kill -9 $pid; }}; done 2>/dev/null; \
             for i in $(seq 100); do pgrep -f -- '{exec}' | grep -qvx $$ || break; sleep 0.05; done; rm -f {0}/pid {exec}/containerd/containerd.pid",
            self.folder.path().display()
        ));
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        shell(&format!("docker -H {0} ps -aq | xargs -r docker -H {0} rm -fv", self.address()));
        if let Some(process) = &mut self.process {
            shell(&format!("kill {}", process.id()));
            let begun = Instant::now();
            while matches!(process.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(15) {
                thread::sleep(Duration::from_millis(50));
            }
        }
        self.kill();
        let folder = self.folder.path().display().to_string();
        shell(&format!(
            "ip netns del {}; for m in $(grep -o '{folder}[^ ]*' /proc/mounts | sort -r); do umount -l $m; done",
            self.name
        ));
    }
}
