//! `--flavor s3` on real stores: garage, which takes and gives what a registry stores, and moto, which enforces IAM.

use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::{Ran, Recorder, Sandbox, shell, wait_until};
use crate::stores::{Call, Fault, Proxy, Store};

const NOTHING: Duration = Duration::ZERO;
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>";

/// `VERB registry --flavor s3` at a store, or at a proxy before it.
pub fn s3(sandbox: &Sandbox, verb: &[&str], url: &str, more: &[&str]) -> Ran {
    let port = sandbox.port.to_string();
    let common = ["--name", &sandbox.name, "--port", &port, "--trust", "no", "--flavor", "s3", "--endpoint", url];
    sandbox.command(&[verb, &common, more].concat())
}

/// A sandbox whose commands have the key of the store's owner, and the name of a bucket for it.
pub fn sandbox(test: &str, store: &Store) -> (Sandbox, String) {
    let mut sandbox = Sandbox::new(test);
    store.serve(&mut sandbox);
    let bucket = format!("{}-images", sandbox.name);
    (sandbox, bucket)
}

fn key_file(sandbox: &Sandbox, store: &Store) -> String {
    sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret))
}

/// The password of a sandbox's registry, and its authority as skopeo and curl want it.
pub struct Client {
    host: String,
    password: String,
    ca: String,
    certs: String,
}

impl Client {
    pub fn of(sandbox: &Sandbox) -> Self {
        let ca = sandbox.output("ca");
        let host = format!("localhost:{}", sandbox.port);
        let certs = sandbox.home.path().join("certs").display().to_string();
        shell(&format!("mkdir -p {certs}; cp {ca} {certs}/ca.crt")).ok();
        Self { host, password: sandbox.password(), ca, certs }
    }

    pub fn push(&self, source: &str, image: &str) -> Ran {
        let Self { host, password, certs, .. } = self;
        shell(&format!(
            "skopeo copy --quiet --dest-creds admin:{password} --dest-cert-dir {certs} {source} docker://{host}/{image}"
        ))
    }

    pub fn pull(&self, image: &str, target: &str) -> Ran {
        let Self { host, password, certs, .. } = self;
        shell(&format!(
            "skopeo copy --quiet --src-creds admin:{password} --src-cert-dir {certs} docker://{host}/{image} {target}"
        ))
    }

    fn curl(&self, more: &str) -> String {
        let (host, password, ca) = (&self.host, &self.password, &self.ca);
        let (path, options) = more.split_once(' ').unwrap_or((more, ""));
        shell(&format!("curl -s --noproxy '*' --cacert {ca} -u admin:{password} {options} https://{host}{path}")).out
    }
}

/// An image with one layer of random bytes, as a folder that skopeo reads.
pub fn image(sandbox: &Sandbox, name: &str, megabytes: u32) -> String {
    let folder = sandbox.home.path().join(name).display().to_string();
    shell(&format!(
        "set -e; mkdir -p {folder}/blobs/sha256; cd {folder}; mkdir x; head -c {megabytes}M /dev/urandom > x/data; tar -cf layer -C x data; \
         put() {{ sum=$(sha256sum $1 | cut -d' ' -f1); cp $1 blobs/sha256/$sum; echo $sum; }}; \
         diff=$(put layer); size=$(stat -c %s layer); \
         printf '{{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}},\"config\":{{}}}}' $diff > config; config=$(put config); \
         printf '{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:%s\",\"size\":%s}},\"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:%s\",\"size\":%s}}]}}' $config $(stat -c %s config) $diff $size > manifest; m=$(put manifest); \
         printf '{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%s\",\"size\":%s}}]}}' $m $(stat -c %s manifest) > index.json; \
         echo '{{\"imageLayoutVersion\":\"1.0.0\"}}' > oci-layout; rm -r x layer"
    ))
    .ok();
    format!("oci:{folder}")
}

