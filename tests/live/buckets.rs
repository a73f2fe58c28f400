//! `gc`, `du`, `fsck` and `retention` of registries whose store is a bucket: on Garage.

use std::thread;
use std::time::Duration;

use crate::client::{Client, Outcome, digest};
use crate::engine::{Ran, Sandbox, shell};
use crate::s3::{s3, sandbox};
use crate::stores::{Call, Fault, Proxy, Store};

const NOTHING: Duration = Duration::ZERO;

/// A registry in a bucket of Garage, perhaps with something before the store, and a client of it.
struct Stage {
    sandbox: Sandbox,
    client: Client,
    bucket: String,
}

impl Stage {
    fn new(test: &str, store: &Store, url: &str) -> Self {
        let (sandbox, bucket) = sandbox(test, store);
        let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
        let flags = ["--bucket", &bucket, "--prefix", "images", "--iam", "none", "--access-key-file", &key];
        s3(&sandbox, &["registry"], url, &flags).ok();
        let client = Client::of(&sandbox);
        Self { sandbox, client, bucket }
    }

    fn run(&self, words: &str) -> Ran {
        let words: Vec<&str> = words.split_whitespace().collect();
        let (verb, rest) = words.split_first().unwrap();
        self.sandbox.command(&[&[*verb, self.sandbox.name.as_str()], rest].concat())
    }

    /// Uploads a layer of 100 kB that no image needs.
    fn garbage(&self, letter: &str) -> String {
        let layer = letter.repeat(100_000);
        assert_eq!(self.client.upload("team/app", &layer), 201);
        layer
    }

    /// Pushes an image without layers, and gives its configuration and its manifest.
    fn image(&self, content: &str, references: &[&str], subject: Option<&str>) -> (String, String) {
        let config = format!("{{\"image\":\"{content}\"}}");
        assert_eq!(self.client.upload("team/app", &config), 201);
        let about = subject
            .map_or_else(String::new, |subject| format!(",\"subject\":{}", described("manifest.v1+json", subject)));
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{},\"layers\":[]{about}}}",
            described("config.v1+json", &config)
        );
        self.put(&manifest, references);
        (config, manifest)
    }

    /// Puts a manifest under some tags, or under its digest if there are none.
    fn put(&self, manifest: &str, references: &[&str]) {
        let own = [digest(manifest)];
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let references = if references.is_empty() { &own } else { references };
        references.iter().for_each(|name| assert_eq!(self.client.put("team/app", name, manifest), 201, "{name}"));
    }

    fn done(&self) {
        assert_eq!(shell(&format!("docker ps -aq --filter name={}-helper", self.sandbox.name)).out, "");
        self.sandbox.command(&["destroy", &self.sandbox.name, "--yes", "--delete-data", &self.bucket]).ok();
    }
}

fn described(kind: &str, content: &str) -> String {
    format!(
        "{{\"mediaType\":\"application/vnd.oci.image.{kind}\",\"size\":{},\"digest\":\"{}\"}}",
        content.len(),
        digest(content)
    )
}

