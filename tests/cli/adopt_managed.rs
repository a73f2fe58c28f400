//! `provision adopt` on hosts whose certificates another program manages, and whose nginx says in `http` what counts in a server.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::adopt::{Host, has};

const NGINX: &str = "events {}\nhttp {\n  auth_basic Restricted;\n  auth_basic_user_file registry.users;\n  client_max_body_size 0;\n  include conf.d/*.conf;\n}\n";

/// A site with both ports, whose visitors without TLS are sent to the other one.
fn site(certificate: &str, key: &str) -> String {
    format!(
        "server {{ listen 80; listen 443 ssl; server_name registry.example.com; ssl_certificate {certificate}; ssl_certificate_key {key}; if ($scheme = http) {{ return 301 https://$host$request_uri; }} location /v2/ {{ proxy_pass http://127.0.0.1:5000; }} }}\n"
    )
}

/// A host with a certificate at these paths.
fn host(certificate: &str, key: &str) -> Host {
    let host = Host::new();
    let folder = host.sandbox.path("pem");
    std::fs::create_dir_all(&folder).unwrap();
    let made = Command::new("openssl")
        .args("req -x509 -nodes -newkey rsa:2048 -days 60 -keyout key -out crt -subj /CN=x -addext subjectAltName=DNS:registry.example.com".split(' '))
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(made.status.success());
    host.write(certificate, std::fs::read(folder.join("crt")).unwrap());
    host.write(key, std::fs::read(folder.join("key")).unwrap());
    host.write("/etc/hostname", "docker1\n").write("/etc/nginx/nginx.conf", NGINX);
    host
}

#[track_caller]
fn stays(host: &Host, certificate: &str, key: &str, program: &str) {
    let said = host.adopt();
    let inputs = host.inputs();
    has(
        &inputs,
        &[&format!("certificate: {certificate}"), &format!("certificate-key: {key}"), &format!("{program} manages it")],
    );
    let replaces = inputs.split_once("replaces:").map_or("", |(_, replaces)| replaces);
    assert!(!replaces.contains(certificate) && !replaces.contains(key), "it would be moved: {inputs}");
    assert!(!inputs.contains("docker1"), "the certificate is not for that: {inputs}");
    for wrong in ["without TLS", "asks for no password", "whose authority was found nowhere"] {
        assert!(!said.contains(wrong), "{wrong}: {said}");
    }
}

#[test]
fn certificates_of_certbot_stay_in_use_where_they_are() {
    let archive = "/etc/letsencrypt/archive/registry.example.com";
    let host = host(&format!("{archive}/fullchain1.pem"), &format!("{archive}/privkey1.pem"));
    let live = "/etc/letsencrypt/live/registry.example.com";
    let folder = host.sandbox.path(&format!("host{live}"));
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["fullchain", "privkey"] {
        symlink(format!("../../archive/registry.example.com/{file}1.pem"), folder.join(format!("{file}.pem"))).unwrap();
    }
    let (certificate, key) = (format!("{live}/fullchain.pem"), format!("{live}/privkey.pem"));
    host.write("/etc/nginx/conf.d/registry.conf", site(&certificate, &key));
    stays(&host, &certificate, &key, "certbot");
}

#[test]
fn certificates_of_other_programs_stay_too() {
    for (folder, program) in [
        ("/root/.acme.sh/registry.example.com_ecc", "acme.sh"),
        ("/var/lib/caddy/.local/share/caddy/certificates/x", "Caddy"),
        ("/srv/tls/..data", "Kubernetes (cert-manager)"),
    ] {
        let (certificate, key) = (format!("{folder}/fullchain.cer"), format!("{folder}/x.key"));
        let host = host(&certificate, &key);
        host.write("/etc/nginx/conf.d/registry.conf", site(&certificate, &key));
        stays(&host, &certificate, &key, program);
    }
}

#[test]
fn what_a_server_says_itself_counts_more_than_what_stands_outside() {
    let host = host("/etc/nginx/tls/a.crt", "/etc/nginx/tls/a.key");
    let open = site("tls/a.crt", "tls/a.key")
        .replace("listen 80;", "auth_basic off;")
        .replace("if ($scheme = http)", "if ($bad)");
    host.write("/etc/nginx/conf.d/registry.conf", open);
    has(&host.adopt(), &["a site that asks for no password"]);
    // What stands in a location counts before what stands in the server, and a variable is what its map says.
    for (place, asks) in [
        ("location /v2/ { auth_basic off; ", false),
        ("location /v2/ { auth_basic Own; ", true),
        ("location /_ping { auth_basic off; proxy_pass http://127.0.0.1:5000; } location /v2/ { ", true),
        ("location /v2/ { auth_basic $realm; ", false),
        ("location / { auth_basic off; location /v2/ { auth_basic Own; proxy_pass http://127.0.0.1:5000; } ", false),
    ] {
        let text = site("tls/a.crt", "tls/a.key").replace("location /v2/ { ", place);
        host.write("/etc/nginx/conf.d/registry.conf", format!("map $uri $realm {{ default off; /x Own; }}\n{text}"));
        let said = host.sandbox.run("adopt --root host --out again.yml").text;
        assert_eq!(!said.contains("a site that asks for no password"), asks, "{place}: {said}");
        std::fs::remove_file(host.sandbox.path("again.yml")).unwrap();
    }
    // Without a redirection the password does cross the network in clear.
    let clear = site("tls/a.crt", "tls/a.key").replace("if ($scheme = http)", "if ($bad)");
    host.write("/etc/nginx/conf.d/registry.conf", clear);
    let said = host.sandbox.run("adopt --root host --out other.yml").text;
    has(&said, &["on port 80, without TLS"]);
}
