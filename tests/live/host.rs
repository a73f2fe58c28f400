//! Installations on a host: rendered and carried there, or made there, with a real systemd, nginx and registry in a container
//! that stands for the host.

use std::path::Path;

use serde_json::Value as Json;

use crate::engine::{Sandbox, shell};
use crate::machine::{BARE, Host, PROGRAMS, use_registry};

/// Renders a registry into `tree` and gives what was told: a list of files, and the commands that remain.
fn render(sandbox: &Sandbox, more: &[&str]) -> Json {
    let tree = sandbox.home.path().join("tree").display().to_string();
    let mut arguments = vec!["render", "registry", "--out", &tree, "--name", &sandbox.name, "--output", "json"];
    arguments.extend(more);
    let told = sandbox.command(&arguments).ok().out;
    let mut lines = told.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.find(|event| event["event"] == "rendered").unwrap_or_else(|| panic!("{told}"))
}

/// Has the engine of this machine push an image to a registry on a host and pull it again, as `docker` itself does it.
fn use_with_docker(sandbox: &Sandbox, address: &str, password: &str) {
    let client = sandbox.home.path().join("docker").display().to_string();
    let trusted = format!("/etc/docker/certs.d/{address}");
    let authority = sandbox.home.path().join("tree/usr/local/share/ca-certificates/docker-registry/ca.crt");
    let image = format!("{address}/team/app:1");
    let docker = |arguments: &str| shell(&format!("docker --config {client} {arguments}"));
    // Taken away again whatever comes of it.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        shell("printf hello >/tmp/hello-$$ && tar -C /tmp -cf - hello-$$ | docker import - provision-test/hello:1; rm /tmp/hello-$$").ok();
        shell(&format!("docker tag provision-test/hello:1 {image}")).ok();
        docker(&format!("push {image}")).fails(1).says("certificate signed by unknown authority");
        shell(&format!("mkdir -p {trusted} && cp {} {trusted}/ca.crt", authority.display())).ok();
        docker(&format!("push {image}")).fails(1).says("no basic auth credentials");
        shell(&format!("printf wrong | docker --config {client} login -u admin --password-stdin {address}")).fails(1);
        shell(&format!("printf %s {password} | docker --config {client} login -u admin --password-stdin {address}"))
            .ok()
            .says("Login Succeeded");
        docker(&format!("push {image}")).ok();
        let id = shell(&format!("docker image inspect -f '{{{{.Id}}}}' {image}")).ok().out;
        shell(&format!("docker rmi {image} provision-test/hello:1")).ok();
        docker(&format!("pull {image}")).ok();
        assert_eq!(shell(&format!("docker image inspect -f '{{{{.Id}}}}' {image}")).ok().out, id);
        docker(&format!("logout {address}")).ok();
        shell(&format!("docker rmi {image}")).ok();
        docker(&format!("pull {image}")).fails(1).says("no basic auth credentials");
    }));
    shell(&format!("rm -rf {trusted}; docker rmi {image} provision-test/hello:1"));
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_rendered_tree_makes_a_registry_where_it_is_carried() {
    let sandbox = Sandbox::new("tree");
    let host = Host::start("tree", &format!("{BARE} {PROGRAMS}"));
    let address = host.address();
    let told = render(&sandbox, &["--cn", "localhost", "--san", &address, "--port", "5443"]);
    let tree = sandbox.home.path().join("tree");
    let there = tree.display();
    shell(&format!(
        "tar -C {there} -cf - . | docker exec -i {} sh -c 'mkdir -p {there}; tar -C {there} -xf -'",
        host.name
    ))
    .ok();
    // The commands as they are told.
    let commands: Vec<&str> =
        told["commands"].as_array().unwrap().iter().map(|command| command.as_str().unwrap()).collect();
    assert!(commands[0].starts_with("apt-get install "), "{commands:?}");
    for command in &commands[1..] {
        host.run(command).ok();
    }
    let password = sandbox.command(&["secrets", &sandbox.name, "password"]).ok().out;
    use_registry(&host, "localhost:5443", "/usr/local/share/ca-certificates/docker-registry/ca.crt", password.trim());
    use_with_docker(&sandbox, &format!("{address}:5443"), password.trim());
    // As it was told, so it is.
    for file in told["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        let found = host.run(&format!("[ -L {path} ] || stat -c '0%a %U:%G' {path}")).ok().out;
        let wanted = format!("{} {}", file["mode"].as_str().unwrap(), file["owner"].as_str().unwrap());
        assert!(found.is_empty() || found.trim() == wanted, "{path}: {found}, not {wanted}");
    }
    host.run("systemd-analyze verify /etc/systemd/system/docker-registry.service").ok();
    let exposure = host.run("systemd-analyze security --no-pager docker-registry.service | tail -1").ok().out;
    let level: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(10.0);
    assert!(level < 3.0, "{exposure}");
    host.run("sh -n /etc/init.d/docker-registry; logrotate -d /etc/logrotate.d/docker-registry").ok();
    // nginx as Debian brings it, the site, and nothing else.
    host.run("ss -Hltn | grep -v -e :5443 -e :80").fails(1);
    // Repeat it changes nothing; a changed file is named.
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).ok().says("nothing to change");
    std::fs::write(tree.join("etc/docker/registry/config.yml"), "version: 0.1\n").unwrap();
    sandbox.command(&["plan", &sandbox.name, "--exit-code"]).fails(3).says("files./etc/docker/registry/config.yml");
    sandbox.command(&["destroy", &sandbox.name, "--yes"]).ok();
    assert!(!Path::new(&tree).join("etc/nginx").exists());
}

