//! Backups of real deployments: volumes, dumps, and what happens when something goes wrong in the middle.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use age::secrecy::ExposeSecret;

use crate::engine::{Ran, Sandbox, free_port, shell};

/// A sandbox with an identity in `key.txt`, and its recipient.
fn prepared(test: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new(test);
    let identity = age::x25519::Identity::generate();
    sandbox.write("key.txt", identity.to_string().expose_secret());
    (sandbox, identity.to_public().to_string())
}

impl Sandbox {
    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn backup(&self, file: &str, recipient: &str) -> Ran {
        self.command(&["backup", &self.name, &self.path(file), "--recipient", recipient])
    }

    fn restore(&self, name: &str, file: &str, more: &[&str]) -> Ran {
        let (file, key) = (self.path(file), self.path("key.txt"));
        self.command(&[&["restore", name, &file, "--identity", &key], more].concat())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.home.path().join("home/deployments").join(name)
    }
}

fn in_container(container: &str, script: &str) -> String {
    shell(&format!("docker exec {container} sh -c '{script}'")).ok().out
}

#[test]
fn a_registry_comes_back_with_its_images_password_and_authority() {
    let sandbox = Sandbox::new("bakreg");
    let passphrase = sandbox.write("passphrase", "correct horse battery staple\n");
    let file = sandbox.path("one.age");
    sandbox.registry(&[]).ok();
    let (password, ca) = (sandbox.password(), fs::read(sandbox.output("ca")).unwrap());
    let host = format!("localhost:{}", sandbox.port);
    let folder = sandbox.home.path().display().to_string();
    let skopeo = |arguments: &str| shell(&format!("skopeo {arguments}")).ok().out;
    shell(&format!("docker tag $(docker images -q provision/nginx | head -1) {host}/app:1; DOCKER_CONFIG={folder}/docker; export DOCKER_CONFIG; echo {password} | docker login -u admin --password-stdin {host} && docker push {host}/app:1; code=$?; docker rmi {host}/app:1; exit $code")).ok();
    let digest = |host: &str| {
        skopeo(&format!("inspect --creds admin:{password} --format '{{{{.Digest}}}}' docker://{host}/app:1"))
    };
    let pushed = digest(&host);
    let backup = sandbox.command(&["backup", &sandbox.name, &file, "--passphrase-file", &passphrase]).ok();
    assert!(!backup.all().contains(&password), "{}", backup.all());

    // Beside the original, which goes on undisturbed, and outlives the other's end.
    let (second, port) = (format!("{}-2", sandbox.name), free_port());
    let restore = |name: &str, more: &[&str]| {
        sandbox.command(&[&["restore", name, &file, "--passphrase-file", &passphrase], more].concat())
    };
    restore(&second, &[])
        .fails(1)
        .says(&format!("port {} is taken by the container", sandbox.port))
        .says("--set port=");
    assert!(!sandbox.folder(&second).exists() && !sandbox.things().contains(&second));
    restore(&second, &["--set", &format!("port={port}")]).ok();
    assert_eq!(digest(&format!("localhost:{port}")), pushed);
    sandbox.command(&["plan", &second, "--exit-code"]).ok().says("nothing to change");
    sandbox.command(&["destroy", &second, "--yes"]).ok();
    assert_eq!(digest(&host), pushed);
    sandbox.plan(&["--exit-code"]).ok();

    // On an engine that has nothing of it.
    restore(&sandbox.name, &[]).fails(1).says("exists already").says("nothing was changed");
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
    restore(&sandbox.name, &[]).ok().says("checked   probe round-trip").says(&format!("https://{host}"));
    assert_eq!((sandbox.password(), fs::read(sandbox.output("ca")).unwrap()), (password.clone(), ca));
    assert_eq!(digest(&host), pushed);
    shell(&format!("docker pull {host}/app:1; docker rmi {host}/app:1")).says("no basic auth credentials");
    skopeo(&format!("copy --src-creds admin:{password} docker://{host}/app:1 dir:{folder}/copy"));
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    sandbox.destroy().ok();
}

const SHOP: &str = r#"
inputs:
  dump: { type: string, default: "cat /data/rows" }
  load: { type: string, default: "cat > /data/rows; echo loaded >> /data/log" }
  image: { type: string, default: "nginx:1.30" }