#[test]
fn images_lie_in_the_bucket_and_nowhere_else() {
    let store = Store::garage();
    let (sandbox, bucket) = sandbox("garage", &store);
    let key = key_file(&sandbox, &store);
    let flags = ["--bucket", &bucket, "--prefix", "/images/", "--iam", "none", "--access-key-file", &key];
    s3(&sandbox, &["registry"], &store.url, &flags).ok().says("checked   s3-probe privileges");
    assert_eq!(
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok().out.trim(),
        format!("{}: nothing to change", sandbox.name)
    );
    let client = Client::of(&sandbox);
    let (small, large) = (image(&sandbox, "small", 1), image(&sandbox, "large", 120));
    client.push(&small, "team/small:1").ok();
    client.push(&large, "team/large:1").ok();
    let copy = sandbox.home.path().join("copy").display().to_string();
    client.pull("team/large:1", &format!("dir:{copy}")).ok();
    let folder = large.trim_start_matches("oci:");
    shell(&format!("cd {copy}; for blob in *; do case $blob in manifest.json|version) ;; *) cmp $blob {folder}/blobs/sha256/$blob;; esac; done")).ok();

    // docker, there and back.
    let (host, password, home) = (&client.host, &client.password, sandbox.home.path().display());
    let certificates = format!("/etc/docker/certs.d/{host}");
    shell(&format!("mkdir -p {certificates}; cp {} {certificates}/provision-{}.crt", client.ca, sandbox.name)).ok();
    shell(&format!("set -e; export DOCKER_CONFIG={home}/docker; echo {password} | docker login -u admin --password-stdin {host}; docker tag $(docker images -q provision/nginx | head -1) {host}/team/app:1; docker push -q {host}/team/app:1; docker rmi {host}/team/app:1; docker pull -q {host}/team/app:1; docker rmi {host}/team/app:1")).ok();

    let objects = store.objects(&bucket);
    assert!(
        objects.len() > 10 && objects.iter().all(|key| key.starts_with("images/docker/registry/v2/")),
        "{objects:?}"
    );
    let inside = format!("docker exec {}-registry find /var/lib/registry /tmp -type f", sandbox.name);
    assert_eq!(shell(&inside).out, "", "nothing is in the container");
    let inspected = shell(&format!("docker inspect {}-registry", sandbox.name)).ok().out;
    assert!(!inspected.contains(&store.secret) && !inspected.contains(&store.id), "the key shows in {inspected}");

    // Deleted, and collected.
    let digest = shell(&format!(
        "skopeo inspect --creds admin:{password} --cert-dir {} docker://{host}/team/large:1 | jq -r .Digest",
        client.certs
    ))
    .ok()
    .out;
    assert_eq!(
        client.curl(&format!("/v2/team/large/manifests/{} -X DELETE -o /dev/null -w %{{http_code}}", digest.trim())),
        "202"
    );
    shell(&format!("docker exec {}-registry registry garbage-collect /etc/provision/config.yml", sandbox.name)).ok();
    let sizes = store.aws(&format!("s3api list-objects-v2 --bucket {bucket} --query 'max(Contents[].Size)'")).ok().out;
    assert!(sizes.trim().parse::<u64>().unwrap() < 100 << 20, "the large layer is gone: {sizes}");
    client.pull("team/small:1", &format!("dir:{copy}-small")).ok();

    // With objects in it, the bucket stays, and so does all else.
    let things = sandbox.things();
    sandbox.destroy().fails(1).says("there are objects in the bucket").says("--keep-data");
    assert_eq!(sandbox.things(), things);
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
    assert_eq!(sandbox.things(), "");
    store.aws(&format!("s3api head-bucket --bucket {bucket}")).says("404");
}

#[test]
fn a_store_on_the_loopback_is_refused_with_the_address_that_works() {
    let store = Store::garage();
    let (sandbox, bucket) = sandbox("loopback", &store);
    let key = key_file(&sandbox, &store);
    let flags = ["--bucket", &bucket, "--iam", "none", "--access-key-file", &key];
    let proxy = Proxy::new(&store, NOTHING);
    let _listener = std::net::TcpListener::bind(("127.0.0.1", store.port)).unwrap();
    // Something answers there, as it does at the address that containers reach.
    let forward = Forward::new(&store);
    s3(&sandbox, &["plan"], &format!("http://127.0.0.1:{}", forward.0), &[&["registry"], flags.as_slice()].concat())
        .fails(2);
    let loopback = format!("http://localhost:{}", forward.0);
    let port = sandbox.port.to_string();
    sandbox
        .command(
            &[
                &[
                    "plan",
                    "registry",
                    "--name",
                    &sandbox.name,
                    "--port",
                    &port,
                    "--flavor",
                    "s3",
                    "--endpoint",
                    &loopback,
                ],
                flags.as_slice(),
            ]
            .concat(),
        )
        .fails(1)
        .says(&format!("containers cannot reach `{loopback}`"))
        .says("--endpoint http://");
    assert_eq!(proxy.calls().len(), 0);
}

