//! `provision copy` and `provision migrate` between real registries: a stock one that others filled, and one of ours.

use std::thread;
use std::time::Duration;

use crate::engine::{Ran, Sandbox, free_port, shell};
use crate::migrate_folder;

/// A stock registry in the clear, on the loopback, with images in it.
pub struct Stock {
    name: String,
    pub url: String,
}

impl Stock {
    pub fn start(sandbox: &Sandbox, images: u32) -> Self {
        let stock = Self::empty(sandbox, "stock", "");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/filled.py");
        shell(&format!("python3 {script} {} {images} 7", stock.url)).ok();
        stock
    }

    /// One without images, with more options of `docker run`; images are kept in `/tmp/images`.
    pub fn empty(sandbox: &Sandbox, kind: &str, options: &str) -> Self {
        let (name, port) = (format!("{}-{kind}", sandbox.name), free_port());
        let image = shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/registry | head -1").ok().out;
        let config = sandbox.write(
            "stock.yml",
            "version: 0.1\nstorage: { filesystem: { rootdirectory: /tmp/images }, delete: { enabled: true } }\nhttp: { addr: ':5000' }\n",
        );
        shell(&format!(
            "docker run -d --name {name} -p 127.0.0.1:{port}:5000 -v {config}:/stock.yml:ro {options} {} /stock.yml",
            image.trim()
        ))
        .ok();
        let url = format!("http://localhost:{port}");
        shell(&format!("for i in $(seq 100); do curl -sf {url}/v2/ && exit 0; sleep 0.1; done; exit 1")).ok();
        Self { name, url }
    }

    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        shell(&format!("docker rm -fv {}", self.name));
    }
}

/// Every tag of a registry with its digest, as a client in no way ours sees them.
pub fn digests(url: &str, options: &str) -> String {
    shell(&format!(
        "set -e; c='curl -sf {options}'; for r in $($c '{url}/v2/_catalog?n=1000' | jq -r '.repositories[]'); do for t in $($c {url}/v2/$r/tags/list | jq -r '.tags[]?'); do \
         echo $r:$t $($c -H 'Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json' {url}/v2/$r/manifests/$t | sha256sum); done; done | sort"
    ))
    .ok()
    .out
}

fn migrate(sandbox: &Sandbox, stock: &Stock, more: &[&str]) -> Ran {
    sandbox.command(&[&["migrate", &stock.url, &sandbox.name], more].concat())
}

#[test]
fn a_registry_is_migrated_however_often_it_is_killed() {
    let sandbox = Sandbox::new("migrate");
    sandbox.registry(&[]).ok();
    let stock = Stock::start(&sandbox, 120);
    let (ca, password) = (sandbox.output("ca"), sandbox.password());
    let ours = format!("https://localhost:{}", sandbox.port);
    let options = format!("--cacert {ca} -u admin:{password}");
    migrate(&sandbox, &stock, &["--dry-run"]).ok().says("would be copied");
    assert_eq!(digests(&ours, &options), "");

    for pause in [120, 250, 400, 600, 900] {
        let mut run = sandbox.start(&["migrate", &stock.url, &sandbox.name]);
        thread::sleep(Duration::from_millis(pause));
        run.kill().unwrap();
        run.wait().unwrap();
        // What has a tag is whole.
        let broken = format!(
            "set -e; cd {}; c='curl -sf {options}'; for r in $($c '{ours}/v2/_catalog?n=1000' | jq -r '.repositories[]'); do for t in $($c {ours}/v2/$r/tags/list | jq -r '.tags[]?' | head -2); do skopeo copy -q --all --insecure-policy --src-tls-verify=false --src-creds admin:{password} docker://localhost:{}/$r:$t dir:d 2>&1 | grep -v 'unsupported' || true; done; done",
            sandbox.home.path().display(),
            sandbox.port
        );
        assert_eq!(shell(&broken).ok().out, "");
    }
    let report = sandbox.home.path().join("report.json").display().to_string();
    migrate(&sandbox, &stock, &["--report", &report]).ok().says("are the same on both sides");
    let there = digests(&ours, &options);
    assert_eq!(there, digests(&stock.url, ""));
    assert!(there.lines().count() > 120, "{there}");
    assert_eq!(shell(&format!("jq -r '.tags == .same' {report}")).ok().out.trim(), "true");
    // Again, nothing is sent.
    migrate(&sandbox, &stock, &[]).ok().says("unchanged").says("0 kB were sent");

    // The signature of an image that only its subject leads to.
    let about = shell(&format!(
        "curl -sf {0}/v2/team-1/app-1/tags/list | jq -r '.tags[]' | grep '^sha256-' | head -1",
        stock.url
    ))
    .ok()
    .out;
    shell(&format!(
        "set -e; d=$(curl -sf {options} {ours}/v2/team-1/app-1/manifests/{} | jq -r '.manifests[0].digest'); curl -sf {options} {ours}/v2/team-1/app-1/manifests/$d | jq -e .subject",
        about.trim()
    ))
    .ok();
    sandbox.destroy().ok();
}

#[test]
fn a_tag_that_differs_is_left_and_told() {
    let sandbox = Sandbox::new("differs");
    sandbox.registry(&[]).ok();
    let stock = Stock::start(&sandbox, 12);
    let place = |image: &str| (format!("{}/{image}", stock.url), format!("{}/{image}", sandbox.name));
    let (source, target) = place("team-1/app-1:v1");
    let copy = |from: &str, to: &str, more: &[&str]| sandbox.command(&[&["copy", from, to], more].concat());
    copy(&source, &target, &[]).ok().says("copied");
    copy(&source, &target, &[]).ok().says("unchanged");
    // All that belongs to it came with it.
    let tags = shell(&format!(
        "curl -sf --cacert {} -u admin:{} https://localhost:{}/v2/team-1/app-1/tags/list",
        sandbox.output("ca"),
        sandbox.password(),
        sandbox.port
    ));
    tags.ok().says("sha256-");
    let (other, _) = place("team-2/app-2:v2");
    copy(&other, &target, &[]).fails(3).says("left").says("--overwrite");
    migrate(&sandbox, &stock, &["--match", "team-4/*"]).ok();
    copy(&other, &target, &["--overwrite"]).ok().says("copied");
    let found = migrate(&sandbox, &stock, &["--match", "team-1/*"]).fails(3).says("team-1/app-1:v1 differs");
    assert!(found.out.contains("left"), "{}", found.all());
    migrate(&sandbox, &stock, &["--overwrite", "--tags", "v*"]).ok().says("are the same");
    migrate(&sandbox, &stock, &["--since", "2026-01-03"]).ok().says("1 of 1 tags");
    migrate(&sandbox, &stock, &["--since", "soon"]).fails(2).says("is no day");
    copy(&format!("{}/no/such:1", stock.url), &target, &[]).fails(1).says("has no image `no/such:1`");
    copy("nothing", &target, &[]).fails(2).says("is no image of a registry");
    migrate_folder::to_a_folder_and_back(&sandbox, &stock);
    migrate_folder::one_image_beside_skopeo(&sandbox, &stock);
    sandbox.destroy().ok();
}
