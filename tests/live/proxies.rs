//! A forward proxy between this host and the world: what is called out to goes through it, and its login shows nowhere.

use std::process::{Child, Command, Stdio};

use crate::engine::{Sandbox, free_port, shell};
use crate::stores::{Store, host_address};

/// A login of the proxy, which nobody may see.
const LOGIN: &str = "me:hidden-from-all";

/// tinyproxy, on an address that containers reach too, which wants a login.
struct Tinyproxy {
    url: String,
    folder: tempfile::TempDir,
    process: Child,
}

impl Tinyproxy {
    fn new() -> Self {
        let (folder, address, port) = (tempfile::tempdir().unwrap(), host_address(), free_port());
        let log = folder.path().join("log");
        let (user, password) = LOGIN.split_once(':').unwrap();
        let configuration = format!(
            "Port {port}\nListen {address}\nTimeout 60\nLogFile \"{}\"\nLogLevel Connect\nMaxClients 50\nBasicAuth {user} {password}\n",
            log.display()
        );
        let file = folder.path().join("tinyproxy.conf");
        std::fs::write(&file, configuration).unwrap();
        let process = Command::new("tinyproxy").arg("-d").arg("-c").arg(&file).stdout(Stdio::null()).spawn().unwrap();
        shell(&format!(
            "for i in $(seq 100); do curl -s -o /dev/null http://{address}:{port} && break; sleep 0.05; done"
        ))
        .ok();
        Self { url: format!("http://{LOGIN}@{address}:{port}"), folder, process }
    }

    /// What was asked for through it: a line for each request.
    fn requests(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().filter(|line| line.contains("Request (file")).map(str::to_owned).collect()
    }
}

impl Drop for Tinyproxy {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Fails if the login of the proxy shows where anybody may look.
fn hides_the_login(sandbox: &Sandbox, told: &str) {
    let name = &sandbox.name;
    let inspected = shell(&format!("docker inspect {name}-registry; docker logs {name}-registry 2>&1; docker history --no-trunc $(docker inspect -f '{{{{.Image}}}}' {name}-registry)")).ok().out;
    let planned = sandbox.command(&["plan", name, "-v", "--output", "json"]).ok().all();
    let status = sandbox.command(&["status", name]).all();
    for text in [told, &inspected, &planned, &status] {
        assert!(!text.contains("hidden-from-all"), "{text}");
    }
    let modes =
        shell(&format!("find {} -name deployment.json -printf '%m\\n' | sort -u", sandbox.home.path().display()))
            .ok()
            .out;
    assert_eq!(modes.trim(), "600");
}

#[test]
fn a_store_is_reached_through_the_proxy_by_us_and_by_the_registry() {
    let (proxy, store) = (Tinyproxy::new(), Store::garage());
    let mut sandbox = Sandbox::new("proxy");
    store.serve(&mut sandbox);
    let (bucket, port) = (format!("{}-images", sandbox.name), sandbox.port.to_string());
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    let more = [
        "--trust",
        "no",
        "--flavor",
        "s3",
        "--endpoint",
        &store.url,
        "--bucket",
        &bucket,
        "--iam",
        "none",
        "--access-key-file",
        &key,
    ];
    let run = |sandbox: &Sandbox, more: &[&str]| {
        sandbox.command(&[&["registry", "--name", &sandbox.name, "--port", &port], more].concat())
    };

    sandbox.variables.push(("HTTP_PROXY", proxy.url.clone()));
    let ran = run(&sandbox, &more).ok();
    let ours = proxy.requests().len();
    assert!(ours > 10, "{:?}", proxy.requests());
    hides_the_login(&sandbox, &ran.all());

    // The registry's own requests come from a container.
    let (password, ca) = (sandbox.password(), sandbox.output("ca"));
    let list = format!("curl -sf --noproxy '*' --cacert {ca} -u admin:{password} https://localhost:{port}/v2/_catalog");
    let before = proxy.requests().len();
    shell(&list).ok();
    assert!(proxy.requests().len() > before);

    // A shell without the variables, such as that of a timer, is no drift, and goes the same way.
    sandbox.variables.pop();
    let before = proxy.requests().len();
    run(&sandbox, &[]).ok().says("nothing to change");
    assert!(proxy.requests().len() > before);
    let none = sandbox.command(&["plan", &sandbox.name, "--proxy", "none"]).ok();
    assert!(!none.says("replace   container registry").says("entrypoint").all().contains("hidden-from-all"));

    // What cannot be reached any more is told without the login.
    drop(proxy);
    let failed = sandbox.command(&["plan", &sandbox.name]).fails(1);
    assert!(!failed.all().contains("hidden-from-all"), "{}", failed.all());
    run(&sandbox, &["--proxy", "none"]).ok();
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
}

#[test]
fn a_registry_with_a_private_authority_is_passed_on_through_the_proxy() {
    let proxy = Tinyproxy::new();
    let mut sandbox = Sandbox::new("proxy-ca");
    let (address, port, name) = (host_address(), free_port(), sandbox.name.clone());
    let folder = sandbox.home.path().display().to_string();
    let image = "$(docker images -q provision/registry | head -1)";
    shell(&format!(
        "set -e; cd {folder}; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=upstream -addext subjectAltName=IP:{address} -keyout key.pem -out ca.pem; chmod 644 key.pem
         docker run -d --name {name}-upstream -p {address}:{port}:5000 -v {folder}:/certs:ro -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/ca.pem -e REGISTRY_HTTP_TLS_KEY=/certs/key.pem {image}
         chmod 755 {folder}
         skopeo copy -q --retry-times 5 --dest-tls-verify=false docker-daemon:$(docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/nginx | head -1) docker://{address}:{port}/team/app:1"
    ))
    .ok();
    sandbox.variables.push(("https_proxy", proxy.url.clone()));
    let upstream = format!("https://{address}:{port}");
    sandbox
        .registry(&["--trust", "no", "--mirror-of", &upstream])
        .fails(1)
        .says("certificate signed by unknown authority");
    let ran =
        sandbox.registry(&["--trust", "no", "--mirror-of", &upstream, "--mirror-ca", &format!("{folder}/ca.pem")]).ok();
    hides_the_login(&sandbox, &ran.all());
    let (password, ca) = (sandbox.password(), sandbox.output("ca"));
    let (before, own) = (proxy.requests().len(), sandbox.port);
    // Started anew, it has no connection of before to go on with.
    shell(&format!(
        "set -e; docker restart -t 1 {name}-registry
         curl -sf --retry 30 --retry-all-errors --retry-delay 1 --noproxy '*' --cacert {ca} -u admin:{password} -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json' https://localhost:{own}/v2/team/app/manifests/1"
    ))
    .ok();
    let after = proxy.requests();
    assert!(
        after.len() > before && after.iter().any(|line| line.contains(&format!("CONNECT {address}:{port}"))),
        "{after:?}"
    );
    sandbox.destroy().ok();
}
