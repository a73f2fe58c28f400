//! Stores for the tests: garage, moto's server with IAM enforced, and a proxy that makes either fail. Each is started by
//! the test that needs it, on an address that containers reach too, and ended with it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{Ran, Sandbox, free_port, shell};

/// A program of a part that `scripts/part.sh` makes, such as `moto/bin/aws`.
pub fn part(path: &str) -> PathBuf {
    static FOUND: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let (name, inner) = path.split_once('/').unwrap();
    let mut found = FOUND.lock().unwrap();
    let folder = found.entry(name.to_owned()).or_insert_with(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/part.sh");
        PathBuf::from(shell(&format!("{script} {name}")).ok().out.trim())
    });
    folder.join(inner)
}

/// The address of this host that containers reach.
pub fn host_address() -> String {
    let found = shell("ip -4 -o addr show docker0 | grep -oP 'inet \\K[0-9.]+'").ok().out;
    found.trim().to_owned()
}

/// A running store, with the key of its owner.
pub struct Store {
    pub url: String,
    pub port: u16,
    pub id: String,
    pub secret: String,
    pub region: &'static str,
    process: Child,
    /// The container that it runs in, where it does.
    container: Option<String>,
    _folder: tempfile::TempDir,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            shell(&format!("docker rm -fv {container}"));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn wait_for(address: &str, port: u16) {
    let started = Instant::now();
    while TcpStream::connect((address, port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "nothing listens at {address}:{port}");
        thread::sleep(Duration::from_millis(50));
    }
}

impl Store {
    /// Garage, which knows buckets and keys but no IAM.
    pub fn garage() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, port, rpc, admin) = (host_address(), free_port(), free_port(), free_port());
        let path = folder.path().display();
        let secret = "0123456789abcdef".repeat(4);
        let config = format!(
            "metadata_dir = \"{path}/meta\"\ndata_dir = \"{path}/data\"\ndb_engine = \"sqlite\"\nreplication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{secret}\"\n[s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"{address}:{port}\"\n[admin]\napi_bind_addr = \"127.0.0.1:{admin}\"\nadmin_token = \"token\"\n"
        );
        let file = folder.path().join("garage.toml");
        std::fs::write(&file, config).unwrap();
        let id = "GK0123456789abcdef01234567".to_owned();
        let process = Command::new(part("garage/bin/garage"))
            .args(["-c", file.to_str().unwrap(), "server", "--single-node", "--default-bucket"])
            .env("GARAGE_DEFAULT_ACCESS_KEY", &id)
            .env("GARAGE_DEFAULT_SECRET_KEY", &secret)
            .env("GARAGE_DEFAULT_BUCKET", "elsewhere")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a part is made before it is used");
        wait_for(&address, port);
        let store = Self {
            url: format!("http://{address}:{port}"),
            port,
            id,
            secret,
            region: "garage",
            process,
            container: None,
            _folder: folder,
        };
        let started = Instant::now();
        while store.aws("s3api list-buckets").code != 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "garage answers");
        }
        store
    }

    /// Moto's server. Its first three calls are free and make the owner; from then on IAM is enforced.
    pub fn moto() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, port) = (host_address(), free_port());
        let process = Command::new(part("moto/bin/moto_server"))
            .args(["-H", &address, "-p", &port.to_string()])
            .env("INITIAL_NO_AUTH_ACTION_COUNT", "3")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a part is made before it is used");
        wait_for(&address, port);
        let url = format!("http://{address}:{port}");
        let mut store = Self {
            url,
            port,
            id: "none".into(),
            secret: "none".into(),
            region: "us-east-1",
            process,
            container: None,
            _folder: folder,
        };
        store.aws("iam create-user --user-name owner").ok();
        store.aws("iam put-user-policy --user-name owner --policy-name all --policy-document '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}'").ok();
        let key = store.aws(
            "iam create-access-key --user-name owner --query AccessKey.[AccessKeyId,SecretAccessKey] --output text",
        );
        let key = key.ok().out;
        let (id, secret) = key.trim().split_once('\t').unwrap();
        (store.id, store.secret) = (id.to_owned(), secret.to_owned());
        store.aws("s3api create-bucket --bucket elsewhere").ok();
        store
    }

    /// Ceph's object gateway, with accounts and IAM, in a container.
    pub fn ceph() -> Self {
        let image = shell(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/ceph.sh")).ok().out;
        let (address, port) = (host_address(), free_port());
        let container = format!("store{}-{port}", std::process::id());
        let mut process = Command::new("docker")
            .args(["run", "--init", "--name", &container, "-p", &format!("{address}:{port}:7480"), image.trim()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let owner: serde_json::Value = serde_json::from_str(&told).expect("it tells its owner's key when it is up");
        let key = |name: &str| owner["keys"][0][name].as_str().unwrap().to_owned();
        Self {
            url: format!("http://{address}:{port}"),
            port,
            id: key("access_key"),
            secret: key("secret_key"),
            region: "us-east-1",
            process,
            container: Some(container),
            _folder: tempfile::tempdir().unwrap(),
        }
    }

    /// The variables by which AWS's own tools and ours find the owner's key.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
            ("AWS_REGION", self.region.to_owned()),
            ("AWS_DEFAULT_REGION", self.region.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ]
    }

    /// AWS's own command line as the owner.
    pub fn aws(&self, arguments: &str) -> Ran {
        let variables: String =
            self.variables().iter().map(|(name, value)| format!("export {name}='{value}'; ")).collect();
        let program = part("moto/bin/aws").display().to_string();
        shell(&format!("{variables} {program} --endpoint-url {} {arguments}", self.url))
    }

    /// The names of the objects in a bucket.
    pub fn objects(&self, bucket: &str) -> Vec<String> {
        let found = self.aws(&format!("s3api list-objects-v2 --bucket {bucket} --query Contents[].Key --output text"));
        found.ok().out.split_whitespace().filter(|key| *key != "None").map(str::to_owned).collect()
    }

    /// Has the sandbox's commands use the owner's key.
    pub fn serve(&self, sandbox: &mut Sandbox) {
        sandbox.variables.extend(self.variables());
    }
}

/// What the proxy does with a call instead of passing it on.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer of its own.
    Answer { status: u16, headers: &'static str, body: &'static str },
    /// The call is passed on, and the connection is closed in place of the answer.
    LoseAnswer,
    /// The connection is closed at once.
    Drop,
    /// The call is passed on, and `ResponseMetadata` stand at the beginning of the answer, as Ceph has them.
    MetadataFirst,
}

