//! `provision images` on a registry of ours. The program in it is 2.8.3, which deletes by digest only.

use crate::engine::{Ran, Sandbox, shell};

/// A registry with three tags of one image and one of another.
fn filled(test: &str) -> Sandbox {
    let sandbox = Sandbox::new(test);
    sandbox.registry(&[]).ok();
    let (password, port, folder) = (sandbox.password(), sandbox.port, sandbox.home.path().display().to_string());
    // Two images with one layer each, made here, with a label.
    let script = format!(
        r#"set -e; cd {folder}; for n in 1 2; do
        mkdir -p image$n/blobs/sha256; printf "hello $n" >layer; tar -cf layer.tar layer; d=$(sha256sum layer.tar | cut -d' ' -f1); s=$(stat -c %s layer.tar); cp layer.tar image$n/blobs/sha256/$d
        printf '{{"architecture":"amd64","os":"linux","created":"2026-01-0%sT00:00:00Z","config":{{"Labels":{{"team":"blue%s"}}}},"rootfs":{{"type":"layers","diff_ids":["sha256:%s"]}},"history":[{{"created_by":"step %s"}}]}}' $n $n $d $n >config; c=$(sha256sum config | cut -d' ' -f1); cs=$(stat -c %s config); cp config image$n/blobs/sha256/$c
        printf '{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}}]}}' $c $cs $d $s >manifest; m=$(sha256sum manifest | cut -d' ' -f1); ms=$(stat -c %s manifest); cp manifest image$n/blobs/sha256/$m
        printf '{{"imageLayoutVersion":"1.0.0"}}' >image$n/oci-layout
        printf '{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{{"org.opencontainers.image.ref.name":"1"}}}}]}}' $m $ms >image$n/index.json; done
        for tag in v1 v1.0 latest; do skopeo --insecure-policy copy -q --preserve-digests --dest-creds admin:{password} oci:image1:1 docker://localhost:{port}/team/app:$tag; done
        skopeo --insecure-policy copy -q --preserve-digests --dest-creds admin:{password} oci:image2:1 docker://localhost:{port}/other:1"#
    );
    shell(&script).ok();
    sandbox
}

fn images(sandbox: &Sandbox, line: &str) -> Ran {
    let words: Vec<&str> = line.split_whitespace().collect();
    sandbox.command(&[&["images", &sandbox.name], words.as_slice()].concat())
}

fn names(sandbox: &Sandbox) -> String {
    images(sandbox, "list --names").ok().out
}

/// What skopeo, which knows nothing of us, can fetch.
fn fetched(sandbox: &Sandbox, image: &str) -> bool {
    let (password, port) = (sandbox.password(), sandbox.port);
    shell(&format!("skopeo inspect --creds admin:{password} docker://localhost:{port}/{image}")).code == 0
}

fn lists_and_takes_away(sandbox: &Sandbox) {
    assert_eq!(names(sandbox), "other:1\nteam/app:latest\nteam/app:v1\nteam/app:v1.0\n");
    let list = images(sandbox, "").ok();
    let list = list.says("team/app:v1.0").says("linux/amd64").says("2026-01-01").says("4 tags, ");
    // What has a digest is known from then on: only tags are looked up.
    assert_eq!(images(sandbox, "list").ok().out, list.out);
    assert_eq!(images(sandbox, "list --match team/* --names").ok().out.lines().count(), 3);
    assert_eq!(images(sandbox, "search blue2 --output json").ok().out.lines().count(), 1);
    images(sandbox, "search BLUE2").ok().says("other:1");
    images(sandbox, "show team/app:v1")
        .ok()
        .says("label       team=blue1")
        .says("history     step 1")
        .says("layer       sha256:");
    images(sandbox, "show team/app:none").fails(1).says("no image `team/app:none`").says("hint:");
    images(sandbox, "delete Team/app:v1 --yes").fails(2).says("not the name of an image");
    images(sandbox, "delete team/app:v1").fails(1).says("team/app:latest, team/app:v1, team/app:v1.0").says("`--yes`");
    images(sandbox, "untag team/app:v1 --dry-run").ok().says("would remove team/app:v1");
    assert_eq!(names(sandbox).lines().count(), 4);

    // One tag goes, and the others of that digest stay.
    images(sandbox, "untag team/app:v1 --yes").ok().says("untagged  image team/app:v1");
    assert_eq!(names(sandbox), "other:1\nteam/app:latest\nteam/app:v1.0\n");
    assert!(
        !fetched(sandbox, "team/app:v1") && fetched(sandbox, "team/app:v1.0") && fetched(sandbox, "team/app:latest")
    );
    // All tags of a digest go with it.
    images(sandbox, "delete team/app:latest --yes").ok().says("deleted");
    assert_eq!(names(sandbox), "other:1\n");
    assert!(!fetched(sandbox, "team/app:v1.0") && fetched(sandbox, "other:1"));
    images(sandbox, "delete team/app:latest --yes").fails(1).says("no image `team/app:latest`");
}