resources:
  - volume: rows
  - volume: cache
    data: false
  - secret: token
  - image: nginx
    reference: "{{ image }}"
    build: nginx
  - container: db
    image: "{{ nginx.reference }}"
    volumes: { /data: "{{ rows.name }}", /cache: "{{ cache.name }}" }
    backup:
      /data: { dump: [sh, "-c", "{{ dump }}"], load: [sh, "-c", "{{ load }}"] }
  - playbook: ../parts/page.yml
    as: page
    inputs: { image: "{{ nginx.reference }}", token: "{{ token }}", greeting: "{{ name }}" }
"#;

const PAGE: &str = r#"
inputs:
  image: { type: string }
  token: { type: secret }
  greeting: { type: string }
resources:
  - volume: uploads
  - container: web
    image: "{{ image }}"
    volumes: { /uploads: "{{ uploads.name }}" }
    files: { /etc/page.conf: { template: page.conf } }
  # Another one with the same volume, which must not see it half full.
  - container: thumbnails
    image: "{{ image }}"
    command: [sh, "-c", "cat /uploads/last; exec sleep 1000"]
    volumes: { /uploads: "{{ uploads.name }}" }
"#;

/// A shop of a user's own, with data in it.
fn shop(sandbox: &Sandbox, more: &[&str]) {
    fs::create_dir_all(sandbox.path("src/shop")).unwrap();
    fs::create_dir_all(sandbox.path("src/parts")).unwrap();
    let playbook = sandbox.write("src/shop/shop.yml", SHOP);
    sandbox.write("src/parts/page.yml", PAGE);
    sandbox.write("src/parts/page.conf", "hello {{ greeting }}, the token is {{ token }}\n");
    sandbox.command(&[&["apply", &playbook, "--name", &sandbox.name], more].concat()).ok();
}

fn fill(sandbox: &Sandbox) -> String {
    let name = &sandbox.name;
    in_container(&format!("{name}-db"), "seq 100000 > /data/rows; echo old > /data/log; echo warm > /cache/x");
    in_container(
        &format!("{name}-page-web"),
        "cd /uploads; head -c 9000000 /dev/urandom > big; mkdir -p a/b; echo x > a/b/c; ln -s a/b/c link; chmod 4750 a/b/c; chown 33:44 a/b; touch -d @1000000000 a/b/c; echo last > last",
    );
    uploads(name)
}

fn uploads(name: &str) -> String {
    let script = r#"cd /uploads; find . -mindepth 1 -printf "%p %m %U %G %l %Ts\n" | sort; find . -type f -exec sha256sum {} + | sort"#;
    in_container(&format!("{name}-page-web"), script)
}

