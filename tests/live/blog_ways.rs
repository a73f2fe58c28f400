//! The ways to have a blog: with TLS, another database and mail, on Docker's default bridge; and its databases' first start.

use crate::blog::{INSTALLED, a_backup_brings_it_all_back, answers, blog, curl, log_in, secret};
use crate::browser::Browser;
use crate::engine::{Sandbox, shell, wait_until};
use crate::wordpress::{MailServer, Session, own_answer, send_mail};

#[test]
fn https_with_mariadb() {
    let sandbox = Sandbox::new("tls");
    sandbox.blog_images();
    let server = MailServer::new(&sandbox);
    let [ca, password] = [server.ca.display().to_string(), sandbox.write("mail-password", "pass word\n")];
    let [smtps, starttls, clear] = server.ports.map(|port| format!("{}:{port}", server.address));
    let mail =
        ["--smtp", &format!("smtps://keeper@{smtps}"), "--smtp-password", &format!("@{password}"), "--smtp-ca", &ca];
    blog(&sandbox, &[&INSTALLED[..], &["--tls", "--database", "mariadb"], &mail].concat()).ok();
    let site = format!("https://localhost:{}", sandbox.port);
    let name = &sandbox.name;
    assert_eq!(send_mail(name), "true");
    assert!(server.mail(0).starts_with("keeper keeper@example.org reader@example.org\n"), "{}", server.mail(0));
    let inspected = shell(&format!("docker inspect {name} {name}-db {name}-install; docker logs {name} 2>&1")).ok().out;
    assert!(!inspected.contains("pass word"), "the mail server's password shows");
    assert_eq!(sandbox.output("url"), format!("{site}/"));
    let ca = sandbox.output("ca");
    let page = curl(&format!("--cacert {ca} {site}/")).ok().says("Notes of a keeper").out;
    assert!(page.contains(&format!("{site}/wp-")), "its own addresses are https");
    assert!(!page.contains("http://localhost"), "and none is in the clear");
    curl(&format!("-o /dev/null -w '%{{redirect_url}}' http://localhost:{}/x", sandbox.port))
        .says(&format!("{site}/x"));
    shell(&format!("docker port {}", sandbox.name)).ok();
    assert_eq!(shell(&format!("docker port {}", sandbox.name)).out, "", "the site is reached by the proxy alone");
    // The other database has another program for its dump.
    a_backup_brings_it_all_back(&sandbox);
    mail_goes_with_tls_or_not_at_all(&sandbox, &server, [&starttls, &clear]);
    let session = Session::new(&sandbox, &site, &format!("--cacert {ca}"));
    session.check_loopback();
    session.check_schedule(name);
    assert_eq!((session.upload(&sandbox, 10), session.upload(&sandbox, 70)), ("201".into(), "413".into()));
    assert_eq!(own_answer(name), "200", "it trusts its own certificate");
    let browser = Browser::trusting(&ca);
    log_in(&browser, &site, &secret(&sandbox, "admin-password"));
    assert!(browser.address().starts_with(&format!("{site}/wp-admin/")), "{}", browser.address());
    guesses_are_bounded(&sandbox, &site, &ca);
    blog(&sandbox, &[]).ok().says("nothing to change");
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// After some wrong passwords of an address no more are looked at, but those of who has logged in there before.
fn guesses_are_bounded(sandbox: &Sandbox, site: &str, ca: &str) {
    let folder = sandbox.home.path().display().to_string();
    let password = sandbox.write("right", &secret(sandbox, "admin-password"));
    let log_in = |options: &str| {
        curl(&format!(
            "--cacert {ca} {options} -w '%{{http_code}}' -o {folder}/page --data-urlencode log=keeper --data-urlencode pwd@{password} {site}/wp-login.php"
        ))
        .out
    };
    let jar = format!("-b {folder}/jar -c {folder}/jar");
    assert_eq!(log_in(&jar), "302");
    let refused = "Too many wrong passwords";
    let guess = format!("curl -s --cacert {ca} -d log=keeper -d pwd=wrong {site}/wp-login.php");
    shell(&format!("for i in $(seq 60); do {guess} | grep -q '{refused}' && exit 0; done; exit 1")).ok();
    assert_eq!(log_in(""), "200");
    assert!(std::fs::read_to_string(format!("{folder}/page")).unwrap().contains(refused));
    let call = "<methodCall><methodName>wp.getUsersBlogs</methodName><params><param><value>keeper</value></param><param><value>wrong</value></param></params></methodCall>";
    curl(&format!("--cacert {ca} -d '{call}' {site}/xmlrpc.php")).says("faultCode");
    assert_eq!(log_in(&jar), "302", "who is known is let in");
    // Others are not held up meanwhile, and after a while the next one is looked at.
    curl(&format!("--cacert {ca} {site}/")).ok().says("Notes of a keeper");
    wait_until(|| log_in("") == "302");
}

/// Further servers: one with STARTTLS, one that is not trusted, and one without a login.
fn mail_goes_with_tls_or_not_at_all(sandbox: &Sandbox, server: &MailServer, [starttls, clear]: [&str; 2]) {
    let name = &sandbox.name;
    blog(sandbox, &["--smtp", &format!("smtp://keeper@{starttls}"), "--mail-from", "lamp@example.org"]).ok();
    assert_eq!(send_mail(name), "true");
    assert!(server.mail(1).starts_with("keeper lamp@example.org"), "{}", server.mail(1));
    blog(sandbox, &["--smtp-ca", ""]).ok();
    assert!(send_mail(name).contains("SMTP Error"), "a server that is not trusted gets nothing");
    blog(sandbox, &["--smtp", &format!("smtp://{clear}"), "--smtp-password", ""]).ok();
    assert_eq!(send_mail(name), "true");
    assert!(server.mail(2).starts_with("None lamp@example.org"), "{}", server.mail(2));
}

#[test]
fn linked_as_the_tutorials_do() {
    let sandbox = Sandbox::new("link");
    sandbox.blog_images();
    let name = &sandbox.name;
    blog(&sandbox, &["--legacy-link", "--db-user", "root"])
        .ok()
        .says("warning: on Docker's default bridge")
        .says("root");
    let environment = shell(&format!("docker exec {name} env")).ok();
    let environment = environment.says("MYSQL_PORT_3306_TCP_ADDR=").says("MYSQL_ENV_MYSQL_DATABASE=wordpress").out;
    assert!(!environment.contains(&secret(&sandbox, "root-password")), "{environment}");
    blog(&sandbox, &[]).ok().says("nothing to change");
    // A link of this kind is broken when its target is made anew.
    shell(&format!("docker rm -f {name}-db")).ok();
    blog(&sandbox, &[]).ok();
    answers(&format!("http://localhost:{}/wp-admin/install.php", sandbox.port), "200");
    blog(&sandbox, &[]).ok().says("nothing to change");

    // Under a name that leads nowhere, through the proxy.
    blog(&sandbox, &["--tls", "--domain", "blog.invalid", "--title", "T", "--admin-user", "keeper"]).fails(2);
    blog(&sandbox, &[&INSTALLED[..], &["--tls", "--domain", "blog.invalid"]].concat()).ok();
    assert_eq!(own_answer(name), "200");
    sandbox.destroy().ok();
    assert_eq!(sandbox.things(), "");
}

/// No program has a password in its environment while a database is made, and whoever runs its scripts finds them all the same.
#[test]
fn a_database_is_made_without_passwords_in_an_environment() {
    let sandbox = Sandbox::new("environ");
    sandbox.blog_images();
    let (root, user) = (r#"root"s \ secret"#, "users' secret");
    let folder = sandbox.home.path().display().to_string();
    let root_file = sandbox.write("root", root);
    let user_file = sandbox.write("user", user);
    sandbox.write("a.sql", "CREATE TABLE shop.one (a INT);");
    sandbox.write(
        "b.sh",
        "[ \"$MYSQL_PASSWORD\" = \"users' secret\" ] && docker_process_sql <<<'CREATE TABLE two (a INT)'",
    );
    for (database, reference, suite) in [("mysql", "mysql:9.7", "sid"), ("mariadb", "mariadb:11.8", "trixie")] {
        let (name, client) = (format!("{}-{database}", sandbox.name), database);
        let image = sandbox.built(reference, database, suite);
        // Root reads the files, and steps down.
        shell(&format!(
            "set -e; chmod 400 {root_file} {user_file}; \
             docker create --name {name} -e MYSQL_ROOT_PASSWORD_FILE=/run/root -e MYSQL_USER=shop -e MYSQL_PASSWORD_FILE=/run/user -e MYSQL_DATABASE=shop {image}; \
             docker cp {root_file} {name}:/run/root; docker cp {user_file} {name}:/run/user; \
             docker cp {folder}/a.sql {name}:/docker-entrypoint-initdb.d/; docker cp {folder}/b.sh {name}:/docker-entrypoint-initdb.d/; docker start {name}"
        ))
        .ok();
        let scan = format!(
            "until docker logs {name} 2>&1 | grep -q 'Ready for start up'; do \
               [ $(docker inspect {name} --format '{{{{.State.Running}}}}') = true ] || {{ docker logs {name}; exit 1; }}; \
               for pid in $(docker top {name} -eo pid | tail -n +2); do \
                 tr '\\0' '\\n' 2>/dev/null </proc/$pid/environ | grep -E 'root\"s|users.? secret' && tr '\\0' ' ' </proc/$pid/cmdline; \
                 tr '\\0' ' ' 2>/dev/null </proc/$pid/cmdline | grep -E 'root\"s|users.? secret'; echo $pid >>{folder}/seen-{database}; \
               done; done"
        );
        assert_eq!(shell(&scan).ok().out, "", "{database}");
        let seen = std::fs::read_to_string(format!("{folder}/seen-{database}")).unwrap();
        let seen: std::collections::BTreeSet<&str> = seen.lines().collect();
        assert!(seen.len() > 2, "{seen:?}");
        let ask = format!(
            "for i in $(seq 200); do docker exec -i -e \"MYSQL_PWD={user}\" {name} {client} -h 127.0.0.1 -u shop -NBe 'SHOW TABLES' shop 2>{folder}/error && exit; sleep 0.1; done; cat {folder}/error"
        );
        assert_eq!(shell(&ask).out, "one\ntwo\n", "{database}");
    }
}
