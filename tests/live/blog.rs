//! `provision blog` as a user has it: in a browser, linked, private, mended, changed, and what goes wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::browser::Browser;
use crate::converge::killed;
use crate::engine::{Fate, Ran, Recorder, Sandbox, SecondEngine, shell};
use crate::wordpress::{Session, own_answer};

pub const INSTALLED: [&str; 6] =
    ["--title", "Notes of a keeper", "--admin-user", "keeper", "--admin-email", "keeper@example.org"];

pub fn blog(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let port = sandbox.port.to_string();
    sandbox.command(&[&["blog", "--name", &sandbox.name, "--port", &port], more].concat())
}

pub fn secret(sandbox: &Sandbox, key: &str) -> String {
    sandbox.command(&["secrets", &sandbox.name, key]).ok().out.trim().to_owned()
}

pub fn curl(arguments: &str) -> Ran {
    shell(&format!("curl -s -m 20 {arguments}"))
}

/// Waits until the site answers a request with this status.
#[track_caller]
pub fn answers(url: &str, status: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let found = curl(&format!("-o /dev/null -w '%{{http_code}}' {url}")).out;
        if found == status {
            return;
        }
        assert!(Instant::now() < deadline, "{url}: {found} instead of {status}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Logs in on the page that the output `login` names; the dashboard is open afterwards.
pub fn log_in(browser: &Browser, site: &str, password: &str) {
    browser.open(&format!("{site}/wp-login.php"));
    browser.fill("#user_login", "keeper");
    browser.fill("#user_pass", password);
    browser.click("#wp-submit");
    browser.wait("#dashboard-widgets");
}

/// Writes a post in the editor and gives its address.
fn publish(browser: &Browser, site: &str, text: &str) -> String {
    browser.open(&format!("{site}/wp-admin/post-new.php"));
    browser.wait(".editor-post-publish-button__button, .editor-post-publish-panel__toggle");
    let written = browser.script(&format!(
        "const done = arguments[arguments.length - 1]; const editor = wp.data.dispatch('core/editor'); \
         editor.editPost({{ title: 'The first night', status: 'publish', content: '<!-- wp:paragraph --><p>{text}</p><!-- /wp:paragraph -->' }}); \
         editor.savePost().then(() => done(wp.data.select('core/editor').getPermalink()), error => done('error: ' + error));"
    ));
    let address = written.as_str().unwrap_or_default().to_owned();
    assert!(address.starts_with(site), "{written}");
    address
}

/// Fails if any of the deployment's secrets shows where others can look.
#[track_caller]
fn assert_private(sandbox: &Sandbox, said: &str) {
    let name = &sandbox.name;
    let looked = shell(&format!(
        "docker ps -aq --filter name={name} | xargs docker inspect; docker image history --no-trunc $(docker inspect {name} --format '{{{{.Image}}}}'); for c in $(docker ps -aq --filter name={name}); do docker logs $c 2>&1; docker top $c 2>/dev/null; done; ps auxww"
    ))
    .out;
    let secrets = sandbox.command(&["secrets", name, "--output", "json"]).ok().out;
    let secrets: std::collections::BTreeMap<String, String> = serde_json::from_str(&secrets).unwrap();
    assert!(secrets.len() >= 10, "{:?}", secrets.keys());
    for (key, secret) in secrets {
        assert!(!looked.contains(&secret), "`{key}` shows on the engine");
        assert!(!said.contains(&secret), "`{key}` was said");
    }
}

/// Backed up, destroyed and restored: the same secrets, and nobody could take the site in between.
pub fn a_backup_brings_it_all_back(sandbox: &Sandbox) {
    let name = &sandbox.name;
    let file = sandbox.home.path().join("blog.age").display().to_string();
    let passphrase = sandbox.write("passphrase", "a lamp, a book and a cat");
    let secrets = || sandbox.command(&["secrets", name]).ok().out;
    let before = secrets();
    sandbox.command(&["backup", name, &file, "--passphrase-file", &passphrase]).ok();
    sandbox.command(&["destroy", name, "--yes"]).ok();
    assert_eq!(sandbox.things(), "");
    let restored =
        sandbox.command(&["restore", name, &file, "--passphrase-file", &passphrase, "--output", "json"]).ok();
    assert_eq!(secrets(), before);
    assert_private(sandbox, &restored.all());
    sandbox.command(&["status", name]).ok();
}

#[test]
fn a_post_is_written_in_a_browser_and_stays() {
    let sandbox = Sandbox::new("post");
    sandbox.blog_images();
    let name = sandbox.name.clone();
    let site = format!("http://localhost:{}", sandbox.port);

    // While it is made, whoever looks at the port again and again never gets to the page that hands the site out.
    let watched = format!("{site}/wp-admin/install.php");
    let stop = sandbox.home.path().join("stop");
    let watcher = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut seen = String::new();
            while !stop.exists() {
                seen.push_str(&curl(&watched).out);
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        })
    };
    let first = blog(&sandbox, &[&INSTALLED[..], &["--output", "json"]].concat()).ok();
    std::fs::write(&stop, "").unwrap();
    let seen = watcher.join().unwrap();
    assert!(!seen.contains("name=\"weblog_title\""), "the site could be taken");
    assert_private(&sandbox, &first.all());
    let again = blog(&sandbox, &[]).ok().says("nothing to change");
    assert_private(&sandbox, &again.all());
    assert_private(&sandbox, &blog(&sandbox, &["-v"]).ok().all());

    // On a port that nothing in the container listens on, it reaches itself; the REST interface is there from the start.
    let session = Session::new(&sandbox, &site, "");
    session.check_loopback();
    session.check_schedule(&name);
    assert_eq!(session.upload(&sandbox, 10), "201");
    assert_eq!(own_answer(&name), "200");

    // A browser logs in with the generated password and writes; another one reads.
    let address = {
        let browser = Browser::new();
        log_in(&browser, &site, &secret(&sandbox, "admin-password"));
        browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("blog-dashboard.png"));
        publish(&browser, &site, "the lamp burns all night")
    };
    let read = |address: &str| {
        let browser = Browser::new();
        browser.open(address);
        assert!(browser.source().contains("the lamp burns all night"), "{}", browser.source());
        browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("blog-post.png"));
    };
    read(&address);
    shell(&format!("docker restart {name}-db {name}")).ok();
    answers(&address, "200");
    read(&address);

    link_is_private(&name);
    a_dead_database_is_told_and_mended(&sandbox, &address);
    a_failing_change_leaves_the_old_one(&sandbox, &address);
    the_data_is_kept_and_taken_up_again(&sandbox);
    read(&address);
    a_backup_brings_it_all_back(&sandbox);
    read(&address);

    // A new port: only what has the port in it is replaced, and the site knows its new address.
    let port = crate::engine::free_port().to_string();
    let changed = sandbox.command(&["blog", "--name", &name, "--port", &port]).ok();
    assert!(!changed.err.contains("replaced  container db"), "{}", changed.err);
    let moved = address.replace(&site, &format!("http://localhost:{port}"));
    read(&moved);
    let browser = Browser::new();
    log_in(&browser, &format!("http://localhost:{port}"), &secret(&sandbox, "admin-password"));
    assert!(browser.address().starts_with(&format!("http://localhost:{port}/wp-admin/")), "{}", browser.address());
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// The site's container finds the database as `mysql`; nobody else does, and the host has no port of it.
fn link_is_private(name: &str) {
    let resolve = "php -r \"echo gethostbyname('mysql');\"";
    let own = shell(&format!("docker exec {name} {resolve}")).ok().out;
    let address = shell(&format!(
        "docker inspect {name}-db --format '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}'"
    ));
    assert_eq!(own.trim(), address.ok().out.trim());
    let image = shell(&format!("docker inspect {name} --format '{{{{.Image}}}}'")).ok().out;
    for network in ["bridge", name] {
        let other = shell(&format!(
            "docker run --rm --name {name}-other --network {network} --entrypoint sh {} -c {}",
            image.trim(),
            "'php -r \"echo gethostbyname(\\\"mysql\\\");\"'"
        ));
        assert_eq!(other.ok().out.trim(), "mysql", "on {network}");
    }
    assert_eq!(shell(&format!("docker port {name}-db")).out, "");
    let tried = shell("exec 3<>/dev/tcp/127.0.0.1/3306");
    assert_ne!(tried.code, 0, "port 3306 is open on the host");
}

