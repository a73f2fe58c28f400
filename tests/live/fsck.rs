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

/// One damage of each kind, each alone, mended with what another registry has.
#[test]
fn damage_is_mended_with_what_another_registry_has() {
    let (sandbox, other) = (Sandbox::new("mend"), Sandbox::new("mendfrom"));
    sandbox.registry(&[]).ok();
    other.registry(&[]).ok();
    push(&sandbox, "one", &["team/app:v1", "team/app:v2"]);
    push(&sandbox, "two", &["team/web:v1"]);
    // The source's deployment is in another folder: it is named by its address, as any registry.
    let source = format!("localhost:{}", other.port);
    let (from, to) = (sandbox.password(), other.password());
    for image in ["team/app:v1", "team/app:v2"] {
        shell(&format!(
            "skopeo copy --quiet --src-creds admin:{from} --dest-creds admin:{to} --src-cert-dir /etc/docker/certs.d/localhost:{} --dest-cert-dir /etc/docker/certs.d/{source} docker://localhost:{}/{image} docker://{source}/{image}",
            sandbox.port, sandbox.port
        ))
        .ok();
    }
    shell(&format!("docker login -u admin --password-stdin {source} 2>/dev/null >/dev/null <<<'{to}'")).ok();
    let volume =
        shell(&format!("docker volume inspect {0}-data --format '{{{{.Mountpoint}}}}'", sandbox.name)).ok().out;
    let store = format!("{}/docker/registry/v2", volume.trim());
    let hash = |folder: &str| {
        shell(&format!("basename $(ls -d {store}/repositories/team/{folder}/sha256/* | head -1)"))
            .ok()
            .out
            .trim()
            .to_owned()
    };
    let (layer, manifest) = (hash("app/_layers"), hash("app/_manifests/revisions"));
    let data = |hash: &str| format!("{store}/blobs/sha256/{}/{hash}/data", &hash[..2]);
    let app = format!("{store}/repositories/team/app");
    let fsck = |more: &[&str]| sandbox.command(&[&["fsck", &sandbox.name, "--deep"], more].concat());
    fsck(&["--repair-from", &source]).ok().says("0 mended");
    for (what, damage) in [
        ("a layer is gone", format!("rm {}", data(&layer))),
        ("a layer is cut", format!("truncate -s -1 {}", data(&layer))),
        ("a layer has another byte", format!("printf x | dd of={} conv=notrunc status=none", data(&layer))),
        ("a manifest is gone", format!("rm {}", data(&manifest))),
        ("a manifest has another byte", format!("printf x | dd of={} conv=notrunc status=none", data(&manifest))),
        ("the link to a layer is gone", format!("rm {app}/_layers/sha256/{layer}/link")),
        ("the link to a layer is empty", format!(": >{app}/_layers/sha256/{layer}/link")),
        ("the link to a manifest is gone", format!("rm {app}/_manifests/revisions/sha256/{manifest}/link")),
        ("the link of a push is gone", format!("rm {app}/_manifests/tags/v1/index/sha256/{manifest}/link")),
    ] {
        shell(&damage).ok();
        fsck(&[]).fails(3);
        let mended = fsck(&["--repair-from", &source]);
        assert_eq!(mended.code, 0, "{what}: {}", mended.all());
        fsck(&[]).ok().says("no damage");
    }
    // What the source does not have stays damaged, and is named by its image.
    let web = hash("web/_layers");
    shell(&format!("rm {}", data(&web))).ok();
    fsck(&["--repair-from", &source]).fails(3).says("team/web:v1").says("0 mended with what");
    fsck(&["--repair-from", "nowhere"]).fails(1).says("is no deployment, and no address of a registry");
    shell(&format!("docker logout {source}")).ok();
    other.destroy().ok();
    sandbox.destroy().ok();
}
