//! This host: its environment, clock, random numbers, processes and ports.
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use rustix::rand::{GetRandomFlags, getrandom};
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::{Error, Result};
use crate::world::limit::{Breach, Limit};

/// An environment variable that is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// How long ago this host was started.
pub(crate) fn uptime() -> Option<time::Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split_whitespace().next()?.parse().ok().map(time::Duration::seconds_f64)
}

/// Random bytes from the kernel, which OpenSSL's own generator would take a millisecond to seed from.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .map_err(|error| Error::new(format!("no random numbers: {error}")))?;
    }
    Ok(bytes)
}

/// A random text of letters and digits, each character equally likely: 5.95 bits a character.
pub(crate) fn random_text(length: usize) -> Result<String> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // 248 is the largest multiple of 62 in a byte: above it the first letters would be likelier.
        let fresh = random::<64>()?;
        let letters =
            fresh.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(*byte % 62)]));
        text.extend(letters.take(length - text.len()));
    }
    Ok(text)
}

/// `user@host, process 123`, for a lock.
pub(crate) fn whoami() -> String {
    let user = variable("USER").unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{user}, process {}", std::process::id())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The numbers of this user and its group.
pub(crate) fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

pub(crate) fn home() -> Result<PathBuf> {
    variable("HOME")
        .map(PathBuf::from)
        .ok_or_else(|| Error::new("`HOME` is not set").hint("set `PROVISION_HOME` to a folder for the deployments"))
}

/// Whether something listens on a socket of this host and lets this user in.
pub(crate) fn answers(socket: &std::path::Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The name of this host.
pub(crate) fn name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// Whether a TCP port of this host can be taken. A port that only root may take counts as free.
pub(crate) fn port_is_free(port: u16) -> bool {
    let taken =
        |result: std::io::Result<TcpListener>| result.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    !taken(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))) && !taken(TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
}

/// A TCP port that a process of this host listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// `0.0.0.0:5000`.
    pub address: String,
    pub program: String,
}

/// A line of `/proc/net/tcp` for a socket that listens: its address and port, and its inode.
fn listening(line: &str) -> Option<(&str, u16, &str)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.rsplit_once(':')?;
    // State 0A is LISTEN (the kernel's include/net/tcp_states.h).
    let port = u16::from_str_radix(port, 16).ok().filter(|_| fields.get(3) == Some(&"0A"))?;
    Some((address, port, fields.get(9)?))
}

/// An address as the kernel prints it: 32-bit words in hexadecimal, each in the byte order of the machine.
fn address(hexadecimal: &str) -> Option<IpAddr> {
    let words = (0..hexadecimal.len() / 8).map(|at| u32::from_str_radix(&hexadecimal[at * 8..at * 8 + 8], 16));
    let bytes: Vec<u8> =
        words.collect::<std::result::Result<Vec<_>, _>>().ok()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    }
}

/// The process that has a socket, as far as this user may see it: its name and its number.
fn owner(inode: &str) -> Option<(String, u32)> {
    let wanted = format!("socket:[{inode}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = std::fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        });
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        holds.then(|| (name.trim().to_owned(), id))
    })
}

fn tables() -> String {
    let read = |table: &&str| std::fs::read_to_string(table).ok();
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().filter_map(read).collect()
}

/// Every port that a process of this host listens on, as far as this user may see whose it is.
pub(crate) fn listeners() -> Vec<Listener> {
    let tables = tables();
    let sockets = tables.lines().filter_map(listening);
    let found = sockets.filter_map(|(host, port, inode)| {
        let (program, _) = owner(inode)?;
        Some(Listener { address: SocketAddr::new(address(host)?, port).to_string(), program })
    });
    found.collect()
}

/// The process that listens on a TCP port, as far as this user may see it: `nginx (process 812)`.
pub(crate) fn port_holder(port: u16) -> Option<String> {
    let tables = tables();
    let (_, _, inode) = tables.lines().filter_map(listening).find(|(_, found, _)| *found == port)?;
    owner(inode).map(|(name, id)| format!("{name} (process {id})"))
}

/// What is taken of the words of a program, and how long it may work; an installation of many packages takes minutes.
const WORDS: Limit = Limit::new(16 << 20, 2 * 3600);

/// What a program printed, and how it ended.
pub(crate) struct Ran {
    pub success: bool,
    pub status: String,
    pub out: String,
    pub err: String,
}

/// What starts a program with the umask that its files need, whatever this process was started with: the system's own programs
/// make files that everybody has to read.
const WITH_UMASK: [&str; 3] = ["-c", "umask 022; exec \"$@\"", "sh"];
/// What a shell gives for a program that is not there.
const NOT_FOUND: i32 = 127;

/// Runs a program and waits for it.
///
/// # Errors
/// It is not there or cannot be started. That it fails is no error here.
pub(crate) async fn ask(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Ran> {
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(WITH_UMASK).arg(program).args(arguments).envs(environment.iter().copied()).kill_on_drop(true);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = command.spawn().map_err(|error| Error::new(format!("cannot run `{program}`: {error}")))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (out, err) = futures_util::future::try_join(said(out, program), said(err, program)).await?;
        let status = child.wait().await;
        Ok((status.map_err(|error| Error::new(format!("cannot wait for `{program}`: {error}")))?, out, err))
    };
    let ended = tokio::time::timeout(WORDS.time, work).await;
    let (status, out, err) = ended.unwrap_or_else(|_| Err(endless(program, Breach::Time)))?;
    if status.code() == Some(NOT_FOUND) {
        return Err(Error::new(format!("`{program}` is not installed")).hint(format!("apt-get install {program}")));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { success: status.success(), status: status.to_string(), out: text(&out), err: text(&err) })
}

/// What a program says, to its end.
async fn said(pipe: Option<impl AsyncRead + Unpin>, program: &str) -> Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(pipe) = pipe {
        let read = pipe.take(WORDS.bytes + 1).read_to_end(&mut said).await;
        read.map_err(|error| Error::new(format!("cannot read the output of `{program}`: {error}")))?;
    }
    if said.len() > WORDS.size() { Err(endless(program, Breach::Bytes)) } else { Ok(said) }
}

fn endless(program: &str, breach: Breach) -> Error {
    Error::new(format!("what `{program}` prints: {}", WORDS.told(breach)))
}

impl Ran {
    /// Nothing, or the error of a program that failed, with the last lines of what it said.
    pub fn ok(&self, program: &str) -> Result<()> {
        if self.success {
            return Ok(());
        }
        let said = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let tail = lines[lines.len().saturating_sub(12)..].to_vec();
        Err(Error::new(format!("`{program}` failed with {}", self.status)).detail(tail))
    }
}

/// Runs a program and waits for it; gives the last lines of what it printed if it fails.
pub(crate) async fn run(program: &str, arguments: &[&str]) -> Result<()> {
    ask(program, arguments, &[]).await?.ok(program)
}

pub(crate) async fn sleep(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}