/// Where a bucket has the bytes of a blob.
fn data(content: &str) -> String {
    let hex = digest(content)[7..].to_owned();
    format!("images/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
}

fn link(kind: &str, content: &str) -> String {
    format!("images/docker/registry/v2/repositories/team/app/{kind}/sha256/{}/link", &digest(content)[7..])
}

#[test]
fn what_nothing_needs_leaves_a_bucket_and_all_else_stays() {
    let store = Store::garage();
    let proxy = Proxy::new(&store, NOTHING);
    let stage = Stage::new("bucket", &store, &proxy.url);
    stage.run("gc --now").ok().says("nothing is left to free");
    // An image with a signature; an index whose platform has no tag; both are needed.
    let (config, image) = stage.image("kept", &["v1", "v1.0", "v10"], None);
    let (signed, signature) = stage.image("signature", &[], Some(&image));
    let (platform, child) = stage.image("platform", &[], None);
    let index = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{}]}}",
        described("manifest.v1+json", &child)
    );
    let index_put = format!(
        "{} -o /dev/null -w '%{{http_code}}' -X PUT -H 'Content-Type: application/vnd.oci.image.index.v1+json' --data-binary '{index}' https://localhost:{}/v2/team/app/manifests/multi",
        curl(&stage.sandbox),
        stage.sandbox.port
    );
    assert_eq!(shell(&index_put).out, "201");
    // Garbage of two kinds: a layer that nothing names, and an image that was deleted.
    let (layer, (gone, deleted)) = (stage.garbage("a"), stage.image("deleted", &["old"], None));
    stage.run("images delete team/app:old --yes").ok();
    // 2.8 leaves the tags of the one that goes if another's name goes on after it: they are not in its way.
    stage.run("du").ok().says("no image needs 3 blobs").says("frees that");
    stage.run("gc --dry-run").ok().says("no image needs 3 blobs (101 kB)");
    let before = store.objects(&stage.bucket).len();
    stage.run("gc").ok().says("freed 0 blobs").says("a run in 24 h frees them");
    assert_eq!(store.objects(&stage.bucket).len(), before);
    stage.run("fsck").ok().says("no damage").says("no image needs 3 blobs");
    // One grace later, or after the longest push if that took longer.
    let begun = std::time::Instant::now();
    let freed = loop {
        proxy.calls();
        let ran = stage.run("gc --grace 1s").ok();
        if !ran.all().contains("freed 0 blobs") || begun.elapsed() > Duration::from_mins(1) {
            break ran;
        }
        thread::sleep(Duration::from_secs(1)); // a part of the grace
    };
    freed.says("freed 3 blobs (101 kB)").says("nothing is left to free");
    // What was read of manifests is known from the run before, and what was deleted went by few requests.
    let calls: Vec<String> = proxy.calls().iter().map(Call::name).collect();
    let read = calls.iter().filter(|call| call.starts_with("GET") && call.contains("/blobs/sha256/")).count();
    let deletions = calls.iter().filter(|call| call.starts_with("POST") && call.contains("delete")).count();
    assert_eq!(read, 0, "{calls:#?}");
    assert!(deletions <= 4, "{calls:#?}");
    let objects = store.objects(&stage.bucket);
    for content in [&layer, &gone, &deleted] {
        assert!(!objects.contains(&data(content)), "{content:.60} is still there");
        assert!(!objects.contains(&link("_layers", content)), "the link of {content:.60} is still there");
    }
    assert!(objects.iter().all(|key| !key.contains("provision-trial")), "{objects:?}");
    for content in [&config, &image, &signed, &signature, &platform, &child, &index] {
        assert!(objects.contains(&data(content)), "{content} is gone");
    }
    for tag in ["v1", "v1.0", "v10"] {
        let path = format!("/v2/team/app/manifests/{tag}");
        let got = shell(&format!(
            "{} -H 'Accept: application/vnd.oci.image.manifest.v1+json' https://localhost:{}{path}",
            curl(&stage.sandbox),
            stage.sandbox.port
        ));
        assert_eq!(got.out, image, "{tag}");
    }
    stage.run("fsck --deep").ok().says("no damage").says("no image needs 0 blobs").says("every byte was read");
    // A manifest without a tag goes only if that is wanted, with what it alone needs; what a tag leads to stays.
    let (lonely, _) = stage.image("lonely", &[], None);
    stage.run("gc --now").ok().says("nothing is left to free");
    thread::sleep(Duration::from_millis(1100)); // the age of a manifest without a tag
    stage.run("gc --now --untagged 1s").ok().says("freed 1 manifests without a tag and 2 blobs");
    assert!(!store.objects(&stage.bucket).contains(&data(&lonely)));
    assert_eq!(stage.client.outcome("team/app", "v1.0", &[&config]), Outcome::Whole);
    stage.run("fsck --deep").ok().says("no damage");
    stage.run("du").ok().says("garbage collection would free nothing");
    stage.run("maintain").ok();
    stage.done();
}

fn curl(sandbox: &Sandbox) -> String {
    format!("curl -s --noproxy '*' --cacert {} -u admin:{}", sandbox.output("ca"), sandbox.password())
}

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>not you</Message></Error>";