#[test]
fn a_playbook_of_ones_own_comes_back_where_its_files_are_gone() {
    let (sandbox, recipient) = prepared("bakshop");
    let name = sandbox.name.clone();
    shop(&sandbox, &[]);
    let before = fill(&sandbox);
    let page = |name: &str| in_container(&format!("{name}-page-web"), "cat /etc/page.conf");
    let first = page(&name);
    sandbox.backup("one.age", &recipient).ok().says("backed up volume rows").says("backed up volume page/uploads");
    assert!(first.contains(&format!("hello {name}, the token is ")), "{first}");

    // Any age client and tar open it.
    let listed = shell(&format!("cd {} && age -d -i key.txt one.age | tar t", sandbox.path(""))).ok().out;
    let entries: Vec<&str> = listed.lines().collect();
    assert_eq!((entries[0], entries[entries.len() - 1]), ("backup.json", "manifest.json"));
    for entry in [
        "deployment/playbook/shop/shop.yml",
        "deployment/playbook/parts/page.conf",
        "dumps/rows.gz.000000",
        "volumes/page.uploads.tar.gz.000002",
    ] {
        assert!(entries.contains(&entry), "{entry} in {listed}");
    }
    assert!(!listed.contains("cache") && !listed.contains("lock"), "{listed}");
    let dump = entries.iter().position(|entry| entry.starts_with("dumps/"));
    assert!(dump < entries.iter().position(|entry| entry.starts_with("volumes/")), "{listed}");
    let unpacked = shell(&format!("cd {} && mkdir open && age -d -i key.txt one.age | tar xC open && cat open/volumes/page.uploads.tar.gz.* | tar xzO ./a/b/c && zcat open/dumps/rows.gz.* | tail -1", sandbox.path(""))).ok();
    assert_eq!(unpacked.out, "x\n100000\n");

    sandbox.destroy().ok();
    fs::remove_dir_all(sandbox.path("src")).unwrap();
    let restored = sandbox.restore(&name, "one.age", &["--output", "json"]).ok();
    let at = |text: &str| restored.out.find(text).unwrap_or_else(|| panic!("no {text} in {}", restored.out));
    let loaded = at(r#""finished","resource":"db","kind":"container""#);
    assert!(loaded < at(r#""started","resource":"page/web""#), "nothing serves before the database is loaded");
    assert!(restored.out.contains(r#""event":"progress","resource":"page/"#), "{}", restored.out);
    assert_eq!(uploads(&name), before);
    assert_eq!(page(&name), first);
    assert_eq!(shell(&format!("docker logs {name}-page-thumbnails")).ok().out, "last\n");
    assert_eq!(in_container(&format!("{name}-db"), "tail -1 /data/rows; cat /data/log; ls /cache"), "100000\nloaded\n");
    for verb in [vec!["plan", &name, "--exit-code"], vec!["apply", &name]] {
        sandbox.command(&verb).ok().says("nothing to change");
    }

    // A backup of what was restored is as good.
    sandbox.backup("two.age", &recipient).ok();
    sandbox.destroy().ok();
    sandbox.restore(&name, "two.age", &[]).ok();
    assert_eq!((uploads(&name), page(&name)), (before, first));
    sandbox.destroy().ok();
    assert_eq!((sandbox.things().as_str(), sandbox.folder(&name).exists()), ("", false));
}

#[test]
fn what_cannot_be_backed_up_is_told_and_leaves_no_file() {
    let (sandbox, recipient) = prepared("bakbad");
    let name = sandbox.name.clone();
    shop(&sandbox, &["--dump", "cat /data/rows; echo the table is broken >&2; exit 3"]);
    fill(&sandbox);
    let target = sandbox.path("target");
    fs::create_dir(&target).unwrap();
    let backup = || sandbox.backup("target/one.age", &recipient);
    backup().fails(1).says("ended with exit code 3").says("the table is broken").says("no backup was written");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    let playbook = sandbox.path("src/shop/shop.yml");
    sandbox.command(&["apply", &playbook, "--name", &name, "--dump", "cat /data/rows; sleep 30"]).ok();

    // Killed in the middle, and stopped in the middle.
    for signal in ["KILL", "INT"] {
        let file = format!("{target}/one.age");
        let mut child = sandbox.start(&["backup", &name, &file, "--recipient", &recipient, "--output", "json"]);
        wait(|| shell(&format!("docker top {name}-db")).out.contains("sleep 30"));
        shell(&format!("kill -{signal} {}", child.id())).ok();
        let code = child.wait().unwrap().code();
        assert_eq!(code, if signal == "INT" { Some(130) } else { None });
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0, "after {signal}");
        shell(&format!("docker top {name}-db -eo pid,args | awk '/sleep 30/ {{ print $1 }}' | xargs kill"));
    }

    shell(&format!("docker stop -t 0 {name}-db")).ok();
    backup().fails(1).says("does not run").says(&format!("`provision apply {name}`"));
    shell(&format!("docker rm -f {name}-page-web {name}-page-thumbnails")).ok();
    sandbox.command(&["apply", &playbook, "--name", &name, "--dump", "cat /data/rows"]).ok();
    // A container that does not run can be read too, if no program in it has to help.
    shell(&format!("docker stop -t 0 {name}-page-web {name}-page-thumbnails")).ok();
    sandbox.backup("stopped.age", &recipient).ok();
    shell(&format!("docker rm -f {name}-page-web {name}-page-thumbnails")).ok();
    backup().fails(1).says("is not there").says(&format!("`provision plan {name}`"));
    sandbox.command(&["destroy", &name, "--keep-data"]).ok();
    backup().fails(1).says("has no containers").says(&format!("`provision apply {name}`"));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    sandbox.restore(&name, "stopped.age", &[]).fails(1).says("its data was kept").says("nothing was changed");
    sandbox.destroy().ok();
}

/// The engine ends its archive without a word where a file became shorter than it was.
#[test]
fn a_file_that_becomes_shorter_while_it_is_read_is_found_out() {
    let (sandbox, recipient) = prepared("bakshrink");
    let playbook = sandbox.write(
        "shrink.yml",
        r#"
resources:
  - volume: data
  - image: nginx
    reference: nginx:1.30
    build: nginx
  - container: web
    image: "{{ nginx.reference }}"
    command: [sh, "-c", "while :; do head -c 30000000 /dev/zero > /data/f; sleep 0.02; : > /data/f; done"]
    volumes: { /data: "{{ data.name }}" }
"#,
    );
    sandbox.command(&["apply", &playbook, "--name", &sandbox.name]).ok();
    fs::create_dir(sandbox.path("target")).unwrap();
    let mut attempts = (0..20).map(|number| sandbox.backup(&format!("target/{number}.age"), &recipient));
    attempts.find(|ran| ran.code != 0).unwrap().fails(1).says("a file became shorter").says("no backup was written");
    for file in fs::read_dir(sandbox.path("target")).unwrap() {
        let file = file.unwrap().path();
        let listed = shell(&format!(
            "age -d -i {} {} | tar xO --wildcards 'volumes/*' | tar tz",
            sandbox.path("key.txt"),
            file.display()
        ));
        listed.ok().says("./f");
    }
    sandbox.destroy().ok();
}

#[test]
fn a_full_disk_is_named_and_leaves_no_file() {
    let (sandbox, recipient) = prepared("bakfull");
    shop(&sandbox, &[]);
    fill(&sandbox);
    let disk = sandbox.path("disk");
    fs::create_dir(&disk).unwrap();
    if shell(&format!("mount -t tmpfs -o size=1m tmpfs {disk}")).code != 0 {
        return;
    }
    let full = sandbox.backup("disk/one.age", &recipient);
    let left = fs::read_dir(&disk).unwrap().count();
    let free = shell(&format!("df --output=used {disk} | tail -1")).out;
    shell(&format!("umount {disk}")).ok();
    full.fails(1).says(&format!("cannot write `{disk}/one.age`: no space left on device")).says("hint: make room");
    assert_eq!((left, free.trim()), (0, "0"));
    sandbox.destroy().ok();
}

#[test]
fn a_restore_that_fails_leaves_nothing() {
    let (sandbox, recipient) = prepared("bakundo");
    let name = sandbox.name.clone();
    shop(&sandbox, &["--load", "head -c 5; echo cannot load >&2; exit 4"]);
    fill(&sandbox);
    sandbox.backup("one.age", &recipient).ok();
    sandbox.destroy().ok();
    let nothing = |sandbox: &Sandbox| {
        assert_eq!((sandbox.things().as_str(), sandbox.folder(&name).exists()), ("", false));
    };
    let failed = sandbox.restore(&name, "one.age", &[]).fails(1);
    failed
        .says("the load of a dump failed")
        .says("exit code 4")
        .says("cannot load")
        .says("everything is as it was before");
    nothing(&sandbox);

    // The same file with a program that works: what is changed is in force before the data is.
    let load = |script: &str| format!("load={script}");
    sandbox.restore(&name, "one.age", &["--set", &load("cat > /data/rows")]).ok();
    assert_eq!(in_container(&format!("{name}-db"), "tail -1 /data/rows"), "100000\n");
    sandbox.destroy().ok();

    // Stopped in the middle; then killed in the middle, which leaves a mark.
    for signal in ["INT", "KILL"] {
        let (file, key, slow) = (sandbox.path("one.age"), sandbox.path("key.txt"), load("sleep 30"));
        let mut child = sandbox.start(&["restore", &name, &file, "--identity", &key, "--set", &slow]);
        wait(|| shell(&format!("docker top {name}-db")).out.contains("sleep 30"));
        shell(&format!("kill -{signal} {}", child.id())).ok();
        child.wait().unwrap();
        if signal == "INT" {
            nothing(&sandbox);
        }
    }
    sandbox.command(&["apply", &name]).fails(1).says("a restore of it was interrupted");
    sandbox.restore(&name, "one.age", &[]).fails(1).says("restore under another name");
    sandbox.destroy().ok();
    nothing(&sandbox);
}

fn wait(ready: impl Fn() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came so far");
        std::thread::sleep(Duration::from_millis(20));
    }
}