/// A port of the loopback that leads to a store.
struct Forward(u16);

impl Forward {
    fn new(store: &Store) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = (crate::stores::host_address(), store.port);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = std::net::TcpStream::connect((target.0.as_str(), target.1)) else { continue };
                let (mut a, mut b) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut a, &mut b));
                let (mut a, mut b) = (client, server);
                std::thread::spawn(move || std::io::copy(&mut b, &mut a));
            }
        });
        Self(port)
    }
}

/// The policy of the registry's user, as the store has it.
fn policy(store: &Store, sandbox: &Sandbox) -> String {
    let ask = format!(
        "iam get-user-policy --user-name {}-writer --policy-name provision --query PolicyDocument",
        sandbox.name
    );
    store.aws(&ask).ok().out
}

pub fn keys(store: &Store, sandbox: &Sandbox) -> Vec<String> {
    let ask = format!(
        "iam list-access-keys --user-name {}-writer --query AccessKeyMetadata[].AccessKeyId --output text",
        sandbox.name
    );
    store.aws(&ask).out.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_registry_s_own_key_can_do_what_it_needs_and_no_more() {
    let store = Store::moto();
    let (mut sandbox, bucket) = sandbox("moto", &store);
    let proxy = Proxy::new(&store, NOTHING);
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let flags = ["--bucket", &bucket, "--prefix", "images", "--output", "json", "-v"];

    // A plan reads only, and names whose credentials these are.
    let planned = s3(&sandbox, &["plan", "registry"], &proxy.url, &flags).ok();
    planned.says("arn:aws:iam::123456789012:user/owner").says("123456789012");
    assert_eq!((proxy.mutating(), recorder.mutating()), (Vec::new(), Vec::new()));

    let mut told = s3(&sandbox, &["registry"], &proxy.url, &flags).ok().all();
    let tried: Vec<String> = proxy.calls().iter().map(Call::name).collect();
    for call in ["ListUsers", "GET /elsewhere/?list-type=2", "GET /?x-id=ListBuckets", "uploads"] {
        assert!(tried.iter().any(|name| name.contains(call)), "{call} was not tried: {tried:#?}");
    }
    assert!(tried.iter().any(|name| name.starts_with(&format!("DELETE /{bucket}/"))), "{tried:#?}");
    assert!(store.objects(&bucket).iter().all(|key| key.starts_with("images/")), "the probe leaves nothing outside");
    let client = Client::of(&sandbox);
    client.push(&image(&sandbox, "small", 1), "team/small:1").ok();

    // The second run sends nothing that changes anything.
    proxy.calls();
    let before = recorder.mutating().len();
    told.push_str(&s3(&sandbox, &["registry"], &proxy.url, &["-v"]).ok().says("nothing to change").all());
    assert_eq!((proxy.mutating(), recorder.mutating().len()), (Vec::new(), before));

    // One action taken away by hand: the plan names it, and the run puts it back.
    let whole = policy(&store, &sandbox);
    let less = whole.replace("\"s3:DeleteObject\",", "").replace(['\n', ' '], "");
    store
        .aws(&format!(
            "iam put-user-policy --user-name {}-writer --policy-name provision --policy-document '{less}'",
            sandbox.name
        ))
        .ok();
    let plan = sandbox.command(&["plan", &sandbox.name, "--exit-code"]).fails(3);
    plan.says(&format!("policy.s3:DeleteObject: (none) → arn:aws:s3:::{bucket}/images/*"))
        .says("check     s3-probe privileges");
    sandbox.command(&["registry", "--name", &sandbox.name]).ok().says("updated   iam-user writer");
    assert_eq!(policy(&store, &sandbox), whole);

    // Each setting of the bucket, changed by hand.
    let drift = |script: &str, field: &str| {
        store.aws(script).ok();
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).fails(3).says(field);
        sandbox.command(&["registry", "--name", &sandbox.name]).ok();
        sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();
    };
    drift(&format!("s3api delete-public-access-block --bucket {bucket}"), "block_public_acls: (none) → true");
    drift(
        &format!(
            "s3api put-public-access-block --bucket {bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=false,RestrictPublicBuckets=true"
        ),
        "block_public_policy: false → true",
    );
    drift(&format!("s3api delete-bucket-encryption --bucket {bucket}"), "encryption: (none) → AES256");
    drift(
        &format!(
            "s3api put-bucket-ownership-controls --bucket {bucket} --ownership-controls Rules=[{{ObjectOwnership=ObjectWriter}}]"
        ),
        "ownership: ObjectWriter → BucketOwnerEnforced",
    );
    drift(&format!("s3api delete-bucket-lifecycle --bucket {bucket}"), "abort_after: (none) → 7 days");
    drift(
        &format!(
            "s3api put-bucket-tagging --bucket {bucket} --tagging 'TagSet=[{{Key=team,Value=a}},{{Key=provision.id,Value={}}}]'",
            deployment_id(&sandbox)
        ),
        "tags.provision.resource: (none) → store",
    );
    let tags = store.aws(&format!("s3api get-bucket-tagging --bucket {bucket}")).ok();
    tags.says("team");
    drift(
        &format!("iam delete-user-policy --user-name {}-writer --policy-name provision", sandbox.name),
        "policy.s3:ListBucket: (none)",
    );
    drift(
        &format!("iam untag-user --user-name {}-writer --tag-keys provision.deployment", sandbox.name),
        "tags.provision.deployment: (none)",
    );
    let key = keys(&store, &sandbox).pop().unwrap();
    drift(
        &format!("iam update-access-key --user-name {}-writer --access-key-id {key} --status Inactive", sandbox.name),
        "status: Inactive → Active",
    );
    drift(
        &format!("iam delete-access-key --user-name {}-writer --access-key-id {key}", sandbox.name),
        "create    access-key key",
    );

    // No secret shows.
    let kept =
        std::fs::read_to_string(sandbox.home.path().join(format!("home/deployments/{}/access-key/key", sandbox.name)))
            .unwrap();
    let secret = kept.split("\"secret\":\"").nth(1).unwrap().split('"').next().unwrap();
    told.push_str(
        &shell(&format!("docker inspect {0}-registry {0}-proxy; docker logs {0}-registry 2>&1", sandbox.name)).out,
    );
    assert!(secret.len() > 20 && !told.contains(secret) && !told.contains(&store.secret), "a secret shows");

    // Objects stay until they are named; then all goes.
    sandbox.destroy().fails(1).says("there are objects in the bucket");
    assert_eq!(keys(&store, &sandbox).len(), 1);
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
    store.aws(&format!("iam get-user --user-name {}-writer", sandbox.name)).says("NoSuchEntity");
    store.aws(&format!("s3api head-bucket --bucket {bucket}")).says("404");
    store.aws("s3api head-bucket --bucket elsewhere").ok();
}

