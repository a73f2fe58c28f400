//! Every flavor's configuration as the real registry reads it, the caches, pull-through, and the variables of the tutorials.

use std::fmt::Write as _;

use crate::engine::{Ran, Sandbox, free_port, shell};
use crate::stores::{Store, host_address};

/// The registry's image that is built from Debian's packages: 2.8.3, with the drivers filesystem, inmemory, s3 and swift.
const REGISTRY: &str = "$(docker images -q provision/registry | head -1)";

/// `docker build` of an image for tests, once: its name holds a digest of what it is made of.
fn image(name: &str, dockerfile: &str) -> String {
    let file = format!("FROM {REGISTRY}\n{dockerfile}");
    let script = format!(
        "set -e -o pipefail; base={REGISTRY}; tag=provision-test/{name}:$(echo $base '{0}' | sha256sum | cut -c1-12); docker image inspect $tag >/dev/null 2>&1 || printf 'FROM %s\\n%s' $base '{0}' | docker build -q -t $tag - >&2; echo $tag",
        file.split_once('\n').unwrap().1
    );
    shell(&script).ok().out.trim().to_owned()
}

/// Pushes an image and pulls it again.
fn push_and_pull(sandbox: &Sandbox) {
    let password = sandbox.password();
    let host = format!("localhost:{}", sandbox.port);
    let folder = sandbox.home.path().display();
    let certs = format!("mkdir -p {folder}/certs; cp {} {folder}/certs/ca.crt", sandbox.output("ca"));
    shell(&format!(
        "set -e; {certs}; skopeo copy -q --dest-creds admin:{password} --dest-cert-dir {folder}/certs docker-daemon:$(docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/nginx | head -1) docker://{host}/team/app:1; skopeo copy -q --src-creds admin:{password} --src-cert-dir {folder}/certs docker://{host}/team/app:1 dir:{folder}/copy"
    ))
    .ok();
}

fn curl(sandbox: &Sandbox, more: &str) -> String {
    let (password, ca) = (sandbox.password(), sandbox.output("ca"));
    shell(&format!("curl -s --cacert {ca} -u admin:{password} -o /dev/null -w '%{{http_code}}' {more}")).out
}

fn configuration(sandbox: &Sandbox) -> String {
    shell(&format!("docker exec {}-registry cat /etc/provision/config.yml", sandbox.name)).ok().out
}

fn quiet(sandbox: &Sandbox, more: &[&str]) -> Ran {
    sandbox.registry(&[&["--trust", "no"], more].concat())
}

#[test]
fn a_registry_in_memory_takes_and_gives_and_keeps_nothing() {
    let sandbox = Sandbox::new("inmemory");
    quiet(&sandbox, &["--flavor", "inmemory"]).ok().says("warning: the images are in the memory");
    push_and_pull(&sandbox);
    assert!(!sandbox.things().contains("-data"), "there is no volume for data: {}", sandbox.things());
    quiet(&sandbox, &[]).ok().says("nothing to change");
    assert!(configuration(&sandbox).contains("(distribution 2.8)"), "{}", configuration(&sandbox));
    sandbox.destroy().ok();
}

#[test]
fn a_registry_that_deletes_nothing_is_checked_without_leaving_anything() {
    let sandbox = Sandbox::new("nodelete");
    quiet(&sandbox, &["--delete=false"]).ok().says("checked   probe round-trip");
    let host = format!("https://localhost:{}", sandbox.port);
    let catalog =
        shell(&format!("curl -s --cacert {} -u admin:{} {host}/v2/_catalog", sandbox.output("ca"), sandbox.password()));
    assert_eq!(catalog.out.trim(), "{\"repositories\":[]}");
    push_and_pull(&sandbox);
    let digest = format!("sha256:{}", "0".repeat(64));
    assert_eq!(curl(&sandbox, &format!("-X DELETE {host}/v2/team/app/manifests/{digest}")), "405");
    quiet(&sandbox, &["--delete"]).ok().says("replaced  container registry");
    assert_eq!(curl(&sandbox, &format!("-X DELETE {host}/v2/team/app/manifests/{digest}")), "404");
    sandbox.destroy().ok();
}

