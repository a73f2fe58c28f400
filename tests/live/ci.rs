//! `provision ci` as a job has it: a registry for a command, its exit code, and nothing left, whatever is killed.

use std::collections::BTreeSet;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::engine::{Fate, Ran, Recorder, SOCKET, Sandbox, SecondEngine, shell};

/// The number in an environment variable, for longer runs than `make test` has time for.
fn count(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The image that registries are pushed in these tests, as the engine calls it.
fn image() -> String {
    shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/nginx | head -1").ok().out.trim().to_owned()
}

/// A sandbox whose registries are gone when it is dropped.
struct Jobs(Sandbox);

impl Jobs {
    fn new(test: &str) -> Self {
        Self(Sandbox::new(test))
    }
}

impl std::ops::Deref for Jobs {
    type Target = Sandbox;

    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

impl std::ops::DerefMut for Jobs {
    fn deref_mut(&mut self) -> &mut Sandbox {
        &mut self.0
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for name in folders(&self.0) {
            drop(self.0.command(&["ci", "down", &name]));
        }
    }
}

/// The folders of jobs in a sandbox.
fn folders(sandbox: &Sandbox) -> BTreeSet<String> {
    let found = std::fs::read_dir(sandbox.home.path().join("home/deployments"));
    let names = found.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("ci-")).collect()
}

/// Everything on an engine of these deployments: by name, and by label.
fn things(names: &BTreeSet<String>) -> String {
    let listed = shell(
        "docker ps -a --format 'container {{.Names}} {{.Labels}}'; docker network ls --format 'network {{.Name}} {{.Labels}}'; docker volume ls --format 'volume {{.Name}} {{.Labels}}'; docker images --format 'image {{.Repository}}:{{.Tag}}'",
    );
    let found: Vec<&str> =
        listed.out.lines().filter(|line| names.iter().any(|name| line.contains(name.as_str()))).collect();
    found.join("\n")
}

/// The name of the deployment that a command saw in its environment and printed as `name=…`.
fn name_in(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.strip_prefix("name=")).map(str::to_owned).collect()
}

fn ended(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

fn signal(child: &Child, signal: &str) {
    shell(&format!("kill -{signal} {}", child.id())).ok();
}

/// Waits until a file is there, which a command makes.
fn wait_for(path: &std::path::Path) {
    let started = Instant::now();
    while !path.exists() {
        assert!(started.elapsed() < Duration::from_mins(1), "the command was not started");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_command_has_a_registry_and_hands_back_its_exit_code_and_nothing_is_left() {
    let sandbox = Jobs::new("ci-job");
    let image = image();
    let job = format!(
        "echo name=$PROVISION_CI; docker tag {image} $REGISTRY/app:1 && docker push -q $REGISTRY/app:1; docker rmi $REGISTRY/app:1 >/dev/null; \
         skopeo inspect docker://$REGISTRY/app:1 | grep -c sha256 >/dev/null && echo inspected; \
         curl -sf -u $REGISTRY_USER:$(cat $REGISTRY_PASSWORD_FILE) https://$REGISTRY/v2/_catalog; \
         curl -sf --cacert $REGISTRY_CA -u wrong:wrong https://$REGISTRY/v2/ || echo refused; \
         echo port=${{REGISTRY#*:}}; exit 7"
    );
    let ran = sandbox.command(&["ci", "--", "sh", "-c", &job]).fails(7);
    let ran = ran.says("inspected").says("{\"repositories\":[\"app\"").says("refused").says("is ready");
    let names = name_in(&ran.out);
    assert_eq!(names.len(), 1, "{}", ran.all());
    assert!(!ran.out.contains("created"), "standard output is the command's: {}", ran.out);
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));
    let port = ran.out.lines().find_map(|line| line.strip_prefix("port=")).unwrap();
    let trusted =
        shell(&format!("ls -d /etc/docker/certs.d/*:{port} /etc/containers/certs.d/*:{port} 2>/dev/null")).out;
    assert_eq!(trusted, "", "nothing is written outside of the deployment's folder");
    sandbox.command(&["ci", "--", "true"]).ok();
    sandbox
        .command(&["ci", "--", "no-such-program"])
        .fails(127)
        .says("there is no program `no-such-program`")
        .says("hint:");
    sandbox.command(&["ci", "--", "sh", "-c", "kill -9 $$"]).fails(137);
    assert_eq!(folders(&sandbox), BTreeSet::new());
}

#[test]
fn a_signal_is_passed_on_and_everything_is_taken_away() {
    let mut sandbox = Jobs::new("ci-signal");
    let started = sandbox.home.path().join("started");
    for (sent, command, code) in [
        ("TERM", "trap 'echo told; exit 9' TERM; ", 9),
        ("INT", "trap 'echo told; exit 8' INT; ", 8),
        ("TERM", "", 143),
        ("HUP", "trap 'echo told; exit 7' HUP; ", 7),
        ("HUP", "", 129),
    ] {
        drop(std::fs::remove_file(&started));
        let command =
            format!("{command}echo name=$PROVISION_CI; touch {}; while :; do sleep 0.1; done", started.display());
        let child = sandbox.start(&["ci", "--", "sh", "-c", &command]);
        wait_for(&started);
        signal(&child, sent);
        let ran = ended(child).fails(code);
        assert_eq!((things(&name_in(&ran.out)), folders(&sandbox)), (String::new(), BTreeSet::new()), "{sent}");
    }
    // While it is brought up: the command is not started.
    drop(std::fs::remove_file(&started));
    for at in [1, 4, 7] {
        let recorder = Recorder::of(SOCKET.as_ref(), Fate::Held(at));
        sandbox.socket = Some(recorder.socket.clone());
        let child = sandbox.start(&["ci", "--", "touch", started.to_str().unwrap()]);
        recorder.wait_until_held();
        let names = folders(&sandbox);
        assert_eq!(names.len(), 1);
        signal(&child, "INT");
        recorder.let_go();
        let ran = ended(child).fails(130);
        assert!(!started.exists(), "at request {at}");
        assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()), "{at}: {}", ran.all());
    }
}