/// One call as it came by: the method, the path with its query, and the action of a call to IAM or STS.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub action: String,
    /// Whether it says who asks.
    pub signed: bool,
}

impl Call {
    pub fn is_mutating(&self) -> bool {
        if self.action.is_empty() {
            !matches!(self.method.as_str(), "GET" | "HEAD")
        } else {
            !self.action.starts_with("Get") && !self.action.starts_with("List")
        }
    }

    /// `PUT /bucket?tagging`, or `CreateUser`.
    pub fn name(&self) -> String {
        if self.action.is_empty() { format!("{} {}", self.method, self.path) } else { self.action.clone() }
    }
}

type Decide = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

/// Stands before a store: notes each call, waits if it is told to, and lets some of them fail.
pub struct Proxy {
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    decide: Arc<Mutex<Decide>>,
}

impl Proxy {
    pub fn new(store: &Store, delay: Duration) -> Self {
        let address = host_address();
        let listener = TcpListener::bind((address.as_str(), 0)).unwrap();
        let url = format!("http://{address}:{}", listener.local_addr().unwrap().port());
        let target = (address, store.port);
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let (noted, decides) = (calls.clone(), decide.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, noted, decides) = (target.clone(), noted.clone(), decides.clone());
                thread::spawn(move || drop(pass(&client, &target, delay, &noted, &decides)));
            }
        });
        Self { url, calls, decide }
    }

    /// From now on, what is to become of each call.
    pub fn fail(&self, decide: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        *self.decide.lock().unwrap() = Box::new(decide);
    }

    pub fn heal(&self) {
        self.fail(|_| None);
    }

    /// The calls since the last time this was asked.
    pub fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    pub fn mutating(&self) -> Vec<String> {
        self.calls().iter().filter(|call| call.is_mutating()).map(Call::name).collect()
    }
}

/// Reads one message: its head, and its body by the length that the head tells.
pub fn message(from: &mut BufReader<TcpStream>, without_body: bool) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    loop {
        let before = head.len();
        if from.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        if &head[before..] == "\r\n" {
            break;
        }
    }
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let mut body = Vec::new();
    if without_body {
        return Ok(Some((head, body)));
    }
    if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or_default();
            let mut chunk = vec![0; size + 2];
            from.read_exact(&mut chunk)?;
            body.extend([line.as_bytes(), &chunk].concat());
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = header("content-length") {
        body = vec![0; length.parse().unwrap_or_default()];
        from.read_exact(&mut body)?;
    }
    Ok(Some((head, body)))
}

fn pass(
    client: &TcpStream,
    target: &(String, u16),
    delay: Duration,
    noted: &Mutex<Vec<Call>>,
    decide: &Mutex<Decide>,
) -> std::io::Result<()> {
    let (mut reader, mut client) = (BufReader::new(client.try_clone()?), client.try_clone()?);
    let store = TcpStream::connect((target.0.as_str(), target.1))?;
    let (mut answers, mut store) = (BufReader::new(store.try_clone()?), store);
    while let Some((head, body)) = message(&mut reader, false)? {
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let text = String::from_utf8_lossy(&body);
        let action = text.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap_or_default().to_owned();
        let signed = head.to_ascii_lowercase().contains("\r\nauthorization:");
        let call = Call { method: method.to_owned(), path: path.to_owned(), action, signed };
        let fault = (decide.lock().unwrap())(&call);
        noted.lock().unwrap().push(call);
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        match &fault {
            Some(Fault::Drop) => break,
            Some(Fault::Answer { status, headers, body }) => {
                let length = body.len();
                client.write_all(
                    format!("HTTP/1.1 {status} Fault\r\nContent-Length: {length}\r\n{headers}\r\n{body}").as_bytes(),
                )?;
                continue;
            }
            _ => {}
        }
        let expects = head.to_ascii_lowercase().contains("expect: 100-continue");
        let without: String =
            head.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("expect:")).collect();
        store.write_all(if expects { without.as_bytes() } else { head.as_bytes() })?;
        store.write_all(&body)?;
        let Some((head, body)) = message(&mut answers, method == "HEAD")? else { break };
        if matches!(fault, Some(Fault::LoseAnswer)) {
            break;
        }
        let body = if matches!(fault, Some(Fault::MetadataFirst)) { metadata_first(&body) } else { body };
        client.write_all(head.as_bytes())?;
        client.write_all(&body)?;
    }
    drop(client.shutdown(std::net::Shutdown::Both));
    Ok(())
}

/// An answer of IAM with its two elements in the other order.
fn metadata_first(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let moved = || {
        let (start, rest) = text.split_at(text.find("<ResponseMetadata>")?);
        let (metadata, end) = rest.split_at(rest.find("</ResponseMetadata>")? + "</ResponseMetadata>".len());
        let root = start.find("Response")? + start[start.find("Response")?..].find('>')? + 1;
        Some([&start[..root], metadata, &start[root..], end].concat())
    };
    moved().unwrap_or_else(|| text.into_owned()).into_bytes()
}
