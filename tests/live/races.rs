//! Races between a collection and its clients that are too rare to wait for, forced by a delay at the right call of the registry or
//! of the collector. Each is tried with the whole protocol, and without the element that is for it: then an image must break.

use std::process::{Child, Command};
use std::thread;

use crate::client::{Client, Outcome, digest};
use crate::engine::{Sandbox, shell, wait_until};

const STORE: &str = "/var/lib/registry/docker/registry/v2";

/// A registry with a collector whose protocol can be left incomplete.
struct Stage {
    sandbox: Sandbox,
    client: Client,
}

/// A collector, or a registry, that is held up at one call. It says when it gets there.
struct Held {
    tracer: Child,
    trace: String,
}

impl Held {
    /// Holds all processes of a container up for some seconds at calls about a path.
    fn new(stage: &Stage, container: &str, calls: &str, path: &str, seconds: u32) -> Self {
        let trace = stage.sandbox.write("trace", "");
        let pid = shell(&format!("docker inspect {container} --format '{{{{.State.Pid}}}}'")).ok().out;
        let mut tracer = Command::new("strace");
        tracer.args(["-f", "-p", pid.trim(), "-P", path, "-e", &format!("trace={calls}"), "-o", &trace]);
        tracer.args(["-e", &format!("inject={calls}:delay_enter={seconds}000000")]);
        let tracer = tracer.stderr(std::process::Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", pid.trim());
        wait_until(|| std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("TracerPid:\t0")));
        Self { tracer, trace }
    }

    fn is_there(&self) -> bool {
        std::fs::read_to_string(&self.trace).unwrap_or_default().contains(STORE)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        shell(&format!("kill {}", self.tracer.id()));
        self.tracer.wait().unwrap();
    }
}

impl Stage {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        sandbox.registry(&["--trust", "no"]).ok();
        let client = Client::of(&sandbox);
        Self { sandbox, client }
    }

    fn name(&self) -> &str {
        &self.sandbox.name
    }

    /// Starts a collection without some elements, half a second later; what was listed for a second may go.
    fn start(&self, without: &[&str], untagged: bool) -> Child {
        self.start_task(&format!("{{\"collect\":{}}}", collection(without, untagged)))
    }

    fn start_task(&self, task: &str) -> Child {
        let name = self.name();
        let job = format!("{{\"root\":\"/var/lib/registry\",\"task\":{task}}}");
        let job = self.sandbox.write("job.json", &job);
        shell(&format!("chmod 755 {} && chmod 644 {job}", self.sandbox.home.path().display())).ok();
        let script = format!(
            "docker run --rm --name {name}-collector --pid container:{name}-proxy --user 65532:65532 --network none -v {name}-data:/var/lib/registry -v {name}-watch:/run/watch -v {}:/provision:ro -v {job}:/job.json:ro --entrypoint sh $(docker inspect {name}-proxy --format '{{{{.Image}}}}') -c 'sleep 1; exec /provision agent /job.json'",
            env!("CARGO_BIN_EXE_provision")
        );
        Command::new("bash").args(["-c", &script]).stdout(std::process::Stdio::piped()).spawn().unwrap()
    }

    fn collect(&self, without: &[&str], untagged: bool) -> String {
        let output = self.start(without, untagged).wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("\"collected\""), "{said}");
        said
    }

    /// Lists all that may go, and waits until it may.
    fn list(&self, untagged: bool) {
        self.collect(&[], untagged);
        thread::sleep(std::time::Duration::from_millis(1200)); // the grace
    }

    /// Runs a collection that is held up at the deletion of a file, and does something meanwhile.
    fn while_it_goes<T>(&self, path: &str, without: &[&str], untagged: bool, work: impl FnOnce() -> T) -> T {
        self.while_task(self.start(without, untagged), path, work)
    }

    fn while_task<T>(&self, collector: Child, path: &str, work: impl FnOnce() -> T) -> T {
        let container = format!("{}-collector", self.name());
        let runs = format!("docker inspect {container} --format '{{{{.State.Running}}}}'");
        wait_until(|| shell(&runs).out.trim() == "true");
        let held = Held::new(self, &container, "unlink", &format!("{STORE}/{path}"), 3);
        wait_until(|| held.is_there());
        let done = work();
        let output = collector.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("\"collected\"") || said.contains("\"planned\""), "{said}");
        done
    }

    /// Does something that the registry is held up with at the writing of a file, and runs a collection meanwhile.
    fn while_it_comes<T: Send>(&self, path: &str, without: &[&str], work: impl FnOnce() -> T + Send) -> T {
        let held = Held::new(self, &format!("{}-registry", self.name()), "openat", &format!("{STORE}/{path}"), 5);
        thread::scope(|scope| {
            let work = scope.spawn(work);
            wait_until(|| held.is_there());
            self.collect(without, false);
            work.join().unwrap()
        })
    }

    /// Puts a configuration into a repository that stays: an image needs it.
    fn kept(&self, repository: &str) -> String {
        let config = format!("configuration of {repository}");
        assert_eq!(self.client.upload(repository, &config), 201);
        let manifest = manifest(&config, &[&config], "kept");
        assert_eq!(self.client.put(repository, "kept", &manifest), 201);
        config
    }
}

