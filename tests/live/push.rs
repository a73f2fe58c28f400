//! `provision push` as a user has it: images of an engine, of files and of folders, and clients that pull them.

use crate::engine::{Ran, Sandbox, shell};

/// A registry, and two images of the engine that share a layer of 20 MB.
struct Place {
    sandbox: Sandbox,
    folder: String,
    host: String,
    creds: String,
    names: [String; 2],
}

impl Place {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        sandbox.registry(&[]).ok();
        let folder = sandbox.home.path().display().to_string();
        let names = ["one", "two"].map(|name| format!("{}/{name}:1", sandbox.name));
        shell(&format!(
            "set -e; mkdir {folder}/base {folder}/b; cd {folder}/base; head -c 20000000 /dev/urandom >random; seq 200000 >text; \
             tar -c . | docker import - {0}/base:1; cd {folder}/b; \
             for n in one two; do printf 'FROM {0}/base:1\\nCOPY '$n' /\\nLABEL of='$n'\\n' >Dockerfile; seq 1 4000 >$n; echo $n >>$n; DOCKER_BUILDKIT=0 docker build -q -t {0}/$n:1 .; done",
            sandbox.name
        ))
        .ok();
        let (host, creds) = (format!("localhost:{}", sandbox.port), format!("admin:{}", sandbox.password()));
        Self { sandbox, folder, host, creds, names }
    }

    fn push(&self, arguments: &[&str]) -> Ran {
        self.sandbox.command(&[&["push", &self.sandbox.name], arguments].concat())
    }

    /// The same where something of this host is hidden from it by a script, or where that starts it.
    fn push_without(&self, hide: &str, arguments: &str) -> Ran {
        shell(&format!(
            "PROVISION_HOME={}/home exec unshare -m sh -ec '{hide}; exec \"$@\"' sh {} push {} {arguments}",
            self.folder,
            env!("CARGO_BIN_EXE_provision"),
            self.sandbox.name
        ))
    }

    fn docker(&self, script: &str) -> Ran {
        let (user, password) = self.creds.split_once(':').unwrap();
        let login = format!("echo {password} | docker login -u {user} --password-stdin {} >/dev/null 2>&1", self.host);
        shell(&format!("export DOCKER_CONFIG={}/docker; set -e; {login}; {script}", self.folder))
    }

    fn id(image: &str) -> String {
        shell(&format!("docker image inspect -f '{{{{.Id}}}}' {image}")).ok().out
    }

    fn digest(&self, image: &str) -> String {
        let found = shell(&format!(
            "skopeo inspect --raw --creds {} docker://{}/{image} | sha256sum | cut -d' ' -f1",
            self.creds, self.host
        ));
        found.ok().out.trim().to_owned()
    }

    /// Uploads that have not ended: none may be left of what was refused or cancelled.
    fn uploads(&self) -> String {
        shell(&format!(
            "ls $(docker volume inspect {0}-data --format '{{{{.Mountpoint}}}}')/docker/registry/v2/repositories/*/*/_uploads 2>/dev/null | grep -v : | grep .",
            self.sandbox.name
        ))
        .out
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        shell(&format!(
            "docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' | grep -E '{}/(one|two|base)' | xargs -r docker rmi -f",
            self.sandbox.name
        ));
    }
}