/// New keys while clients go on: not one request fails.
#[test]
fn keys_are_rotated_while_clients_go_on() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("rotate", &store);
    let proxy = Proxy::new(&store, NOTHING);
    s3(&sandbox, &["registry"], &proxy.url, &["--bucket", &bucket, "--prefix", "images"]).ok();
    let client = Client::of(&sandbox);
    let small = image(&sandbox, "small", 1);
    client.push(&small, "team/small:1").ok();
    let old = keys(&store, &sandbox);
    proxy.calls();
    let (home, Client { host, password, ca, certs }) = (sandbox.home.path().display(), &client);
    let hammer = format!(
        "cd {home}; touch go; \
         read_it() {{ while [ -e go ]; do curl -s -o /dev/null -w '%{{http_code}}\\n' --cacert {ca} -u admin:{password} -H 'Accept: application/vnd.oci.image.manifest.v1+json' https://{host}/v2/team/small/manifests/1 >> reads; done; }}; \
         write_it() {{ n=0; while [ -e go ]; do n=$((n+1)); skopeo copy --quiet --retry-times 0 --dest-creds admin:{password} --dest-cert-dir {certs} {small} docker://{host}/team/w$n:1 >> writes.log 2>&1; echo $? >> writes; done; }}; \
         read_it & read_it & write_it & wait"
    );
    let hammering = std::thread::spawn(move || shell(&hammer));
    let lines =
        |file: &str| std::fs::read_to_string(sandbox.home.path().join(file)).unwrap_or_default().lines().count();
    let more = |reads: usize, writes: usize| {
        let wanted = (lines("reads") + reads, lines("writes") + writes);
        wait_until(|| lines("reads") >= wanted.0 && lines("writes") >= wanted.1);
    };
    more(20, 1);
    let rotated = sandbox.command(&["rotate", &sandbox.name, "--what", "keys"]);
    more(20, 1);
    shell(&format!("rm {home}/go")).ok();
    hammering.join().unwrap();
    rotated.ok().says("replaced  container registry");
    let count = |file: &str, good: &str| {
        let text = std::fs::read_to_string(sandbox.home.path().join(file)).unwrap();
        let bad: Vec<&str> = text.lines().filter(|line| *line != good).collect();
        (text.lines().count(), bad.join(" "))
    };
    let (reads, writes) = (count("reads", "200"), count("writes", "0"));
    println!("during a rotation: {reads:?} reads and {writes:?} pushes, those that failed named");
    let log = std::fs::read_to_string(sandbox.home.path().join("writes.log")).unwrap();
    assert!(reads.0 > 50 && writes.0 > 2, "{reads:?} {writes:?}");
    assert_eq!((reads.1.as_str(), writes.1.as_str()), ("", ""), "{log}");
    let new = keys(&store, &sandbox);
    assert!(new.len() == 1 && new != old, "{old:?} {new:?}");
    let steps: Vec<String> =
        proxy.calls().iter().filter(|call| call.action.ends_with("AccessKey")).map(Call::name).collect();
    assert_eq!(steps, ["CreateAccessKey", "DeleteAccessKey"], "never more than two");
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();

    // A rotation that fails takes the new key back, and the old one goes on.
    proxy.fail(|call| {
        let probe = call.method == "PUT" && call.path.contains("provision-probe");
        let body = "<Error><Code>InvalidRequest</Code><Message>by the test</Message></Error>";
        probe.then_some(Fault::Answer { status: 400, headers: "", body })
    });
    sandbox.command(&["rotate", &sandbox.name, "--what", "keys"]).fails(1).says("by the test").says("as it was before");
    proxy.heal();
    assert_eq!(keys(&store, &sandbox), new);
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok();
    client.pull("team/small:1", &format!("dir:{home}/copy")).ok();
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
}