/// What a store answers in place of passing a call on.
fn xml(status: u16, body: &'static str) -> Fault {
    Fault::Answer { status, headers: "Content-Type: application/xml\r\n", body }
}

/// What a store does that nothing can be collected in: it is told with the bucket and the key, and nothing has changed.
#[test]
fn a_store_that_cannot_be_relied_on_is_left_as_it_is() {
    let store = Store::garage();
    let proxy = Proxy::new(&store, NOTHING);
    let stage = Stage::new("bucketbad", &store, &proxy.url);
    let bucket = &stage.bucket;
    // What the set-up tried the registry with.
    stage.run("gc --now").ok();
    let (config, _) = stage.image("kept", &["v1"], None);
    let layer = stage.garbage("a");
    stage.run("gc").ok().says("freed 0 blobs");
    let whole = store.objects(bucket);
    let denied = |status| xml(status, DENIED);
    let is_list = |call: &Call| call.method == "GET" && call.path.contains("list-type=2");

    // It is read-only.
    proxy.fail(move |call| (call.method == "PUT").then(|| denied(403)));
    stage
        .run("gc --now")
        .fails(1)
        .says(&format!("s3 PutObject of `{bucket}/images/docker/registry/v2/provision-trial/"))
        .says("is denied");
    // It refuses deletions, all of them or one by one.
    proxy.fail(move |call| (call.method == "DELETE" || call.path.contains("?delete")).then(|| denied(403)));
    stage
        .run("gc --now")
        .fails(1)
        .says(&format!("s3 DeleteObject of `{bucket}/images/docker/"))
        .says("is denied")
        .says("s3:DeleteObject");
    let mut deletions = 0;
    let refusal = format!(
        "<DeleteResult><Error><Key>{}</Key><Code>InvalidRequest</Code><Message>it is locked</Message></Error></DeleteResult>",
        data(&layer)
    );
    let refusal: &'static str = Box::leak(refusal.into_boxed_str());
    proxy.fail(move |call| {
        deletions += usize::from(call.method == "POST" && call.path.contains("delete"));
        // The first one is the trial.
        (call.method == "POST" && call.path.contains("delete") && deletions == 2).then_some(xml(200, refusal))
    });
    stage
        .run("gc --now")
        .fails(1)
        .says(&format!("s3 DeleteObjects of `{bucket}/{}`", data(&layer)))
        .says("it is locked");
    // Its list is late, or in no order.
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>";
    proxy.fail(move |call| (is_list(call) && call.path.contains("provision-trial")).then_some(xml(200, empty)));
    stage.run("gc --now").fails(1).says(&format!("the list of `{bucket}` is late"));
    let mixed = "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>images/docker/registry/v2/blobs/b</Key><Size>1</Size></Contents><Contents><Key>images/docker/registry/v2/blobs/a</Key><Size>1</Size></Contents></ListBucketResult>";
    proxy.fail(move |call| (is_list(call) && call.path.contains("v2%2Fblobs")).then_some(xml(200, mixed)));
    stage.run("gc --now").fails(1).says("is not in the order of the names");
    stage.run("fsck").fails(1).says("is not in the order of the names");
    // It is not there.
    proxy.fail(|call| (!call.method.is_empty()).then_some(Fault::Drop));
    stage.run("du").fails(1).says("s3 ListObjectsV2").says(bucket).says(&proxy.url);
    stage.run("gc --now").fails(1).says("s3 PutObject").says(&proxy.url);
    // The key is another by now.
    let unknown = "<Error><Code>InvalidAccessKeyId</Code><Message>No such key: GK0</Message></Error>";
    proxy.fail(move |_| Some(xml(403, unknown)));
    stage.run("fsck").fails(1).says("s3 ListObjectsV2").says("does not know this access key");

    proxy.heal();
    let left: Vec<String> = store.objects(bucket).into_iter().filter(|key| !key.contains("provision-trial")).collect();
    assert_eq!(left, whole.iter().filter(|key| !key.contains("provision-trial")).cloned().collect::<Vec<_>>());
    // What the runs left that failed goes with the next, and then all is as ever.
    stage.run("gc --now").ok().says("freed 1 blobs (100 kB)");
    assert!(store.objects(bucket).iter().all(|key| !key.contains("provision-trial")));
    assert_eq!(stage.client.outcome("team/app", "v1", &[&config]), Outcome::Whole);
    stage.run("fsck --deep").ok().says("no damage");
    stage.done();
}