/// What each shell offers after the words of a line. Bash breaks them at colons before it asks.
fn completed(sandbox: &Sandbox) {
    let (name, folder) = (&sandbox.name, sandbox.home.path().display());
    let program = env!("CARGO_BIN_EXE_provision");
    let start = format!("export PROVISION_HOME={folder}/home PATH=$(dirname {program}):$PATH;");
    let bash = |words: &str| {
        let script = format!(
            "source <(provision completions bash); COMP_LINE='{line}'; COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _provision_names provision \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            line = words.replace(" : ", ":").replace("''", ""),
        );
        let ran = shell(&format!("{start} {script}")).ok();
        assert_eq!(ran.err, "", "{words}");
        ran.out.trim().to_owned()
    };
    assert!(bash("provision status ''").split(' ').any(|offered| offered == name));
    assert_eq!(bash(&format!("provision images {name} show ot")), "other:");
    assert_eq!(bash(&format!("provision images {name} show other : ''")), "1");
    assert_eq!(bash(&format!("provision images {name} delete a : 1 other : 1")), "1");
    assert_eq!(bash(&format!("provision copy {name}/o")), format!("{name}/other:"));
    assert!(bash(&format!("provision images {name} ''")).contains("untag"));
    assert_eq!(bash("provision du --so"), "--sort");
    let fish = format!("source (provision completions fish | psub); complete -C 'provision images {name} show other:'");
    assert_eq!(shell(&format!("{start} fish -c \"{fish}\"")).ok().out.trim(), "other:1");
    let zsh = format!(
        "compdef() {{}}; compadd() {{ print -r -- \"$@\" }}; source <(provision completions zsh); words=(provision images {name} show o); CURRENT=5; _provision_names; words[5]=other:; _provision_names"
    );
    assert_eq!(shell(&format!("{start} zsh -c '{zsh}'")).ok().out, "-S  -- other:\n-- other:1\n");
}

#[test]
fn images_are_listed_and_taken_away() {
    let sandbox = filled("listed");
    let du = || sandbox.command(&["du", &sandbox.name, "--output", "json"]).ok().out;
    let unneeded = |told: &str| -> u64 {
        serde_json::from_str::<serde_json::Value>(told).unwrap()["unneeded"]["blobs"].as_u64().unwrap()
    };
    // What the probe of the set-up pushed and deleted is there as garbage.
    let before = unneeded(&du());
    sandbox.command(&["du", &sandbox.name]).ok().says("2 repositories, 4 tags").says("team/app    3");
    lists_and_takes_away(&sandbox);
    // Nobody needs the image's manifest, configuration and layer now, nor the two blobs by which the tag was moved away from it.
    assert_eq!(unneeded(&du()), before + 5, "{}", du());
    sandbox.command(&["du", &sandbox.name]).ok().says("1 repository, 1 tag").says("`provision gc ");
    completed(&sandbox);
    // By its address, with the login that docker has.
    let (port, password, folder) = (sandbox.port, sandbox.password(), sandbox.home.path().display().to_string());
    let login = format!(
        "export DOCKER_CONFIG={folder}/docker; mkdir -p $DOCKER_CONFIG; printf '{{\"auths\":{{\"localhost:{port}\":{{\"auth\":\"%s\"}}}}}}' $(printf admin:{password} | base64 -w0) >$DOCKER_CONFIG/config.json;"
    );
    let program = env!("CARGO_BIN_EXE_provision");
    let listed =
        shell(&format!("{login} PROVISION_HOME={folder}/none {program} images https://localhost:{port} list --names"))
            .ok();
    assert_eq!(listed.out, "other:1\n");
    let du = format!("{login} PROVISION_HOME={folder}/none {program} du https://localhost:{port}");
    shell(&du).ok().says("1 repository, 1 tag").says("only the registry's own store shows that");
    // One that keeps all says so before anything is asked of it.
    sandbox.registry(&["--delete=false"]).ok();
    images(&sandbox, "delete other:1 --yes").fails(1).says("deletes nothing");
    images(&sandbox, "untag other:1 --yes").fails(1).says("deletes nothing");
    assert!(fetched(&sandbox, "other:1"));
    sandbox.destroy().ok();
}
