//! A folder to work in, a folder for deployments, and the binary: [`Sandbox`].

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// No engine: a test that would touch one fails.
const NO_ENGINE: &str = "unix:///nonexistent.sock";

pub struct Sandbox {
    folder: TempDir,
}

/// What a run of the binary said, and its exit code.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// The command and all that it said, without the sandbox's own path.
    pub text: String,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Self { folder };
        fs::create_dir(sandbox.path("")).unwrap();
        sandbox
    }

    /// A path in the folder where commands are typed.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join("work").join(name)
    }

    /// A path in the folder for deployments.
    pub fn home(&self, name: &str) -> PathBuf {
        self.root().join("home").join(name)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `provision` with arguments that are split at spaces.
    pub fn run(&self, line: &str) -> Outcome {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub fn call(&self, arguments: &[&str]) -> Outcome {
        let output = self.command(arguments).output().unwrap();
        self.outcome(arguments, &output)
    }

    /// Runs `provision` by way of another program, such as one that sets a clock or a umask for it.
    pub fn around(&self, program: &[&str], arguments: &[&str]) -> Outcome {
        let plain = self.command(&[]);
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(env!("CARGO_BIN_EXE_provision")).args(arguments).current_dir(self.path(""));
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = command.stdin(Stdio::null()).output().unwrap();
        self.outcome(arguments, &output)
    }

    /// The command, with nothing of this process's environment but the path of programs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_provision")]).args(arguments).current_dir(self.path(""));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("USER", "tester");
        command.env("HOME", self.root()).env("PROVISION_HOME", self.home("")).env("DOCKER_HOST", NO_ENGINE);
        command.env("PROVISION_MAINTAIN", "no");
        command.stdin(Stdio::null());
        command
    }

    fn outcome(&self, arguments: &[&str], output: &Output) -> Outcome {
        let read = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (read(&output.stdout), read(&output.stderr));
        let code = output.status.code().expect("it ended by itself");
        let quoted = arguments.iter().map(|word| {
            let plain = !word.is_empty() && !word.contains([' ', '*', '\'']);
            if plain { (*word).to_owned() } else { format!("'{word}'") }
        });
        let mut text = format!("$ provision {}\n", quoted.collect::<Vec<_>>().join(" "));
        text.push_str(&stdout);
        text.push_str(&stderr);
        writeln!(text, "[exit code {code}]").unwrap();
        Outcome { code, stdout, stderr, text: text.replace(self.root().to_str().unwrap(), "[sandbox]") }
    }

    /// Checks a playbook and gives what the check says.
    pub fn check(&self, playbook: &str) -> Outcome {
        self.write("x.yml", playbook);
        self.run("plan ./x.yml")
    }
}

/// What a check says of each of these playbooks, one after the other.
pub fn checks(cases: &[(&str, &str)]) -> String {
    let sandbox = Sandbox::new();
    let mut text = String::new();
    for (title, playbook) in cases {
        let outcome = sandbox.check(playbook);
        assert!(!sandbox.home("").exists(), "{title}: a check must leave nothing behind");
        let said = outcome.text.strip_prefix("$ provision plan ./x.yml\n").unwrap();
        writeln!(text, "# {title}\n{said}").unwrap();
    }
    text
}

/// Everything in a folder: path, mode, inode, time of the last change and content. Locks come and go with each run.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort();
    found
}

fn walk(path: &Path, found: &mut Vec<String>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if path.ends_with("home/locks") {
        return;
    }
    let content = if metadata.is_file() { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    let (inode, time, nanoseconds) = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    found.push(format!("{} {:04o} {inode} {time}.{nanoseconds} {content}", path.display(), mode(path)));
    for entry in fs::read_dir(path).into_iter().flatten() {
        walk(&entry.unwrap().path(), found);
    }
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Compares a text with its snapshot; what differs from run to run is taken out first.
#[macro_export]
macro_rules! snapshot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            omit_expression => true,
            prepend_module_to_snapshot => false,
            filters => [
                (r"\b\d+ ms\b|\b\d+\.\d s\b", "[time]"),
                (r"(sha256|keyed):[0-9a-f]{12}", "$1:[digest]"),
                (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[date]"),
                (r"\d{4}-\d\d-\d\d \d\d:\d\dZ", "[minute]"),
                (r"process \d+", "process [number]"),
            ],
        }, { insta::assert_snapshot!($name, $text) })
    };
}