fn a_dead_database_is_told_and_mended(sandbox: &Sandbox, address: &str) {
    let name = &sandbox.name;
    shell(&format!("docker kill {name}-db")).ok();
    let status = sandbox.command(&["status", name]).fails(3);
    status.says("differs   container db").says("state: ended with exit code 137 → running");
    blog(sandbox, &[]).ok();
    answers(address, "200");
    sandbox.command(&["status", name]).ok();
}

/// Images that cannot work, a password that is not the volume's: the old site goes on.
fn a_failing_change_leaves_the_old_one(sandbox: &Sandbox, address: &str) {
    let name = &sandbox.name;
    let things = sandbox.things();
    let id = || shell(&format!("docker inspect {name} {name}-db --format '{{{{.Id}}}}'")).ok().out;
    let before = id();
    let nginx = shell("docker images --format '{{.Repository}}:{{.Tag}}' provision/nginx | head -1").ok().out;
    blog(sandbox, &["--image", nginx.trim()]).fails(1).says("container `").says("hint:").says("as it was before");
    assert_eq!((id(), sandbox.things()), (before.clone(), things.clone()));
    answers(address, "200");
    let other = ["--db-user", "wordpress", "--db-password", "another1"];
    blog(sandbox, &other).fails(1).says("Access denied").says("the volume").says("as it was before");
    assert_eq!((id(), sandbox.things()), (before, things));
    answers(address, "200");
    blog(sandbox, &[]).ok().says("nothing to change");
}