/// A collection without some elements of the protocol.
fn collection(without: &[&str], untagged: bool) -> String {
    let without: Vec<String> = without.iter().map(|one| format!("\"{one}\"")).collect();
    let untagged = if untagged { "0" } else { "null" };
    format!(
        "{{\"folder\":\"/run/watch/keys\",\"nginx\":1,\"grace\":1,\"untagged\":{untagged},\"dry_run\":false,\"program\":[\"/provision\"],\"without\":[{}]}}",
        without.join(",")
    )
}

fn manifest(config: &str, layers: &[&str], note: &str) -> String {
    let one = |content: &str| {
        format!(
            "{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"size\":{},\"digest\":\"{}\"}}",
            content.len(),
            digest(content)
        )
    };
    let layers: Vec<String> = layers.iter().map(|layer| one(layer)).collect();
    let config = one(config).replace("layer.v1.tar", "config.v1+json");
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{config},\"layers\":[{}],\"annotations\":{{\"note\":\"{note}\"}}}}",
        layers.join(",")
    )
}

fn data(content: &str) -> String {
    let hex = digest(content)[7..].to_owned();
    format!("blobs/sha256/{}/{hex}/data", &hex[..2])
}

fn link(repository: &str, kind: &str, content: &str) -> String {
    format!("repositories/{repository}/{kind}/sha256/{}/link", &digest(content)[7..])
}

/// A blob is uploaded anew while the same, which nothing needed, goes.
fn blob_again(stage: &Stage, repository: &str, comes: bool, without: &[&str]) -> Outcome {
    let client = &stage.client;
    let config = stage.kept(repository);
    let layer = format!("layer of {repository}");
    assert_eq!(client.upload(repository, &layer), 201);
    stage.list(false);
    let upload = || client.upload(repository, &layer);
    let uploaded = if comes {
        stage.while_it_comes(&link(repository, "_layers", &layer), without, upload)
    } else {
        stage.while_it_goes(&data(&layer), without, false, upload)
    };
    assert!(uploaded == 201 || !without.is_empty(), "{uploaded}");
    let image = manifest(&config, &[&layer], "new");
    client.put(repository, "new", &image);
    client.outcome(repository, "new", &[&config, &layer])
}

/// A manifest that was deleted is pushed again while its bytes go.
fn manifest_again(stage: &Stage, repository: &str, comes: bool, without: &[&str]) -> Outcome {
    let client = &stage.client;
    let config = stage.kept(repository);
    let image = manifest(&config, &[&config], "again");
    assert_eq!(client.put(repository, "again", &image), 201);
    assert_eq!(client.delete(repository, &image), 202);
    stage.list(false);
    let put = || client.put(repository, "again", &image);
    if comes {
        stage.while_it_comes(&link(repository, "_manifests/revisions", &image), without, put);
    } else {
        stage.while_it_goes(&data(&image), without, false, put);
    }
    client.outcome(repository, "again", &[&config])
}

/// A manifest without a tag gets one while it goes.
fn tagged(stage: &Stage, repository: &str, without: &[&str]) -> Outcome {
    let client = &stage.client;
    let config = stage.kept(repository);
    let image = manifest(&config, &[&config], "untagged");
    assert_eq!(client.put(repository, &digest(&image), &image), 201);
    stage.list(true);
    let revision = link(repository, "_manifests/revisions", &image);
    stage.while_it_goes(&revision, without, true, || client.put(repository, "tagged", &image));
    client.outcome(repository, "tagged", &[&config])
}

