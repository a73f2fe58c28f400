//! A host that was set up as the book does it, taken over, used, and given back.

use crate::machine::{BARE, Host, IMAGE, PROGRAMS, use_registry};

/// nginx with TLS on 8080 in front of port 5000. (`ssl on;`, as the book has it, is refused from nginx 1.25.1.)
const SITE: &str = r"
upstream docker-registry {
  server localhost:5000;
}
server {
  listen 8080 ssl;
  server_name localhost;
  ssl_certificate /etc/ssl/certs/docker-registry;
  ssl_certificate_key /etc/ssl/private/docker-registry;
  proxy_set_header Host $http_host;
  client_max_body_size 0;
  location / {
    auth_basic Restricted;
    auth_basic_user_file docker-registry.htpasswd;
    proxy_pass http://docker-registry;
  }
  location /_ping { auth_basic off; proxy_pass http://docker-registry; }
}
";

/// Makes a host what the book makes of it.
fn book(host: &Host) {
    let hash = bcrypt::hash("of alice", 4).unwrap();
    let script = format!(
        "set -e; cd /root
        openssl genrsa -out devdockerCA.key 2048 2>/dev/null
        openssl req -x509 -new -nodes -key devdockerCA.key -days 10000 -subj /CN=devCA -out devdockerCA.crt
        openssl genrsa -out registry.key 2048 2>/dev/null
        openssl req -new -key registry.key -subj /CN=localhost -out registry.csr
        openssl x509 -req -in registry.csr -CA devdockerCA.crt -CAkey devdockerCA.key -CAcreateserial -out registry.crt -days 10000 2>/dev/null
        cp registry.crt /etc/ssl/certs/docker-registry
        cp registry.key /etc/ssl/private/docker-registry; rm registry.key; chmod 777 /etc/ssl/private/docker-registry
        mkdir -p /usr/local/share/ca-certificates/docker-dev-cert /etc/docker/certs.d/localhost:8080
        cp devdockerCA.crt /usr/local/share/ca-certificates/docker-dev-cert/
        cp devdockerCA.crt /etc/docker/certs.d/localhost:8080/ca.crt
        printf 'alice:%s\\ndave:%s\\n' '{hash}' \"$(openssl passwd -apr1 'of dave')\" >/etc/nginx/docker-registry.htpasswd
        cat >/etc/nginx/sites-available/docker-registry <<'END'
{SITE}
END
        ln -s /etc/nginx/sites-available/docker-registry /etc/nginx/sites-enabled/docker-registry
        printf '{{ \"Statement\": [ {{ \"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"*\" }} ] }}' >policy.json
        sed -i -e 's/addr: .*:5000/addr: 0.0.0.0:5000/' -e '/^auth:/,/path:/d' /etc/docker/registry/config.yml; chmod 644 /etc/docker/registry/config.yml
        systemctl -q enable --now docker-registry nginx"
    );
    host.run(&script).ok();
    host.run(&format!(
        "{IMAGE} cp layer.tar /root/before.tar; for i in $(seq 100); do curl -s -o /dev/null localhost:5000/v2/ && break; sleep 0.1; done; \
         skopeo --insecure-policy copy -q --preserve-digests --dest-tls-verify=false oci:image:1 docker://localhost:5000/before/app:1"
    ))
    .ok();
}

fn status(host: &Host, login: &str) -> String {
    let ca = "/etc/docker/certs.d/localhost:8080/provision-registry.crt";
    host.run(&format!("curl -s --cacert {ca} -u '{login}' -o /dev/null -w '%{{http_code}}' https://localhost:8080/v2/"))
        .out
}

#[test]
fn a_host_of_the_book_is_taken_over_and_given_back() {
    let host = Host::start("adopt", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    book(&host);
    let provision = |arguments: &str| host.run(&format!("cd /root; PROVISION_HOME=/root/home provision {arguments}"));
    let before = host.tree();

    let told = provision("adopt")
        .ok()
        .says("without a SAN")
        .says("valid for 10000 days")
        .says("every user of this host may read (mode 0777)")
        .says("the private key of the authority")
        .says("listens on `0.0.0.0:5000`, for every network")
        .says("`s3:*` on `*`")
        .says("`dave` (apr1)");
    let inputs = host.run("cat /root/registry.inputs.yml").ok().out;
    println!("{}\n{inputs}", told.all());
    for line in ["cn: localhost", "port: 8080", "on: host", "flavor: local", "  - /etc/ssl/private/docker-registry"] {
        assert!(inputs.lines().any(|found| found == line), "{line}: {inputs}");
    }
    assert_eq!(host.tree(), before, "it is only looked at");

    // Without what steps aside, everything is in the way.
    provision("plan registry --on host --port 8080").fails(1).says("hint:");
    provision("plan registry --inputs registry.inputs.yml").ok().says("create    service proxy/proxy");
    assert_eq!(host.tree(), before, "a plan changes nothing");
    host.run("install -m 0600 /etc/nginx/docker-registry.htpasswd /root/registry.users").ok();
    provision("registry --inputs registry.inputs.yml").ok().says("checked   probe round-trip");

    let password = provision("secrets registry password").ok().out;
    let ca = provision("output registry ca").ok().out;
    let (password, ca) = (password.trim(), ca.trim());
    use_registry(&host, "localhost:8080", ca, password);
    host.run(&format!("openssl s_client -connect localhost:8080 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName -checkend 7776000; test $? = 1; openssl s_client -connect localhost:8080 -CAfile {ca} -verify_return_error </dev/null")).ok();
    // The key that was exposed is gone from its place, and nobody else gets to the registry.
    host.run("ss -Hltn | grep ':5000 '").fails(1);
    let mode = host.run("stat -c %a /etc/ssl/private/docker-registry").ok().out;
    assert_eq!(mode.trim(), "640");
    host.run("test -e /etc/nginx/sites-enabled/docker-registry").fails(1);
    host.run("grep -c BEGIN /etc/ssl/private/docker-registry; openssl x509 -in /root/registry.crt -noout -pubkey >/tmp/old.pub; openssl pkey -in /etc/ssl/private/docker-registry -pubout | cmp - /tmp/old.pub").fails(1);
    // What was pushed before is still there.
    host.run(&format!(
        "cd /tmp; rm -rf copy; SSL_CERT_FILE={ca} skopeo --insecure-policy copy -q --src-creds admin:{password} docker://localhost:8080/before/app:1 dir:copy && cmp copy/$(sha256sum /root/before.tar | cut -d' ' -f1) /root/before.tar"
    ))
    .ok();
    // Clients trust both authorities, until they are told otherwise.
    let old = host.run("cat /root/devdockerCA.crt").ok().out;
    let bundle = || host.run("cat /etc/docker/certs.d/localhost:8080/provision-registry.crt").ok().out;
    assert_eq!(host.run("cat /etc/docker/certs.d/localhost:8080/ca.crt").ok().out, old);
    assert!(bundle().contains(old.trim()) && bundle().matches("BEGIN").count() == 2, "{}", bundle());

    assert_eq!(status(&host, "alice:of alice"), "401");
    provision("users registry add --import registry.users").ok().says("`dave` was not imported");
    assert_eq!(status(&host, "alice:of alice"), "200");
    provision("registry --inputs registry.inputs.yml").ok().says("nothing to change");
    provision("plan registry --exit-code").ok();
    // What steps aside stays aside.
    host.run("ln -s /etc/nginx/sites-available/docker-registry.conf /etc/nginx/sites-enabled/docker-registry").ok();
    provision("plan registry --exit-code").fails(3).says("files./etc/nginx/sites-enabled/docker-registry");
    provision("registry").ok();
    provision("registry --also-trust ''").ok().says("trust clients");
    assert_eq!(bundle().matches("BEGIN").count(), 1);

    provision("destroy registry --yes").ok();
    assert_eq!(host.tree(), before);
    // As it was before: on both ports, with the old key.
    host.run("for i in $(seq 100); do curl -s -o /dev/null localhost:5000/v2/ && break; sleep 0.1; done; curl -sf --cacert /root/devdockerCA.crt -u 'dave:of dave' https://localhost:8080/v2/before/app/tags/list")
        .ok()
        .says("\"1\"");
}

#[test]
fn a_take_over_that_fails_leaves_everything_as_it_was() {
    let host = Host::start("failed", &format!("{BARE} {PROGRAMS}"));
    host.bring_provision();
    book(&host);
    let provision = |arguments: &str| host.run(&format!("cd /root; PROVISION_HOME=/root/home provision {arguments}"));
    provision("adopt").ok();
    // Another site keeps nginx from taking up anything.
    host.run("echo 'server { listen' >/etc/nginx/sites-enabled/own").ok();
    let before = host.tree();
    provision("registry --inputs registry.inputs.yml").fails(1).says("nginx -t").says("everything is as it was before");
    assert_eq!(host.tree(), before);
    host.run(
        "curl -sf --cacert /root/devdockerCA.crt -u 'alice:of alice' https://localhost:8080/v2/before/app/tags/list",
    )
    .ok();
    host.run("curl -sf localhost:5000/v2/").ok();
}