fn deployment_id(sandbox: &Sandbox) -> String {
    let path = sandbox.home.path().join(format!("home/deployments/{}/deployment.json", sandbox.name));
    let record: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    record["id"].as_str().unwrap().to_owned()
}

/// A playbook of the AWS side alone, which needs no engine.
const AWS: &str = r#"
inputs:
  bucket: { type: string }
  endpoint: { type: string }
  region: { type: string, default: us-east-1 }
  adopt: { type: bool, default: false }
  policy: { type: string, default: least }
  timeout: { type: string, default: "3" }
values:
  root: images
  kms-key: ""
resources:
  - account: account
    region: "{{ region }}"
    endpoint: "{{ endpoint }}"
  - bucket: store
    name: "{{ bucket }}"
    region: "{{ region }}"
    endpoint: "{{ endpoint }}"
    adopt: "{{ adopt }}"
  - iam-user: writer
    endpoint: "{{ endpoint }}"
    template: policy.json
  - access-key: key
    user: "{{ writer }}"
    endpoint: "{{ endpoint }}"
  - s3-probe: privileges
    bucket: "{{ store }}"
    prefix: "{{ root }}"
    endpoint: "{{ endpoint }}"
    id: "{{ key.id }}"
    secret: "{{ key.secret }}"
    timeout: "{{ timeout }}"
    after: [writer]
outputs:
  key: "{{ key.id }}"
  user: "{{ account.arn }}"
"#;

/// Writes that playbook, with the policy that the registry's has.
pub fn playbook(sandbox: &Sandbox) -> String {
    let policy = include_str!("../../templates/aws/registry-policy.json");
    sandbox.write("policy.json", policy);
    sandbox.write("aws.yml", AWS)
}

fn apply(sandbox: &Sandbox, playbook: &str, url: &str, bucket: &str, more: &[&str]) -> Ran {
    let common = ["apply", playbook, "--name", &sandbox.name, "--endpoint", url, "--bucket", bucket];
    sandbox.command(&[&common, more].concat())
}