#[test]
fn every_nginx_of_debian_accepts_the_rendered_site() {
    let sandboxes = ["v2", "v1"].map(|api| {
        let sandbox = Sandbox::new(&format!("sites-{api}"));
        render(&sandbox, &["--api", api, "--cn", "registry.example.com", "--san", "10.0.0.5", "--port", "443"]);
        sandbox
    });
    let sandbox = &sandboxes[0];
    for (suite, version) in [("bookworm", "1.22"), ("trixie", "1.26"), ("sid", "1.30")] {
        let text = format!(
            "resources:\n  - image: nginx\n    reference: nginx:{version}\n    build: nginx\n    suite: {suite}\noutputs:\n  image: \"{{{{ nginx.reference }}}}\"\n"
        );
        let playbook = sandbox.write(&format!("{suite}.yml"), &text);
        let name = format!("{}-{suite}", sandbox.name);
        sandbox.command(&["apply", &playbook, "--name", &name]).ok();
        let image = sandbox.command(&["output", &name, "image"]).ok().out;
        for tree in sandboxes.each_ref().map(|sandbox| sandbox.home.path().join("tree")) {
            let tested = shell(&format!(
                "set -e -o pipefail; id=$(docker create -i --entrypoint sh {} -c 'tar -C / -xf - --no-same-owner --no-overwrite-dir; nginx -v; nginx -t -c /etc/nginx/nginx.conf'); tar -C {} -cf - . | docker start -ai $id 2>&1; code=$(docker inspect $id --format '{{{{.State.ExitCode}}}}'); docker rm -fv $id >/dev/null; exit $code",
                image.trim(),
                tree.display()
            ));
            tested.ok().says(&format!("nginx/{version}")).says("test is successful");
        }
        sandbox.command(&["destroy", &name, "--yes"]).ok();
    }
    for sandbox in &sandboxes {
        sandbox.command(&["destroy", &sandbox.name, "--yes"]).ok();
    }
}

/// The server that looks at passwords answers nobody else of this host, not with a right password either.
fn refuses_other_users(host: &Host, password: &str) {
    let direct = format!(
        "curl -s -o /dev/null -w '%{{http_code}}' -u admin:{password} -H 'X-Password-Key: x' http://127.64.0.1:5443/"
    );
    assert_eq!(host.run(&format!("su nobody -s /bin/sh -c \"{direct}\"")).ok().out, "404");
    host.run("su nobody -s /bin/sh -c 'cat /etc/nginx/docker-registry.password-key'")
        .fails(1)
        .says("Permission denied");
}