/// The drivers that this program has are reached, and say what is wrong with the address; of the others it says that they are
/// not there, which is after it has read the whole configuration. Either is told, and all is taken back.
#[test]
fn each_driver_is_reached_with_its_configuration() {
    let sandbox = Sandbox::new("drivers");
    let nowhere = format!("http://{}:1/v3", host_address());
    let key = sandbox.write("key.json", "{\"type\": \"service_account\", \"private_key\": \"hush\"}");
    let key = format!("@{key}");
    let swift =
        ["--swift-auth-url", &nowhere, "--swift-user", "me", "--swift-password", "hush", "--swift-container", "c"];
    let azure = ["--azure-account", "acme", "--azure-key", "aHVzaA==", "--azure-container", "c"];
    let oss = [
        "--bucket",
        "acme",
        "--region",
        "oss-cn-hangzhou",
        "--access-key",
        "LTAI",
        "--secret-key",
        "hush",
        "--prefix",
        "p",
    ];
    let cases: [(&str, &[&str], &str); 4] = [
        ("swift", &swift, "panic: swift authentication failed"),
        ("gcs", &["--bucket", "acme", "--gcs-key", &key], "panic: StorageDriver not registered: gcs"),
        ("azure", &azure, "panic: StorageDriver not registered: azure"),
        ("oss", &oss, "panic: StorageDriver not registered: oss"),
    ];
    for (flavor, flags, message) in cases {
        let ran = quiet(&sandbox, &[&["--flavor", flavor], flags].concat()).fails(1);
        assert!(!ran.all().contains("hush") && !ran.all().contains("goroutine"), "{}", ran.all());
        ran.says(message).says("everything is as it was before");
        assert_eq!(sandbox.things(), "", "{flavor}");
    }
    let bad = quiet(&sandbox, &["--flavor", "gcs", "--bucket", "acme", "--gcs-key", "hush.json"]).fails(1);
    bad.says("gcs-key.json` is to hold an object of JSON").says("write `@FILE`");
}

/// The registry with the driver of OSS, which Debian's program lacks, built once from Debian's sources of both. What builds it
/// is no part of the image.
fn registry_with_oss() -> String {
    let build = "export DEBIAN_FRONTEND=noninteractive GO111MODULE=off CGO_ENABLED=0 GOPATH=/usr/share/gocode; \
                 sed -i \"s/^Types: deb$/Types: deb deb-src/\" /etc/apt/sources.list.d/*.sources; sed \"s/^deb /deb-src /\" /etc/apt/sources.list >/etc/apt/sources.list.d/source.list; \
                 apt-get -qq update && apt-get -qq build-dep -y --no-install-recommends docker-registry && \
                 apt-get -qq install -y --no-install-recommends golang-github-docker-distribution-dev golang-github-denverdino-aliyungo-dev && \
                 go build -tags include_oss -o /out/registry github.com/docker/distribution/cmd/registry";
    let script = format!(
        "set -e -o pipefail; base={REGISTRY}; tag=provision-test/registry-oss:$(echo $base '{build}' | sha256sum | cut -c1-12); \
         docker image inspect $tag >/dev/null 2>&1 || {{ folder=$(mktemp -d); docker run --rm -v $folder:/out --entrypoint sh $base -c '{build}' >&2; \
         printf 'FROM %s\nCOPY registry /usr/bin/docker-registry\n' $base >$folder/Dockerfile; docker build -q -t $tag $folder >&2; rm -r $folder; }}; echo $tag"
    );
    shell(&script).ok().out.trim().to_owned()
}

#[test]
fn the_driver_of_oss_is_reached_in_a_program_that_has_it() {
    let sandbox = Sandbox::new("oss");
    let registry = registry_with_oss();
    let flags = [
        "--flavor",
        "oss",
        "--image",
        &registry,
        "--bucket",
        "acme",
        "--region",
        "oss-nowhere",
        "--access-key",
        "LTAI",
    ];
    let nowhere = format!("http://{}:1", host_address());
    let more = ["--secret-key", "hush", "--endpoint", &nowhere, "--prefix", "images"];
    let ran = quiet(&sandbox, &[flags.as_slice(), &more].concat()).fails(1);
    assert!(!ran.all().contains("hush"), "{}", ran.all());
    ran.says("panic: ").says(&format!("{}:1", host_address())).says("connection refused");
    assert_eq!(sandbox.things(), "");
}