fn the_data_is_kept_and_taken_up_again(sandbox: &Sandbox) {
    let password = secret(sandbox, "admin-password");
    // Without a terminal to ask on, data is deleted only if that was said.
    sandbox.command(&["destroy", &sandbox.name]).fails(1).says("-data").says("--keep-data");
    sandbox.command(&["destroy", &sandbox.name, "--keep-data"]).ok();
    let left = sandbox.things();
    assert!(!left.contains("container") && left.contains("-data") && left.contains("-html"), "{left}");
    blog(sandbox, &[]).ok();
    assert_eq!(secret(sandbox, "admin-password"), password);
}

/// On an engine of its own, which is killed with all that runs on it.
#[test]
fn a_site_outlives_its_engine() {
    let sandbox = Sandbox::new("engine");
    sandbox.blog_images();
    let images =
        [sandbox.built("mysql:9.7", "mysql", "sid"), sandbox.built("wordpress:7.1-apache", "wordpress", "sid")];
    let mut engine = SecondEngine::new("eng", &images.each_ref().map(String::as_str));
    let home = sandbox.home.path().join("home").display().to_string();
    let provision = format!("PROVISION_HOME={home} {}", env!("CARGO_BIN_EXE_provision"));
    let installed = "--title Keeper --admin-user keeper --admin-email keeper@example.org";
    engine.shell(&format!("{provision} blog --name site {installed}")).ok();
    let password = engine.shell(&format!("{provision} secrets site admin-password")).ok().out;
    // The post is written over the REST interface, as an application does, with a login of its own.
    let jar = sandbox.home.path().join("cookies").display().to_string();
    let log_in = format!(
        "curl -sf -o /dev/null -c {jar} -b wordpress_test_cookie=WP%20Cookie%20check --data-urlencode log=keeper --data-urlencode pwd={} -d wp-submit=Log http://localhost/wp-login.php",
        password.trim()
    );
    engine.shell(&log_in).ok();
    let written = format!(
        "nonce=$(curl -sf -b {jar} 'http://localhost/wp-admin/admin-ajax.php?action=rest-nonce'); curl -sf -b {jar} -H \"X-WP-Nonce: $nonce\" -d title=first -d status=publish --data-urlencode 'content=the lamp burns all night' 'http://localhost/?rest_route=/wp/v2/posts'"
    );
    engine.shell(&written).ok().says("the lamp burns all night");

    engine.kill();
    engine.start();
    let read = "for i in $(seq 200); do curl -sf -m 5 http://localhost/ | grep -q 'the lamp burns all night' && exit 0; sleep 0.2; done; exit 1";
    let read = engine.shell(read);
    assert_eq!(read.code, 0, "{}", engine.shell("docker ps -a; docker logs --tail 20 site-db").all());
    engine.shell(&log_in).ok();
    engine.shell(&format!("{provision} blog --name site")).ok().says("nothing to change");

    // Its containers go on while the daemon is started again, which then knows none of their links.
    let running = "docker ps -q | sort";
    let before = engine.shell(running).ok().out;
    engine.restart_alone();
    assert_eq!(engine.shell(running).ok().out, before, "they went on");
    engine.shell("for i in $(seq 50); do curl -sf -m 5 http://localhost/ | grep -q 'the lamp burns all night' && exit 0; sleep 0.2; done; exit 1").ok();
    engine.shell(&format!("{provision} blog --name site")).ok().says("nothing to change");
    engine.shell(&format!("{provision} destroy site --yes")).ok();
    assert_eq!(engine.shell("docker ps -aq; docker volume ls -q").out, "");
}