/// `PROVISION_KILLS=200` kills that many.
#[test]
fn killed_at_any_request_one_reap_leaves_nothing() {
    let mut sandbox = Jobs::new("ci-kill");
    let address = sandbox.home.path().join("engine.sock");
    sandbox.socket = Some(address.clone());
    let mut names = BTreeSet::new();
    for round in 0..count("PROVISION_KILLS", 15) {
        // From the first request to the tear-down, seen by the engine or not.
        let fate = if round % 2 == 0 { Fate::KilledAfter(round + 1) } else { Fate::KilledBefore(round + 1) };
        // A lease is of an engine, and that is known by its address.
        let recorder = Recorder::at(&address, SOCKET.as_ref(), fate);
        let child = sandbox.start(&["ci", "--", "sh", "-c", "echo name=$PROVISION_CI"]);
        recorder.watch(child.id());
        let ran = ended(child);
        assert!([0, -1].contains(&ran.code), "{fate:?}: {}", ran.all());
        names.extend(name_in(&ran.out));
        names.extend(folders(&sandbox));
    }
    let _engine = Recorder::at(&address, SOCKET.as_ref(), Fate::Nothing);
    assert!(names.len() > 3, "{names:?}");
    // Two at once are as good as one.
    let second = sandbox.start(&["ci", "reap"]);
    let ran = sandbox.command(&["ci", "reap"]).ok();
    assert_eq!(things(&names), "", "{}", ran.all());
    assert_eq!(folders(&sandbox), BTreeSet::new(), "{}", ran.all());
    ended(second).ok();
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));
    eprintln!("{} of the killed had begun", names.len());
}

/// `PROVISION_JOBS=50` starts that many.
#[test]
fn many_jobs_at_once_do_not_collide() {
    let sandbox = Jobs::new("ci-many");
    let jobs = count("PROVISION_JOBS", 12);
    let command = "echo name=$PROVISION_CI; echo registry=$REGISTRY; curl -sf -u ci:$(cat $REGISTRY_PASSWORD_FILE) https://$REGISTRY/v2/_catalog; exit 5";
    let started = Instant::now();
    let children: Vec<Child> = (0..jobs).map(|_| sandbox.start(&["ci", "--", "sh", "-c", command])).collect();
    let ran: Vec<Ran> = children.into_iter().map(ended).map(|ran| ran.fails(5).says("{\"repositories\":[")).collect();
    eprintln!("{jobs} jobs at once: {:?}", started.elapsed());
    let names: BTreeSet<String> = ran.iter().flat_map(|ran| name_in(&ran.out)).collect();
    let of = |ran: &Ran| ran.out.lines().find(|line| line.starts_with("registry=")).unwrap().to_owned();
    let registries: BTreeSet<String> = ran.iter().map(of).collect();
    assert_eq!(names.len(), jobs);
    assert!(registries.len() > jobs / 2, "a port is given to another only when it is free again: {registries:?}");
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));
}

