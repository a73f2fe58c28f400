//! `provision ci` in a container that has the engine's socket, as runners start the jobs of GitLab and others.

use std::thread;

use crate::engine::{Ran, Sandbox, shell, wait_until};

/// Containers that stand for jobs, on a network of their own, with the programs of this host.
struct Runner {
    sandbox: Sandbox,
    base: String,
}

impl Runner {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let name = &sandbox.name;
        // An image of its own, as small as one can be.
        sandbox.write("Dockerfile", &format!("FROM scratch\nLABEL job={name}\nCOPY Dockerfile /\n"));
        let folder = sandbox.home.path().display();
        shell(&format!("DOCKER_BUILDKIT=0 docker build -q -t {name}:1 {folder} && docker network create {name}")).ok();
        // One whose libraries are all in /usr, in whose place the host's are mounted.
        let base = "docker images --format '{{.Repository}}:{{.Tag}}' provision/base | grep trixie | head -1";
        let base = shell(base).ok().out;
        Self { sandbox, base: base.trim().to_owned() }
    }

    /// Runs a script in a container of its own, with whatever else `docker run` is told.
    fn job(&self, job: &str, options: &str, script: &str) -> Ran {
        let Self { sandbox: Sandbox { name, .. }, base } = self;
        let program = env!("CARGO_BIN_EXE_provision");
        let quoted = script.replace('\'', r"'\''");
        shell(&format!(
            "docker run --name {name}-{job} -v /var/run/docker.sock:/var/run/docker.sock -v /usr:/usr:ro -v /etc/ssl:/etc/ssl:ro \
             -v /etc/containers:/etc/containers:ro -v {program}:/opt/provision:ro -e PROVISION_MAINTAIN=no -e PROVISION_HOME=/root/home \
             -e IMAGE={name} {options} {base} sh -ec '{quoted}'"
        ))
    }

    /// What is left of the registries of jobs, by their names.
    fn left(names: &[&str]) -> String {
        let listed = shell("docker ps -a --format '{{.Names}}'; docker volume ls -q").out;
        listed.lines().filter(|line| names.iter().any(|name| line.starts_with(name))).collect()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let name = &self.sandbox.name;
        shell(&format!(
            "docker ps -aq --filter name={name} | xargs -r docker rm -f; docker network rm {name}; docker images -q --filter label=job={name} | sort -u | xargs -r docker rmi -f"
        ));
    }
}

fn said<'a>(ran: &'a Ran, what: &str) -> &'a str {
    ran.out.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("no `{what}` in {}", ran.all()))
}

/// By way of the engine, and by the job's own clients: nothing is pushed under another name for that.
const USED: &str = "echo name=$PROVISION_CI; docker login -u $REGISTRY_USER --password-stdin $REGISTRY <$REGISTRY_PASSWORD_FILE; \
    docker tag $IMAGE:1 $REGISTRY/app:1; docker push -q $REGISTRY/app:1; docker rmi $REGISTRY/app:1 >/dev/null; \
    skopeo inspect docker://$REGISTRY/app:1 | grep -c Digest; docker pull -q $REGISTRY/app:1; docker rmi $REGISTRY/app:1 >/dev/null";

#[test]
fn two_jobs_in_containers_log_in_push_and_pull_whatever_network_they_are_on() {
    let runner = Runner::new("cic");
    let own = format!("--network {}", runner.sandbox.name);
    let script = format!("/opt/provision ci -- sh -ec '{USED}'");
    let networks = [("bridge", "--network bridge"), ("own", own.as_str()), ("host", "--network host")];
    let ran: Vec<Ran> = thread::scope(|scope| {
        let jobs = networks.map(|(job, network)| scope.spawn(|| runner.job(job, network, &script)));
        jobs.into_iter().map(|job| job.join().unwrap()).collect()
    });
    for ran in ran {
        let ran = ran.ok().says("Login Succeeded");
        assert_eq!(Runner::left(&[said(&ran, "name=")]), "", "{}", ran.all());
    }
}

#[test]
fn another_job_uses_what_one_has_left_and_what_is_killed_goes_with_its_container() {
    let runner = Runner::new("cid");
    let (name, own) = (&runner.sandbox.name, format!("--network {}", runner.sandbox.name));
    // What another job reads has no path of the first one in it.
    let dotenv = runner.job("first", &own, "/opt/provision ci --format gitlab").ok().out;
    assert!(!dotenv.contains("=/") && dotenv.contains("REGISTRY_CA_BASE64="), "{dotenv}");
    let file = runner.sandbox.write("registry.env", &dotenv);
    let ci = dotenv.lines().find_map(|line| line.strip_prefix("PROVISION_CI=")).unwrap();
    // Its container is gone, and it stays.
    shell(&format!("docker rm -f {name}-first")).ok();
    runner.sandbox.command(&["ci", "reap"]).ok();
    let push = "echo $REGISTRY_PASSWORD | docker login -u $REGISTRY_USER --password-stdin $REGISTRY; \
        docker tag $IMAGE:1 $REGISTRY/app:1; docker push -q $REGISTRY/app:1; docker rmi $REGISTRY/app:1";
    runner.job("second", &format!("--env-file {file}"), push).ok().says("Login Succeeded");
    runner.job("third", &format!("--env-file {file}"), "/opt/provision ci down").ok().says(&format!("{ci}: gone"));
    assert_eq!(Runner::left(&[ci]), "");

    // Killed as a whole, long before its time is over: nobody can see its process.
    thread::scope(|scope| {
        let running = scope.spawn(|| runner.job("killed", "", "/opt/provision ci -- sh -c 'touch /up; sleep 600'"));
        wait_until(|| shell(&format!("docker exec {name}-killed test -e /up")).code == 0);
        let of = format!("docker exec {name}-killed ls /root/home/deployments | grep ^ci-");
        let ci = shell(&of).ok().out.trim().to_owned();
        runner.sandbox.command(&["ci", "reap"]).ok();
        assert!(Runner::left(&[&ci]).contains("-registry"), "its job goes on");
        shell(&format!("docker rm -f {name}-killed")).ok();
        running.join().unwrap();
        runner.sandbox.command(&["ci", "reap"]).ok();
        assert_eq!(Runner::left(&[&ci]), "");
    });
    runner.job("blog", "", "/opt/provision ci --with blog -- true").fails(2).says("--network host");
}
