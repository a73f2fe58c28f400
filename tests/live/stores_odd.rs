//! Stores that answer oddly: a proxy plays them in front of real ones, one call at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::{Ran, Sandbox};
use crate::stores::{Call, Fault, Proxy, Store};

/// A bucket alone.
const BUCKET: &str = r#"
inputs:
  bucket: { type: string }
  endpoint: { type: string }
  kms-key: { type: string, default: "" }
resources:
  - account: account
    endpoint: "{{ endpoint }}"
  - bucket: store
    name: "{{ bucket }}"
    endpoint: "{{ endpoint }}"
    kms_key: "{{ kms_key }}"
"#;

const LISTING: &str = "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>x</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";
const CONFLICT: &str = "<Error><Code>InvalidBucketState</Code><Message>by the test</Message></Error>";
const PAGE: &str = "<!DOCTYPE html><html><body>nothing here</body></html>";

/// What a store may answer to a setting that it does not know.
const ANSWERS: [(u16, &str); 5] = [(409, CONFLICT), (200, LISTING), (200, ""), (200, PAGE), (404, PAGE)];

/// The settings, by their parts of an address, and as they are told.
const SETTINGS: [(&str, &str); 5] = [
    ("publicAccessBlock", "block of public access"),
    ("encryption", "encryption"),
    ("ownershipControls", "ownership of objects"),
    ("lifecycle", "lifecycle of uploads"),
    ("tagging", "tags"),
];

struct Odd {
    sandbox: Sandbox,
    bucket: String,
    playbook: String,
    proxy: Proxy,
    store: Store,
}

impl Odd {
    fn new(test: &str, store: Store) -> Self {
        let mut sandbox = Sandbox::new(test);
        store.serve(&mut sandbox);
        let (bucket, playbook) = (format!("{}-odd", sandbox.name), sandbox.write("bucket.yml", BUCKET));
        let proxy = Proxy::new(&store, Duration::ZERO);
        Self { sandbox, bucket, playbook, proxy, store }
    }

    fn run(&self, verb: &str, more: &[&str]) -> Ran {
        let Self { sandbox, bucket, playbook, proxy, .. } = self;
        let common = [verb, playbook, "--name", &sandbox.name, "--endpoint", &proxy.url, "--bucket", bucket];
        sandbox.command(&[&common, more].concat())
    }

    /// From now on, a call with this method and this in its address is answered so.
    fn answer(&self, method: &'static str, part: &str, (status, body): (u16, &'static str)) {
        let part = part.to_owned();
        self.proxy.fail(move |call| {
            let is_it = call.method == method && call.path.contains(&part);
            is_it.then_some(Fault::Answer { status, headers: "Content-Type: application/xml\r\n", body })
        });
    }

    /// The settings that were deleted since the last time this was asked.
    fn deleted(&self) -> Vec<String> {
        let deleted = |call: &Call| call.method == "DELETE" && call.path.contains('?') && !call.path.contains("x-id");
        self.proxy.calls().iter().filter(|call| deleted(call)).map(Call::name).collect()
    }

    fn exists(&self) -> bool {
        self.store.aws(&format!("s3api head-bucket --bucket {}", self.bucket)).code == 0
    }
}

impl Odd {
    /// A run leaves out these settings with a note each, and no others; the next changes nothing, and no setting is deleted.
    #[track_caller]
    fn leaves_out(&mut self, settings: &[&str]) {
        // Moto keeps the tags of a bucket that is gone.
        self.bucket.push('x');
        let ran = self.run("apply", &[]).ok();
        let notes: Vec<&str> = ran.err.lines().filter(|line| line.contains(": left out")).collect();
        assert_eq!(notes.len(), settings.len(), "{notes:#?}");
        for told in settings {
            assert!(notes.iter().any(|note| note.contains(&format!("has no {told}: "))), "{told}: {notes:#?}");
        }
        self.run("plan", &["--exit-code"]).ok();
        self.sandbox.destroy().ok();
        assert!(!self.exists());
        assert_eq!(self.deleted(), Vec::<String>::new());
    }
}

