//! Where images come from: a registry, a mirror, or Debian's packages. The registry is a real one, which the engine trusts
//! because it stands on the loopback.

use crate::engine::{Sandbox, shell};

fn playbook(reference: &str, build: bool) -> String {
    let build = if build { "    build: nginx\n" } else { "" };
    format!(
        "inputs:\n  mirror: {{ type: string, default: \"\" }}\nresources:\n  - image: it\n    reference: {reference}\n    mirror: \"{{{{ mirror }}}}\"\n{build}outputs:\n  from: \"{{{{ it.reference }}}}\"\n"
    )
}

#[test]
fn an_image_is_pulled_from_a_mirror_or_built_and_each_refusal_is_clear() {
    let sandbox = Sandbox::new("images");
    let name = &sandbox.name;
    let mirror = format!("127.0.0.1:{}/library", sandbox.port);
    let (registry, nginx) =
        ("$(docker images -q provision/registry | head -1)", "$(docker images -q provision/nginx | head -1)");
    shell(&format!("set -e; docker run -d --name {name}-mirror -p 127.0.0.1:{0}:5000 {registry}; for i in $(seq 100); do curl -s -o /dev/null 127.0.0.1:{0}/v2/ && break; sleep 0.1; done; docker tag {nginx} {mirror}/{name}:1; docker push {mirror}/{name}:1; docker rmi {mirror}/{name}:1", sandbox.port)).ok();
    let run = |text: &str, more: &[&str]| {
        let file = sandbox.write("image.yml", text);
        sandbox.command(&[&["apply", &file, "--name", name], more].concat())
    };

    // Pulled, with the progress of each layer in the events, and then found.
    let reference = format!("{name}:1");
    let pulled = run(&playbook(&reference, false), &["--mirror", &mirror, "--output", "json"]).ok();
    pulled.says(r#""event":"progress""#).says(&format!("{mirror}/{reference}"));
    run(&playbook(&reference, false), &["--mirror", &mirror]).ok().says("nothing to change");

    // The registry answers that it has no such image: nothing is built in its stead, unless that is asked for.
    let missing = |number: u8| playbook(&format!("{name}-missing:{number}"), true);
    run(&missing(1), &["--mirror", &mirror]).fails(1).says("cannot pull the image").says("--images build");
    run(&missing(1), &["--mirror", &mirror, "--images", "build"]).ok().says("provision/nginx:trixie-");

    // No registry there at all: built, which is told in one line and found again; or not, if only pulling will do.
    let nowhere = "127.0.0.1:1/library";
    run(&playbook(&format!("{name}-missing:2"), false), &["--mirror", nowhere])
        .fails(1)
        .says("cannot pull the image")
        .says("--mirror");
    run(&missing(2), &["--mirror", nowhere, "--images", "pull"]).fails(1).says("cannot pull the image");
    let built = run(&missing(2), &["--mirror", nowhere])
        .ok()
        .says("provision/nginx:trixie-")
        .says("no registry can be reached");
    assert_eq!(built.err.lines().count(), 2, "{}", built.err);
    run(&missing(2), &["--mirror", nowhere]).ok().says("nothing to change");
    for number in [1, 2] {
        shell(&format!("docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' --filter label=provision.for={name}-missing:{number} | xargs docker rmi")).ok();
    }
    shell(&format!("docker rmi {mirror}/{reference}")).ok();
    sandbox.destroy().ok();
}