#[test]
fn the_generation_is_read_from_the_image() {
    let sandbox = Sandbox::new("generation");
    let third = image("registry-3", "CMD [\"/etc/distribution/config.yml\"]");
    let other = image("registry-other", "CMD [\"/config.yml\"]");
    let swift = [
        "--swift-auth-url",
        "http://10.0.0.1",
        "--swift-user",
        "me",
        "--swift-password",
        "x",
        "--swift-container",
        "c",
    ];
    let plan = |more: &[&str]| sandbox.plan(&[&["--trust", "no"], more].concat());
    plan(&[&["--image", &third, "--flavor", "swift"], swift.as_slice()].concat())
        .fails(1)
        .says("`--flavor swift` is only in the registry 2.8")
        .says("--image registry:2.8.3");
    plan(&[
        "--image",
        &third,
        "--flavor",
        "oss",
        "--bucket",
        "a",
        "--region",
        "b",
        "--access-key",
        "c",
        "--secret-key",
        "d",
    ])
    .fails(1)
    .says("`--flavor oss` is only in the registry 2.8");
    let azure =
        ["--flavor", "azure", "--azure-account", "a", "--azure-key", "b", "--azure-container", "c", "--prefix", "p"];
    plan(&azure).fails(1).says("takes no notice of `--prefix`").says("--image registry:3.1.1");
    plan(&["--mirror-of", "http://10.0.0.1", "--mirror-ttl", "1h"]).fails(1).says("keeps images for a week");
    plan(&["--image", &other]).fails(1).says("it runs `/entrypoint.sh /config.yml`").says("--distribution 2.8");

    // The program in all of these is 2.8.3; what it is given is what the image says.
    quiet(&sandbox, &["--image", &other, "--distribution", "2.8"]).ok();
    assert!(configuration(&sandbox).contains("(distribution 2.8)"));
    quiet(&sandbox, &["--image", &third, "--distribution", "auto"]).ok().says("replaced  container registry");
    assert!(configuration(&sandbox).contains("(distribution 3)"));
    quiet(&sandbox, &[]).ok().says("nothing to change");
    sandbox.destroy().ok();
}

/// A container of the test's own, which is removed with it.
struct Server(String);