/// Whatever a store answers to a setting, it is named, the others are set, and the next run changes nothing.
#[test]
fn a_setting_that_is_not_understood_is_left_out_with_a_note() {
    let mut odd = Odd::new("odd", Store::moto());
    let all = SETTINGS.map(|(_, told)| told);
    for method in ["GET", "PUT"] {
        // This is asked again several times before it counts.
        let broken = [(500, "<Error><Code>Odd</Code></Error>")].into_iter().filter(|_| method == "PUT");
        for answer in ANSWERS.into_iter().chain(broken) {
            println!("{method} of all settings: {answer:?}");
            odd.proxy.fail(move |call| {
                let is_it = call.method == method && SETTINGS.iter().any(|(part, _)| call.path.contains(part));
                is_it.then_some(Fault::Answer { status: answer.0, headers: "", body: answer.1 })
            });
            odd.leaves_out(&all);
        }
    }
    for (setting, told) in SETTINGS {
        println!("PUT of {setting}");
        odd.answer("PUT", &format!("?{setting}"), ANSWERS[0]);
        odd.leaves_out(&[told]);
    }
}

/// A later setting that fails takes all back; nothing is deleted that the store does not have.
#[test]
fn nothing_is_deleted_that_a_store_does_not_have() {
    let odd = Odd::new("undo", Store::moto());
    odd.store.aws(&format!("s3api create-bucket --bucket {}", odd.bucket)).ok();
    let adopting = BUCKET.replace("    kms_key", "    adopt: true\n    kms_key");
    std::fs::write(&odd.playbook, adopting).unwrap();
    odd.proxy.fail(|call| {
        let (status, body) = match call.path.split_once('?')?.1 {
            _ if call.method != "PUT" => return None,
            "publicAccessBlock" | "encryption" => (200, ""),
            "tagging" => (403, "<Error><Code>AccessDenied</Code><Message>by the test</Message></Error>"),
            _ => return None,
        };
        Some(Fault::Answer { status, headers: "Content-Type: application/xml\r\n", body })
    });
    odd.run("apply", &[]).fails(1).says("by the test").says("as it was before");
    let deleted = odd.deleted();
    assert!(
        !deleted.iter().any(|call| call.contains("publicAccessBlock") || call.contains("encryption")),
        "{deleted:?}"
    );
    assert!(deleted.iter().any(|call| call.contains("ownershipControls")), "what was set is taken back: {deleted:?}");
    assert!(odd.exists());
}

/// Buckets and objects are never left out, and neither is what was asked for by name.
#[test]
fn what_must_hold_is_never_left_out() {
    let odd = Odd::new("must", Store::moto());
    let nothing_left = || assert!(!odd.exists());
    for answer in ANSWERS.into_iter().filter(|(status, _)| *status != 200) {
        odd.proxy.fail(move |call| {
            let is_it = call.method == "PUT" && !call.path.contains('?');
            is_it.then_some(Fault::Answer { status: answer.0, headers: "", body: answer.1 })
        });
        odd.run("apply", &[]).fails(1).says("s3 CreateBucket");
        nothing_left();
    }
    // A denial is understood.
    odd.answer("PUT", "?publicAccessBlock", (403, "<Error><Code>AccessDenied</Code></Error>"));
    odd.run("apply", &[]).fails(1).says("s3:PutBucketPublicAccessBlock");
    nothing_left();
    odd.answer("PUT", "?encryption", (409, CONFLICT));
    odd.run("apply", &["--kms-key", "mine"]).fails(1).says("no encryption with a key").says("--kms-key");
    nothing_left();

    // Without the block of public access, a bucket that is open to all is none of ours.
    for open in ["provision-probe-", "list-type=2"] {
        odd.proxy.fail(move |call| {
            let body = if open.contains("list") { LISTING } else { "provision" };
            let asked = call.method == "GET" && call.path.contains(open) && !call.signed;
            let public = call.method == "PUT" && call.path.contains("?publicAccessBlock");
            let answer = if asked { (200, body) } else { (409, CONFLICT) };
            (asked || public).then_some(Fault::Answer { status: answer.0, headers: "", body: answer.1 })
        });
        odd.run("apply", &[]).fails(1).says("is open: anybody can");
        nothing_left();
    }
}

