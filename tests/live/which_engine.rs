//! Which engine a command is about: the one that `docker` reaches in the same place, with TLS where that is asked for.

use crate::engine::{Ran, Sandbox, SecondEngine, shell};

/// Certificates as Docker's own guide makes them, in `folder/tls`, and others of a stranger in `folder/other`.
const CERTIFICATES: &str = r"
set -e
for folder in tls other; do
    mkdir -p $1/$folder; cd $1/$folder
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=$folder -keyout ca-key.pem -out ca.pem
    for who in server client; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who -keyout $who-key.pem -out $who.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >$who.ext
        openssl x509 -req -days 2 -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -extfile $who.ext -out $who.pem
    done
    cp client.pem cert.pem; cp client-key.pem key.pem
done
";

const PLAYBOOK: &str = "resources:\n  - network: net\n    name: \"{{ name }}\"\n";

/// An engine that speaks TLS on port 2376 of a network of its own, with contexts that lead to it.
struct Far {
    engine: SecondEngine,
    sandbox: Sandbox,
}

impl Far {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let folder = tempfile::tempdir().unwrap();
        let tls = folder.path().display().to_string();
        shell(&format!("bash -s {tls} <<'END'\n{CERTIFICATES}END")).ok();
        let mut more = vec!["--host".to_owned(), "tcp://127.0.0.1:2376".to_owned(), "--tlsverify".to_owned()];
        for (flag, file) in [("tlscacert", "ca"), ("tlscert", "server"), ("tlskey", "server-key")] {
            more.push(format!("--{flag}={tls}/tls/{file}.pem"));
        }
        // Room for one network beside its own.
        more.extend(["--default-address-pool", "base=10.199.0.0/23,size=24"].map(str::to_owned));
        let engine = SecondEngine::bare(test, folder, more);
        sandbox.write("net.yml", PLAYBOOK);
        Self { engine, sandbox }
    }

    /// Runs a script where the engine is, with `$tls`, `$net` and a folder of Docker's own configuration.
    fn run(&self, script: &str) -> Ran {
        let home = self.sandbox.home.path().display();
        let folder = self.engine.socket().parent().unwrap().display().to_string();
        let program = env!("CARGO_BIN_EXE_provision");
        self.engine.shell(&format!(
            "unset DOCKER_HOST; export DOCKER_CONFIG={home}/docker PROVISION_HOME={home}/home tls={folder}/tls other={folder}/other net={}; provision() {{ {program} \"$@\"; }}; set -e; {script}",
            self.sandbox.name
        ))
    }

    /// Sets up a network, which `docker` must find in the same environment, and takes it away.
    fn reaches_what_docker_reaches(&self, environment: &str) {
        let home = self.sandbox.home.path().display();
        self.run(&format!(
            "{environment}; docker info -f '{{{{.DockerRootDir}}}}'; provision apply {home}/net.yml --name $net -v; docker network inspect $net -f '{{{{.Name}}}}' >/dev/null; provision plan $net --exit-code; provision destroy $net --yes; ! docker network inspect $net 2>/dev/null"
        ))
        .ok();
    }
}

#[test]
fn the_engine_that_docker_reaches_is_the_one_that_is_used() {
    let far = Far::new("which");
    far.run(
        "docker context create far --docker host=tcp://127.0.0.1:2376,ca=$tls/ca.pem,cert=$tls/cert.pem,key=$tls/key.pem
         docker context create lax --docker host=tcp://127.0.0.1:2376,skip-tls-verify=true,cert=$tls/cert.pem,key=$tls/key.pem
         docker context create plain --docker host=tcp://127.0.0.1:2376",
    )
    .ok();
    let socket = far.engine.address();
    for environment in [
        "export DOCKER_CONTEXT=far",
        "export DOCKER_CONTEXT=lax",
        "docker context use far",
        "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$tls DOCKER_HOST=tcp://localhost:2376",
        "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$tls DOCKER_CONTEXT=default",
        "export DOCKER_TLS=1 DOCKER_CERT_PATH=$tls DOCKER_HOST=127.0.0.1:2376",
        &format!("export DOCKER_CONTEXT=plain DOCKER_HOST={socket}"),
    ] {
        far.reaches_what_docker_reaches(environment);
    }
    what_asks_for_protection_is_refused_where_it_cannot_be_had(&far);
    a_deployment_stays_on_its_engine(&far);
    a_user_without_the_system_s_socket_has_one_of_its_own(&far);
    where_no_addresses_are_left_it_is_said_what_to_do(&far);
}