/// A manifest is pushed long after its client saw that the layers are there.
fn late(stage: &Stage, repository: &str, comes: bool, without: &[&str]) -> Outcome {
    let client = &stage.client;
    let config = stage.kept(repository);
    let layer = format!("layer of {repository}");
    assert_eq!(client.upload(repository, &layer), 201);
    assert_eq!(client.head(repository, &layer), 200);
    stage.list(false);
    let image = manifest(&config, &[&layer], "late");
    let put = || client.put(repository, "late", &image);
    if comes {
        stage.while_it_comes(&link(repository, "_manifests/revisions", &image), without, put);
    } else {
        stage.while_it_goes(&data(&layer), without, false, put);
    }
    client.outcome(repository, "late", &[&config, &layer])
}

/// A tag is pushed anew while retention takes it away.
fn pushed_while_it_goes(stage: &Stage, repository: &str, without: &[&str]) -> Outcome {
    let client = &stage.client;
    let config = stage.kept(repository);
    let (old, new) = (manifest(&config, &[&config], "old"), manifest(&config, &[&config], "new"));
    assert_eq!(client.put(repository, "moved", &old), 201);
    let rules = format!(
        "{{\"repositories\":\"{repository}\",\"keep\":{{\"last\":null,\"tags\":[\"kept\"],\"younger\":null}},\"untagged\":null}}"
    );
    let retention = format!("{{\"rules\":[{rules}],\"held\":[],\"agreed\":null}}");
    let run = stage.start_task(&format!("{{\"retain\":[{retention},{}]}}", collection(without, false)));
    let tag = format!("repositories/{repository}/_manifests/tags/moved/index/sha256/{}/link", &digest(&old)[7..]);
    assert_eq!(stage.while_task(run, &tag, || client.put(repository, "moved", &new)), 201);
    client.outcome(repository, "moved", &[&config])
}

#[test]
fn no_race_breaks_an_image_and_each_does_without_what_is_for_it() {
    let stage = Stage::new("races");
    let (gate, barrier): (&[&str], &[&str]) = (&["gate"], &["barrier"]);
    // While it goes: the gate.
    assert_eq!(blob_again(&stage, "r/a", false, &[]), Outcome::Whole);
    assert_eq!(blob_again(&stage, "r/b", false, gate), Outcome::Refused);
    assert_eq!(manifest_again(&stage, "r/c", false, &[]), Outcome::Whole);
    assert_eq!(manifest_again(&stage, "r/d", false, gate), Outcome::Broken);
    assert_eq!(tagged(&stage, "r/e", &[]), Outcome::Whole);
    assert_eq!(tagged(&stage, "r/f", gate), Outcome::Broken);
    assert_eq!(late(&stage, "r/g", false, &[]), Outcome::Refused, "an honest refusal, and the store is whole");
    assert_eq!(late(&stage, "r/h", false, gate), Outcome::Broken);
    assert_eq!(pushed_while_it_goes(&stage, "r/o", &[]), Outcome::Whole, "the push waits, and counts");
    assert_eq!(pushed_while_it_goes(&stage, "r/p", gate), Outcome::Broken, "a push that was taken is lost");
    // While it comes: the barrier.
    assert_eq!(blob_again(&stage, "r/i", true, &[]), Outcome::Whole);
    assert_eq!(blob_again(&stage, "r/j", true, barrier), Outcome::Refused);
    assert_eq!(manifest_again(&stage, "r/k", true, &[]), Outcome::Whole);
    assert_eq!(manifest_again(&stage, "r/l", true, barrier), Outcome::Broken);
    assert_eq!(late(&stage, "r/m", true, &[]), Outcome::Whole);
    assert_eq!(late(&stage, "r/n", true, barrier), Outcome::Broken);
    stage.sandbox.destroy().ok();
}

#[test]
fn what_is_asked_for_stays_and_goes_without_heed() {
    let stage = Stage::new("heed");
    let client = &stage.client;
    for (repository, without, code) in [("h/a", &[][..], 200), ("h/b", &["touch"][..], 404)] {
        stage.kept(repository);
        let layer = format!("layer of {repository}");
        assert_eq!(client.upload(repository, &layer), 201);
        stage.list(false);
        assert_eq!(client.head(repository, &layer), 200);
        stage.collect(without, false);
        assert_eq!(client.head(repository, &layer), code, "{repository}");
    }
    stage.sandbox.destroy().ok();
}
