//! `provision drill`: a backup is restored beside what it was made of, compared, and removed again, whatever happens.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use age::secrecy::ExposeSecret;

use crate::blog::{INSTALLED, blog};
use crate::engine::{Ran, Sandbox, shell};
use crate::fsck::push;
use crate::s3::{s3, sandbox as s3_sandbox};
use crate::stores::{Proxy, Store};
use crate::wordpress::run_php;

/// A sandbox's key, and the file of a backup.
struct Safe {
    recipient: String,
    key: String,
    file: String,
}

impl Safe {
    fn new(sandbox: &Sandbox) -> Self {
        let identity = age::x25519::Identity::generate();
        let key = sandbox.write("key.txt", identity.to_string().expose_secret());
        let file = sandbox.home.path().join("backup.age").display().to_string();
        Self { recipient: identity.to_public().to_string(), key, file }
    }

    /// Makes the backup anew.
    fn back_up(&self, sandbox: &Sandbox) {
        drop(std::fs::remove_file(&self.file));
        sandbox.command(&["backup", &sandbox.name, &self.file, "--recipient", &self.recipient]).ok();
    }

    fn drill(&self, sandbox: &Sandbox, more: &[&str]) -> Ran {
        sandbox.command(&[&["drill", &self.file, "--identity", &self.key], more].concat())
    }
}

/// What a drill could leave: on the engine, in the list, and with the clients of this host.
fn state(sandbox: &Sandbox) -> String {
    let trusted = shell("ls -R /etc/docker/certs.d /etc/containers/certs.d 2>/dev/null; cat /etc/hosts").out;
    let left = shell(&format!("ls {}/home/deployments", sandbox.home.path().display())).out;
    let [things, trusted] = [sandbox.things(), trusted].map(|text| {
        let mut lines: Vec<&str> = text.lines().filter(|line| line.contains(&sandbox.name)).collect();
        lines.sort_unstable();
        lines.join("\n")
    });
    format!("{things}\n{trusted}\n{left}")
}

/// Kills a drill when it tells that it begins with a resource.
fn killed(sandbox: &Sandbox, safe: &Safe, resource: &str) {
    let mut child = sandbox.start(&["drill", &safe.file, "--identity", &safe.key, "--output", "json"]);
    let told = BufReader::new(child.stdout.take().unwrap()).lines();
    let begins = format!("\"resource\":\"{resource}\"");
    let begun = told.map_while(Result::ok).any(|line| line.contains("\"event\":\"started\"") && line.contains(&begins));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(begun, "no drill came to `{resource}`");
}

#[test]
fn a_registry_s_backup_is_drilled_beside_it() {
    let sandbox = Sandbox::new("drill");
    let safe = Safe::new(&sandbox);
    sandbox.registry(&[]).ok();
    push(&sandbox, "one", &["team/app:v1", "team/app:v2"]);
    push(&sandbox, "two", &["team/web:v1"]);
    safe.back_up(&sandbox);
    let before = state(&sandbox);
    safe.drill(&sandbox, &[]).ok().says("all as it should be").says("3 tags").says("every byte compared");
    assert_eq!(state(&sandbox), before);
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");

    // One that is killed leaves something, and the next one takes it away.
    killed(&sandbox, &safe, "registry");
    assert_ne!(state(&sandbox), before);
    safe.drill(&sandbox, &[]).ok();
    assert_eq!(state(&sandbox), before);

    // What no drill has made is not taken away.
    let other = format!("drill-{}", sandbox.name);
    let own = sandbox.write("own.yml", "resources:\n  - secret: a\n");
    sandbox.command(&["apply", &own, "--name", &other]).ok();
    safe.drill(&sandbox, &[]).fails(1).says("that no drill has made");
    sandbox.command(&["destroy", &other, "--yes"]).ok();

    // A registry that was damaged when it was backed up.
    let volume = shell(&format!("docker volume inspect {}-data --format '{{{{.Mountpoint}}}}'", sandbox.name)).ok().out;
    let store = format!("{}/docker/registry/v2", volume.trim());
    let layer = shell(&format!("basename $(ls -d {store}/repositories/team/web/_layers/sha256/* | head -1)")).ok().out;
    let layer = layer.trim();
    let data = format!("{store}/blobs/sha256/{}/{layer}/data", &layer[..2]);
    shell(&format!(
        "cp {data} {0}/whole; printf x | dd of={data} conv=notrunc status=none",
        sandbox.home.path().display()
    ))
    .ok();
    let good = std::fs::read(&safe.file).unwrap();
    safe.back_up(&sandbox);
    safe.drill(&sandbox, &["--output", "json"]).fails(3).says("\"event\":\"finding\"").says("team/web:v1").says(layer);
    assert_eq!(state(&sandbox), before);

    // A file that is damaged is told before anything is made.
    let mut bad = good;
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&safe.file, bad).unwrap();
    safe.drill(&sandbox, &[]).fails(1).says("damaged");
    assert_eq!(state(&sandbox), before);
    by_itself(&sandbox, &safe, &data);
    sandbox.destroy().ok();
}