#[test]
fn images_of_the_engine_are_pushed_and_pulled_back_as_they_were() {
    let place = Place::new("push");
    let [one, two] = &place.names;
    let pushed = place.push(&[one, two]).ok().says(&format!("pushed    {}/{one}@sha256:", place.host));
    assert_eq!(pushed.out.lines().count(), 2, "{}", pushed.all());
    let left = shell(&format!("docker images --format '{{{{.Repository}}}}' | grep {}", place.host)).out;
    assert_eq!(left, "", "a tag is left on the engine");
    assert_eq!(place.uploads(), "");
    for image in [one, two] {
        let id = Place::id(image);
        let there = format!("{}/{image}", place.host);
        let pulled = format!("docker rmi {image}; docker pull {there}; docker tag {there} {image}; docker rmi {there}");
        place.docker(&pulled).ok();
        assert_eq!(Place::id(image), id, "the image that came back is another one");
    }
    // The layer that both share is there once.
    let blobs = format!(
        "find $(docker volume inspect {}-data --format '{{{{.Mountpoint}}}}')/docker/registry/v2/blobs -name data -size +1000k | wc -l",
        place.sandbox.name
    );
    assert_eq!(shell(&blobs).ok().out.trim(), "1");

    // Again, with what is known of it and without.
    let again = place
        .push(&["--match", &format!("{}/*", place.sandbox.name)])
        .ok()
        .says(&format!("unchanged {}/{one}", place.host));
    assert!(again.out.contains(&format!("unchanged {}/{two}", place.host)), "{}", again.all());
    let digest = place.digest(two);
    // Layers are read where the engine keeps them; those that cannot be read there come from the engine, to the byte the same.
    let hide_all = "mount -t tmpfs none $(docker info -f {{.DockerRootDir}})".to_owned();
    let hide = |image: &str| {
        let folder = "$(docker image inspect -f {{.GraphDriver.Data.UpperDir}}";
        format!("mkdir -p {0}/none; mount --bind {0}/none {folder} {image})", place.folder)
    };
    for (hide, asked) in [("true".to_owned(), false), (hide_all, true), (hide(two), true)] {
        shell(&format!("rm -r {}/home/cache", place.folder)).ok();
        let pushed = place.push_without(&hide, &format!("{one} {two} -v")).ok().says("unchanged");
        assert_eq!(pushed.all().contains("/images/get"), asked, "{hide}: {}", pushed.all());
        assert_eq!(place.digest(two), digest, "the same layers were compressed to others");
    }
    assert_eq!(place.uploads(), "");
    // Of what the registry has nothing is read.
    shell(&format!(
        "cd {}/b; printf 'FROM {two}\\nCOPY two /more\\n' >Dockerfile; DOCKER_BUILDKIT=0 docker build -q -t {two} .",
        place.folder
    ))
    .ok();
    let pushed = place.push_without(&hide(&format!("{}/base:1", place.sandbox.name)), &format!("{two} -v")).ok();
    assert!(!pushed.says("pushed ").all().contains("/images/get"), "more was read than the layer that was added");

    // One that is not there does not stop the others.
    place
        .push(&["no/such:1", one, "--as", "team"])
        .fails(1)
        .says("there is no image `no/such:1`")
        .says("docker images");
    assert_eq!(place.digest(&format!("team/{one}")), place.digest(one));
    place.sandbox.destroy().ok();
}

#[test]
fn what_would_go_wrong_is_told_before_the_first_byte() {
    let place = Place::new("push-names");
    let [one, two] = &place.names;
    let there = format!("{}/{one}", place.host);
    shell(&format!("docker tag {two} {there}")).ok();
    let refused = place.push(&[one, &there]);
    shell(&format!("docker rmi {there}")).ok();
    refused.fails(2).says("would both be").says("nothing was pushed");
    place.push(&["app@sha256:00"]).fails(1).says("app@sha256:00");
    place.push(&[one, "--from", "somewhere:x"]).fails(2).says("oci:FOLDER");
    place.push(&[]).fails(2);
    place.sandbox.command(&["push", "nowhere", one]).fails(1).says("no deployment, and no address");
    place.sandbox.command(&["push", "http://registry.example", one]).fails(2).says("TLS");
    let catalog = shell(&format!("curl -sk -u {} https://{}/v2/_catalog", place.creds, place.host)).ok();
    assert!(!catalog.out.contains(&place.sandbox.name), "{}", catalog.out);

    // A wrong password: the login of Docker's file, since the registry is named by its address.
    let auth = shell("printf admin:wrong | base64").out;
    std::fs::create_dir_all(format!("{}/wrong", place.folder)).unwrap();
    std::fs::write(
        format!("{}/wrong/config.json", place.folder),
        format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{}\"}}}}}}", place.host, auth.trim()),
    )
    .unwrap();
    let provision = env!("CARGO_BIN_EXE_provision");
    let push = |config: &str| {
        shell(&format!(
            "DOCKER_CONFIG={0}/{config} PROVISION_HOME={0}/other {provision} push https://{1} {one}",
            place.folder, place.host
        ))
    };
    push("wrong").fails(1).says("401").says("the login is refused");
    push("none").fails(1).says("log in first");
    place.docker("true").ok();
    push("docker").ok().says("pushed");
    place.sandbox.destroy().ok();
}

