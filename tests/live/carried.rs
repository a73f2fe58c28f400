//! `--carry-images`: all images go to another store while clients pull and push, however often the run is killed.

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::converge::killed;
use crate::engine::{Fate, Sandbox, shell, wait_until};
use crate::migrate::Stock;
use crate::s3::sandbox;
use crate::stores::Store;

const ACCEPT: &str = "-H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'";
/// More than any run asks of an engine.
const NEVER: usize = 1_000_000;

/// A registry with images, and what they are.
struct Filled {
    curl: String,
    url: String,
    /// `REPOSITORY REFERENCE DIGEST`, a line each: all tags, and all manifests without one.
    all: String,
}

impl Filled {
    fn of(sandbox: &Sandbox, images: u32) -> Self {
        let stock = Stock::start(sandbox, images);
        sandbox.command(&["migrate", &stock.url, &sandbox.name]).ok();
        let (ca, password) = (sandbox.output("ca"), sandbox.password());
        let curl = format!("curl -s --noproxy '*' --cacert {ca} -u admin:{password}");
        let url = format!("https://localhost:{}", sandbox.port);
        let mut filled = Self { curl, url, all: String::new() };
        // `v10` beside `v1` is what a registry of 3.1.1 on S3 does not list; two tags of one digest; a manifest without a tag.
        for tag in ["v1", "v10", "1", "sha256"] {
            assert_eq!(filled.push("odd/app", tag, "same"), "201");
        }
        assert_eq!(filled.push("odd/app", "moved", "before"), "201");
        assert_eq!(filled.push("odd/app", "moved", "after"), "201");
        filled.all = shell(&format!(
            "set -e; c='{} -f'; docker exec {}-registry find /var/lib/registry/docker/registry/v2/repositories -path '*/_manifests/tags/*/current/link' -o -path '*/_manifests/revisions/*/link' | \
             sed -E 's|.*/v2/repositories/||; s|/_manifests/tags/([^/]+)/current/link| \\1|; s|/_manifests/revisions/sha256/([^/]+)/link| sha256:\\1|' | grep -v ^provision-probe | sort | \
             while read -r r t; do echo $r $t $($c {ACCEPT} {}/v2/$r/manifests/$t | sha256sum | cut -d' ' -f1); done",
            filled.curl, sandbox.name, filled.url
        ))
        .ok()
        .out;
        let empty = shell("printf '' | sha256sum | cut -d' ' -f1").out;
        let untagged = filled.all.lines().filter(|line| line.contains(" sha256:")).count();
        assert!(!filled.all.contains(empty.trim()) && untagged > images as usize, "{}", filled.all);
        filled
    }

    /// Pushes an artifact whose one blob is a text; gives the code of the last request.
    fn push(&self, repository: &str, tag: &str, text: &str) -> String {
        let Self { curl, url, .. } = self;
        shell(&format!(
            "put() {{ d=sha256:$(printf %s \"$1\" | sha256sum | cut -d' ' -f1); \
             l=$({curl} -o /dev/null -D - -X POST {url}/v2/{repository}/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); case $l in /*) l={url}$l;; esac; case $l in *\\?*) s='&';; *) s='?';; esac; \
             {curl} -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary \"$1\" \"$l${{s}}digest=$d\"; }}; \
             put '{{}}'; put '{text}'; t=sha256:$(printf %s '{text}' | sha256sum | cut -d' ' -f1); c=sha256:$(printf %s '{{}}' | sha256sum | cut -d' ' -f1); \
             {curl} -o /dev/null -w '%{{http_code}}' -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary '{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":2,\"digest\":\"'$c'\"}},\"layers\":[{{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"size\":{},\"digest\":\"'$t'\"}}]}}' {url}/v2/{repository}/manifests/{tag}",
            text.len()
        ))
        .out
        .trim()
        .to_owned()
    }

