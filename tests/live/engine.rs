//! What the live tests share: a sandbox with a deployment folder of its own, and a recorder on the engine's socket.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread;

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
    Command::new("bash").args(["-c", script]).output().unwrap().into()
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
        let name = format!("t{}-{test}", std::process::id());
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

    pub fn write(&self, file: &str, text: &str) -> String {
        let path = self.home.path().join(file);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command.args(arguments).env("PROVISION_HOME", self.home.path().join("home"));
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

impl Drop for Sandbox {
    fn drop(&mut self) {
        let name = &self.name;
        shell(&format!(
            "docker ps -aq --filter name={name} | xargs -r docker rm -fv; docker network ls -q --filter name={name} | xargs -r docker network rm; docker volume ls -q --filter name={name} | xargs -r docker volume rm; docker volume ls -q --filter label=provision.deployment={name} | xargs -r docker volume rm; find /etc/docker/certs.d /etc/containers/certs.d -name 'provision-{name}.crt' -delete -printf '%h\\n' | xargs -r rmdir"
        ));
    }
}

/// Stands between the program and the engine: notes each request, and can fall silent like an engine that dies.
pub struct Recorder {
    pub socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
    dead: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

impl Recorder {
    /// `lives` is after how many requests that change something the engine seems to die; `usize::MAX` is never.
    pub fn new(lives: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let dead = Arc::new(AtomicBool::new(false));
        let (noted, gone) = (requests.clone(), dead.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if gone.load(Ordering::SeqCst) {
                    continue;
                }
                let engine = UnixStream::connect(SOCKET).unwrap();
                let (noted, gone) = (noted.clone(), gone.clone());
                let (back, front) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || pump(back, front, |_| true));
                thread::spawn(move || pump(client, engine, |bytes| note(bytes, &noted, &gone, lives)));
            }
        });
        Self { socket, requests, dead, _folder: folder }
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Requests that could have changed something.
    pub fn mutating(&self) -> Vec<String> {
        self.requests().into_iter().filter(|line| is_mutating(line)).collect()
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }
}

fn is_mutating(line: &str) -> bool {
    !line.starts_with("GET ") && !line.starts_with("HEAD ")
}

fn note(bytes: &[u8], noted: &Mutex<Vec<String>>, gone: &AtomicBool, lives: usize) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let mut noted = noted.lock().unwrap();
    for line in text.lines().filter(|line| line.ends_with(" HTTP/1.1")) {
        if is_mutating(line) && noted.iter().filter(|line| is_mutating(line)).count() >= lives {
            gone.store(true, Ordering::SeqCst);
        }
        noted.push(line.trim_end_matches(" HTTP/1.1").to_owned());
    }
    !gone.load(Ordering::SeqCst)
}

/// Copies bytes until one side ends or `goes_on` says no.
fn pump(mut from: UnixStream, mut to: UnixStream, goes_on: impl Fn(&[u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || !goes_on(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    drop(from.shutdown(std::net::Shutdown::Both));
    drop(to.shutdown(std::net::Shutdown::Both));
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
    process: Option<std::process::Child>,
}

impl SecondEngine {
    /// Starts it with these images of the first engine.
    pub fn new(test: &str, images: &[&str]) -> Self {
        let name = format!("t{}-{test}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("daemon.json"), "{}").unwrap();
        shell(&format!("set -e; ip netns add {name}; nsenter --net=/run/netns/{name} ip link set lo up")).ok();
        let mut engine = Self { name, folder, process: None };
        engine.start();
        shell(&format!("set -e -o pipefail; docker save {} | docker -H {} load", images.join(" "), engine.address()))
            .ok();
        engine
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
        command.env("DOCKER_HOST", self.address()).output().unwrap().into()
    }

    pub fn start(&mut self) {
        let path = |file: &str| self.folder.path().join(file).display().to_string();
        let log = std::fs::File::options().create(true).append(true).open(path("log")).unwrap();
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("dockerd");
        command.args([
            "--config-file",
            &path("daemon.json"),
            "--data-root",
            &path("data"),
            "--exec-root",
            &path("exec"),
        ]);
        command.args(["--pidfile", &path("pid"), "--host", &self.address(), "--storage-driver", "fuse-overlayfs"]);
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        for _ in 0..300 {
            if shell(&format!("docker -H {} version", self.address())).code == 0 {
                return;
            }
            thread::sleep(std::time::Duration::from_millis(100));
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

    /// Kills it, as a power cut would, with all that runs on it.
    pub fn kill(&mut self) {
        let exec = self.folder.path().join("exec").display().to_string();
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
        // Its containers run below containerd's shims, which name its folder.
        shell(&format!(
            "for pid in $(pgrep -f -- '{exec}'); do [ $pid = $$ ] || {{ pkill -9 -P $pid; kill -9 $pid; }}; done 2>/dev/null; sleep 0.5; rm -f {0}/pid {exec}/containerd/containerd.pid",
            self.folder.path().display()
        ));
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        shell(&format!("docker -H {0} ps -aq | xargs -r docker -H {0} rm -fv", self.address()));
        if let Some(process) = &self.process {
            shell(&format!("kill {}; sleep 2", process.id()));
        }
        self.kill();
        let folder = self.folder.path().display().to_string();
        shell(&format!(
            "ip netns del {}; for m in $(grep -o '{folder}[^ ]*' /proc/mounts | sort -r); do umount -l $m; done",
            self.name
        ));
    }
}
