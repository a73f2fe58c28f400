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
        let sandbox = Self { name, port: free_port(), home: tempfile::tempdir().unwrap(), socket: None };
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

    pub fn write(&self, file: &str, text: &str) -> String {
        let path = self.home.path().join(file);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_provision"));
        command.args(arguments).env("PROVISION_HOME", self.home.path().join("home"));
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