#[test]
fn without_a_command_it_stays_until_it_is_ended() {
    let mut sandbox = Jobs::new("ci-steps");
    let ran = sandbox.command(&["ci"]).ok();
    let names = folders(&sandbox);
    let name = names.first().unwrap().clone();
    assert!(ran.out.contains(&format!("provision ci down {name}")), "{}", ran.out);
    let used = format!("{}\ncurl -sf -u $REGISTRY_USER:$(cat $REGISTRY_PASSWORD_FILE) https://$REGISTRY/v2/", ran.out);
    assert_eq!(shell(&used).ok().out, "{}");
    // Nobody takes it away: it has no owner that could be lost.
    sandbox.command(&["ci", "reap"]).ok();
    assert_eq!(shell(&used).ok().out, "{}");
    sandbox.command(&["plan", &name, "--exit-code"]).ok().says("nothing to change");
    sandbox.variables.push(("PROVISION_CI", name.clone()));
    sandbox.command(&["ci", "down"]).ok().says(&format!("{name}: gone"));
    sandbox.variables.clear();
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));
    sandbox.command(&["ci", "down", &name]).fails(1).says("there is no registry").says("hint:");

    // Each form, and the files that it is told in.
    let file = sandbox.home.path().join("variables");
    let path = file.to_str().unwrap().to_owned();
    let output = sandbox.home.path().join("output");
    sandbox.variables = vec![("GITHUB_ENV", path.clone()), ("GITHUB_OUTPUT", output.display().to_string())];
    std::fs::write(&file, "BEFORE=1\n").unwrap();
    let ran = sandbox.command(&["ci", "--format", "github"]).ok();
    let told = std::fs::read_to_string(&file).unwrap();
    assert!(told.starts_with("BEFORE=1\n") && told.contains("\nREGISTRY=localhost:"), "{told}");
    assert!(std::fs::read_to_string(&output).unwrap().contains("REGISTRY_CA=/"));
    let secret = told.lines().find_map(|line| line.strip_prefix("REGISTRY_PASSWORD_FILE=")).unwrap();
    assert_eq!(ran.out, format!("::add-mask::{}\n", std::fs::read_to_string(secret).unwrap()));
    sandbox.variables.clear();
    sandbox.command(&["ci", "down"]).ok();
    std::fs::remove_file(&file).unwrap();
    let ran = sandbox.command(&["ci", "--format", "gitlab", "--env-file", &path]).ok();
    assert_eq!(ran.out, "");
    shell(&format!(
        "set -a; . {path}; curl -sf -u $REGISTRY_USER:$(cat $REGISTRY_PASSWORD_FILE) https://$REGISTRY/v2/"
    ))
    .ok();
    let second = sandbox.command(&["ci", "--format", "json"]).ok();
    let told: std::collections::BTreeMap<String, String> = serde_json::from_str(&second.out).unwrap();
    sandbox.command(&["ci", "down"]).fails(2).says("there are several").says(&told["PROVISION_CI"]);
    for name in folders(&sandbox) {
        sandbox.command(&["ci", "down", &name]).ok();
    }
    assert_eq!(folders(&sandbox), BTreeSet::new());
}

/// Whoever works on it is waited for: it is not taken away under them.
#[test]
fn it_is_not_ended_while_somebody_works_on_it() {
    let mut sandbox = Jobs::new("ci-lock");
    let address = sandbox.home.path().join("engine.sock");
    sandbox.socket = Some(address.clone());
    let recorder = Recorder::at(&address, SOCKET.as_ref(), Fate::Nothing);
    sandbox.command(&["ci"]).ok();
    drop(recorder);
    let names = folders(&sandbox);
    let name = names.first().unwrap().clone();
    let recorder = Recorder::at(&address, SOCKET.as_ref(), Fate::Held(1));
    let works = sandbox.start(&["users", &name, "add", "dave", "--generate"]);
    recorder.wait_until_held();
    let down = sandbox.command(&["ci", "down", &name, "--wait", "0"]).fails(1);
    down.says("is being worked on by `provision users`").says("--wait 5m");
    assert_eq!(folders(&sandbox), names, "it is there");
    recorder.let_go();
    ended(works).ok();
    sandbox.command(&["ci", "down", &name]).ok().says("gone");
    drop(recorder);

    // Nor while it is brought up.
    let recorder = Recorder::at(&address, SOCKET.as_ref(), Fate::Held(2));
    let works = sandbox.start(&["ci"]);
    recorder.wait_until_held();
    let new = folders(&sandbox);
    let name = new.first().unwrap().clone();
    sandbox.command(&["ci", "down", &name, "--wait", "0"]).fails(1).says("is being worked on by `provision ci`");
    recorder.let_go();
    ended(works).ok();
    sandbox.command(&["ci", "down", &name]).ok().says("gone");
    assert_eq!((things(&names), things(&new), folders(&sandbox)), (String::new(), String::new(), BTreeSet::new()));
}

