//! `provision registry` as a user has it: set up, used by stock clients, left alone, changed, destroyed.

use crate::engine::{Ran, Recorder, Sandbox, shell, tree};

/// Everything on the engine that no deployment owns. Other tests run at the same time, so their things are left out.
fn world() -> String {
    let listed = shell(
        "docker ps -a --no-trunc --format 'container {{.ID}} {{.Names}} {{.Image}} {{.Labels}}'; docker network ls --no-trunc --format 'network {{.ID}} {{.Name}} {{.Labels}}'; docker volume ls --format 'volume {{.Name}} {{.Labels}}'",
    );
    let others = format!("t{}-", std::process::id());
    let mut lines: Vec<&str> =
        listed.out.lines().filter(|line| !line.contains(&others) && !line.contains("provision.id")).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn clients_push_and_pull() {
    let sandbox = Sandbox::new("clients");
    sandbox.registry(&[]).ok().says("docker login").says(&format!("https://localhost:{}", sandbox.port));
    let host = format!("localhost:{}", sandbox.port);
    let folder = sandbox.home.path().display().to_string();
    let password = sandbox.password();
    let ca = sandbox.output("ca");
    let login = sandbox
        .output("login")
        .replace("provision ", &format!("PROVISION_HOME={folder}/home {} ", env!("CARGO_BIN_EXE_provision")));
    let docker = |script: &str| shell(&format!("export DOCKER_CONFIG={folder}/docker; set -e; {script}"));

    // docker, by the very line that is printed.
    docker(&login).ok().says("Login Succeeded");
    let image = format!("{host}/team/app:1");
    docker(&format!("docker tag $(docker images -q 'provision/nginx' | head -1) {image}; docker push {image}; docker rmi {image}; docker pull {image}; docker rmi {image}")).ok();

    // skopeo, there and back.
    let skopeo = |arguments: &str| shell(&format!("skopeo {arguments}"));
    skopeo(&format!("copy --src-creds admin:{password} docker://{image} dir:{folder}/copy")).ok();
    skopeo(&format!("copy --dest-creds admin:{password} dir:{folder}/copy docker://{host}/team/copy:2")).ok();
    skopeo(&format!("inspect --creds admin:{password} docker://{host}/team/copy:2")).ok().says("Digest");
    skopeo(&format!("inspect --no-creds docker://{host}/team/copy:2")).fails(1);

    // curl, with and without a password, and in the clear.
    let curl = |arguments: &str| {
        shell(&format!("curl -s --cacert {ca} -o /dev/null -w '%{{http_code}} %{{redirect_url}}' {arguments}"))
    };
    assert_eq!(curl(&format!("https://{host}/v2/")).out.trim(), "401");
    for path in ["v2", "v1/", "v1/_ping", "v1", "", "metrics"] {
        assert_eq!(curl(&format!("https://{host}/{path}")).out.trim(), "401", "{path}");
        assert_eq!(curl(&format!("-u admin:{password} https://{host}/{path}")).out.trim(), "404", "{path}");
    }
    assert_eq!(curl(&format!("-u admin:wrong https://{host}/v2/")).out.trim(), "401");
    assert_eq!(curl(&format!("-u admin:{password} https://{host}/v2/_catalog")).out.trim(), "200");
    assert_eq!(curl(&format!("http://{host}/v2/")).out.trim(), format!("308 https://{host}/v2/"));
    let headers = shell(&format!("curl -sI --cacert {ca} https://{host}/v2/")).ok();
    let headers = headers.says("Docker-Distribution-Api-Version: registry/2.0").says("WWW-Authenticate: Basic");
    assert!(!headers.out.contains("nginx/"), "the version of nginx is told: {}", headers.out);
    shell(&format!("curl -s --cacert {ca} --tls-max 1.1 https://{host}/v2/")).fails(35);
    sandbox.destroy().ok();
}

#[test]
fn the_registry_is_reached_through_the_proxy_alone() {
    let sandbox = Sandbox::new("alone");
    sandbox.registry(&["--trust", "no"]).ok();
    let name = &sandbox.name;
    let inspect = |container: &str, format: &str| {
        shell(&format!("docker inspect {name}-{container} --format '{format}'")).ok().out.trim().to_owned()
    };
    assert_eq!(inspect("registry", "{{json .HostConfig.PortBindings}}"), "{}");
    let address = inspect("registry", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    shell(&format!("curl -s -m 2 http://{address}:5000/v2/")).fails(7);
    for container in ["registry", "proxy"] {
        assert_eq!(
            inspect(
                container,
                "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
            ),
            "65532:65532 true [ALL] [no-new-privileges]"
        );
    }
    let published = shell(&format!("docker port {name}-proxy")).ok().out;
    assert!(published.lines().all(|line| line.starts_with("8443/tcp")), "{published}");
    sandbox.destroy().ok();
}

#[test]
fn twice_is_once_and_destroy_leaves_nothing() {
    let before = (world(), tree("/etc/docker/certs.d".as_ref()), tree("/etc/containers/certs.d".as_ref()));
    let mut sandbox = Sandbox::new("twice");
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let home = sandbox.home.path().join("home");
    // The first of all sandboxes builds the images.
    let written = tree(&home);
    sandbox.plan(&["--exit-code"]).fails(3);
    assert_eq!(recorder.mutating(), Vec::<String>::new(), "a plan only reads");
    assert_eq!(tree(&home), written, "a plan writes nothing");

    sandbox.registry(&[]).ok();
    assert!(!recorder.mutating().is_empty(), "the recorder sees what changes something");
    let kept = tree(&home);

    let after_first = recorder.mutating().len();
    sandbox.registry(&[]).ok().says("nothing to change");
    sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    assert_eq!(recorder.mutating().len(), after_first, "{:?}", recorder.mutating());
    assert!(recorder.requests().len() > after_first, "the second run looked at the engine");
    let archives =
        recorder.requests().into_iter().filter(|line| line.starts_with("GET ") && line.contains("/archive?"));
    assert_eq!(
        archives.collect::<Vec<_>>(),
        Vec::<String>::new(),
        "what an archive takes an engine long for is looked up here"
    );
    assert_eq!(tree(&home), kept, "a run that changes nothing writes nothing");

    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
    // Builds of other tests come and go.
    let begun = std::time::Instant::now();
    while world() != before.0 {
        assert!(begun.elapsed() < std::time::Duration::from_mins(5), "{}\n{}", before.0, world());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let after = (world(), tree("/etc/docker/certs.d".as_ref()), tree("/etc/containers/certs.d".as_ref()));
    let others = |tree: &str| tree.lines().filter(|line| line.contains(&sandbox.name)).count();
    assert_eq!((others(&after.1), others(&after.2)), (0, 0));
    sandbox.registry(&["--trust", "no"]).ok();
    sandbox.destroy().ok();
}

#[test]
fn data_outlives_a_destroy_that_keeps_it() {
    let sandbox = Sandbox::new("keep");
    sandbox.registry(&[]).ok();
    let password = sandbox.password();
    let image = format!("localhost:{}/kept:1", sandbox.port);
    let push = format!(
        "skopeo copy --dest-creds admin:{password} docker-daemon:$(docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/registry | head -1) docker://{image}"
    );
    shell(&push).ok();
    sandbox.command(&["destroy", &sandbox.name]).fails(1).says("deletes data").says("--keep-data");
    sandbox.command(&["destroy", &sandbox.name, "--keep-data"]).ok();
    let left = sandbox.things();
    assert_eq!(left.trim(), format!("volume {0}-data\n{0}-data", sandbox.name), "only the data is left");
    sandbox.command(&["status", &sandbox.name]).fails(1).says("data was kept");
    sandbox.registry(&[]).ok();
    assert_eq!(sandbox.password(), password, "the password that opens the data is the same");
    shell(&format!("skopeo inspect --creds admin:{password} docker://{image}")).ok();
    sandbox.destroy().ok();
}

/// Gives a file in a container another owner, which a program in it may not do.
fn chown(container: &str, path: &str) -> String {
    format!("chown 1234:5678 /proc/$(docker inspect {container} --format '{{{{.State.Pid}}}}')/root{path}")
}

#[test]
fn drift_is_told_field_by_field_and_mended() {
    let sandbox = Sandbox::new("drift");
    sandbox.registry(&[]).ok();
    let name = &sandbox.name;
    let drift = |script: &str, field: &str| {
        shell(script).ok();
        sandbox.plan(&["--exit-code"]).fails(3).says(field);
        sandbox.registry(&[]).ok();
        sandbox.plan(&["--exit-code"]).ok();
    };
    let inside = |script: &str| format!("docker exec -u 0 {name}-proxy sh -c '{script}'");
    drift(&inside("echo \"# by hand\" >> /etc/provision/nginx.conf"), "- # by hand");
    drift(&chown(&format!("{name}-proxy"), "/etc/provision/nginx.conf"), "nginx.conf.owner: 1234:5678 → 0:65532");
    drift(&inside("chmod 604 /etc/provision/tls.key"), "files./etc/provision/tls.key.mode: 0604 → 0640");
    drift(&inside("rm /etc/provision/htpasswd"), "files./etc/provision/htpasswd: (none) → a file");
    // The same size and the same time: only the digest in the nanoseconds would not tell, but the time is a new one.
    drift(&inside("sed -i s/TLSv1.2/TLSv1.1/ /etc/provision/nginx.conf"), "-         ssl_protocols TLSv1.1 TLSv1.3;");
    drift(&format!("docker kill {name}-registry"), "state: ended with exit code 137 → running");
    drift(&format!("docker pause {name}-proxy"), "state: paused → running");
    drift(&format!("docker rm -f {name}-proxy"), "create    container tls/proxy");
    drift(&format!("docker network disconnect {name} {name}-registry"), "networks");
    let certificate = format!("/etc/docker/certs.d/localhost:{}/provision-{name}.crt", sandbox.port);
    drift(&format!("chmod 600 {certificate}"), "0600 → keyed");
    drift(&format!("rm {certificate}"), "(none) → keyed");
    let kept = sandbox.home.path().join(format!("home/deployments/{name}/htpasswd/users/htpasswd"));
    drift(&format!("sed -i s/admin/root/ {}", kept.display()), "users.root: (secret) → (none)");
    sandbox.destroy().ok();
}

/// Who owns a file is seen where the processes of the container cannot be, too: as another user, or from another host.
#[test]
fn an_owner_is_compared_from_wherever_one_looks() {
    let sandbox = Sandbox::new("owner");
    sandbox.registry(&["--trust", "no"]).ok();
    let (home, name) = (sandbox.home.path().join("home"), &sandbox.name);
    let apart = |code: i32| {
        shell(&format!(
            "PROVISION_HOME={} unshare --pid --fork --mount-proc {} plan {name} --exit-code",
            home.display(),
            env!("CARGO_BIN_EXE_provision")
        ))
        .fails(code)
    };
    apart(0).says("nothing to change");
    shell(&chown(&format!("{name}-proxy"), "/etc/provision/htpasswd")).ok();
    apart(3).says("files./etc/provision/htpasswd.owner: 1234:5678 → 0:65532");
    sandbox.registry(&["--trust", "no"]).ok();
    apart(0);
    // A file that is not in a volume of its own.
    let playbook = sandbox.write("web.yml", "resources:\n  - image: nginx\n    reference: nginx:1.30\n    build: nginx\n  - container: web\n    image: \"{{ nginx.reference }}\"\n    files: { /etc/note: { content: \"a\\nb\\n\" } }\n");
    let web = format!("{name}-w");
    sandbox.command(&["apply", &playbook, "--name", &web]).ok();
    shell(&chown(&format!("{web}-web"), "/etc/note")).ok();
    for way in ["", "unshare --pid --fork --mount-proc"] {
        let program = env!("CARGO_BIN_EXE_provision");
        let plan = format!("PROVISION_HOME={} {way} {program} plan {web} --exit-code", home.display());
        shell(&plan).fails(3).says("files./etc/note.owner: 1234:5678 → 0:0");
    }
    sandbox.command(&["destroy", &web, "--yes"]).ok();
    sandbox.destroy().ok();
}

#[test]
fn a_changed_input_changes_only_what_it_must() {
    let sandbox = Sandbox::new("inputs");
    sandbox.registry(&[]).ok();
    let id = |container: &str| {
        shell(&format!("docker inspect {}-{container} --format '{{{{.Id}}}}'", sandbox.name)).ok().out
    };
    let (registry, proxy) = (id("registry"), id("proxy"));
    sandbox
        .registry(&["--san", "127.0.0.1", "--san", "registry.test"])
        .ok()
        .says("names: localhost → 127.0.0.1, localhost, registry.test");
    assert_eq!((id("registry"), id("proxy")), (registry.clone(), proxy), "a new certificate takes no new container");
    let ca = sandbox.output("ca");
    let served = format!(
        "curl -s --cacert {ca} -o /dev/null -w '%{{http_code}}' --resolve registry.test:{0}:127.0.0.1 https://registry.test:{0}/v2/",
        sandbox.port
    );
    assert_eq!(shell(&served).out, "401", "the new name is served");
    sandbox.registry(&["--renew"]).ok().says("expires");
    assert_eq!(id("registry"), registry);
    sandbox.registry(&["--user", "ci"]).ok();
    assert_eq!(id("registry"), registry);
    let password = sandbox.password();
    let code = |user: &str| {
        shell(&format!(
            "curl -s --cacert {ca} -u {user}:{password} -o /dev/null -w '%{{http_code}}' https://localhost:{}/v2/",
            sandbox.port
        ))
        .out
    };
    assert_eq!((code("ci").as_str(), code("admin").as_str()), ("200", "401"));
    // What was given stays given.
    sandbox.registry(&[]).ok().says("nothing to change");
    sandbox.destroy().ok();
}

/// Law 5: no secret where it shows.
#[test]
fn no_secret_shows() {
    let mut sandbox = Sandbox::new("secrets");
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let mut told = sandbox.registry(&["--output", "json", "-v"]).ok().all();
    let more: Vec<Ran> = vec![
        sandbox.plan(&["--output", "json"]),
        sandbox.command(&["status", &sandbox.name, "-v"]),
        sandbox.command(&["output", &sandbox.name]),
        sandbox.command(&["graph", &sandbox.name]),
        sandbox.registry(&["--renew", "-v"]),
    ];
    more.iter().for_each(|ran| told.push_str(&ran.all()));
    let name = &sandbox.name;
    told.push_str(&shell(&format!("docker inspect {name}-proxy {name}-registry; docker logs {name}-proxy 2>&1; docker logs {name}-registry 2>&1; docker history --no-trunc $(docker inspect {name}-registry --format '{{{{.Image}}}}')")).ok().out);
    told.push_str(&recorder.requests().join("\n"));
    let secrets = sandbox.command(&["secrets", name, "--output", "json"]).ok().out;
    let secrets: std::collections::BTreeMap<String, String> = serde_json::from_str(&secrets).unwrap();
    assert!(secrets.len() >= 2);
    for (key, secret) in &secrets {
        assert!(!told.contains(secret.as_str()), "the secret `{key}` shows");
    }
    assert!(!told.contains("PRIVATE KEY") && !told.contains("$2b$"), "a key or a hash shows");
    let readable =
        shell(&format!("find {} -type f -perm /077 -o -type d -perm /077", sandbox.home.path().join("home").display()))
            .out;
    assert_eq!(readable, "", "others may read this");
    sandbox.destroy().ok();
}

/// What is behind the proxy takes no pushes, as on a disk that is full: that would cost the certificate as well.
#[test]
fn a_renewed_certificate_stays_where_a_push_fails_for_another_reason() {
    let sandbox = Sandbox::new("renew");
    sandbox.registry(&["--trust", "no"]).ok();
    let (name, port) = (&sandbox.name, sandbox.port);
    let served = || {
        shell(&format!(
            "openssl s_client -connect localhost:{port} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint"
        ))
        .ok()
        .out
    };
    let modes = |modes: &str| {
        let image = shell(&format!("docker inspect {name}-proxy --format '{{{{.Image}}}}'")).ok().out;
        shell(&format!(
            "docker run --rm -v {name}-data:/data --entrypoint chmod {} -R {modes} /data/docker/registry/v2/repositories",
            image.trim()
        ))
        .ok();
    };
    let first = served();
    modes("a-w");
    let ran = sandbox.command(&["rotate", name, "--what", "certificates"]).fails(1);
    let ran = ran.says("done, and it stays; a check fails that does not depend on it").says("round-trip");
    let second = served();
    assert_ne!(first, second, "{}", ran.all());
    // Of what may be the cause, all is taken back.
    let ran = sandbox.registry(&["--san", "127.0.0.1", "--delete=false"]).fails(1);
    ran.says("everything is as it was before");
    assert_eq!(served(), second);
    modes("u+w");
    sandbox.registry(&[]).ok().says("nothing to change");
    sandbox.command(&["rotate", name, "--what", "certificates"]).ok();
    sandbox.destroy().ok();
}