/// An endpoint that stands for one bucket, a web server, a proxy's page: the first call tells, and nothing is changed.
#[test]
fn where_nothing_works_the_first_call_tells() {
    let odd = Odd::new("nothing", Store::moto());
    let no_key = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    let first = |answer: (u16, &'static str), texts: &[&str]| {
        odd.answer("GET", &odd.bucket, answer);
        odd.proxy.calls();
        let ran = odd.run("apply", &[]).fails(1);
        texts.iter().for_each(|text| assert!(ran.all().contains(text), "no `{text}` in {}", ran.all()));
        assert_eq!(odd.proxy.mutating(), Vec::<String>::new(), "{answer:?}");
    };
    first((404, no_key), &["was taken for an object", "without the bucket's name"]);
    first((404, PAGE), &["was answered with a web page (HTML)"]);
    first((200, PAGE), &["was answered with a web page (HTML)"]);
    first((200, "<Other/>"), &["its answer cannot be understood"]);
    first((200, ""), &["its answer cannot be understood"]);
}

/// Garage has no block of public access, and nobody gets in all the same.
#[test]
fn a_store_without_the_block_is_proven_private() {
    let odd = Odd::new("private", Store::garage());
    let ran = odd.run("apply", &[]).ok();
    for (setting, told) in SETTINGS.into_iter().filter(|(setting, _)| *setting != "lifecycle") {
        assert!(ran.all().contains(&format!("has no {told}: left out")), "{setting}: {}", ran.all());
    }
    // A store that is busy is asked again.
    let unsigned = odd.proxy.calls().into_iter().filter(|call| !call.signed).map(|call| call.name());
    let unsigned: BTreeSet<String> = unsigned.collect();
    assert!(unsigned.len() == 2 && unsigned.iter().all(|call| call.starts_with("GET ")), "{unsigned:?}");
    odd.run("apply", &[]).ok().says("nothing to change");
    odd.sandbox.destroy().ok();
    assert!(!odd.exists());
}

/// Ceph's answers: IAM's elements in another order, a listing for a setting. All goes as at a store that has the usual ones.
#[test]
fn a_store_that_answers_as_ceph_does_is_set_up_rotated_and_left() {
    let mut odd = Odd::new("ceph", Store::moto());
    odd.playbook = crate::s3::playbook(&odd.sandbox);
    odd.proxy.fail(|call| {
        if call.path.contains("?ownershipControls") {
            return Some(Fault::Answer { status: 200, headers: "", body: LISTING });
        }
        (!call.action.is_empty()).then_some(Fault::MetadataFirst)
    });
    odd.run("apply", &[]).ok().says("has no ownership of objects: left out").says("checked   s3-probe");
    odd.run("apply", &[]).ok().says("nothing to change");
    odd.sandbox.command(&["rotate", &odd.sandbox.name, "--what", "keys"]).ok();
    odd.run("plan", &["--exit-code"]).ok();
    odd.sandbox.destroy().ok();
    assert_eq!(crate::s3::left(&odd.store, &odd.sandbox), "");
    let deleted = odd.proxy.calls().into_iter().filter(|call| call.method == "DELETE").map(|call| call.name());
    assert!(deleted.into_iter().all(|call| !call.contains("ownershipControls")));
}

/// A failed run whose steps cannot be taken back either: nothing of it is forgotten, and `destroy` finds all.
#[test]
fn what_could_not_be_taken_back_is_not_forgotten() {
    let mut odd = Odd::new("left", Store::moto());
    odd.playbook = crate::s3::playbook(&odd.sandbox);
    odd.proxy.fail(|call| {
        let bucket = call.method == "DELETE" && !call.path.contains("provision-probe");
        let denied = bucket || call.action.starts_with("Delete") || call.action == "PutUserPolicy";
        let body = "<Error><Code>AccessDenied</Code><Message>by the test</Message></Error>";
        denied.then_some(Fault::Answer { status: 403, headers: "", body })
    });
    odd.run("apply", &[]).fails(1).says("rollback incomplete");
    assert!(crate::s3::left(&odd.store, &odd.sandbox).contains("-writer"), "there is something to find");
    odd.proxy.heal();
    odd.sandbox.destroy().ok();
    assert_eq!(crate::s3::left(&odd.store, &odd.sandbox), "");
}