#[test]
fn a_failure_is_kept_and_told_where_that_is_asked_for() {
    let sandbox = Jobs::new("ci-failure");
    let path = |name: &str| sandbox.home.path().join(name).display().to_string();
    let (logs, junit, json) = (path("logs"), path("report.xml"), path("report.json"));
    let job = "echo name=$PROVISION_CI; skopeo list-tags docker://$REGISTRY/seen; exit 3";
    let ran = sandbox.command(&["ci", "--keep-on-failure", "--logs", &logs, "--report", &junit, "--", "sh", "-c", job]);
    let ran = ran.fails(3).says("provision ci down ci-");
    let names = name_in(&ran.out);
    let name = names.first().unwrap();
    assert!(things(&names).contains(&format!("container {name}-proxy")), "it was kept");
    // Its owner has ended, and it stays all the same.
    sandbox.command(&["ci", "reap"]).ok();
    assert!(things(&names).contains(&format!("container {name}-registry")), "it was reaped");
    let log = std::fs::read_to_string(format!("{logs}/{name}-proxy.log")).unwrap();
    assert!(log.contains("/v2/seen/tags/list"), "{log}");
    let report = std::fs::read_to_string(&junit).unwrap();
    shell(&format!("python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' {junit}")).ok();
    for expected in ["created registry", "checked round-trip", "it ended with exit code 3", "classname=\"container\""] {
        assert!(report.contains(expected), "no `{expected}` in {report}");
    }
    sandbox.command(&["ci", "down", name]).ok();
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));

    // A success leaves no logs, and its report says what was verified.
    std::fs::remove_dir_all(&logs).unwrap();
    sandbox.command(&["ci", "--keep-on-failure", "--logs", &logs, "--report", &json, "--", "true"]).ok();
    assert!(!std::path::Path::new(&logs).exists() && folders(&sandbox).is_empty());
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!((&report["exit_code"], &report["error"]), (&0.into(), &serde_json::Value::Null));
    assert!(report["steps"].as_array().unwrap().iter().any(|step| step["action"] == "checked"), "{report}");

    // A registry that cannot start: its last words are kept.
    let failed = sandbox.command(&["ci", "--image", &image(), "--logs", &logs, "--", "touch", &path("started")]);
    failed.fails(1).says("container `registry`");
    assert!(!std::path::Path::new(&path("started")).exists());
    shell(&format!("ls {logs}/*-registry.log")).ok();
    assert_eq!(folders(&sandbox), BTreeSet::new());
}