/// A deletion whose answer is lost is not sent again, and the run says that it failed.
#[test]
fn a_deletion_without_an_answer_is_sent_once() {
    let store = Store::garage();
    let proxy = Proxy::new(&store, NOTHING);
    let stage = Stage::new("bucketlost", &store, &proxy.url);
    let (config, _) = stage.image("kept", &["v1"], None);
    stage.garbage("a");
    stage.run("gc").ok();
    proxy.calls();
    let mut deletions = 0;
    proxy.fail(move |call| {
        deletions += usize::from(call.method == "POST" && call.path.contains("delete"));
        (call.method == "POST" && call.path.contains("delete") && deletions > 1).then_some(Fault::LoseAnswer)
    });
    stage.run("gc --now").fails(1).says("s3 DeleteObjects").says("got no answer");
    let sent = proxy.calls().iter().filter(|call| call.method == "POST" && call.path.contains("delete")).count();
    assert_eq!(sent, 2, "the trial, and one deletion");
    proxy.heal();
    stage.run("gc --now").ok().says("nothing is left to free");
    assert_eq!(stage.client.outcome("team/app", "v1", &[&config]), Outcome::Whole);
    stage.run("fsck --deep").ok().says("no damage");
    stage.done();
}

/// Each single damage in a bucket is found, named by image and tag, and is gone when the bucket is as it was.
#[test]
fn damage_in_a_bucket_is_named_by_image_and_tag() {
    let store = Store::garage();
    let stage = Stage::new("bucketfsck", &store, &store.url);
    let (config, manifest) = stage.image("one", &["v1"], None);
    stage.image("two", &["v2"], None);
    stage.run("fsck --deep").ok().says("no damage");
    let tag = |rest: &str| format!("images/docker/registry/v2/repositories/team/app/_manifests/tags/v1/{rest}");
    let index = tag(&format!("index/sha256/{}/link", &digest(&manifest)[7..]));
    let other = digest("another");
    // The object, what stands there instead (none: it is gone), whether every byte has to be read, and what is told.
    let cases: [(String, Option<String>, bool, &str); 13] = [
        (data(&config), None, false, "the layer sha256:"),
        (data(&config), Some(format!("{config} ")), false, "bytes instead of"),
        (data(&config), Some("x".repeat(config.len())), true, "is not what its digest says"),
        (data(&manifest), None, false, "the manifest sha256:"),
        (data(&manifest), Some("{}".to_owned()), false, "the content of the manifest"),
        (link("_layers", &config), None, false, "is missing"),
        (link("_layers", &config), Some(String::new()), false, "is empty"),
        (link("_layers", &config), Some(other.clone()), false, "names something else"),
        (link("_manifests/revisions", &manifest), None, false, "the link to the manifest is missing"),
        (link("_manifests/revisions", &manifest), Some(other.clone()), false, "names something else"),
        (tag("current/link"), None, false, "the link of the tag is missing"),
        (tag("current/link"), Some(String::new()), false, "is empty or names no manifest"),
        (index, Some(other), false, "the link of an earlier push of the tag names something else"),
    ];
    let put = |key: &str, content: &str| {
        let file = stage.sandbox.write("object", content);
        store.aws(&format!("s3api put-object --bucket {} --key {key} --body {file}", stage.bucket)).ok();
    };
    for (key, damage, deep, told) in cases {
        let saved = stage.sandbox.home.path().join("saved").display().to_string();
        store.aws(&format!("s3api get-object --bucket {} --key {key} {saved}", stage.bucket)).ok();
        match &damage {
            None => drop(store.aws(&format!("s3api delete-object --bucket {} --key {key}", stage.bucket)).ok()),
            Some(content) => put(&key, content),
        }
        if deep {
            stage.run("fsck").ok().says("no damage");
        }
        let found = stage.run(if deep { "fsck --deep" } else { "fsck" }).fails(3).says("team/app:v1").says(told);
        assert!(!found.all().contains("team/app:v2"), "{key}: {}", found.all());
        put(&key, &std::fs::read_to_string(&saved).unwrap());
    }
    stage.run("fsck --deep").ok().says("no damage");
    stage.done();
}

