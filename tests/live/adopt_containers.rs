//! Registries in containers that others started, taken over with their images, and given back.

use crate::engine::{Ran, Sandbox, shell};

/// A registry as people start one by hand, with an image in it, and whatever is in front.
struct Earlier {
    sandbox: Sandbox,
    folder: String,
    /// The images that are used here: the registry's and nginx's.
    registry: String,
    nginx: String,
}

impl Earlier {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let image = |name: &str| {
            let listed =
                format!("docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/{name} | head -1");
            shell(&listed).ok().out.trim().to_owned()
        };
        let folder = sandbox.home.path().display().to_string();
        Self { folder, registry: image("registry"), nginx: image("nginx"), sandbox }
    }

    /// Runs a container of this name with more options.
    fn run(&self, name: &str, options: &str, image: &str) {
        shell(&format!("docker run -d --name {}-{name} {options} {image}", self.sandbox.name)).ok();
    }

    /// What is told of the container of this name, the file of inputs, and the command that gives its images to ours.
    fn adopt(&self, name: &str) -> (Ran, String, String) {
        let file = format!("{}/{name}.inputs.yml", self.folder);
        let told = self.sandbox.command(&["adopt", &format!("{}-{name}", self.sandbox.name), "--out", &file]).ok();
        let chown = told.out.lines().find(|line| line.contains("--entrypoint=chown")).unwrap_or_default().to_owned();
        (told, file, chown)
    }

    fn state(&self, name: &str) -> String {
        let format = "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}";
        shell(&format!("docker inspect -f '{format}' {}-{name}", self.sandbox.name)).ok().out.trim().to_owned()
    }
}

/// Asks until there is an answer.
fn curl(more: &str) -> Ran {
    shell(&format!("for i in $(seq 100); do curl -sf {more} && exit 0; sleep 0.1; done; exit 1"))
}

/// Some images, pushed by plain requests.
fn push(url: &str) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/filled.py");
    shell(&format!("python3 {script} {url} 6 3")).ok();
}

#[test]
fn a_registry_in_a_container_is_taken_over_with_its_volume_and_given_back() {
    let earlier = Earlier::new("taken");
    let (name, port) = (earlier.sandbox.name.clone(), earlier.sandbox.port);
    let options = format!("--restart always -p {port}:5000 -v {name}-old:/var/lib/registry");
    earlier.run("old", &options, &earlier.registry);
    let url = format!("http://localhost:{port}");
    curl(&format!("{url}/v2/")).ok();
    push(&url);
    let before = curl(&format!("{url}/v2/_catalog")).ok().out;

    let (told, file, chown) = earlier.adopt("old");
    told.says(&format!("listens on `0.0.0.0:{port}`, for every network"));
    assert_eq!(chown, "", "images of root are given over by the run itself");
    let inputs = std::fs::read_to_string(&file).unwrap();
    for line in [format!("port: {port}"), format!("data-volume: {name}-old"), format!("  - {name}-old")] {
        assert!(inputs.lines().any(|found| found == line), "{line}: {inputs}");
    }
    let given = ["--inputs", &file, "--cn", "localhost", "--trust", "no"];
    earlier.sandbox.plan(&given).ok().says(&format!("{name}-old.state: running → stopped"));
    assert_eq!(earlier.state("old"), "running always", "a plan changes nothing");

    // Images of a user who may use them still are not taken away, and the one before stays as it was.
    let give = |user: &str| {
        let image = &earlier.registry;
        shell(&format!("docker run --rm --user=0 --network=none --entrypoint=chown --volume={name}-old:/images {image} -R {user} /images/docker")).ok();
    };
    give("1000:1000");
    let refused = earlier.sandbox.registry(&given).fails(1).says("belong to 1000:1000").says("--entrypoint=chown");
    refused.says("everything is as it was before");
    assert_eq!(earlier.state("old"), "running always");
    curl(&format!("{url}/v2/")).ok();

    // What belongs to root is given to the new one with a word; root can use it as before.
    give("0:0");
    earlier.sandbox.registry(&given).ok().says("belong to 65532:65532 now").says("checked   probe round-trip");
    assert_eq!(earlier.state("old"), "exited no");
    let with = format!("--cacert {} -u admin:{}", earlier.sandbox.output("ca"), earlier.sandbox.password());
    // The probe's own repository is empty, and its name stays.
    let catalog =
        |url: &str, with: &str| curl(&format!("{with} {url}/v2/_catalog")).ok().out.replace("\"provision-probe\",", "");
    assert_eq!(catalog(&format!("https://localhost:{port}"), &with), before);
    earlier.sandbox.plan(&["--exit-code"]).ok().says("nothing to change");
    earlier.sandbox.command(&["fsck", &name]).ok();

    // It is stopped again if somebody starts it, as far as that is possible.
    shell(&format!("docker update --restart always {name}-old")).ok();
    earlier.sandbox.plan(&["--exit-code"]).fails(3).says(&format!("{name}-old.restart: always → no"));
    earlier.sandbox.registry(&[]).ok();
    earlier.sandbox.plan(&["--exit-code"]).ok();

    earlier.sandbox.destroy().ok();
    assert_eq!(earlier.state("old"), "running always");
    assert_eq!(catalog(&url, ""), before);
}