#[test]
fn it_starts_with_images_or_is_a_cache_of_another_registry() {
    let sandbox = Jobs::new("ci-seed");
    let image = image();
    let layout = sandbox.home.path().join("layout").display().to_string();
    shell(&format!("skopeo copy -q docker-daemon:{image} oci:{layout}:2.0")).ok();
    let (name, tag) = image.split_once(':').unwrap();
    let job = format!(
        "set -e; docker pull -q $REGISTRY/{image}; docker rmi $REGISTRY/{image} >/dev/null; skopeo inspect docker://$REGISTRY/layout:2.0 >/dev/null; skopeo list-tags docker://$REGISTRY/{name} | grep {tag}"
    );
    sandbox.command(&["ci", "--seed", &image, "--seed-dir", &layout, "--", "sh", "-c", &job]).ok();
    sandbox
        .command(&["ci", "--seed", "no/such:image", "--", "true"])
        .fails(1)
        .says("has no image `no/such:image`")
        .says("hint:");

    // A registry with an image, reached by the address of its container, and a cache of it.
    let upstream = format!("{}-upstream", sandbox.name);
    let registry = shell("docker images -q provision/registry | head -1").ok().out;
    shell(&format!("docker run -d --name {upstream} {}", registry.trim())).ok();
    let address = shell(&format!("docker inspect {upstream} --format '{{{{.NetworkSettings.IPAddress}}}}'")).ok().out;
    let address = format!("{}:5000", address.trim());
    shell(&format!("for i in 1 2 3 4 5; do skopeo copy -q --dest-tls-verify=false oci:{layout}:2.0 docker://{address}/far:1 && break; sleep 0.5; done")).ok();
    let job = "skopeo inspect docker://$REGISTRY/far:1 >/dev/null && echo cached; skopeo copy -q docker://$REGISTRY/far:1 docker://$REGISTRY/new:1 || echo refused";
    let ran = sandbox.command(&["ci", "--pull-through", &format!("http://{address}"), "--", "sh", "-c", job]);
    ran.ok().says("cached").says("refused");
    assert_eq!(folders(&sandbox), BTreeSet::new());
}

#[test]
fn a_lease_that_cannot_be_seen_holds_until_it_expires() {
    let sandbox = Jobs::new("ci-lease");
    let now = shell("date +%s").ok().out.trim().parse::<i64>().unwrap();
    let mark = |what: &str, expires: i64, more: &str| {
        shell(&format!(
            "docker volume create --label provision.deployment={0}-{what} --label provision.id={0}-{what} --label provision.lease.owner=ada@elsewhere --label provision.lease.machine=m --label provision.lease.boot=b --label provision.lease.process=1 --label provision.lease.started=1 --label provision.lease.expires={expires} {more} {0}-{what}",
            sandbox.name
        ))
        .ok();
    };
    mark("early", now - 1, "");
    mark("late", now + 600, "");
    // One claim that has expired and one that has not: somebody has lengthened it.
    mark("both", now - 1, "");
    shell(&format!(
        "docker volume create --label provision.deployment={0}-both --label provision.id={0}-both --label provision.lease.expires={1} {0}-longer",
        sandbox.name,
        now + 600
    ))
    .ok();
    sandbox.command(&["ci", "reap"]).ok();
    let left = sandbox.things();
    assert!(!left.contains("-early"), "{left}");
    assert!(left.contains("-late") && left.contains("-both") && left.contains("-longer"), "{left}");

    // As long as the command runs, the claim is lengthened.
    let job = "sleep 7; docker volume ls -q --filter name=$PROVISION_CI-lease; echo name=$PROVISION_CI";
    let ran = sandbox.command(&["ci", "--ttl", "10s", "--", "sh", "-c", job]).ok().says("-lease-1");
    assert_eq!(things(&name_in(&ran.out)), "");

    // Of several steps, with no process: the time alone counts.
    sandbox.command(&["ci", "--ttl", "10s"]).ok();
    let names = folders(&sandbox);
    sandbox.command(&["ci", "reap"]).ok();
    assert!(things(&names).contains("container"));
    sleep(Duration::from_secs(11));
    sandbox.command(&["ci", "reap"]).ok();
    assert_eq!((things(&names), folders(&sandbox)), (String::new(), BTreeSet::new()));
}

#[test]
fn an_engine_that_stops_answering_is_told_and_the_lease_cleans_up() {
    let mut sandbox = Jobs::new("ci-silent");
    let images = shell("docker images --format '{{.Repository}}:{{.Tag}}' | grep -E 'provision/(registry|nginx)' | sort -u | tr '\\n' ' '").ok().out;
    let engine = SecondEngine::new("ci-eng", &images.split_whitespace().collect::<Vec<_>>());
    sandbox.socket = Some(engine.socket());
    let started = sandbox.home.path().join("started");
    let child = sandbox.start(&["ci", "--", "touch", started.to_str().unwrap()]);
    // It has begun when the first volume is there.
    let begun = Instant::now();
    while engine.shell("docker volume ls -q").out.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    engine.pause();
    let begun = Instant::now();
    let ran = ended(child);
    let waited = begun.elapsed();
    engine.resume();
    let ran = ran.fails(1).says("has stopped answering").says("provision ci reap");
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    assert!(!started.exists(), "{}", ran.all());
    sandbox.command(&["ci", "reap"]).ok();
    let left = engine.shell("docker ps -aq; docker volume ls -q").ok().out;
    assert_eq!((left.as_str(), folders(&sandbox)), ("", BTreeSet::new()));
}