/// What there is of a sandbox at a store.
pub fn left(store: &Store, sandbox: &Sandbox) -> String {
    let mut text = store.aws("s3api list-buckets --query Buckets[].Name --output text").ok().out;
    text.push_str(&store.aws("iam list-users --query Users[].UserName --output text").ok().out);
    let words: Vec<&str> = text.split_whitespace().filter(|word| word.starts_with(&sandbox.name)).collect();
    words.join(" ")
}

#[test]
fn a_key_that_may_do_more_than_it_should_fails_the_run() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("surprise", &store);
    let file = playbook(&sandbox);
    let wide = sandbox.write("policy.json", "");
    let allow = |action: &str, resource: &str| {
        let policy = include_str!("../../templates/aws/registry-policy.json");
        let more =
            format!("  \"Statement\": [{{\"Effect\":\"Allow\",\"Action\":\"{action}\",\"Resource\":\"{resource}\"}},");
        std::fs::write(&wide, policy.replace("  \"Statement\": [", &more)).unwrap();
    };
    for (action, resource, call) in [
        ("s3:DeleteBucket", "*", "s3 DeleteBucket was not denied"),
        ("s3:ListBucket", "arn:aws:s3:::elsewhere", "s3 ListObjectsV2 of the bucket `elsewhere` was not denied"),
        ("s3:PutObject", "*", "outside the prefix, was not denied"),
        ("iam:ListUsers", "*", "iam ListUsers was not denied"),
        ("s3:ListAllMyBuckets", "*", "s3 ListBuckets was not denied"),
    ] {
        allow(action, resource);
        apply(&sandbox, &file, &store.url, &bucket, &["--timeout", "1"]).fails(1).says(call).says("as it was before");
        assert_eq!(left(&store, &sandbox), "", "{call}");
    }
    // And one that may do less.
    let policy = include_str!("../../templates/aws/registry-policy.json").replace(", \"s3:PutObject\"", "");
    std::fs::write(&wide, policy).unwrap();
    apply(&sandbox, &file, &store.url, &bucket, &["--timeout", "1"])
        .fails(1)
        .says("the key cannot do what it is for: s3 PutObject of")
        .says("\"Action\":\"s3:PutObject\"");
    assert_eq!(left(&store, &sandbox), "");
}

/// The undo of every step: whichever call that changes something fails for good, nothing is left.
#[test]
fn whichever_call_fails_nothing_half_made_is_left() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("steps", &store);
    let file = playbook(&sandbox);
    let proxy = Proxy::new(&store, NOTHING);
    let mut report = String::new();
    for step in 1..40 {
        let mut seen = 0;
        proxy.fail(move |call| {
            // What takes steps back is let through, and so is what the probe does.
            let forward =
                call.is_mutating() && !call.method.starts_with("DELETE") && !call.action.starts_with("Delete");
            seen += usize::from(forward && !call.path.contains("provision-probe"));
            let body = "<Error><Code>AccessDenied</Code><Message>by the test</Message></Error>";
            (forward && seen == step).then_some(Fault::Answer {
                status: 403,
                headers: "Content-Type: application/xml\r\n",
                body,
            })
        });
        let ran = apply(&sandbox, &file, &proxy.url, &bucket, &[]);
        let failed = proxy.calls().into_iter().filter(Call::is_mutating).map(|call| call.name()).nth(step - 1);
        if ran.code == 0 {
            sandbox.destroy().ok();
            assert!(step > 7, "{report}");
            assert_eq!(left(&store, &sandbox), "");
            return;
        }
        let ran =
            ran.says("by the test").says("is denied").says("a policy with this statement would allow it: {\"Effect\"");
        assert_eq!(left(&store, &sandbox), "", "after step {step}, {failed:?}: {}", ran.all());
        writeln!(report, "{step} {failed:?}").unwrap();
    }
    panic!("it never ended: {report}");
}

#[test]
fn what_passes_is_tried_again() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("faults", &store);
    let file = playbook(&sandbox);
    let proxy = Proxy::new(&store, NOTHING);
    let slow = Fault::Answer { status: 503, headers: "Content-Type: application/xml\r\n", body: SLOW_DOWN };
    let lost = |every: usize, fault: Fault| {
        let mut count = 0;
        move |_: &Call| {
            count += 1;
            (count % every == 0).then(|| fault.clone())
        }
    };
    // Every fourth call is too much, gets no answer, or is cut off: all is done all the same, and only once.
    for fault in [slow, Fault::Drop, Fault::LoseAnswer] {
        proxy.fail(lost(4, fault.clone()));
        apply(&sandbox, &file, &proxy.url, &bucket, &["--timeout", "60"]).ok();
        assert_eq!(keys(&store, &sandbox).len(), 1, "one key after {fault:?}");
        proxy.heal();
        apply(&sandbox, &file, &proxy.url, &bucket, &[]).ok().says("nothing to change");
        sandbox.destroy().ok();
        assert_eq!(left(&store, &sandbox), "");
    }
}

