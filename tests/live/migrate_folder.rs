//! The same to a folder in OCI's layout and back, beside what `skopeo` reads and writes.

use std::thread;
use std::time::Duration;

use crate::engine::{Sandbox, shell};
use crate::migrate::{Stock, digests};

/// Reads every image of a folder to its last byte, in a way that is not ours; prints names and digests.
const WHOLE: &str = r"
import hashlib, json, os, sys
folder = sys.argv[1]
assert json.load(open(folder + '/oci-layout'))['imageLayoutVersion'] == '1.0.0'
def walk(entry):
    algorithm, name = entry['digest'].split(':')
    content = open(f'{folder}/blobs/{algorithm}/{name}', 'rb').read()
    assert hashlib.new(algorithm, content).hexdigest() == name and len(content) == entry['size'], entry
    if 'manifest' in entry['mediaType'] or 'index' in entry['mediaType']:
        found = json.loads(content)
        below = found.get('manifests', []) + found.get('layers', []) + found.get('blobs', []) + [found[c] for c in ['config'] if c in found]
        for child in below:
            if not child.get('urls'): walk(child)
for entry in json.load(open(folder + '/index.json'))['manifests']:
    walk(entry)
    print(entry['annotations']['org.opencontainers.image.ref.name'], entry['digest'].split(':')[1] + ' -')
for path, _, names in os.walk(folder):
    for name in names:
        assert 'blobs' not in path or len(name) == 64, path + '/' + name
";

/// All images of a stock registry go to a folder, in a run that is killed, and from there to another registry.
pub fn to_a_folder_and_back(sandbox: &Sandbox, stock: &Stock) {
    let home = sandbox.home.path().display().to_string();
    let (folder, script) = (format!("{home}/images"), sandbox.write("whole.py", WHOLE));
    let target = format!("oci:{folder}");
    let whole = || shell(&format!("test ! -e {folder}/index.json || python3 {script} {folder} | sort")).ok().out;
    let migrate = |from: &str, to: &str, more: &[&str]| sandbox.command(&[&["migrate", from, to], more].concat());
    migrate(&stock.url, &target, &["--dry-run"]).ok().says("would be copied");
    shell(&format!("test ! -e {folder}")).ok();
    for pause in [100, 250] {
        let mut run = sandbox.start(&["migrate", &stock.url, &target]);
        thread::sleep(Duration::from_millis(pause));
        run.kill().unwrap();
        run.wait().unwrap();
        whole();
    }
    migrate(&stock.url, &target, &[]).ok().says("are the same on both sides");
    let all = digests(&stock.url, "");
    assert_eq!(whole(), all);
    migrate(&stock.url, &target, &[]).ok().says("unchanged").says("0 kB were sent");

    // What is damaged there is told by whoever reads it, and mended by the next run.
    let large = format!("{folder}/blobs/sha256/$(ls -S {folder}/blobs/sha256 | head -1)");
    shell(&format!("f={large}; printf x | dd of=$f bs=1 seek=9 conv=notrunc status=none")).ok();
    let back = Stock::empty(sandbox, "back", "");
    migrate(&target, &back.url, &[]).fails(1).says("has another content under").says("hint: ");
    migrate(&stock.url, &target, &[]).ok().says("are the same on both sides");
    assert_eq!(whole(), all);
    migrate(&target, &back.url, &[]).ok().says("are the same on both sides");
    assert_eq!(digests(&back.url, ""), all);
    migrate(&target, &back.url, &["--match", "team-1/*"]).ok().says("0 kB were sent");
    let name = all.lines().find(|line| line.contains("app-1:v1")).unwrap().split(' ').next().unwrap();
    let manifest = shell(&format!("skopeo inspect --raw oci:{folder}:{name} | sha256sum | cut -c-64")).ok().out;
    assert!(all.contains(&format!("{name} {}", manifest.trim())), "{name} {manifest}");
}

/// One image by a folder that we write and `skopeo` reads, and one that `skopeo` writes and we read.
pub fn one_image_beside_skopeo(sandbox: &Sandbox, stock: &Stock) {
    let home = sandbox.home.path().display().to_string();
    let address = stock.url.trim_start_matches("http://");
    let copy = |from: &str, to: &str, more: &[&str]| sandbox.command(&[&["copy", from, to], more].concat());
    let source = format!("{}/team-1/app-1:v1", stock.url);
    let skopeo = "skopeo --insecure-policy copy -q --all --preserve-digests";
    copy(&source, &format!("oci:{home}/ours:1.0"), &[]).ok().says("copied");
    copy(&source, &format!("oci:{home}/ours:1.0"), &[]).ok().says("unchanged");
    shell(&format!(
        "set -e; cd {home}; {skopeo} oci:ours:1.0 docker://{address}/through/ours:1 --dest-tls-verify=false; \
         {skopeo} docker://{address}/team-1/app-1:v1 oci:theirs:2.0 --src-tls-verify=false"
    ))
    .ok();
    copy(&format!("oci:{home}/theirs"), &format!("{}/through/theirs:1", stock.url), &[]).ok().says("copied");
    copy(&format!("oci:{home}/theirs:2.0"), &format!("oci:{home}/ours:team/app:2"), &[]).ok().says("copied");
    copy(&format!("oci:{home}/ours:team/app:2"), &format!("{}/through/both:1", stock.url), &[]).ok();
    let digest = |image: &str| {
        let inspect = format!("skopeo inspect --raw --tls-verify=false docker://{address}/{image} | sha256sum");
        shell(&inspect).ok().out
    };
    let wanted = digest("team-1/app-1:v1");
    for image in ["through/ours:1", "through/theirs:1", "through/both:1"] {
        assert_eq!(digest(image), wanted, "{image}");
    }

    let other = format!("{}/team-2/app-2:v2", stock.url);
    copy(&other, &format!("oci:{home}/ours:1.0"), &[]).fails(3).says("--overwrite");
    copy(&other, &format!("oci:{home}/ours:1.0"), &["--overwrite"]).ok().says("copied");
    copy(&format!("oci:{home}/ours:9"), &source, &[]).fails(1).says("there is no image").says("index.json");
    copy(&format!("oci:{home}/nothing:1"), &source, &[]).fails(2).says("there is no folder");
    copy(&format!("oci:{home}:1"), &source, &[]).fails(2).says("is no OCI layout");
    copy(&format!("{}/no/such:1", stock.url), &format!("oci:{home}/none:1"), &[]).fails(1);
    shell(&format!("test ! -e {home}/none")).ok();
}