#[test]
fn tags_in_a_bucket_go_by_rules_and_can_be_put_back() {
    let store = Store::garage();
    let stage = Stage::new("bucketkeep", &store, &store.url);
    let mut configs = Vec::new();
    for tag in ["v1", "v1.0", "v10", "v2"] {
        configs.push(stage.image(tag, &[tag], None).0);
    }
    let file =
        stage.sandbox.write("rules.yml", "- repositories: \"team/*\"\n  keep: { tags: [v1.0, v10] }\n  untagged: 1s\n");
    stage.run(&format!("retention set {file}")).ok();
    let listed = stage.run("retention plan --dry-run").ok().says("2 of 4 tags go");
    assert!(listed.out.contains("team/app:v1 ") && listed.out.contains("team/app:v2 "), "{}", listed.out);
    stage.run("images hold team/app:v2").ok();
    stage.run("retention plan --yes").ok().says("removed 1 tags");
    // The tag is gone from the store, whatever the registry lists of it.
    let objects = store.objects(&stage.bucket);
    assert!(!objects.iter().any(|key| key.contains("/_manifests/tags/v1/")), "{objects:#?}");
    for (tag, config) in ["v1.0", "v10", "v2"].iter().zip(&configs[1..]) {
        assert_eq!(stage.client.outcome("team/app", tag, &[config]), Outcome::Whole, "{tag}");
    }
    stage.run("gc --undelete").ok().says("team/app:v1  kept until 20");
    stage.run("gc --undelete team/app:v1").ok().says("team/app:v1 is back");
    assert_eq!(stage.client.outcome("team/app", "v1", &[&configs[0]]), Outcome::Whole);
    stage.run("images unhold team/app:v2").ok();
    stage.run("maintain").ok().says("removed 2 of 4 tags");
    thread::sleep(Duration::from_millis(1100)); // the age of a manifest without a tag
    stage.run("gc --now").ok().says("freed 2 manifests without a tag and ");
    stage.run("gc --undelete team/app:v1").fails(1).says("a part of it is freed");
    stage.run("fsck --deep").ok().says("no damage");
    stage.done();
}

/// A collection that is killed leaves a registry that serves, and the next one goes on.
#[test]
fn a_collection_of_a_bucket_that_is_killed_is_gone_on_with() {
    let store = Store::garage();
    let proxy = Proxy::new(&store, Duration::from_millis(60));
    let stage = Stage::new("bucketkill", &store, &proxy.url);
    let (config, _) = stage.image("kept", &["v1"], None);
    for letter in ["a", "b", "c"] {
        stage.garbage(letter);
    }
    stage.run("gc").ok();
    for after in [3, 8, 11, 13, 15] {
        proxy.calls();
        let child = stage.sandbox.start(&["gc", &stage.sandbox.name, "--now"]);
        // At a counted request of the collector, of whatever it does then.
        let helper = format!("{}-helper", stage.sandbox.name);
        let (mut seen, begun) = (0, std::time::Instant::now());
        while seen < after && begun.elapsed() < Duration::from_secs(30) {
            seen += proxy
                .calls()
                .iter()
                .filter(|call| {
                    call.path.contains("docker%2Fregistry")
                        || call.path.contains("provision-trial")
                        || call.method == "POST"
                })
                .count();
            thread::sleep(Duration::from_millis(5));
        }
        shell(&format!("docker kill {helper}"));
        drop(child.wait_with_output());
        assert_eq!(stage.client.outcome("team/app", "v1", &[&config]), Outcome::Whole, "killed at {after}");
        assert_eq!(stage.client.upload("team/app", &format!("after {after}")), 201);
    }
    stage.run("gc --now").ok().says("nothing is left to free");
    stage.run("fsck --deep").ok().says("no damage").says("no image needs 0 blobs");
    assert!(store.objects(&stage.bucket).iter().all(|key| !key.contains("provision-trial")));
    stage.done();
}
