//! Canaries: secrets of every kind of input, lists included, are looked for wherever others could see them.

use std::os::unix::fs::PermissionsExt;

use crate::engine::{Fate, Recorder, SOCKET, Sandbox, shell};

/// A playbook with a secret, a list of them and one in a list of an included playbook, in files and a password file.
const PLAYBOOK: &str = "\
inputs:
  one: { type: secret }
  many: { type: list, of: secret, default: [] }
values:
  second: \"{{ many[1] }}\"
resources:
  - image: nginx
    reference: nginx:1.30
    build: nginx
  - htpasswd: users
    users: { me: \"{{ many[0] }}\" }
  - container: box
    image: \"{{ nginx.reference }}\"
    entrypoint: [sh, -c, 'cat /etc/box/* >/dev/null; echo ready; exec tail -f /dev/null']
    files:
      /etc/box/one: { content: \"{{ one }}\", mode: '0400' }
      /etc/box/all: { content: \"{{ many | join(' ') }}\", mode: '0400' }
      /etc/box/second: { template: box.yml, mode: '0400' }
      /etc/box/users: { content: \"{{ users.content }}\", mode: '0400' }
    ready: { log: ready }
outputs:
  container: \"{{ box.name }}\"
";

const CANARIES: [&str; 4] = ["canaryAlpha7c1", "canaryBravo9d2", "canaryCharlie4e3", "canaryDelta5f4"];

#[track_caller]
fn is_clean(text: &str, place: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} shows in {place}");
        // Nor turned into what anybody can turn back.
        for coded in ["base64 -w0", "xxd -p", "rev"] {
            let coded = shell(&format!("printf %s {canary} | {coded} 2>/dev/null")).out;
            let coded = coded.trim().trim_end_matches('=');
            // The last letter of base64 depends on what follows.
            let coded = coded.get(..coded.len().saturating_sub(1)).unwrap_or_default();
            assert!(coded.is_empty() || !text.contains(coded), "{canary} shows as {coded} in {place}");
        }
    }
}

#[test]
fn no_secret_of_a_list_shows_anywhere() {
    let mut sandbox = Sandbox::new("canary");
    let playbook = sandbox.write("canary.yml", PLAYBOOK);
    sandbox.write("box.yml", "second: {{ second }}\nthird: {{ many[2] }}\n");
    let file = |(index, canary): (usize, &&str)| {
        let path = sandbox.write(&format!("c{index}"), canary);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        format!("@{path}")
    };
    let paths: Vec<String> = CANARIES.iter().enumerate().map(file).collect();
    let name = sandbox.name.clone();
    let mut apply = vec!["apply", &playbook, "--name", &name, "-v", "--output", "json", "--one", &paths[0]];
    paths[1..].iter().for_each(|path| apply.extend(["--many", path]));

    // While it is at work: command lines and environments of all processes.
    let recorder = Recorder::of(SOCKET.as_ref(), Fate::Held(3));
    sandbox.socket = Some(recorder.socket.clone());
    let child = sandbox.start(&apply);
    recorder.wait_until_held();
    let processes = shell("cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true").out;
    is_clean(&processes, "/proc");
    recorder.let_go();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    is_clean(
        &format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr)),
        "the run",
    );
    // They have arrived.
    let inside = shell(&format!("docker exec {name}-box cat /etc/box/one /etc/box/all /etc/box/second")).ok().out;
    assert!(CANARIES.iter().all(|canary| inside.contains(canary)), "{inside}");

    // All that can be asked for afterwards, also where one of them changes.
    let other = sandbox.write("other", "somethingElse1234");
    let mut change = apply.clone();
    change[0] = "plan";
    let last = change.len() - 1;
    let other = format!("@{other}");
    change[last] = &other;
    let told = [
        sandbox.command(&change),
        sandbox.command(&["plan", &name, "--output", "json"]),
        sandbox.command(&["status", &name, "-v"]),
        sandbox.command(&["output", &name]),
        sandbox.command(&["graph", &name]),
        sandbox.command(&["list"]),
        sandbox.command(&["destroy", "no-such-name"]),
    ];
    assert!(told[0].all().contains("/etc/box/all"), "the plan tells that it changes: {}", told[0].all());
    told.iter().for_each(|ran| is_clean(&ran.all(), "what a verb says"));
    let engine = shell(&format!(
        "docker inspect {name}-box; docker logs {name}-box 2>&1; docker history --no-trunc $(docker inspect {name}-box -f '{{{{.Image}}}}'); docker volume ls -q --filter label=provision.deployment={name} | xargs -r docker volume inspect; docker top {name}-box"
    ));
    is_clean(&engine.ok().out, "the engine");
    is_clean(&recorder.requests().join("\n"), "the lines of requests");
    let open =
        shell(&format!("find {} -type f -perm /077 -o -type d -perm /077", sandbox.home.path().join("home").display()));
    assert_eq!(open.out, "", "others may read this");
    // A crash while it is at work: its memory gets into no core file, where that of another program does.
    let recorder = Recorder::of(SOCKET.as_ref(), Fate::HeldAtAny(3));
    sandbox.socket = Some(recorder.socket.clone());
    let child = sandbox.start(&change);
    recorder.wait_until_held();
    let folder = sandbox.home.path().display().to_string();
    let pattern = shell("cat /proc/sys/kernel/core_pattern").ok().out;
    let control = "cd $0 && (ulimit -c unlimited; exec sh -c 'kill -ABRT $$'); ls core*";
    let others = shell(&format!("sh -c \"{}\" {folder}", control.replace('$', "\\$"))).out;
    assert!(pattern.starts_with(['/', '|']) || others.contains("core"), "no core file is written here: {pattern}");
    shell(&format!("prlimit --core=unlimited --pid {0} && kill -ABRT {0}", child.id())).ok();
    recorder.let_go();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6));
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&ended.status), "its memory was written to a file");
    sandbox.socket = None;
    sandbox.destroy().ok();
}