#[test]
fn without_an_administrator_the_install_page_is_what_a_browser_gets() {
    let mut sandbox = Sandbox::new("page");
    sandbox.blog_images();
    let recorder = Recorder::new(usize::MAX);
    sandbox.socket = Some(recorder.socket.clone());
    let port = sandbox.port.to_string();
    let plan = || sandbox.command(&["plan", "blog", "--name", &sandbox.name, "--port", &port]);
    plan().ok().says("warning: whoever opens").says("--title");
    assert_eq!(recorder.mutating(), Vec::<String>::new(), "a plan only reads");
    blog(&sandbox, &[]).ok().says("warning: whoever opens");
    let browser = Browser::new();
    browser.open(&format!("http://localhost:{port}/"));
    browser.wait("#weblog_title, #language");
    assert!(browser.address().contains("/wp-admin/install.php"), "{}", browser.address());
    browser.screenshot(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("blog-install.png"));
    // By whatever name it is reached, that is the one it takes: nothing was said of another.
    curl(&format!("-o /dev/null -w '%{{redirect_url}}' http://127.0.0.1:{port}/")).says("http://127.0.0.1:");
    let before = recorder.mutating().len();
    blog(&sandbox, &[]).ok().says("nothing to change");
    assert_eq!(recorder.mutating().len(), before, "{:?}", recorder.mutating());

    // Killed between any two steps and run again, it is as if nothing had happened.
    shell(&format!("docker rm -f {0}-db", sandbox.name)).ok();
    let name = sandbox.name.clone();
    let killed = killed(&mut sandbox, Fate::KilledAfter(2), &["blog", "--name", &name, "--port", &port]);
    assert!(killed.0, "{:?}", killed.1.mutating());
    blog(&sandbox, &[]).ok();
    answers(&format!("http://localhost:{port}/wp-admin/install.php"), "200");
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// The built-in playbook with the database on a volume of 64 MB.
#[test]
fn a_database_without_room_says_so_and_leaves_nothing() {
    let sandbox = Sandbox::new("full");
    sandbox.blog_images();
    let small = include_str!("../../playbooks/blog.yml").replace(
        "  - volume: data\n",
        "  - volume: data\n    options: { type: tmpfs, device: tmpfs, o: \"size=32m,uid=999\" }\n",
    );
    let playbook = sandbox.write("small.yml", &small);
    let port = sandbox.port.to_string();
    let failed = sandbox.command(&["apply", &playbook, "--name", &sandbox.name, "--port", &port]).fails(1);
    let failed = failed.says("container `db`").says("as it was before").says("hint:");
    assert!(
        failed.all().to_lowercase().contains("no space left")
            || failed.all().contains("Errcode: 28")
            || failed.all().contains("OS errno 28"),
        "{}",
        failed.all()
    );
    assert_eq!(sandbox.things(), "");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let sandbox = Sandbox::new("input");
    let refused = |more: &[&str]| blog(&sandbox, more).fails(2);
    refused(&["--db-user", "me"]).says("`--db-user` and `--db-password` go together").says("hint:");
    refused(&["--db-password", "me"]).says("`--db-user` and `--db-password` go together");
    refused(&["--db-user", "root", "--db-password", "x"]).says("--db-root-password");
    refused(&["--title", "x"]).says("go together").says("--admin-email");
    refused(&["--title", "x", "--admin-user", "y", "--admin-email", "z"]).says("no mail address");
    refused(&["--domain", "not a domain"]).says("--domain").says("hint:");
    refused(&["--domain", "http://x.org"]).says("--domain");
    refused(&["--upload-limit", "2k"]).says("at least 1m");
    refused(&["--smtp", "mail"]).says("no address of a mail server").says("smtps://USER@HOST");
    refused(&["--smtp", "ftp://mail"]).says("no address of a mail server");
    refused(&["--smtp", "smtps://me@mail"]).says("`--smtp-password` is needed");
    refused(&["--smtp", "smtps://mail", "--smtp-password", "x"]).says("`--smtp-password` is needed");
    refused(&["--smtp", "smtps://me:x@mail"]).says("would be shown").says("--smtp-password @FILE");
    refused(&["--smtp", "smtp://localhost"]).says("is the container itself");
    refused(&["--smtp", "smtp://mail"]).says("--mail-from");
    refused(&["--mail-from", "me@example.com"]).says("--mail-from");
    let listener = std::net::TcpListener::bind(("0.0.0.0", sandbox.port)).unwrap();
    blog(&sandbox, &[]).fails(1).says(&format!("port {} is taken by", sandbox.port)).says("--port");
    drop(listener);
    shell(&format!("docker volume create {}-data", sandbox.name)).ok();
    blog(&sandbox, &[]).fails(1).says("exists already, and it was not made by provision");
}