#[test]
fn what_stays_wrong_is_told_with_what_to_do() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("told", &store);
    let file = playbook(&sandbox);
    let proxy = Proxy::new(&store, NOTHING);
    let answer = |status, headers, body| Fault::Answer { status, headers, body };
    let slow = answer(503, "Content-Type: application/xml\r\n", SLOW_DOWN);
    let always = |fault: Fault, texts: &[&str]| {
        proxy.fail(move |_| Some(fault.clone()));
        let ran = apply(&sandbox, &file, &proxy.url, &bucket, &[]).fails(1);
        texts.iter().for_each(|text| assert!(ran.all().contains(text), "no `{text}` in:\n{}", ran.all()));
        assert!(!ran.all().contains(&store.secret), "the secret shows");
    };
    always(slow, &["SlowDown, status 503", "Reduce your request rate", "tried several times"]);
    always(Fault::Drop, &["got no answer", "check that something serves S3"]);
    always(
        answer(200, "Content-Type: text/html\r\n", "<!DOCTYPE html><html><body>Sign in</body></html>"),
        &["was answered with a web page (HTML)", "give the address of the API"],
    );
    always(
        answer(
            403,
            "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n",
            "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>",
        ),
        &["RequestTimeTooSkewed", "the clock of this host is wrong", "Mon, 01 Jan 2024"],
    );
    always(
        answer(400, "", "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"),
        &["ExpiredToken", "log in anew"],
    );
    always(
        answer(403, "", "<Error><Code>InvalidAccessKeyId</Code><Message>No such key.</Message></Error>"),
        &["InvalidAccessKeyId", "does not know this access key"],
    );
    proxy.fail(|call| {
        let bucket = call.action.is_empty();
        bucket.then_some(Fault::Answer {
            status: 301,
            headers: "x-amz-bucket-region: eu-west-3\r\n",
            body: "<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>",
        })
    });
    apply(&sandbox, &file, &proxy.url, &bucket, &[])
        .fails(1)
        .says("is in the region `eu-west-3`")
        .says("--region eu-west-3");
    proxy.fail(|call| {
        call.action.is_empty().then_some(Fault::Answer {
            status: 403,
            headers: "",
            body: "<Error><Code>AccessDenied</Code></Error>",
        })
    });
    apply(&sandbox, &file, &proxy.url, &bucket, &[]).fails(1).says("if it is somebody else's, choose another name");
    assert_eq!(left(&store, &sandbox), "");
    proxy.calls();
    apply(&sandbox, &file, &proxy.url, "No_Good", &[])
        .fails(1)
        .says("cannot be the name of a bucket: `N` has no place in it");
    let asked = proxy.calls().into_iter().filter(|call| call.path.contains("No_Good")).count();
    assert_eq!(asked, 0, "no call is made with a bad name");
}

#[test]
fn a_bucket_of_others_is_adopted_only_if_that_is_said_and_then_stays() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("adopt", &store);
    let file = playbook(&sandbox);
    store.aws(&format!("s3api create-bucket --bucket {bucket}")).ok();
    store.aws(&format!("s3api put-bucket-tagging --bucket {bucket} --tagging 'TagSet=[{{Key=team,Value=a}}]'")).ok();
    apply(&sandbox, &file, &store.url, &bucket, &[])
        .fails(1)
        .says("exists already, and it was not made by provision")
        .says("--adopt");
    apply(&sandbox, &file, &store.url, &bucket, &["--adopt"]).ok().says("it is there already and is adopted");
    apply(&sandbox, &file, &store.url, &bucket, &[]).ok().says("nothing to change");
    // Another deployment does not get it, whatever it says.
    let (other, _) = self::sandbox("adopt2", &store);
    let second = playbook(&other);
    apply(&other, &second, &store.url, &bucket, &["--adopt"])
        .fails(1)
        .says(&format!("another deployment called `{}`", sandbox.name));
    store.aws(&format!("s3api put-object --bucket {bucket} --key theirs")).ok();
    sandbox.destroy().ok();
    assert_eq!(store.objects(&bucket), ["theirs"]);
    let tags = store.aws(&format!("s3api get-bucket-tagging --bucket {bucket}")).ok().out;
    assert!(tags.contains("team") && !tags.contains("provision"), "{tags}");
    assert_eq!(left(&store, &sandbox), bucket);
}

