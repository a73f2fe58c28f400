//! The system's `ssh`, with the user's own configuration, agent, jump hosts and known hosts: [`Target`], and a socket of another host
//! that is reached as one of this host: [`Forward`].
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

/// How often a login is tried, where the other host closes the connection before anybody has logged in.
const LOGINS: u32 = 4;
/// How long a login may take. A passphrase may have to be typed.
const LOGIN: Duration = Duration::from_mins(2);
/// How much is kept of what `ssh` says.
const WORDS: u64 = 16 << 10;
/// What the other host prints before the path of its engine's socket, below whatever its login shell may print.
pub(super) const MARK: &str = "provision-socket:";
/// What it prints where a socket may not be used.
const DENIED: &str = "denied";

/// Prints the first socket of an engine that this user may use, and stays until its input ends, as it does with this process. Every
/// login shell hands it to `sh` as it is.
const FIND: &str = r#"sh -c 'u=${DOCKER_HOST:-}; case "$u" in unix://*) u=${u#unix://} ;; *) u= ;; esac; f=; for s in "$0" "$u" /var/run/docker.sock "${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/docker.sock"; do [ -S "$s" ] || continue; if [ -w "$s" ]; then f=$s; break; fi; f=denied; done; echo "provision-socket:$f"; exec cat >/dev/null'"#;

/// `ssh://USER@HOST:PORT/PATH`, of which only the host is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// The socket there, if it is named.
    socket: Option<String>,
}

/// `ssh` that has logged in.
pub(super) struct LoggedIn {
    /// Killed when it is dropped; it ends by itself once its standard input does.
    pub child: Child,
    /// What it has said, and says.
    pub said: Arc<Mutex<String>>,
    /// What stood behind the mark.
    pub found: String,
}

/// Why there is no way to another host: what `ssh` says, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refusal {
    pub reason: String,
    pub hint: String,
}

impl Target {
    /// Reads what follows `ssh://`; none if it is of another form. Nothing in it can be taken for an option.
    pub fn parse(text: &str) -> Option<Self> {
        let (place, path) = text.split_once('/').map_or((text, ""), |(place, path)| (place, path));
        let (user, rest) = place.rsplit_once('@').map_or((None, place), |(user, rest)| (Some(user), rest));
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => rest.rsplit_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().ok()?;
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_alphanumeric() || "._-:%+\\".contains(c))
        };
        let plain = |path: &str| path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
        if !word(host) || user.is_some_and(|user| !word(user)) || !plain(path) {
            return None;
        }
        let socket = (!path.is_empty()).then(|| format!("/{path}"));
        Some(Self { user: user.map(str::to_owned), host: host.to_owned(), port, socket })
    }

    /// The words that name it to `ssh`.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(user) = &self.user {
            words.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words.extend(["--".to_owned(), self.host.clone()]);
        words
    }

    /// Whether it names the socket of an engine.
    pub fn has_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// The host alone.
    pub fn without_socket(self) -> Self {
        Self { socket: None, ..self }
    }

    /// As it is told apart from others, where it is clear that it is a host.
    pub fn short(&self) -> String {
        self.to_string().trim_start_matches("ssh://").to_owned()
    }

    /// As a user types it.
    pub(super) fn typed(&self) -> String {
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
        let port = self.port.map_or(String::new(), |port| format!(" -p {port}"));
        format!("ssh{port} {user}{}", self.host)
    }

    /// The host's own name or address, which the user's configuration may give another name.
    pub fn host_name(&self) -> String {
        let output = std::process::Command::new("ssh").arg("-G").args(self.words()).stderr(Stdio::null()).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("hostname "));
        name.unwrap_or(&self.host).to_owned()
    }

    /// Starts `ssh`, and waits until the other host prints the mark.
    ///
    /// # Errors
    /// What `ssh` says where it does not come to that.
    pub(super) async fn log_in(&self, mut command: Command) -> Result<LoggedIn, Refusal> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(broken)?;
        let said = Arc::new(Mutex::new(String::new()));
        let listener = tokio::spawn(listen(child.stderr.take(), said.clone()));
        let found = tokio::time::timeout(LOGIN, marked(child.stdout.take())).await.unwrap_or_default();
        let Some(found) = found else {
            drop(child.kill().await);
            drop(listener.await);
            let words = said.lock().map(|said| said.clone()).unwrap_or_default();
            if child.wait().await.is_ok_and(|status| status.code() == Some(127)) && words.is_empty() {
                return Err(broken(io::ErrorKind::NotFound.into()));
            }
            return Err(self.refusal(&words).await);
        };
        Ok(LoggedIn { child, said, found })
    }

    /// What the failure of `ssh` comes to.
    pub(super) async fn refusal(&self, said: &str) -> Refusal {
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
        let refusal = |reason: String, hint: String| Refusal { reason, hint };
        let host = &self.host;
        if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
            let key = self.host_key().await;
            return refusal(
                format!("the host key of `{host}` has changed{key}"),
                format!(
                    "if the host was set up anew, compare the fingerprint there (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), then `ssh-keygen -R {host}` and `{}`; otherwise somebody may be in between",
                    self.typed()
                ),
            );
        }
        if said.contains("Host key verification failed") {
            let key = self.host_key().await;
            return refusal(
                format!("the host key of `{host}` is unknown{key}"),
                format!(
                    "compare the fingerprint on that host (`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`), then accept it once: `{}`",
                    self.typed()
                ),
            );
        }
        let hint = if said.contains("Permission denied") {
            format!(
                "`{}` must log in: `ssh-copy-id` brings your key there, and `ssh-add` gives it to the agent",
                self.typed()
            )
        } else {
            format!("check that `{} true` works", self.typed())
        };
        refusal(format!("ssh: {last}"), hint)
    }

    /// The key that the host shows, as its fingerprint is written.
    async fn host_key(&self) -> String {
        let mut command = Command::new("ssh");
        command.args(["-v", "-T", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"]);
        let output =
            tokio::time::timeout(Duration::from_secs(20), command.args(self.words()).arg("true").output()).await;
        let Ok(Ok(output)) = output else { return String::new() };
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let key = text.lines().find_map(|line| line.split_once("Server host key: ").map(|(_, key)| key.trim()));
        key.map_or(String::new(), |key| format!(": {key}"))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.user.as_ref().map_or(String::new(), |user| format!("{user}@"));
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "ssh://{user}{host}{port}{}", self.socket.as_deref().unwrap_or_default())
    }
}