#[test]
fn a_registry_is_installed_on_a_host_and_taken_away_again() {
    let host = Host::start("install", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    host.run("printf 'server { listen 80; }\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    let before = host.tree();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    provision("plan registry --on host --port 5443")
        .ok()
        .says("create    service docker-registry")
        .says("create    service proxy/proxy");
    assert_eq!(host.tree(), before, "a plan changes nothing");
    provision("registry --on host --port 5443").ok().says("checked   probe round-trip");
    let password = provision("secrets registry password").ok().out;
    let ca = provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    provision("registry").ok().says("nothing to change");

    refuses_other_users(&host, password.trim());

    // Drift, field by field.
    let drift = |cause: &str, field: &str| {
        host.run(cause).ok();
        provision("plan registry --exit-code").fails(3).says(field);
        provision("registry").ok();
        provision("plan registry --exit-code").ok();
    };
    drift(
        "sed -i s/TLSv1.2/TLSv1.1/ /etc/nginx/sites-available/docker-registry.conf",
        "files./etc/nginx/sites-available/docker-registry.conf",
    );
    drift("chmod 0777 /etc/ssl/private/docker-registry", "files./etc/ssl/private/docker-registry.mode: 0777 → 0640");
    drift(
        "chown www-data /etc/docker/registry/config.yml",
        "files./etc/docker/registry/config.yml.owner: www-data:docker-registry → root:docker-registry",
    );
    drift("rm /etc/nginx/sites-enabled/docker-registry.conf", "files./etc/nginx/sites-enabled/docker-registry.conf");
    drift("systemctl stop docker-registry", "state: stopped → running");
    drift("systemctl -q disable docker-registry", "at start of the host: not started → started");
    drift("chmod 0700 /var/lib/registry", "mode: 0700 → 0750");

    // A site of somebody else that nginx does not accept: nothing changes, and nginx goes on.
    host.run("cp /etc/nginx/sites-enabled/own /root/own; echo 'server { listen' >/etc/nginx/sites-enabled/own").ok();
    let tree = host.tree();
    provision("registry --san other.example.com").fails(1).says("nginx -t").says("everything is as it was before");
    same(&tree, &host.tree());
    host.run("mv /root/own /etc/nginx/sites-enabled/own").ok();
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());

    // A new user, at once.
    let since = host.run("systemctl show -p ExecMainStartTimestamp docker-registry nginx").ok().out;
    provision("users registry add alice --generate").ok();
    let alice = provision("secrets registry users.alice").ok().out;
    host.run(&format!("curl -sf --cacert {} -u alice:{} https://localhost:5443/v2/", ca.trim(), alice.trim())).ok();
    assert_eq!(host.run("systemctl show -p ExecMainStartTimestamp docker-registry nginx").ok().out, since);
    // Not from a file that cannot be read to its end.
    let tree = host.tree();
    host.run("printf 'bob:$2y$05$short\\n' >/root/broken").ok();
    provision("users registry add --import /root/broken").fails(1).says("bcrypt that is cut off").says("hint:");
    assert_eq!(host.tree(), tree);

    // A new root: what trusted the old one goes on as long as that is told to clients.
    provision("rotate registry --what authority").ok();
    let ca = provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    provision("plan registry --exit-code").ok().says("nothing to change");

    // What stands there before is put back; what was edited by hand is kept beside.
    provision("destroy registry").fails(1).says("/var/lib/registry");
    let edited = ["/etc/logrotate.d/docker-registry", "/etc/nginx/sites-available/docker-registry.conf"];
    for file in edited {
        host.run(&format!("echo '# mine' >>{file}")).ok();
    }
    let destroyed = provision("destroy registry --yes").ok();
    for file in edited {
        assert!(destroyed.all().contains(&format!("{file}.kept")), "{}", destroyed.all());
        host.run(&format!("grep -q '# mine' {file}.kept && rm {file}.kept")).ok();
    }
    assert_eq!(host.tree(), before);
    host.run("systemctl is-active nginx && curl -s -o /dev/null http://localhost/").ok();
    host.run("systemctl is-active docker-registry").fails(3);
}

/// A service that calls out has the proxies of its deployment, as a container has them.
#[test]
fn a_registry_on_a_host_calls_out_through_the_proxies() {
    let host = Host::start("outward", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    host.run(
        "cd /root && printf 'version: 0.1\\nstorage: {inmemory: {}}\\nhttp: {addr: 127.0.0.1:5000}\\n' >upstream.yml && \
         (docker-registry serve upstream.yml >/dev/null 2>&1 &) && until curl -sf http://127.0.0.1:5000/v2/; do sleep 0.05; done",
    )
    .ok();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let proxy = "http://me:hidden-from-all@10.9.8.7:3128";
    provision(&format!("registry --on host --port 5443 --mirror-of http://127.0.0.1:5000 --proxy {proxy}")).ok();
    let environment = "tr '\\0' '\\n' </proc/$(systemctl show -p MainPID --value docker-registry)/environ";
    host.run(environment).ok().says(&format!("HTTPS_PROXY={proxy}")).says("NO_PROXY=");
    let shown = host
        .run("systemctl show docker-registry; systemctl cat docker-registry; journalctl -u docker-registry; stat -c %a:%U /etc/default/docker-registry-proxy")
        .ok();
    assert!(!shown.all().contains("hidden-from-all") && shown.all().contains("600:root"), "{}", shown.all());
    provision("registry").ok().says("nothing to change");
    // It is a field like any other: drift of it is told, and it goes when no proxy is wanted any more.
    host.run("sed -i s/3128/3129/ /etc/default/docker-registry-proxy").ok();
    let told = provision("plan registry --exit-code").fails(3);
    assert!(!told.all().contains("hidden-from-all"), "{}", told.all());
    provision("registry").ok();
    provision("registry --proxy none").ok();
    host.run("test -e /etc/default/docker-registry-proxy").fails(1);
    assert!(!host.run(environment).ok().out.contains("HTTPS_PROXY"));
    provision("destroy registry --yes").ok();
}

#[test]
fn packages_come_with_a_registry_and_go_with_it() {
    let host = Host::start("packages", &format!("{BARE} skopeo"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let packages = || host.run("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | sort").ok().out;
    let before = packages();
    // Killed while packages are installed: what came is known all the same, and nothing of ours is left in their way.
    host.run(
        "PROVISION_HOME=/root/home provision registry --on host --port 5443 >/dev/null 2>&1 & p=$!; \
         until [ -e /usr/sbin/policy-rc.d ] && grep -qx dpkg /proc/[0-9]*/comm 2>/dev/null; do sleep 0.05; done; kill -9 $p; \
         while grep -qx apt-get /proc/[0-9]*/comm 2>/dev/null; do sleep 0.2; done; test -e /usr/sbin/policy-rc.d",
    )
    .ok();
    provision("registry --on host --port 5443").ok();
    host.run("test -e /usr/sbin/policy-rc.d").fails(1);
    let password = provision("secrets registry password").ok().out;
    let ca = provision("output registry ca").ok().out;
    use_registry(&host, "localhost:5443", ca.trim(), password.trim());
    // The package's own service never ran: it would have listened on port 5000 for everybody.
    host.run("ss -Hltn | grep -v -e :5443 -e :80").fails(1);
    // Killed when all was there already, but not let start yet.
    host.run(
        "cd /root/home/deployments/registry/package && \
         cp programs /root/programs && sed 's/^{/{\"begun\":[\"bash\"],/' /root/programs >programs && printf '#!/bin/sh\\n# Written by provision while it installs packages: what they bring is started once it is configured.\\nexit 101\\n' >/usr/sbin/policy-rc.d",
    )
    .ok();
    provision("plan registry --exit-code").fails(3).says("installation: broken off → complete");
    provision("registry").ok();
    host.run("test -e /usr/sbin/policy-rc.d").fails(1);
    host.run("mv /root/programs /root/home/deployments/registry/package/programs").ok();
    // As dpkg leaves it when it is broken off: from then on apt-get does nothing until that is mended.
    host.run("touch /var/lib/dpkg/updates/0001 && apt-get install --yes bash").fails(100).says("dpkg --configure -a");
    // And somebody else's dpkg is still at work: it is waited for.
    host.run(
        "mkdir -p /root/slow/DEBIAN && cd /root && printf 'Package: slow\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@localhost>\\nDescription: slow\\n' >slow/DEBIAN/control && \
         printf '#!/bin/sh\\ntouch /root/held; until [ -e /root/go ]; do sleep 0.05; done\\n' >slow/DEBIAN/postinst && chmod 755 slow/DEBIAN/postinst && \
         dpkg-deb --build slow && (dpkg -i slow.deb >/dev/null 2>&1 &) && until [ -e held ]; do sleep 0.05; done; (sleep 2; touch go) >/dev/null 2>&1 &",
    )
    .ok();
    host.run("until [ -e /root/held ]; do sleep 0.05; done; touch /var/lib/dpkg/updates/0001").ok();
    provision("destroy registry --yes").ok();
    host.run("test -e /usr/sbin/policy-rc.d || test -e /var/lib/dpkg/updates/0001").fails(1);
    host.run("dpkg --purge slow").ok();
    assert_eq!(packages(), before);
    host.run("ls /etc/nginx /etc/docker /var/lib/registry").fails(2);
}

#[test]
fn what_stands_in_the_way_is_told_and_left_alone() {
    let host = Host::start("way", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    let provision = |arguments: &str| host.run(&format!("PROVISION_HOME=/root/home provision {arguments}"));
    let refused = |arguments: &str, text: &str| {
        let before = host.tree();
        provision(arguments).fails(1).says(text).says("hint:");
        assert_eq!(host.tree(), before);
    };
    host.run("printf 'server { listen 5443; }\n' >/etc/nginx/sites-enabled/own; systemctl start nginx").ok();
    refused("registry --on host --port 5443", "port 5443 is taken by a site of nginx that speaks plain http");
    refused(
        "registry --on host --port 6443 --init upstart",
        "services of this host are started by systemd, not by upstart",
    );
    host.run("echo '# by hand' >/etc/nginx/sites-available/docker-registry.conf").ok();
    refused("registry --on host --port 6443", "`/etc/nginx/sites-available/docker-registry.conf` is there already");
    host.run("rm /etc/nginx/sites-available/docker-registry.conf; echo '# by hand' >>/etc/docker/registry/config.yml")
        .ok();
    refused("registry --on host --port 6443", "`/etc/docker/registry/config.yml` is there already");
    host.run("sed -i '/# by hand/d' /etc/docker/registry/config.yml").ok();
    let before = host.tree();
    host.provision("registry --on host --port 6443 --flavor glance").fails(2).says("no choice `glance`").says("hint:");
    assert_eq!(host.tree(), before);
    // Without what installs packages, and without what knows them.
    for program in ["/usr/bin/apt-get", "/usr/bin/dpkg-query"] {
        host.run(&format!("mv {program} /root/hidden")).ok();
        refused("registry --on host --port 6443", "this host has no `apt-get`");
        host.run(&format!("mv /root/hidden {program}")).ok();
    }
    host.run("useradd -m someone; chmod 755 /root; mkdir -m 777 /srv/home").ok();
    host.run("su someone -c 'PROVISION_HOME=/srv/home/x provision registry --on host --port 6443'")
        .fails(1)
        .says("only root")
        .says("sudo");
}

#[track_caller]
fn same(before: &str, now: &str) {
    // A plan asks the registry, which says so in its log.
    let [before, now] = [before, now].map(|text| {
        text.lines().filter(|line| !line.contains("/registry.log ")).collect::<std::collections::BTreeSet<_>>()
    });
    assert_eq!(before.symmetric_difference(&now).collect::<Vec<_>>(), Vec::<&&str>::new());
}

/// Another site with TLS on port 443, told by its name.
const OTHER: &str = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=www.test -keyout /etc/nginx/www.key -out /etc/nginx/www.crt 2>/dev/null; \
    printf 'server { listen 443 ssl default_server; server_name www.test; ssl_certificate /etc/nginx/www.crt; ssl_certificate_key /etc/nginx/www.key; return 200 www; }\\n'";

#[test]
fn a_site_stands_beside_others_of_the_host_however_its_nginx_is_laid_out() {
    let host = Host::start("beside", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    host.run(&format!("{OTHER} >/etc/nginx/sites-enabled/www; systemctl restart nginx")).ok();
    let refused = |arguments: &str, text: &str| {
        let before = host.tree();
        host.provision(arguments).fails(1).says(text).says("hint:");
        same(&before, &host.tree());
    };
    refused(
        "registry --on host --cn www.test --port 443",
        "`www.test` on port 443 is a site of nginx already: `/etc/nginx/sites-enabled/www`",
    );
    host.run("echo 'limit_req_zone $remote_addr zone=docker-registry-of:1m rate=1r/s;' >/etc/nginx/conf.d/zone.conf")
        .ok();
    refused("registry --on host --cn hub.test --port 443", "a zone `docker-registry-of`");
    host.run("rm /etc/nginx/conf.d/zone.conf").ok();
    let both = || {
        let answer = |name: &str| {
            host.run(&format!("curl -sk -w ' %{{http_code}}' --resolve {name}:443:127.0.0.1 https://{name}/v2/"))
                .ok()
                .out
        };
        assert_eq!((answer("www.test").as_str(), answer("hub.test").ends_with("401")), ("www 200", true));
    };
    let before = host.tree();
    host.provision("registry --on host --cn hub.test --port 443").ok().says("checked   probe round-trip");
    both();
    host.provision("registry").ok().says("nothing to change");
    refused("registry --san www.test", "`www.test` on port 443");
    host.provision("destroy registry --yes").ok();
    same(&before, &host.tree());

    // As nginx.org lays it out: no folder of sites but conf.d, and a user of its own.
    host.run(
        "set -e; useradd -r -M nginx; mv /etc/nginx/sites-enabled/www /etc/nginx/conf.d/www.conf; \
         sed -i -e 's/^user .*/user nginx;/' -e '/sites-enabled/d' /etc/nginx/nginx.conf; systemctl restart nginx",
    )
    .ok();
    let before = host.tree();
    host.provision("registry --on host --cn hub.test --port 443").ok().says("checked   probe round-trip");
    both();
    host.run("test -f /etc/nginx/conf.d/docker-registry.conf; stat -c %G /etc/nginx/docker-registry.htpasswd")
        .ok()
        .says("nginx");
    host.provision("registry").ok().says("nothing to change");
    host.provision("destroy registry --yes").ok();
    same(&before, &host.tree());
}