#[test]
fn a_registry_behind_nginx_in_containers_is_taken_over_with_its_users() {
    let earlier = Earlier::new("compose");
    let (name, port, folder) = (earlier.sandbox.name.clone(), earlier.sandbox.port, earlier.folder.clone());
    let hash = bcrypt::hash("of alice", 4).unwrap();
    shell(&format!(
        "set -e; mkdir -p {folder}/etc {folder}/images; cd {folder}/etc; printf 'alice:{hash}\\n' >users; \
         openssl req -x509 -nodes -newkey rsa:2048 -days 90 -keyout key -out crt -subj /CN=x -addext subjectAltName=DNS:localhost 2>/dev/null; chmod a+r *; \
         cat >nginx.conf <<'END'\nevents {{}}\nhttp {{\n  map $upstream_http_docker_distribution_api_version $v {{ '' registry/2.0; }}\n  upstream registry {{ server registry:5000; }}\n  server {{\n    listen 443 ssl;\n    server_name localhost;\n    ssl_certificate /etc/nginx/conf.d/crt;\n    ssl_certificate_key /etc/nginx/conf.d/key;\n    client_max_body_size 0;\n    location /v2/ {{ auth_basic R; auth_basic_user_file /etc/nginx/conf.d/users; add_header Docker-Distribution-Api-Version $v always; proxy_pass http://registry; proxy_set_header Host $http_host; }}\n  }}\n}}\nEND\n\
         docker network create {name}-net"
    ))
    .ok();
    earlier.run(
        "reg",
        &format!("--network {name}-net --network-alias registry --user 1000 --tmpfs /tmp -v {folder}/images:/var/lib/registry"),
        &earlier.registry,
    );
    shell(&format!("chown 1000:1000 {folder}/images; chmod a+rx {folder}")).ok();
    earlier.run(
        "web",
        &format!("--network {name}-net -p {port}:443 --restart unless-stopped -v {folder}/etc:/etc/nginx/conf.d:ro -v {folder}/etc/nginx.conf:/etc/nginx/nginx.conf:ro --entrypoint nginx"),
        &format!("{} -g 'daemon off;'", earlier.nginx),
    );
    let old = format!("-k -u 'alice:of alice' https://localhost:{port}/v2/");
    curl(&old).ok();

    let (_, file, chown) = earlier.adopt("reg");
    let inputs = std::fs::read_to_string(&file).unwrap();
    for line in [
        "cn: localhost".to_owned(),
        format!("port: {port}"),
        format!("data-volume: {folder}/images"),
        format!("  - {name}-reg"),
        format!("  - {name}-web"),
    ] {
        assert!(inputs.lines().any(|found| found == line), "{line}: {inputs}");
    }
    shell(&chown).ok();
    earlier.sandbox.registry(&["--inputs", &file, "--trust", "no"]).ok().says("checked   probe round-trip");
    earlier.sandbox.command(&["users", &name, "add", "--import", &format!("{folder}/etc/users")]).ok();
    let ca = earlier.sandbox.output("ca");
    curl(&format!("--cacert {ca} -u 'alice:of alice' https://localhost:{port}/v2/")).ok();
    assert_eq!((earlier.state("reg"), earlier.state("web")), ("exited no".to_owned(), "exited no".to_owned()));
    // What looks into its store finds the folder, and a backup does not hold it and says so.
    earlier.sandbox.command(&["fsck", &name]).ok();
    earlier.sandbox.command(&["gc", &name, "--dry-run"]).ok();
    let phrase = earlier.sandbox.write("phrase", "correct horse battery\n");
    let backup = ["backup", &name, &format!("{folder}/one.age"), "--passphrase-file", &phrase];
    earlier.sandbox.command(&backup).ok().says(&format!("`{folder}/images` is used where it is and is not backed up"));
    let there = shell(&format!("ls {folder}/images/docker/registry/v2")).ok().out;
    assert!(there.contains("repositories"), "{there}");

    earlier.sandbox.destroy().ok();
    assert_eq!(earlier.state("web"), "running unless-stopped");
    assert_eq!(shell(&format!("ls {folder}/images/docker/registry/v2")).ok().out, there);
    curl(&old).ok();
    // What adopt cannot do is told.
    earlier.run("none", "--entrypoint sleep", &format!("{} 100", earlier.nginx));
    earlier.sandbox.command(&["adopt", &format!("{name}-none"), "--out", "/dev/null/x"]).fails(2);
}