/// The socket of an engine on another host. One login serves all connections; it is made at the first, and ends with this, or with
/// this process however that ends.
#[derive(Debug)]
pub(crate) struct Forward {
    target: Target,
    open: OnceCell<Open>,
}

#[derive(Debug)]
struct Open {
    socket: PathBuf,
    /// What `ssh` has said since.
    said: Arc<Mutex<String>>,
    /// Killed when it is dropped.
    #[expect(dead_code, reason = "it lives as long as this")]
    child: Child,
    #[expect(dead_code, reason = "it is removed with this")]
    folder: tempfile::TempDir,
}

impl Forward {
    pub fn new(target: Target) -> Self {
        Self { target, open: OnceCell::new() }
    }

    /// Logs in, once.
    ///
    /// # Errors
    /// [`Refusal`], within an error of I/O.
    pub async fn log_in(&self) -> io::Result<()> {
        self.open.get_or_try_init(|| when_let_in(|| self.begin())).await.map(drop).map_err(io::Error::other)
    }

    /// A connection to the engine.
    ///
    /// # Errors
    /// [`Refusal`], within an error of I/O, where the connection to the host is lost.
    pub async fn connect(&self) -> io::Result<UnixStream> {
        self.log_in().await?;
        let Some(open) = self.open.get() else { return Err(io::ErrorKind::NotConnected.into()) };
        if let Ok(stream) = UnixStream::connect(&open.socket).await {
            return Ok(stream);
        }
        let said = open.said.lock().map(|said| said.clone()).unwrap_or_default();
        let last = said.lines().last().unwrap_or("it says nothing").trim();
        let reason = format!("the connection to `{}` is lost: {last}", self.target.host);
        let hint = "run the command again once the host can be reached".to_owned();
        Err(io::Error::other(Refusal { reason, hint }))
    }

    async fn begin(&self) -> Result<Open, Refusal> {
        let folder = tempfile::Builder::new().prefix("provision-ssh.").tempdir().map_err(broken)?;
        let (control, socket) = (folder.path().join("control"), folder.path().join("docker.sock"));
        let find = FIND.to_owned() + &self.target.socket.as_ref().map_or(String::new(), |socket| format!(" {socket}"));
        let mut command = lasting();
        command.args(options(Some(&control))).args(["-M", "-T"]).args(self.target.words()).arg(find);
        let LoggedIn { child, said, found: path } = self.target.log_in(command).await?;
        let words = || said.lock().map(|said| said.clone()).unwrap_or_default();
        let host = &self.target.host;
        if path.is_empty() || path == DENIED {
            let (reason, hint) = if path.is_empty() {
                (
                    format!("`{host}` has no socket of a Docker engine"),
                    "install Docker Engine there, or name its socket: `ssh://HOST/PATH`".to_owned(),
                )
            } else {
                let hint =
                    "there, `sudo usermod -aG docker $USER` lets this user use it, from the next login on".to_owned();
                (format!("this user may not use the Docker engine on `{host}`"), hint)
            };
            return Err(Refusal { reason, hint });
        }
        let mut forward = Command::new("ssh");
        forward.args(options(Some(&control))).args(["-O", "forward", "-L", &format!("{}:{path}", socket.display())]);
        let output = forward.args(self.target.words()).stdin(Stdio::null()).output().await.map_err(broken)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &words();
            return Err(self.target.refusal(&said).await);
        }
        Ok(Open { socket, said, child, folder })
    }
}

