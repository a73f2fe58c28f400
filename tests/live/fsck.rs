//! `provision fsck` beside registries that serve, with damage that is done to their volume.

use crate::engine::{Sandbox, shell};

/// Pushes an image of one file under some names.
pub fn push(sandbox: &Sandbox, content: &str, names: &[&str]) {
    let (address, password) = (format!("localhost:{}", sandbox.port), sandbox.password());
    let folder = sandbox.home.path().join("image");
    let script: String = names
        .iter()
        .map(|name| format!("docker tag it-{0} {address}/{name}; docker push -q {address}/{name}; docker rmi {address}/{name} >/dev/null; ", sandbox.name))
        .collect();
    let folder = folder.display();
    shell(&format!(
        "set -e; mkdir -p {folder}; cd {folder}; echo '{content}' >content; tar c content | docker import - it-{0} >/dev/null; \
         docker login -u admin --password-stdin {address} 2>/dev/null >/dev/null <<<'{password}'; {script} docker rmi it-{0} >/dev/null",
        sandbox.name
    ))
    .ok();
}

#[test]
fn damage_is_named_by_image_and_tag() {
    let sandbox = Sandbox::new("fsck");
    sandbox.registry(&[]).ok();
    push(&sandbox, "one", &["team/app:v1", "team/app:v2"]);
    push(&sandbox, "two", &["team/web:v1"]);
    let fsck = |more: &[&str]| sandbox.command(&[&["fsck", &sandbox.name], more].concat());
    fsck(&[]).ok().says("no damage");
    fsck(&["--deep"]).ok().says("no damage").says("every byte was read");
    let volume =
        shell(&format!("docker volume inspect {0}-data --format '{{{{.Mountpoint}}}}'", sandbox.name)).ok().out;
    let store = format!("{}/docker/registry/v2", volume.trim());
    let layer = shell(&format!("basename $(ls -d {store}/repositories/team/web/_layers/sha256/* | head -1)")).ok().out;
    let layer = layer.trim();
    let data = format!("{store}/blobs/sha256/{}/{layer}/data", &layer[..2]);
    shell(&format!("printf x >>{data}")).ok();
    fsck(&[]).fails(3).says("team/web:v1").says(layer).says("1 damage");
    shell(&format!("truncate -s -1 {data}; : >{store}/repositories/team/app/_manifests/tags/v1/current/link")).ok();
    let found = fsck(&["--output", "json"]).fails(3).says("\"place\":\"team/app:v1\"");
    assert!(!found.all().contains("team/app:v2"), "{}", found.all());
    push(&sandbox, "one", &["team/app:v1"]);
    fsck(&["--deep"]).ok();
    assert_eq!(shell(&format!("docker ps -aq --filter name={}-helper", sandbox.name)).out, "");
    sandbox.destroy().ok();
}