fn what_asks_for_protection_is_refused_where_it_cannot_be_had(far: &Far) {
    let refused = |environment: &str, says: &str| {
        far.run(&format!("{environment}; ! docker version >/dev/null 2>&1")).ok();
        let home = far.sandbox.home.path().display();
        let code = if ["asks for", "no context"].iter().any(|mistake| says.contains(mistake)) { 2 } else { 1 };
        far.run(&format!("{environment}; provision apply {home}/net.yml --name $net")).fails(code).says(says);
    };
    refused("export DOCKER_HOST=tcp://localhost:2376", "this engine wants TLS");
    refused("export DOCKER_CONTEXT=plain", "this engine wants TLS");
    refused(
        "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$other DOCKER_HOST=tcp://localhost:2376",
        "of another authority",
    );
    refused(
        "mkdir -p $other/only; cp $tls/ca.pem $other/only; export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$other/only DOCKER_HOST=tcp://localhost:2376",
        "the engine wants a certificate",
    );
    refused(
        "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$tls DOCKER_HOST=tcp://localhost:2377",
        "no Docker engine answers",
    );
    refused("export DOCKER_TLS_VERIFY=1 DOCKER_CONTEXT=plain", "asks for TLS, and the context `plain`");
    refused("export DOCKER_CONTEXT=nowhere", "no context `nowhere`");
}

fn a_deployment_stays_on_its_engine(far: &Far) {
    let home = far.sandbox.home.path().display().to_string();
    far.run(&format!("export DOCKER_CONTEXT=far; provision apply {home}/net.yml --name $net")).ok();
    // By another way it is the same engine.
    let socket = far.engine.address();
    far.run(&format!("export DOCKER_HOST={socket}; provision apply {home}/net.yml --name $net"))
        .ok()
        .says("nothing to change");
    for verb in [
        format!("apply {home}/net.yml --name $net"),
        "plan $net".to_owned(),
        "status $net".to_owned(),
        "destroy $net --yes".to_owned(),
    ] {
        let ran = far.run(&format!("export DOCKER_HOST=unix:///var/run/docker.sock; provision {verb}"));
        ran.fails(1).says("is on the engine at").says("--engine-moved");
    }
    far.run("export DOCKER_HOST=unix:///var/run/docker.sock; provision plan $net --engine-moved")
        .ok()
        .says("1 to create");
    assert_eq!(shell(&format!("docker network ls -q --filter name={}", far.sandbox.name)).out, "");
    far.run("export DOCKER_CONTEXT=far; provision destroy $net --yes").ok();
}

fn a_user_without_the_system_s_socket_has_one_of_its_own(far: &Far) {
    let own = far.engine.socket().display().to_string();
    let home = far.sandbox.home.path().display().to_string();
    let program = env!("CARGO_BIN_EXE_provision");
    let ran = far.run(&format!(
        "rm -rf $DOCKER_CONFIG; mkdir -p {home}/user/run; cp {program} {home}/net.yml {home}/user; chmod -R a+rX {home}/user; chmod 755 {home} $(dirname {own}); chmod 666 {own}
         ln -s {own} {home}/user/run/docker.sock; mkdir {home}/user/home; chown 65534 {home}/user/home
         export XDG_RUNTIME_DIR={home}/user/run PROVISION_HOME={home}/user/home HOME={home}/user/home
         user() {{ setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"; }}
         user {home}/user/provision apply {home}/user/net.yml --name $net -v
         docker -H unix://{own} network inspect $net >/dev/null
         user {home}/user/provision destroy $net --yes"
    ));
    ran.ok().says(&format!("engine: unix://{home}/user/run/docker.sock"));
}

fn where_no_addresses_are_left_it_is_said_what_to_do(far: &Far) {
    let (home, socket) = (far.sandbox.home.path().display().to_string(), far.engine.address());
    let ran = far.run(&format!(
        "export DOCKER_HOST={socket}; docker network create $net-other; provision apply {home}/net.yml --name $net"
    ));
    ran.fails(1).says("address pool").says("`default-address-pools`").says("`docker network ls`");
    far.run(&format!("export DOCKER_HOST={socket}; docker network rm $net-other")).ok();
}