/// Upkeep drills its last backup once a month, and tells what it finds.
fn by_itself(sandbox: &Sandbox, safe: &Safe, damaged: &str) {
    let folder = sandbox.home.path().join("backups").display().to_string();
    std::fs::create_dir(&folder).unwrap();
    let told = sandbox.home.path().join("told").display().to_string();
    let notify = format!("/usr/bin/tee -a {told}");
    let kept = ["--backup-to", &folder, "--backup-recipient", &safe.recipient, "--drill", "monthly"];
    sandbox.registry(&kept).fails(2).says("`--drill` needs `--drill-key`");
    sandbox.registry(&[&kept[..], &["--drill-key", &safe.file]].concat()).fails(2).says("--drill-key");
    sandbox.registry(&[&kept[..], &["--drill-key", &safe.key, "--notify", &notify]].concat()).ok();
    let maintain = || sandbox.command(&["maintain", &sandbox.name]);
    maintain().fails(1).says("drill failed").says("1 difference");
    assert!(std::fs::read_to_string(&told).unwrap().contains("1 difference"), "it was not told");
    sandbox.command(&["status", &sandbox.name]).says("1 difference");
    shell(&format!("cp {}/whole {damaged}; rm {folder}/*", sandbox.home.path().display())).ok();
    maintain().ok().says("all as it should be");
    let again = maintain().ok();
    assert!(!again.all().contains("drill of"), "once a month: {}", again.all());
}

#[test]
fn a_blog_s_backup_is_drilled_with_its_pages_and_a_login() {
    let sandbox = Sandbox::new("drillblog");
    sandbox.blog_images();
    let safe = Safe::new(&sandbox);
    blog(&sandbox, &INSTALLED).ok();
    let file = run_php(
        &sandbox.name,
        "$up = wp_upload_bits( 'lamp.txt', null, 'the lamp burns' ); echo $up['file']; \
         wp_insert_attachment( array( 'post_mime_type' => 'text/plain', 'post_title' => 'lamp', 'post_status' => 'inherit' ), $up['file'] );",
    );
    safe.back_up(&sandbox);
    let before = state(&sandbox);
    let told = safe.drill(&sandbox, &[]).ok();
    told.says("all as it should be").says("1 uploaded files and a login");
    assert_eq!(state(&sandbox), before);
    blog(&sandbox, &[]).ok().says("nothing to change");
    shell(&format!("docker exec {} rm {file}", sandbox.name)).ok();
    safe.back_up(&sandbox);
    safe.drill(&sandbox, &[]).fails(3).says("lamp.txt is missing").says("1 difference");
    assert_eq!(state(&sandbox), before);
    sandbox.destroy().ok();
}

#[test]
fn a_store_outside_is_neither_written_nor_owned_by_a_drill() {
    let store = Store::moto();
    let (sandbox, bucket) = s3_sandbox("drillout", &store);
    let safe = Safe::new(&sandbox);
    let proxy = Proxy::new(&store, Duration::ZERO);
    s3(&sandbox, &["registry"], &proxy.url, &["--bucket", &bucket]).ok();
    safe.back_up(&sandbox);
    let objects = store.objects(&bucket);
    let before = state(&sandbox);
    drop(proxy.calls());
    safe.drill(&sandbox, &[]).ok().says("its images are in a store outside (`--flavor s3`)");
    assert_eq!(proxy.mutating(), Vec::<String>::new());
    assert_eq!((state(&sandbox), store.objects(&bucket)), (before, objects));
    s3(&sandbox, &["plan", "registry"], &proxy.url, &["--bucket", &bucket, "--exit-code"]).ok();
    sandbox.command(&["destroy", &sandbox.name, "--yes", "--delete-data", &bucket]).ok();
}