/// What a failure to run `ssh` comes to.
#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub(super) fn broken(error: io::Error) -> Refusal {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let hint = if missing { "sudo apt-get install openssh-client" } else { "check the folder for temporary files" };
    Refusal { reason: format!("cannot run `ssh`: {error}"), hint: hint.to_owned() }
}

/// `ssh` for as long as it is needed: Ctrl-C and a terminal that goes away reach the whole group of processes, and the run that takes its
/// steps back still needs it. Where there is no `ssh`, the exit code is 127 and nothing is said.
pub(super) fn lasting() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "command -v ssh >/dev/null || exit 127; trap '' INT HUP QUIT; exec ssh \"$@\"", "sh"]);
    command
}

/// Tries a login again where the other host turns connections away for a while, since many are under way (`MaxStartups`,
/// `PerSourcePenalties` of `sshd_config(5)`).
pub(super) async fn when_let_in<T, L: Future<Output = Result<T, Refusal>>>(
    login: impl Fn() -> L,
) -> Result<T, Refusal> {
    let mut attempts = Attempts::default();
    loop {
        match login().await {
            Err(refusal) if attempts.again(&refusal.reason).await => {}
            result => return result,
        }
    }
}

/// How often a login was tried.
#[derive(Debug, Default)]
pub(super) struct Attempts(u32);

impl Attempts {
    /// Whether a login that failed for this reason is worth another try; waits until then.
    pub async fn again(&mut self, reason: &str) -> bool {
        self.0 += 1;
        let is_worth_it = self.0 < LOGINS && turned_away(reason);
        if is_worth_it {
            tokio::time::sleep(Duration::from_secs(1 << self.0)).await;
        }
        is_worth_it
    }
}

/// Whether the other host ended a connection before anybody had logged in.
fn turned_away(reason: &str) -> bool {
    ["kex_exchange_identification", "Connection closed by", "Connection reset by", "Not allowed at this time"]
        .iter()
        .any(|said| reason.contains(said))
}

/// What is asked of `ssh` whatever the user's configuration says: no host is believed that is not known, and one that does not answer
/// is given up.
pub(super) fn options(control: Option<&Path>) -> Vec<String> {
    // Without one of its own, a connection that the user keeps open serves as well.
    let control = control.map(|control| format!("ControlPath={}", control.display()));
    let fixed = [
        "StrictHostKeyChecking=yes",
        "ConnectTimeout=15",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "StreamLocalBindMask=0177",
        "ForwardAgent=no",
        "ForwardX11=no",
        "ClearAllForwardings=no",
        "ControlPersist=no",
        "RemoteCommand=none",
        "RequestTTY=no",
    ];
    let all = fixed.iter().copied().chain(control.as_deref());
    all.flat_map(|option| ["-o".to_owned(), option.to_owned()]).collect()
}

/// What follows the mark in the output of the other host; none if it ends before.
async fn marked(output: Option<tokio::process::ChildStdout>) -> Option<String> {
    let mut lines = BufReader::new(output?.take(WORDS)).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, path)) = line.split_once(MARK) {
            return Some(path.trim().to_owned());
        }
    }
    None
}

pub(super) async fn listen(output: Option<tokio::process::ChildStderr>, said: Arc<Mutex<String>>) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut said) = said.lock() else { return };
        if (said.len() as u64) < WORDS {
            said.push_str(&line);
            said.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn a_target_is_read_and_nothing_in_it_is_an_option() {
        for (text, shown) in [
            ("far", "ssh://far"),
            ("me@far:2222", "ssh://me@far:2222"),
            ("me@[2001:db8::1]:22/run/user/1000/docker.sock", "ssh://me@[2001:db8::1]:22/run/user/1000/docker.sock"),
            ("far/", "ssh://far"),
        ] {
            assert_eq!(Target::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "-oProxyCommand=id", "me@-oX", "-l@far", "far:x", "far;id", "a b", "far/$(id)", "far/'", "me@"]
        {
            assert_eq!(Target::parse(text), None, "{text}");
        }
    }
}
