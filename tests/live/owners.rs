//! Files in volumes that belong to others than the container that needs them: told by the plan, and corrected.

use crate::engine::{Sandbox, shell};
use crate::s3::{Client, image};

/// Gives a part of a volume to a user, as a program of that user would have left it.
fn give(sandbox: &Sandbox, volume: &str, user: &str, path: &str) {
    let image = sandbox.built("registry:3.1.1", "registry", "trixie");
    shell(&format!(
        "docker run --rm --user=0 --network=none --entrypoint=chown --volume={volume}:/it {image} -R {user} /it/{path}"
    ))
    .ok();
}

#[test]
fn images_that_belong_to_root_are_told_and_given_to_the_registry() {
    let sandbox = Sandbox::new("owners");
    let name = sandbox.name.clone();
    sandbox.registry(&["--trust", "no"]).ok();
    let client = Client::of(&sandbox);
    client.push(&image(&sandbox, "one", 1), "team/one:1").ok();
    sandbox.command(&["plan", &name, "--exit-code"]).ok();
    // Far below the top folder.
    give(&sandbox, &format!("{name}-data"), "0:0", "docker/registry/v2/repositories/team");
    client.push(&image(&sandbox, "two", 1), "team/two:1").fails(1);
    sandbox
        .command(&["plan", &name, "--exit-code"])
        .fails(3)
        .says("owners./var/lib/registry/docker: 0:0 (")
        .says("looked at, such as /var/lib/registry/docker/registry/v2/repositories/team) → 65532:65532");
    sandbox.command(&["status", &name]).fails(3).says("owners./var/lib/registry/docker");
    sandbox.command(&["apply", &name]).ok().says("below `/var/lib/registry/docker` belong to 65532:65532 now");
    sandbox.command(&["plan", &name, "--exit-code"]).ok();
    client.push(&image(&sandbox, "three", 1), "team/two:1").ok();
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

#[test]
fn a_folder_with_images_of_root_is_taken_and_what_others_have_beside_them_stays() {
    let sandbox = Sandbox::new("ownedfolder");
    let name = sandbox.name.clone();
    sandbox.registry(&["--trust", "no"]).ok();
    let client = Client::of(&sandbox);
    client.push(&image(&sandbox, "one", 1), "team/one:1").ok();
    let folder = sandbox.home.path().join("images").display().to_string();
    shell(&format!(
        "set -e; mkdir {folder}; docker cp {name}-registry:/var/lib/registry/docker {folder}; chown -R 0:0 {folder}; chmod -R go-w {folder}; mkdir -m 700 {folder}/beside; chown 1234:1234 {folder}/beside; chmod a+rx {0}",
        sandbox.home.path().display()
    ))
    .ok();
    let before = shell(&format!("stat -c '%u:%g %a' {folder} {folder}/beside")).ok().out;
    sandbox.registry(&["--data-volume", &folder]).ok().says("belong to 65532:65532 now");
    client.pull("team/one:1", &format!("dir:{}", sandbox.home.path().join("copy").display())).ok();
    client.push(&image(&sandbox, "two", 1), "team/one:2").ok();
    assert_eq!(shell(&format!("stat -c '%u:%g %a' {folder} {folder}/beside")).ok().out, before);
    sandbox.command(&["plan", &name, "--exit-code"]).ok();
    // Somebody else's that are in use are not taken away.
    shell(&format!("chown -R 1234:1234 {folder}/docker/registry/v2/repositories")).ok();
    sandbox
        .command(&["plan", &name])
        .fails(1)
        .says("belong to 1234:1234, and that user may use them still")
        .says("--entrypoint=chown");
    shell(&format!("chown -R 65532:65532 {folder}/docker")).ok();
    sandbox.command(&["plan", &name, "--exit-code"]).ok();
    sandbox.destroy().ok();
}

#[test]
fn what_docker_cp_brings_into_wp_content_is_given_to_wordpress() {
    let sandbox = Sandbox::new("wpowners");
    sandbox.blog_images();
    let (name, port) = (sandbox.name.clone(), sandbox.port.to_string());
    sandbox.command(&["blog", "--name", &name, "--port", &port]).ok();
    let folder = sandbox.home.path().join("mine").display().to_string();
    shell(&format!(
        "set -e; mkdir -p {folder}/inc; echo '<?php // Plugin Name: Mine' >{folder}/mine.php; touch {folder}/inc/a; chown -R 0:0 {folder}; docker cp {folder} {name}:/var/www/html/wp-content/plugins/"
    ))
    .ok();
    sandbox
        .command(&["plan", &name, "--exit-code"])
        .fails(3)
        .says("owners./var/www/html/wp-content: 0:0 (4 of ")
        .says("/var/www/html/wp-content/plugins/mine");
    sandbox.command(&["apply", &name]).ok().says("4 entries below `/var/www/html/wp-content` belong to 33:33 now");
    sandbox.command(&["plan", &name, "--exit-code"]).ok();
    shell(&format!("docker exec -u 33 {name} sh -c 'echo >>/var/www/html/wp-content/plugins/mine/inc/a'")).ok();
    sandbox.destroy().ok();
}
