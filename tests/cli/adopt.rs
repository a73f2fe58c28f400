//! `provision adopt`, on trees of hosts that were set up as the book does it, and the file of inputs that it writes.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::sandbox::{Sandbox, listing, mode};
use crate::snapshot;

/// The tutorials' site: TLS on 8080 in front of port 5000.
const SITE: &str = "\
upstream docker-registry {
  server localhost:5000;
}

server {
  listen 8080;
  server_name dev-docker-registry.com;

  ssl on;
  ssl_certificate /etc/ssl/certs/docker-registry;
  ssl_certificate_key /etc/ssl/private/docker-registry;

  proxy_set_header Host       $http_host;
  client_max_body_size 0; # disable any limits
  chunked_transfer_encoding on;

  location / {
    auth_basic            \"Restricted\";
    auth_basic_user_file  docker-registry.htpasswd;
    proxy_pass http://docker-registry;
    proxy_read_timeout 900;
  }
  location /_ping { auth_basic off; proxy_pass http://docker-registry; }
  location /v1/_ping { auth_basic off; proxy_pass http://docker-registry; }
}
";

/// The tutorials' configuration of the first registry, with anchors as its sample has them.
const CONFIG: &str = "\
common: &common
    loglevel: info
    search_backend: \"_env:SEARCH_BACKEND:\"

prod: &prod
    <<: *common
    storage: s3
    boto_bucket: acme-docker
    s3_access_key: AKIAIOSFODNN7EXAMPLE
    s3_secret_key: wJalrHUSHHUSHEXAMPLEKEY
    s3_region: _env:AWS_REGION:eu-west-1
    storage_path: /srv/docker
    smtp_password: HUSHmail
";

const UPSTART: &str = "\
description \"Docker Registry\"
start on runlevel [2345]
stop on runlevel [016]
respawn
env SETTINGS_FLAVOR=prod
env DOCKER_REGISTRY_CONFIG=/opt/docker-registry/config.yml
exec gunicorn -k gevent --max-requests 100 -b 0.0.0.0:5000 -w 8 docker_registry.wsgi:application
";

const POLICY: &str =
    r#"{ "Version": "2012-10-17", "Statement": [ { "Effect": "Allow", "Action": "s3:*", "Resource": "*" } ] }"#;

/// A host below `host/` in a sandbox.
pub struct Host {
    pub sandbox: Sandbox,
}

impl Host {
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("host")).unwrap();
        Self { sandbox }
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        self.sandbox.write(&format!("host{path}"), text);
        self
    }

    fn chmod(&self, path: &str, mode: u32) -> &Self {
        let path = self.sandbox.path(&format!("host{path}"));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn openssl(&self, arguments: &str) -> &Self {
        let mut openssl = Command::new("openssl");
        let folder = self.sandbox.path("host/root");
        std::fs::create_dir_all(&folder).unwrap();
        let made = openssl.args(arguments.split(' ')).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
        self
    }

    /// A file of `root/` goes to another place.
    fn place(&self, name: &str, path: &str, mode: u32) -> &Self {
        let text = std::fs::read(self.sandbox.path(&format!("host/root/{name}"))).unwrap();
        self.write(path, text).chmod(path, mode)
    }

    /// The tutorials' certificates: an authority, and a leaf without extensions for ten thousand days.
    fn certificates(&self) -> &Self {
        self.openssl("genrsa -out devdockerCA.key 2048")
            .openssl("req -x509 -new -nodes -key devdockerCA.key -days 10000 -subj /CN=devCA -out devdockerCA.crt")
            .openssl("genrsa -out registry.key 2048")
            .openssl("req -new -key registry.key -subj /CN=dev-docker-registry.com -out registry.csr")
            .openssl("x509 -req -in registry.csr -CA devdockerCA.crt -CAkey devdockerCA.key -CAcreateserial -out registry.crt -days 10000")
            .place("registry.crt", "/etc/ssl/certs/docker-registry", 0o644)
            .place("registry.key", "/etc/ssl/private/docker-registry", 0o777)
            .place("devdockerCA.crt", "/usr/local/share/ca-certificates/docker-dev-cert/devdockerCA.crt", 0o644);
        self.chmod("/root/devdockerCA.key", 0o600).chmod("/root/registry.key", 0o600)
    }

    /// A host as the book sets it up.
    fn book() -> Self {
        let host = Self::new();
        host.certificates().write("/etc/nginx/sites-available/docker-registry", SITE);
        let enabled = host.sandbox.path("host/etc/nginx/sites-enabled");
        std::fs::create_dir_all(&enabled).unwrap();
        std::os::unix::fs::symlink("/etc/nginx/sites-available/docker-registry", enabled.join("docker-registry"))
            .unwrap();
        let good = bcrypt::hash("HUSH", 4).unwrap();
        host.write(
            "/etc/nginx/docker-registry.htpasswd",
            format!("alice:{good}\ndave:$apr1$Rs7Yv8Hq$9hNVoPRQ9qYSwGxoVhE1G1\nerin:rqXexS6ZhobKA\n"),
        )
        .chmod("/etc/nginx/docker-registry.htpasswd", 0o644)
        .write("/opt/docker-registry/config.yml", CONFIG)
        .chmod("/opt/docker-registry/config.yml", 0o644)
        .write("/etc/init/docker-registry.conf", UPSTART)
        .write("/root/policy.json", POLICY)
        .write("/etc/hostname", "docker1\n");
        host
    }

    /// Looks at the host and gives what was said.
    pub fn adopt(&self) -> String {
        let outcome = self.sandbox.run("adopt --root host");
        assert_eq!(outcome.code, 0, "{}", outcome.text);
        assert!(!outcome.text.contains("HUSH"), "a secret shows: {}", outcome.text);
        outcome.text
    }

    pub fn inputs(&self) -> String {
        self.sandbox.read("registry.inputs.yml")
    }

    /// A site of its own, with a certificate that `openssl req` makes from these arguments.
    fn with_leaf(arguments: &str) -> Self {
        let host = Self::new();
        host.openssl(&format!("req -x509 -nodes -keyout registry.key -out registry.crt -subj /CN=registry.example.com {arguments}"))
            .place("registry.crt", "/etc/nginx/tls/registry.crt", 0o644)
            .place("registry.key", "/etc/nginx/tls/registry.key", 0o600)
            .write("/etc/nginx/conf.d/registry.conf", "server { listen 443 ssl; server_name registry.example.com; ssl_certificate tls/registry.crt; ssl_certificate_key tls/registry.key; client_max_body_size 0; location /v2/ { auth_basic x; auth_basic_user_file registry.users; proxy_pass http://127.0.0.1:5000; } }\n");
        std::fs::remove_dir_all(host.sandbox.path("host/root")).unwrap();
        host
    }
}

pub fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_book_s_host_is_found_and_taken_over() {
    let host = Host::book();
    let before = listing(&host.sandbox.path("host"));
    let said = host.adopt();
    assert_eq!(listing(&host.sandbox.path("host")), before, "it is only looked at");
    assert_eq!(mode(&host.sandbox.path("registry.inputs.yml")), 0o600);
    let inputs = host.inputs();
    assert!(inputs.contains("wJalrHUSHHUSHEXAMPLEKEY"), "the store's key is an input: {inputs}");
    snapshot!("adopt_book", format!("{said}\n{}", inputs.replace("wJalrHUSHHUSHEXAMPLEKEY", "[secret]")));
    // What was written is taken, once the paths are those of this host.
    let here = host.sandbox.path("host");
    let text = inputs.replace("also-trust: /", &format!("also-trust: {}/", here.display()));
    host.sandbox.write("moved.yml", text);
    let graph = host.sandbox.run("graph registry --inputs moved.yml");
    assert_eq!(graph.code, 0, "{}", graph.text);
    let again = host.sandbox.run("adopt --root host");
    assert_eq!(again.code, 2);
    let elsewhere = host.sandbox.run("adopt --root host --out other.yml --output json");
    assert!(elsewhere.stdout.lines().all(|line| line.starts_with(r#"{"event":""#)), "{}", elsewhere.text);
    assert!(!elsewhere.text.contains("HUSH"), "{}", elsewhere.text);
    snapshot!("adopt_again", again.text);
}

#[test]
fn every_kind_of_certificate_is_told() {
    let soon = Host::with_leaf("-days 20 -newkey rsa:2048 -addext subjectAltName=DNS:registry.example.com").adopt();
    has(&soon, &["a certificate that expires on", "a certificate that is its own authority"]);
    let weak = Host::with_leaf("-days 90 -newkey rsa:1024 -sha1").adopt();
    has(&weak, &["an RSA key of 1024 bits", "SHA-1", "without a SAN"]);
    let long = Host::with_leaf("-days 1000 -newkey rsa:2048 -addext subjectAltName=DNS:registry.example.com");
    has(&long.adopt(), &["valid for 1000 days (2 years)"]);
    assert!(!long.inputs().contains("also-trust"), "its key goes: {}", long.inputs());

    let other = Host::with_leaf("-days 90 -newkey rsa:2048 -addext subjectAltName=DNS:registry.example.com");
    other.openssl("genrsa -out other.key 2048").place("other.key", "/etc/nginx/tls/registry.key", 0o600);
    has(&other.adopt(), &["a private key that does not belong to its certificate"]);

    let lost = Host::new();
    lost.certificates();
    std::fs::remove_dir_all(lost.sandbox.path("host/root")).unwrap();
    std::fs::remove_dir_all(lost.sandbox.path("host/usr")).unwrap();
    lost.write("/etc/nginx/sites-enabled/docker-registry", SITE);
    has(&lost.adopt(), &["whose authority was found nowhere"]);
    assert!(!lost.inputs().contains("also-trust"), "{}", lost.inputs());
}

#[test]
fn doors_that_stand_open_are_told() {
    let host = Host::new();
    host.write("/etc/nginx/sites-enabled/plain", "server { listen 80; server_name a.example.com; location /v2/ { auth_basic x; auth_basic_user_file users; proxy_pass http://127.0.0.1:5000; } }")
        .write("/etc/nginx/sites-enabled/free", "server { listen 81; client_max_body_size 100m; location /v2/ { proxy_pass http://127.0.0.1:5000; } }")
        .write("/etc/docker/registry/config.yml", "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /srv/images\nhttp:\n  addr: :5000\n  secret: HUSH\n")
        .chmod("/etc/docker/registry/config.yml", 0o644)
        .write("/srv/images/docker/x", "")
        .write("/etc/systemd/system/images.service", "[Service]\nEnvironment=\"REGISTRY_HTTP_ADDR=127.0.0.1:5000\" REGISTRY_HTTP_SECRET=HUSH\nExecStart=/usr/bin/registry serve /etc/docker/registry/config.yml\n");
    let said = host.adopt();
    snapshot!("adopt_doors", format!("{said}\n{}", host.inputs()));
    let asking = Host::new();
    asking.write("/etc/docker/registry/config.yml", "version: 0.1\nstorage: { filesystem: {} }\nhttp: { addr: \":5000\" }\nauth: { htpasswd: { realm: r, path: /etc/docker/registry/users } }\n")
        .write("/etc/docker/registry/users", format!("admin:{}\n", bcrypt::hash("HUSH", 4).unwrap()));
    has(
        &asking.adopt(),
        &["listens on `:5000` without TLS", "--import /etc/docker/registry/users", "service docker-registry stop"],
    );
    has(&asking.inputs(), &["user: provision"]);
    let bare = Host::new();
    bare.write(
        "/etc/systemd/system/images.service",
        "[Service]\nEnvironment=REGISTRY_HTTP_ADDR=0.0.0.0:5000\nExecStart=/usr/bin/registry serve\n",
    );
    has(&bare.adopt(), &["listens on `0.0.0.0:5000`, for every network"]);
    let closed = Host::new();
    closed.write(
        "/etc/docker/registry/config.yml",
        "version: 0.1\nstorage: { inmemory: {} }\nhttp: { addr: \"127.0.0.1:5000\" }\n",
    );
    assert!(!closed.adopt().contains("danger"));
    has(&closed.inputs(), &["flavor: inmemory", "port: 5000"]);
}

#[test]
fn each_store_becomes_inputs() {
    let mut text = String::new();
    for storage in [
        "s3: { bucket: b, region: us-east-1, regionendpoint: \"store.example.com:9000\", rootdirectory: /a/, accesskey: AK, secretkey: \"HUSH: #\" }",
        "swift: { authurl: \"https://keystone/v3\", username: u, password: HUSH, container: c }",
        "azure: { accountname: n, accountkey: HUSH, container: c }",
        "filesystem: {}",
    ] {
        let host = Host::new();
        host.write("/etc/hostname", "r.example.com\n").write(
            "/etc/docker/registry/config.yml",
            format!("version: 0.1\nstorage:\n  {storage}\nhttp: {{ addr: \"127.0.0.1:5000\" }}\n"),
        );
        host.adopt();
        assert_eq!(host.sandbox.run("graph registry --inputs registry.inputs.yml").code, 0, "{}", host.inputs());
        writeln!(text, "{}", host.inputs().replace("HUSH", "[secret]")).unwrap();
    }
    snapshot!("adopt_stores", text);
}

#[test]
fn what_others_use_too_is_left_alone() {
    let host = Host::book();
    host.write("/etc/nginx/sites-enabled/shop", "server { listen 443 ssl; ssl_certificate /etc/ssl/certs/docker-registry; ssl_certificate_key /etc/ssl/private/docker-registry; root /srv/shop; }")
        .write("/etc/nginx/conf.d/both.conf", "server { listen 82; location /v2/ { proxy_pass http://127.0.0.1:5000; } }\nserver { listen 83; root /srv/blog; }");
    let said = host.adopt();
    has(&said, &["editor /etc/nginx/conf.d/both.conf"]);
    let inputs = host.inputs();
    assert!(!inputs.contains("- /etc/ssl/private/docker-registry") && !inputs.contains("both.conf"), "{inputs}");
}

#[test]
fn policies_are_told_wherever_they_are_named() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("host")).unwrap();
    sandbox.write("policies/wide.json", POLICY);
    sandbox
        .write("policies/least.json", POLICY.replace("s3:*", "s3:GetObject").replace("\"*\"", "\"arn:aws:s3:::b/*\""));
    sandbox.write("policies/broken.json", POLICY.replace("Allow", "\"Allow"));
    let said = sandbox.run("adopt --root host policies");
    assert_eq!(said.code, 0);
    assert!(!sandbox.path("registry.inputs.yml").exists());
    snapshot!("adopt_policies", said.text);
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let mut text = String::new();
    let empty = Host::new();
    for line in [
        "adopt --root host",
        "adopt --root nowhere",
        "adopt --root host nothing.json",
        "adopt --out /dev/null/x --root host",
    ] {
        let refused = empty.sandbox.run(line);
        assert_ne!(refused.code, 0, "{line}");
        text.push_str(&refused.text);
    }
    for config in [
        "version: 0.1\nstorage:\n  s3: {\n    secretkey: HUSH\n",
        "HUSH",
        "common:\n\tsecret: HUSH\n",
        "a: &a [HUSH]\nb: *c\n",
        "",
    ] {
        let host = Host::new();
        host.write("/etc/docker/registry/config.yml", config);
        let refused = host.sandbox.run("adopt --root host");
        assert_eq!(refused.code, 1, "{}", refused.text);
        assert!(!refused.text.contains("HUSH"), "a secret shows: {}", refused.text);
        assert!(!host.sandbox.path("registry.inputs.yml").exists());
        text.push_str(&refused.text);
    }
    let broken = Host::book();
    broken.write("/etc/nginx/sites-available/docker-registry", "server { listen 80; ");
    text.push_str(&broken.adopt().lines().filter(|line| line.starts_with("note")).collect::<String>());
    snapshot!("adopt_refused", text);
}

#[test]
fn what_this_user_may_not_read_is_told() {
    let host = Host::book();
    host.chmod("/opt/docker-registry/config.yml", 0o000).chmod("/etc/ssl/private", 0o000);
    let mut unprivileged = Command::new("setpriv");
    unprivileged.args(["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_provision")]);
    unprivileged.args(["adopt", "--root", "host", "--out", "/dev/null/x"]).current_dir(host.sandbox.path(""));
    // Only root may become somebody else; the folders above a sandbox are for its owner alone.
    let folder = host.sandbox.path("..");
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = unprivileged.env("HOME", "/tmp").output().unwrap();
    host.chmod("/etc/ssl/private", 0o755);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("setpriv: ") {
        return;
    }
    has(
        &said,
        &[
            "`/opt/docker-registry/config.yml` cannot be read by this user",
            "`/etc/ssl/private` cannot be read by this user",
        ],
    );
}

/// Every command that is printed can be pasted, and the file of inputs holds nothing but inputs, whatever files are called.
#[test]
fn names_of_files_are_taken_for_nothing_else() {
    let host = Host::new();
    host.certificates();
    let site = SITE.replace("docker-registry.htpasswd", "\"/srv/a b;id/$(id)/users\"");
    host.write("/etc/nginx/sites-enabled/reg\nistry: x\nflavor: gcs", site);
    host.write("/srv/a b;id/$(id)/users", format!("jane doe:{}\n", bcrypt::hash("word", 4).unwrap()));
    host.write(
        "/etc/docker/registry/config.yml",
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: \"/srv/it's; id\"\nhttp:\n  addr: 127.0.0.1:5000\n",
    );
    let said = host.sandbox.call(&["adopt", "--root", "host", "--out", "in puts;id.yml"]);
    assert_eq!(said.code, 0, "{}", said.text);
    let inputs = host.sandbox.read("in puts;id.yml");
    let keys: Vec<&str> = inputs.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    let known = ["cn", "san", "port", "on", "flavor", "data-folder", "user", "also-trust", "replaces"];
    assert!(keys.iter().all(|line| known.contains(&line.split(':').next().unwrap())), "{inputs}");
    assert_eq!(
        keys.iter().filter(|line| line.starts_with("flavor:")).collect::<Vec<_>>(),
        [&"flavor: local"],
        "{inputs}"
    );
    let json = host.sandbox.call(&["adopt", "--root", "host", "--out", "in puts;id.2", "--output", "json"]).stdout;
    let events = json.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let commands =
        events.filter(|event| event["event"] == "adopted").map(|event| event["commands"].clone()).next().unwrap();
    let mut words = String::new();
    for command in commands.as_array().unwrap() {
        // What a shell makes of it, with nothing carried out: each word on a line of its own.
        let command = command.as_str().unwrap();
        let parts: Vec<&str> = command.split(" && ").collect();
        for part in parts {
            let output = Command::new("bash").args(["-c", &format!("printf '<%s>\\n' {part}")]).output().unwrap();
            assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
            words.push_str(&String::from_utf8(output.stdout).unwrap());
        }
    }
    assert!(!words.contains("uid=") && !words.contains("command not found"), "{words}");
    for word in ["<in puts;id.2>", "</srv/a b;id/$(id)/users>"] {
        assert!(words.contains(word), "{word}: {words}");
    }
}
