//! An engine without root, of a user of its own, as `dockerd-rootless.sh` starts it: [`Rootless`].

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::shell;

/// The user that it belongs to, made for it and removed with it.
pub struct Rootless {
    user: String,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Rootless {
    pub fn new(test: &str) -> Self {
        let user = format!("t{}-{test}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        shell(&format!(
            "set -e; useradd --create-home --shell /bin/bash {user}; mkdir {path}/run; chown {user} {path} {path}/run; chmod 700 {path}/run; \
             mknod {path}/tun c 10 200; mknod {path}/fuse c 10 229; chmod 666 {path}/tun {path}/fuse; \
             install -m 755 {} {path}/provision",
            env!("CARGO_BIN_EXE_provision")
        ))
        .ok();
        let mut engine = Self { user, folder, process: None };
        engine.start();
        engine
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/docker.sock")
    }

    pub fn home(&self) -> String {
        format!("/home/{}", self.user)
    }

    /// The binary, where that user may read it.
    pub fn program(&self) -> String {
        self.path("provision")
    }

    /// What a user types is run as that user.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.user, "--regid", &self.user, "--clear-groups", program]);
        command.current_dir(self.home()).env("HOME", self.home()).env("USER", &self.user);
        command
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        command
    }

    fn start(&mut self) {
        // Hosts of users let everybody use these two devices; where this one does not, others stand in their places.
        let devices = "mount --bind $0/tun /dev/net/tun && mount --bind $0/fuse /dev/fuse && exec \"$@\"";
        let command = self.command("dockerd-rootless.sh");
        let mut outer = Command::new("unshare");
        outer
            .args(["--mount", "sh", "-c", devices])
            .arg(self.folder.path())
            .arg(command.get_program())
            .args(command.get_args());
        outer.args(["--data-root", &self.path("data"), "--storage-driver", "fuse-overlayfs"]);
        outer.current_dir(self.home());
        outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let system = std::env::var("PATH").unwrap();
        outer.env("PATH", format!("/usr/share/docker.io/contrib:/usr/sbin:{system}")).env_remove("DOCKER_HOST");
        let log = std::fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        self.process = Some(outer.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let (socket, log) = (self.socket(), self.path("log"));
        let answers = || shell(&format!("docker -H unix://{} version", socket.display())).code == 0;
        let begun = Instant::now();
        while !answers() {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_mins(1), "{}", said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The parent hands it on to the engine, and ends after it.
            shell(&format!("kill {}", process.id()));
            drop(process.wait());
        }
    }
}

impl Drop for Rootless {
    fn drop(&mut self) {
        self.stop();
        let (user, path) = (&self.user, self.folder.path().display());
        shell(&format!(
            "pkill -9 -u {user}; for m in $(grep -o '{path}[^ ]*' /proc/mounts | sort -r); do umount -l $m; done; \
             for i in $(seq 50); do userdel -r {user} && break; sleep 0.1; done; rm -rf {path}/data"
        ));
    }
}