#[test]
fn a_key_whose_secret_was_lost_is_deleted_and_made_anew() {
    let store = Store::moto();
    let (sandbox, bucket) = sandbox("orphan", &store);
    let file = playbook(&sandbox);
    let proxy = Proxy::new(&store, NOTHING);
    // The key is made, and the program is killed before it learns of it.
    let (tell, told) = std::sync::mpsc::channel();
    proxy.fail(move |call| {
        let made = call.action == "CreateAccessKey";
        made.then(|| {
            tell.send(()).unwrap();
            Fault::LoseAnswer
        })
    });
    let arguments = ["apply", &file, "--name", &sandbox.name, "--endpoint", &proxy.url, "--bucket", &bucket];
    let mut child = sandbox.start(&arguments);
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    wait_until(|| keys(&store, &sandbox).len() == 1);
    child.kill().unwrap();
    child.wait().unwrap();
    let orphan = keys(&store, &sandbox);
    assert_eq!(orphan.len(), 1, "the store has a key that nobody knows");
    proxy.heal();
    apply(&sandbox, &file, &proxy.url, &bucket, &[]).ok();
    let now = keys(&store, &sandbox);
    assert_eq!(now, [sandbox.output("key")], "one key, and it is the one that is kept");
    assert_ne!(now, orphan);
    // The same in the middle of a rotation.
    let (tell, told) = std::sync::mpsc::channel();
    proxy.fail(move |call| {
        (call.action == "CreateAccessKey").then(|| {
            tell.send(()).unwrap();
            Fault::LoseAnswer
        })
    });
    let mut child = sandbox.start(&["rotate", &sandbox.name, "--what", "keys"]);
    told.recv_timeout(Duration::from_secs(20)).unwrap();
    wait_until(|| keys(&store, &sandbox).len() == 2);
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.heal();
    assert_eq!(keys(&store, &sandbox).len(), 2);
    let plan = sandbox.command(&["plan", &sandbox.name]).ok();
    plan.says("orphan: ");
    apply(&sandbox, &file, &proxy.url, &bucket, &[]).ok();
    assert_eq!(keys(&store, &sandbox), now, "the old key is still the one");
    // And a rotation that ends.
    sandbox.command(&["rotate", &sandbox.name, "--what", "keys"]).ok();
    let rotated = keys(&store, &sandbox);
    assert_eq!(rotated, [sandbox.output("key")]);
    assert_ne!(rotated, now);
    sandbox.destroy().ok();
    assert_eq!(left(&store, &sandbox), "");
}

#[test]
fn another_account_is_refused_with_both_names() {
    let store = Store::moto();
    let (mut sandbox, bucket) = sandbox("account", &store);
    let file = playbook(&sandbox);
    apply(&sandbox, &file, &store.url, &bucket, &[]).ok();
    assert_eq!(sandbox.output("user"), "arn:aws:iam::123456789012:user/owner");
    // A role of another account, which moto gives to whoever asks.
    let role = store
        .aws("sts assume-role --role-arn arn:aws:iam::999999999999:role/other --role-session-name other --query Credentials.[AccessKeyId,SecretAccessKey,SessionToken] --output text")
        .ok()
        .out;
    let words: Vec<&str> = role.split_whitespace().collect();
    let mine = sandbox.variables.clone();
    let names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    sandbox.variables.extend(names.into_iter().zip(words).map(|(name, word)| (name, word.to_owned())));
    for arguments in [vec!["plan", &sandbox.name], vec!["destroy", &sandbox.name, "--yes"]] {
        sandbox.command(&arguments).fails(1).says("arn:aws:iam::123456789012:user/owner").says("999999999999");
    }
    sandbox.variables = mine;
    sandbox.destroy().ok();
    assert_eq!(left(&store, &sandbox), "");
}