#[test]
fn files_and_folders_are_pushed_and_manifests_stay_as_they_are() {
    let place = Place::new("push-files");
    let [one, two] = &place.names;
    shell(&format!(
        "set -e; cd {}; docker save -o saved.tar {one} {two}; skopeo copy -q --insecure-policy docker-daemon:{one} oci:layout:{two}",
        place.folder
    ))
    .ok();
    let (archive, layout) =
        (format!("docker-archive:{}/saved.tar", place.folder), format!("oci:{}/layout", place.folder));
    place.push(&["--from", &archive, "--all"]).ok().says(&format!("pushed    {}/{two}", place.host));
    place.push(&[two, "--from", &layout, "--as", "oci"]).ok();
    let manifest = shell(&format!("jq -r '.manifests[0].digest' {}/layout/index.json", place.folder)).ok().out;
    assert_eq!(format!("sha256:{}", place.digest(&format!("oci/{two}"))), manifest.trim());
    place.push(&[one, "--as", "z", "--compression", "zstd"]).ok();
    let raw = shell(&format!("skopeo inspect --raw --creds {} docker://{}/z/{one}", place.creds, place.host)).ok();
    assert!(raw.out.contains("tar+zstd"), "{}", raw.out);
    let copy = shell(&format!(
        "set -e; cd {}; for n in z/{one} {one}; do skopeo copy -q --insecure-policy --src-creds {} docker://{}/$n dir:d; cat d/* >/dev/null; done",
        place.folder, place.creds, place.host
    ));
    copy.ok();
    assert_eq!(place.uploads(), "");
    place.sandbox.destroy().ok();
}

/// Podman with a store of its own, and the engine's containerd in a namespace of its own.
#[test]
fn images_of_podman_and_containerd_are_pushed() {
    let mut sandbox = Sandbox::new("push-others");
    let stock = crate::migrate::Stock::empty(&sandbox, "stock", "");
    let folder = sandbox.home.path().display().to_string();
    let storage = format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{folder}/run\"\ngraphroot = \"{folder}/graph\"\n");
    let socket =
        shell("ls /run/docker/containerd/containerd.sock /run/containerd/containerd.sock 2>/dev/null | head -1").out;
    let variables = [
        ("CONTAINERS_STORAGE_CONF", sandbox.write("storage.conf", &storage)),
        ("CONTAINERD_ADDRESS", socket.trim().to_owned()),
        ("CONTAINERD_NAMESPACE", sandbox.name.clone()),
    ];
    let exports: String = variables.iter().map(|(name, value)| format!("export {name}='{value}'; ")).collect();
    sandbox.variables.extend(variables);
    let run = |script: &str| shell(&format!("set -e; {exports} cd {folder}; {script}"));
    run("mkdir root; seq 300000 >root/text; for n in one two; do echo $n >root/name; tar -C root -c . | podman import -q - team/$n:1; done").ok();
    let push = |arguments: &[&str]| sandbox.command(&[&["push", &stock.url], arguments].concat());
    push(&["--from", "podman", "--all"]).ok().says("/team/one:1@sha256:").says("/team/two:1@sha256:");
    let id = run("podman image inspect -f '{{.Id}}' team/one:1").ok().out;
    let fetch = format!("curl -sf -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' {}/v2", stock.url);
    let pushed = run(&format!("{fetch}/team/one/manifests/1 | jq -r .config.digest")).ok().out;
    assert_eq!(pushed.trim(), format!("sha256:{}", id.trim()));
    push(&["--from", "podman", "team/one:1"]).ok().says("unchanged");
    push(&["--from", "podman", "no/such:1"]).fails(1).says("there is no image `no/such:1`");

    run("podman save -q --format docker-archive -o one.tar team/one:1; ctr images import --no-unpack one.tar").ok();
    let listed = run("ctr images ls | tail -1").ok().out;
    let (name, manifest) = (listed.split_whitespace().next().unwrap(), listed.split_whitespace().nth(2).unwrap());
    let done = push(&["--from", "containerd", "--match", "localhost/team/*", "--as", "other"]);
    let namespace = &sandbox.name;
    run(&format!(
        "ctr images rm --sync {name}; ctr content ls -q | xargs -r ctr content rm; ctr namespaces rm {namespace}"
    ));
    done.ok().says(&format!("other/team/one:1@{manifest}"));
}