    /// Everything is there as it was, with its layers.
    fn is_whole(&self, when: &str) {
        let Self { curl, url, all } = self;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), all).unwrap();
        let wrong = shell(&format!(
            "look() {{ while read -r r t d; do m=$({curl} {ACCEPT} {url}/v2/$r/manifests/$t); [ $(printf %s \"$m\" | sha256sum | cut -d' ' -f1) = $d ] || echo $r $t; \
             u=$(printf %s \"$m\" | jq -r '.config.digest, .layers[]?.digest | values' | sed \"s|.*|-o /dev/null {url}/v2/$r/blobs/&|\"); [ -z \"$u\" ] || {curl} -w '%{{http_code}}\\n' -I $u | grep -v '^200$' | sed \"s|^|$r $t |\"; done; }}; \
             split -n l/3 {0} {0}.; for part in {0}.*; do look <$part & done; wait; rm {0}.*",
            file.path().display()
        ));
        assert_eq!(wrong.ok().out, "", "{when}");
    }

    /// Does something while one client pulls and another one pushes; what was acknowledged is there afterwards.
    fn meanwhile(&self, prefix: &str, work: impl FnOnce()) {
        let goes_on = AtomicBool::new(true);
        let (mut pushed, mut refused, mut failed) = (Vec::new(), 0, Vec::new());
        let done = std::thread::scope(|scope| {
            let pulls = scope.spawn(|| {
                let mut failed = Vec::new();
                let places: Vec<&str> = self.all.lines().collect();
                let mut count = 0;
                while goes_on.load(Ordering::SeqCst) {
                    let words: Vec<&str> = places[count % places.len()].split(' ').collect();
                    let Self { curl, url, .. } = self;
                    let got = shell(&format!(
                        "{curl} -o /dev/null -w '%{{http_code}}' {ACCEPT} {url}/v2/{}/manifests/{}",
                        words[0], words[1]
                    ));
                    if got.out.trim() != "200" {
                        failed.push(format!("{} {}", words.join(" "), got.all()));
                    }
                    count += 1;
                }
                assert!(count > 3, "{count} pulls");
                failed
            });
            let pushes = scope.spawn(|| {
                let (mut pushed, mut refused, mut odd) = (Vec::new(), 0, Vec::new());
                let mut count = 0;
                while goes_on.load(Ordering::SeqCst) {
                    let (tag, text) = (format!("{prefix}{count}"), format!("text {prefix} {count}"));
                    match self.push("odd/pushed", &tag, &text).as_str() {
                        "201" => pushed.push(tag),
                        "503" | "404" => refused += 1,
                        other => odd.push(format!("push of {tag}: {other}")),
                    }
                    count += 1;
                }
                (pushed, refused, odd)
            });
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            goes_on.store(false, Ordering::SeqCst);
            failed = pulls.join().unwrap();
            let (all, some, odd) = pushes.join().unwrap();
            (pushed, refused) = (all, some);
            failed.extend(odd);
            done
        });
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
        assert!(failed.is_empty(), "{failed:?}");
        assert!(pushed.len() > 1, "{} pushes and {refused} refused", pushed.len());
        let Self { curl, url, .. } = self;
        for tag in pushed {
            let code =
                shell(&format!("{curl} -o /dev/null -w '%{{http_code}}' {ACCEPT} {url}/v2/odd/pushed/manifests/{tag}"));
            assert_eq!(code.out.trim(), "200", "the push of {tag} was acknowledged ({refused} were refused)");
        }
    }
}

fn helper(sandbox: &Sandbox) -> String {
    shell(&format!("docker ps --format '{{{{.Names}}}}' --filter name={}-registry.carry", sandbox.name)).out
}

