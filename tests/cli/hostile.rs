//! Answers that nobody should give: an engine that talks nonsense or without end, files that have none. Each verb ends by itself,
//! with an error, and in 100 MB. Nothing here proves that anything works.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

/// What a process may take at most, in KiB.
const MEMORY: u64 = 100 << 10;
/// How long it may take; the longest limit of one answer is longer, and is met by none of these.
const PATIENCE: Duration = Duration::from_secs(30);

/// A playbook with everything that an engine has.
pub const PLAYBOOK: &str = "\
resources:
  - network: net
  - volume: data
  - image: picture
    reference: nginx:1.30
  - container: box
    image: nginx:1.30
    files: { /etc/x: { content: text } }
    ready: { log: ready }
  - secret: password
  - htpasswd: users
    users: { me: '{{ password }}' }
";

/// Writes an answer, as far as anybody listens.
type Answer = fn(&mut UnixStream) -> std::io::Result<()>;

fn answers() -> Vec<(&'static str, Answer)> {
    vec![
        ("nothing", |_| Ok(())),
        ("noise", |to| to.write_all(&[7, 0, 255, 13, 10, 13, 10].repeat(999))),
        ("no end of headers", |to| {
            to.write_all(b"HTTP/1.1 200 OK\r\n")?;
            forever(to, b"X-Name: value\r\n")
        }),
        ("one header without an end", |to| {
            to.write_all(b"HTTP/1.1 200 OK\r\nX-Name: ")?;
            forever(to, b"aaaaaaaa")
        }),
        ("no end of blanks", |to| {
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")?;
            forever(to, b"        ")
        }),
        ("no end of objects", |to| {
            to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n[")?;
            forever(
                to,
                b"{\"Id\":\"a\",\"Labels\":{\"a\":\"b\"},\"Names\":[\"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"]},",
            )
        }),
        ("no end of pieces", |to| {
            to.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            forever(to, &[b"400\r\n".as_slice(), &[b'"'; 1024], b"\r\n"].concat())
        }),
        ("no end of reasons", |to| {
            to.write_all(b"HTTP/1.1 500 Oh\r\n\r\n{\"message\":\"")?;
            forever(to, b"no, no, ")
        }),
        ("deep", |to| to.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &b"[".repeat(1 << 20)].concat())),
        ("cut", |to| to.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{\"Id\":")),
        ("a text", |to| whole(to, "200 OK", "\"text\"")),
        ("wrong types", |to| whole(to, "200 OK", r#"{"Id":{},"Name":7,"Config":[],"Volumes":"x","Created":true}"#)),
        ("a list of nothing", |to| whole(to, "200 OK", "[null]")),
        ("lists in lists", |to| whole(to, "200 OK", "[[],[[]]]")),
        ("no content", |to| to.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")),
        ("another place", |to| whole(to, "302 Found\r\nLocation: http://127.0.0.1:1/", "")),
        ("an unknown status", |to| whole(to, "999 What", "{}")),
        ("a reason that is none", |to| whole(to, "500 Oh", "\u{1b}[31m{\"message\":7}")),
        ("another protocol", |to| to.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\nhello")),
    ]
}

fn forever(to: &mut UnixStream, part: &[u8]) -> std::io::Result<()> {
    let part = part.repeat(4096);
    loop {
        to.write_all(&part)?;
    }
}

pub fn whole(to: &mut UnixStream, status: &str, body: &str) -> std::io::Result<()> {
    to.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes())
}

/// Gives the same answer to everybody, for as long as the test runs.
pub fn serve(
    sandbox: &Sandbox,
    answer: impl Fn(&mut UnixStream) -> std::io::Result<()> + Clone + Send + 'static,
) -> String {
    let path = sandbox.path("docker.sock");
    drop(fs::remove_file(&path));
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut request = [0; 4096];
                drop(client.read(&mut request));
                drop(answer(&mut client));
            });
        }
    });
    format!("unix://{}", path.display())
}

/// Runs the binary, and fails unless it ended by itself, in time, and within its memory.
pub fn ends(sandbox: &Sandbox, what: &str, line: &str, prepare: impl Fn(&mut Command)) -> Output {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let plain = sandbox.command(&arguments);
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "memory %M"]).arg(plain.get_program()).args(plain.get_args()).current_dir(sandbox.path(""));
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null());
    prepare(&mut command);
    let begun = Instant::now();
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (code, title) = (output.status.code().unwrap_or(-1), format!("`{line}` and {what}"));
    assert!([0, 1, 2, 3].contains(&code), "{title}: exit code {code}: {said}");
    assert!(code == 0 || code == 3 || said.contains("error: "), "{title}: no error: {said}");
    assert!(begun.elapsed() < PATIENCE, "{title}: {:?}", begun.elapsed());
    let memory: u64 = said.rsplit_once("memory ").unwrap().1.trim().parse().unwrap();
    assert!(memory < MEMORY, "{title}: {memory} KiB");
    output
}

#[test]
fn an_engine_that_answers_as_none_should_stops_no_verb_and_takes_no_memory() {
    let sandbox = Sandbox::new();
    sandbox.write("x.yml", PLAYBOOK);
    let text = serde_json::to_string(PLAYBOOK).unwrap();
    let record = format!(
        r#"{{"version":1,"id":"00ff","playbook":{{"name":"x","path":null,"text":{text}}},"inputs":{{}},"kinds":["network","volume","image","container"]}}"#
    );
    for (what, answer) in answers() {
        let engine = serve(&sandbox, answer);
        for line in [
            "plan ./x.yml",
            "apply ./x.yml --yes",
            "status x",
            "rotate x --what certificates",
            "backup x out.age --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudu9ulsqx7hkxk",
            "users x list",
            "destroy x --yes",
            "ci -- true",
            "ci reap",
        ] {
            let folder = sandbox.home("deployments/x");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("deployment.json"), &record).unwrap();
            ends(&sandbox, what, line, |command| {
                command.env("DOCKER_HOST", &engine);
            });
        }
    }
}

#[test]
fn files_without_an_end_are_read_up_to_a_limit_that_is_named() {
    let sandbox = Sandbox::new();
    let large = sandbox.path("large.yml");
    fs::File::create(&large).unwrap().set_len(1 << 30).unwrap();
    sandbox.write(
        "x.yml",
        "inputs:\n  f: { type: file, default: '' }\n  s: { type: secret, default: '' }\nresources:\n  - secret: a\n",
    );
    for line in [
        "apply ./large.yml",
        "plan registry --inputs ./large.yml",
        "plan registry --inputs /dev/zero",
        "plan registry --env-file /dev/zero",
        "apply ./x.yml --f /dev/zero",
        "apply ./x.yml --f large.yml",
        "apply ./x.yml --s @/dev/zero",
        "apply ./x.yml --s @large.yml",
        "restore y large.yml --passphrase-file /dev/zero",
        "restore y large.yml --identity /dev/zero",
    ] {
        let output = ends(&sandbox, "a file without an end", line, |_| ());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() != Some(0) && said.contains("MiB in ") && said.contains(" s at most")
                || line.starts_with("restore"),
            "{line}: {said}"
        );
    }
    let output = ends(&sandbox, "an input without an end", "apply ./x.yml --s -", |command| {
        command.stdin(fs::File::open("/dev/zero").unwrap());
    });
    assert!(String::from_utf8_lossy(&output.stderr).contains("the standard input: it is larger"), "{output:?}");
}