impl Server {
    fn new(sandbox: &Sandbox, name: &str, options: &str, image: &str, command: &str) -> Self {
        let name = format!("{}-{name}", sandbox.name);
        shell(&format!("docker run -d --name {name} {options} {image} {command}")).ok();
        Self(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        shell(&format!("docker rm -fv {}", self.0));
    }
}

#[test]
fn redis_keeps_what_is_known_of_layers() {
    let sandbox = Sandbox::new("redis");
    let redis = image(
        "redis",
        "RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends redis-server\nENTRYPOINT []\n",
    );
    let (address, port) = (host_address(), free_port());
    let command = "redis-server --bind 0.0.0.0 --protected-mode no --requirepass hush --save \"\"";
    let server = Server::new(&sandbox, "store", &format!("-p {address}:{port}:6379"), &redis, command);
    let password = sandbox.write("password", "hush\n");
    let at = format!("{address}:{port}");
    let ran = quiet(&sandbox, &["--redis", &at, "--redis-password", &format!("@{password}")]).ok();
    assert!(!ran.all().contains("hush"), "{}", ran.all());
    push_and_pull(&sandbox);
    let keys = shell(&format!("docker exec {} redis-cli -a hush --no-auth-warning keys '*'", server.0)).ok();
    keys.says("blobs::sha256:");
    quiet(&sandbox, &[]).ok().says("nothing to change");
    // Taken back, the password with it.
    quiet(&sandbox, &["--redis", ""]).fails(2).says("--redis-password ''");
    quiet(&sandbox, &["--redis", "", "--redis-password", ""]).ok();
    assert!(!configuration(&sandbox).contains("redis"), "{}", configuration(&sandbox));
    push_and_pull(&sandbox);
    sandbox.destroy().ok();
}

#[test]
fn pulls_are_passed_on_and_kept() {
    let sandbox = Sandbox::new("mirror");
    let (address, port) = (host_address(), free_port());
    let upstream = Server::new(&sandbox, "upstream", &format!("-p {address}:{port}:5000"), REGISTRY, "");
    let url = format!("http://{address}:{port}");
    let nginx = "docker-daemon:$(docker images --format '{{.Repository}}:{{.Tag}}' provision/nginx | head -1)";
    shell(&format!(
        "skopeo copy -q --retry-times 5 --dest-tls-verify=false {nginx} docker://{address}:{port}/team/app:1"
    ))
    .ok();

    quiet(&sandbox, &["--mirror-of", &url]).ok().says("warning: a registry that passes pulls on takes no pushes");
    quiet(&sandbox, &[]).ok().says("nothing to change");
    let (password, host, folder) =
        (sandbox.password(), format!("localhost:{}", sandbox.port), sandbox.home.path().display());
    shell(&format!("mkdir -p {folder}/certs; cp {} {folder}/certs/ca.crt", sandbox.output("ca"))).ok();
    let skopeo = |verb: &str, source: &str, target: &str| {
        shell(&format!(
            "skopeo copy -q --{verb}-creds admin:{password} --{verb}-cert-dir {folder}/certs {source} {target}"
        ))
    };
    let image = format!("docker://{host}/team/app:1");
    skopeo("src", &image, &format!("dir:{folder}/first")).ok();
    skopeo("dest", nginx, &format!("docker://{host}/team/mine:1")).fails(1);
    // Layers are here now: only the tag is asked for over there.
    shell(&format!("docker exec {} sh -c 'rm -r /var/lib/registry/docker/registry/v2/blobs/sha256/*'", upstream.0))
        .ok();
    let digests = format!("{folder}/first/manifest.json");
    let layer = shell(&format!("jq -r .layers[0].digest {digests}")).ok().out;
    assert_eq!(curl(&sandbox, &format!("https://{host}/v2/team/app/blobs/{}", layer.trim())), "200");

    // Where nothing answers, the registry does not start, and the one before it goes on.
    let nowhere = format!("http://{address}:1");
    quiet(&sandbox, &["--mirror-of", &nowhere]).fails(1).says("connection refused").says("as it was before");
    assert_eq!(curl(&sandbox, &format!("https://{host}/v2/team/app/blobs/{}", layer.trim())), "200");
    sandbox.destroy().ok();
}

/// The variables of the tutorials with a store: the key in them is the registry's, and makes the bucket too.
#[test]
fn the_tutorials_variables_set_up_a_registry_on_a_store() {
    let store = Store::garage();
    let mut sandbox = Sandbox::new("v1");
    sandbox
        .variables
        .extend(store.variables().into_iter().filter(|(name, _)| !name.contains("KEY") && !name.contains("REGION")));
    let bucket = format!("{}-images", sandbox.name);
    let mut text = String::new();
    write!(
        text,
        "SETTINGS_FLAVOR=s3\nAWS_BUCKET={bucket}\nAWS_REGION=garage\nAWS_KEY={}\nAWS_SECRET={}\n",
        store.id, store.secret
    )
    .unwrap();
    text.push_str("STORAGE_PATH=/v1\nAWS_ENCRYPT=true\nSEARCH_BACKEND=sqlalchemy\n");
    let file = sandbox.write("v1.env", &text);
    let ran = quiet(&sandbox, &["--env-file", &file, "--endpoint", &store.url]).ok();
    assert!(!ran.all().contains(&store.secret), "{}", ran.all());
    ran.says(&format!("became `--bucket {bucket}`")).says("became `--secret-key (secret)`").says("has no search");
    push_and_pull(&sandbox);
    let objects = store.objects(&bucket);
    assert!(objects.len() > 5 && objects.iter().all(|key| key.starts_with("v1/docker/registry/v2/")), "{objects:?}");
    quiet(&sandbox, &[]).ok().says("nothing to change");
    sandbox.command(&["rotate", &sandbox.name, "--what", "keys"]).fails(1).says("the key was given");
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
    assert_eq!(sandbox.things(), "");
    store.aws(&format!("s3api head-bucket --bucket {bucket}")).says("404");
}

/// A store behind TLS whose authority nobody knows.
#[test]
fn a_store_with_an_authority_of_its_own_is_trusted_by_both() {
    let store = Store::garage();
    let mut sandbox = Sandbox::new("storeca");
    store.serve(&mut sandbox);
    let (address, port, folder) = (host_address(), free_port(), sandbox.home.path().display().to_string());
    shell(&format!(
        "set -e; mkdir {folder}/tls; cd {folder}/tls; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=store-ca -keyout ca.key -out ca.crt 2>/dev/null; \
         openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=store -keyout tls.key -out tls.csr 2>/dev/null; \
         printf 'subjectAltName=IP:{address}\\n' >ext; openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tls.crt 2>/dev/null; chmod 644 *"
    ))
    .ok();
    let conf = format!(
        "events {{}}\nhttp {{ server {{ listen 8443 ssl; ssl_certificate /tls/tls.crt; ssl_certificate_key /tls/tls.key; client_max_body_size 0; location / {{ proxy_pass {}; proxy_set_header Host $http_host; proxy_request_buffering off; }} }} }}\n",
        store.url
    );
    sandbox.write("tls/nginx.conf", &conf);
    let options = format!("-p {address}:{port}:8443 -v {folder}/tls:/tls:ro --entrypoint nginx");
    let nginx = "$(docker images -q provision/nginx | head -1)";
    let _server = Server::new(&sandbox, "front", &options, nginx, "-c /tls/nginx.conf -g 'daemon off;'");
    let url = format!("https://{address}:{port}");
    let bucket = format!("{}-images", sandbox.name);
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    let flags = ["--flavor", "s3", "--bucket", &bucket, "--endpoint", &url, "--access-key-file", &key];
    let ca = format!("{folder}/tls/ca.crt");
    quiet(&sandbox, &flags).fails(1).says("certificate");
    assert_eq!(sandbox.things().lines().filter(|line| !line.contains("-front")).count(), 0, "{}", sandbox.things());
    quiet(&sandbox, &[flags.as_slice(), &["--store-ca", &ca]].concat()).ok();
    push_and_pull(&sandbox);
    quiet(&sandbox, &[]).ok().says("nothing to change");
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
}