#[test]
#[ignore = "minutes: `make soak`"]
fn images_are_carried_to_a_bucket_and_back_while_clients_pull_and_push() {
    let store = Store::garage();
    let (sandbox, bucket) = sandbox("carried", &store);
    let name = &sandbox.name;
    let key = sandbox.write("key", &format!("{}\n{}\n", store.id, store.secret));
    sandbox.registry(&["--trust", "no"]).ok();
    let filled = Filled::of(&sandbox, 2);
    let to_s3 =
        ["--flavor", "s3", "--endpoint", &store.url, "--bucket", &bucket, "--iam", "none", "--access-key-file", &key];
    let plan = sandbox.plan(&to_s3).ok();
    plan.says("images are copied there only with `--carry-images`");
    let carried = [&to_s3[..], &["--carry-images"]].concat();
    sandbox.plan(&carried).ok().says(&format!(
        "images: the volume `{name}-data` → the bucket `{bucket}` at {}, copied and compared by digest",
        store.url
    ));
    filled.meanwhile("to", || {
        let ran = sandbox.registry(&carried).ok();
        ran.says("the same by digest").says(&format!("the volume `{name}-data` is no longer used: it stays"));
    });
    filled.is_whole("in the bucket");
    assert_eq!(helper(&sandbox), "");
    sandbox.command(&["plan", name, "--exit-code"]).ok();
    assert_eq!(filled.push("odd/app", "later", "in the bucket"), "201");

    // Back to the same volume, with what came meanwhile; the manifest that lost its tag is there by its digest.
    let empty = ["--bucket", "", "--region", "", "--endpoint", "", "--access-key-file", ""];
    let back = [&["--flavor", "local", "--iam", "auto", "--carry-images"], &empty[..]].concat();
    filled.meanwhile("back", || {
        sandbox.registry(&back).ok().says("the same by digest");
    });
    filled.is_whole("back in the volume");
    let Filled { curl, url, .. } = &filled;
    shell(&format!("{curl} -f {ACCEPT} {url}/v2/odd/app/manifests/later")).ok();
    sandbox.command(&["plan", name, "--exit-code"]).ok();
    assert_eq!(helper(&sandbox), "");
    sandbox.command(&["destroy", name, "--yes", "--delete-data", &bucket]).ok();
}

/// A run that is killed while images flow, at every `stride`th request, and once at the end.
fn killed_at(test: &str, images: u32, stride: usize) {
    let mut sandbox = Sandbox::new(test);
    sandbox.registry(&["--trust", "no"]).ok();
    let filled = Filled::of(&sandbox, images);
    let name = sandbox.name.clone();
    let volume = |number: usize| format!("{name}-other{number}");
    let to = |number: usize| {
        shell(&format!("docker volume create {}", volume(number))).ok();
        ["registry", "--name", &name, "--data-volume", &volume(number), "--carry-images"].map(str::to_owned).to_vec()
    };

    // While images flow: the old registry goes on, takes pushes again, and the next run needs no more to be said.
    let arguments = to(0);
    let mut run =
        sandbox.start(&[&arguments.iter().map(String::as_str).collect::<Vec<_>>()[..], &["--output", "json"]].concat());
    let flows =
        BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok).any(|line| line.contains("copied"));
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(flows, "no progress was told");
    wait_until(|| helper(&sandbox).is_empty());
    assert_eq!(filled.push("odd/app", "between", "killed"), "201");
    filled.is_whole("after a kill while images flowed");
    sandbox.command(&["apply", &name]).ok();
    filled.is_whole("carried after a kill");
    let Filled { curl, url, .. } = &filled;
    shell(&format!("{curl} -f {ACCEPT} {url}/v2/odd/app/manifests/between")).ok();

    let (mut at, mut number, mut kills) = (1, 1, 0);
    loop {
        let arguments = to(number);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (was_killed, _) = killed(&mut sandbox, Fate::KilledAfter(at), &arguments);
        wait_until(|| helper(&sandbox).is_empty());
        let tag = format!("k{at}");
        assert_eq!(filled.push("odd/app", &tag, &tag), "201", "a push after a kill at {at}");
        filled.is_whole(&format!("after a kill at {at}"));
        sandbox.command(&["apply", &name]).ok();
        sandbox.command(&["plan", &name, "--exit-code"]).ok();
        filled.is_whole(&format!("converged after a kill at {at}"));
        let found = shell(&format!("{curl} -f {ACCEPT} {url}/v2/odd/app/manifests/{tag}"));
        assert_eq!(found.code, 0, "what was pushed after a kill at {at}: {}", found.all());
        if !was_killed {
            break;
        }
        (at, number, kills) = (at + stride, number + 1, kills + 1);
        assert!(at < NEVER);
    }
    assert!(kills > 2, "{kills} kills");
    sandbox.destroy().ok();
}

#[test]
fn a_run_that_is_killed_while_it_carries_images_loses_nothing() {
    killed_at("carrykill", 5, 6);
}

#[test]
#[ignore = "a soak test: 200 images, killed at each request"]
fn two_hundred_images_are_carried_by_runs_that_are_killed_at_each_step() {
    killed_at("carrysoak", 200, 1);
}