#[test]
fn an_engine_that_is_killed_under_a_job_leaves_what_the_next_reap_takes() {
    let mut sandbox = Jobs::new("ci-killed");
    let images = shell("docker images --format '{{.Repository}}:{{.Tag}}' | grep -E 'provision/(registry|nginx)' | sort -u | tr '\\n' ' '").ok().out;
    let mut engine = SecondEngine::new("ci-die", &images.split_whitespace().collect::<Vec<_>>());
    sandbox.socket = Some(engine.socket());
    // Published ports are in the engine's own network, so it goes on asking its registry until the engine is gone.
    let child = sandbox.start(&["ci", "--", "true"]);
    let begun = Instant::now();
    while engine.shell("docker ps -q").out.lines().count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    engine.kill();
    let ran = ended(child).fails(1);
    engine.start();
    sandbox.command(&["ci", "reap"]).ok();
    let left = engine.shell("docker ps -aq; docker volume ls -q").ok().out;
    assert_eq!((left.as_str(), folders(&sandbox)), ("", BTreeSet::new()), "{}", ran.all());
}

#[test]
fn a_blog_beside_the_registry_is_gone_with_it() {
    let jobs = Jobs::new("cib");
    jobs.blog_images();
    let script = "curl -s -o /dev/null -w '%{http_code} ' $BLOG_URL; \
                  curl -s -c $TMPDIR/jar -b wordpress_test_cookie=WP%20Cookie%20check --data-urlencode log=$BLOG_USER --data-urlencode pwd=\"$(cat $BLOG_PASSWORD_FILE)\" \
                  -d testcookie=1 -o /dev/null -w '%{http_code} %{redirect_url}\\n' ${BLOG_URL}wp-login.php; \
                  nonce=$(curl -s -b $TMPDIR/jar \"${BLOG_URL}wp-admin/admin-ajax.php?action=rest-nonce\"); \
                  curl -s -b $TMPDIR/jar -H \"X-WP-Nonce: $nonce\" ${BLOG_URL}wp-json/wp-site-health/v1/tests/loopback-requests; exit 5";
    let folder = jobs.home.path().display().to_string();
    let ran = jobs.command(&["ci", "--with", "blog", "--", "sh", "-c", &format!("TMPDIR={folder}; {script}")]).fails(5);
    assert!(ran.out.starts_with("200 302 http://localhost:"), "{}", ran.all());
    let (login, health) = ran.out.trim().split_once('\n').unwrap();
    assert!(login.ends_with("/wp-admin/"), "{}", ran.all());
    // On a port that the engine chose, it reaches itself.
    assert!(health.contains("\"status\":\"good\""), "{}", ran.all());
    assert_eq!(folders(&jobs), BTreeSet::new());
    assert_eq!(shell("docker ps -a --filter label=provision.lease.owner --format '{{.Names}}' | grep -- -db").out, "");
}

#[test]
fn a_bucket_beside_the_registry_is_gone_with_it_whatever_ends_the_job() {
    let store = crate::stores::Store::moto();
    let mut jobs = Jobs::new("cis");
    store.serve(&mut jobs);
    let buckets = || store.aws("s3api list-buckets --query Buckets[].Name --output text").ok().out;
    let before = buckets();
    let url = store.url.clone();
    let ci = |command: &str| jobs.command(&["ci", "--with", "s3", "--endpoint", &url, "--", "sh", "-c", command]);
    // The environment names all that a client needs but what it has already: the credentials.
    let aws = crate::stores::part("moto/bin/aws").display().to_string();
    let filled = format!("{aws} s3api put-object --bucket $S3_BUCKET --key job/file --body /etc/hostname --query ETag");
    assert!(ci(&format!("{filled} --endpoint-url $AWS_ENDPOINT_URL; exit 6")).fails(6).out.contains('"'));
    assert_eq!((buckets(), folders(&jobs)), (before.clone(), BTreeSet::new()));
    // Nobody is left who could take it away.
    ci(&format!("{filled} --endpoint-url $AWS_ENDPOINT_URL; kill -9 $PPID"));
    assert_ne!(buckets(), before);
    jobs.command(&["ci", "reap"]).ok();
    assert_eq!((buckets(), folders(&jobs)), (before, BTreeSet::new()));
}
