//! A registry and a blog behind a proxy that ends TLS: `--public-url`, `--trusted-proxy`.

use crate::blog::{INSTALLED, blog};
use crate::engine::{Sandbox, free_port, shell};

/// nginx with TLS on the localhost of this host, in front of a port of it.
struct Front {
    name: String,
    /// `https://localhost:PORT`
    url: String,
    ca: String,
}

impl Front {
    fn new(sandbox: &Sandbox) -> Self {
        let (name, port, folder) = (format!("{}-front", sandbox.name), free_port(), sandbox.home.path().display());
        sandbox.write(
            "front.conf",
            &format!(
                "pid /tmp/pid; error_log stderr; events {{}}\nhttp {{ access_log off; client_max_body_size 0; server {{ listen 127.0.0.1:{port} ssl; \
                 ssl_certificate /front/front.crt; ssl_certificate_key /front/front.key; \
                 location / {{ proxy_pass http://127.0.0.1:{}; proxy_set_header Host $http_host; proxy_request_buffering off; \
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto https; }} }} }}\n",
                sandbox.port
            ),
        );
        shell(&format!(
            "set -e; cd {folder}; chmod 755 .; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout front.key -out front.crt; \
             image=$(docker images --format '{{{{.Repository}}}}:{{{{.Tag}}}}' provision/nginx | head -1); \
             docker run -d --name {name} --network host -v {folder}:/front:ro $image nginx -c /front/front.conf -g 'daemon off;'"
        ))
        .ok();
        Self { name, url: format!("https://localhost:{port}"), ca: format!("{folder}/front.crt") }
    }

    /// curl by way of it, from another address of this host than it has itself.
    fn curl(&self, arguments: &str) -> String {
        shell(&format!(
            "curl -sS --retry 20 --retry-connrefused --retry-delay 1 --cacert {} --interface 127.0.0.9 {arguments}",
            self.ca
        ))
        .ok()
        .out
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        shell(&format!("docker rm -f {}", self.name));
    }
}

#[test]
fn a_registry_behind_a_proxy_that_ends_tls() {
    let sandbox = Sandbox::new("front");
    let front = Front::new(&sandbox);
    let registry = front.url.trim_start_matches("https://");
    let here = ["--public-url", &front.url, "--trusted-proxy", "127.0.0.1", "--plain-http"];
    sandbox.registry(&here).fails(2).says("needs `--bind 127.0.0.1`");
    sandbox.registry(&["--plain-http", "--public-url", &front.url]).fails(2).says("in the clear");
    sandbox.registry(&["--public-url", "hub.test"]).fails(2).says("no URL by which clients know");
    sandbox.registry(&["--trusted-proxy", "hub.test"]).fails(2).says("neither an IP address nor a network");
    sandbox.registry(&[&here[..], &["--bind", "127.0.0.1"]].concat()).ok();
    assert_eq!(sandbox.output("url"), front.url);
    let (name, password, image) = (&sandbox.name, sandbox.password(), format!("{registry}/app:1"));
    shell(&format!(
        "set -e; export DOCKER_CONFIG={}; echo {password} | docker login -u admin --password-stdin {registry}; \
         docker tag $(docker images -q provision/nginx | head -1) {image}; docker push -q {image}; docker rmi {image}; docker pull -q {image}; docker rmi {image}",
        sandbox.home.path().join("docker").display()
    ))
    .ok();
    // By its own way, too.
    sandbox.command(&["images", name]).ok().says("app");
    // Where an upload goes on is told without a host.
    let login = format!("-u admin:{password}");
    let begun = front.curl(&format!("{login} -X POST -o /dev/null -D - {}/v2/app/blobs/uploads/", front.url));
    assert!(begun.to_lowercase().contains("location: /v2/app/blobs/uploads/"), "{begun}");
    // What a client says of itself does not count, what the proxy says does.
    front.curl(&format!("{login} -A asked-by -H 'X-Forwarded-For: 192.0.2.66' {}/v2/", front.url));
    let log = shell(&format!("docker logs {name}-proxy 2>&1 | grep asked-by")).ok().out;
    assert!(log.starts_with("127.0.0.9 admin"), "{log}");
    sandbox.registry(&[]).ok().says("nothing to change");

    // With TLS of its own, and a proxy elsewhere: what others say does not count, and nobody is sent round in a circle.
    sandbox.registry(&["--plain-http=false", "--trusted-proxy", "192.0.2.1", "--bind", ""]).ok();
    let port = sandbox.port;
    let direct =
        format!("curl -sS -k {login} -A direct-by -H 'X-Forwarded-For: 192.0.2.66' https://localhost:{port}/v2/");
    shell(&direct).ok();
    let log = shell(&format!("docker logs {name}-proxy 2>&1 | grep direct-by")).ok().out;
    assert!(!log.contains("192.0.2.66"), "{log}");
    let plain = front.curl(&format!("{login} -w '%{{http_code}}' {}/v2/", front.url));
    assert!(plain.contains("this port speaks https") && plain.ends_with("400"), "{plain}");
}

#[test]
fn a_blog_behind_a_proxy_that_ends_tls() {
    let sandbox = Sandbox::new("frontblog");
    sandbox.blog_images();
    let front = Front::new(&sandbox);
    let (name, site) = (&sandbox.name, &front.url);
    blog(&sandbox, &["--public-url", "https://blog.test/notes"]).fails(2).says("without a path");
    let more = ["--public-url", site, "--trusted-proxy", "127.0.0.1", "--bind", "127.0.0.1"];
    blog(&sandbox, &[&INSTALLED[..], &more].concat()).ok();
    assert_eq!(sandbox.output("url"), format!("{site}/"));
    let page = front.curl(&format!("-H 'X-Forwarded-For: 192.0.2.66' {site}/"));
    assert!(page.contains(&format!("{site}/wp-")), "{page}");
    assert!(!page.contains("http://localhost") && !page.contains(&format!("localhost:{}", sandbox.port)), "{page}");
    let log = shell(&format!("docker logs {name} 2>&1 | grep 'GET / ' | tail -1")).ok().out;
    assert!(log.starts_with("127.0.0.9 "), "{log}");
    let to_login = front.curl(&format!("-o /dev/null -w '%{{http_code}} %{{redirect_url}}' {site}/wp-admin/"));
    assert!(to_login.starts_with(&format!("302 {site}/wp-login.php")), "{to_login}");
    let form = front.curl(&format!("-o /dev/null -w '%{{http_code}}' {site}/wp-login.php"));
    assert_eq!(form, "200", "it is shown, and not sent on for ever");
    // What WordPress knows of who asks.
    let known = "<?php require 'wp-load.php'; echo $_SERVER['REMOTE_ADDR'], is_ssl() ? ' https' : ' http';";
    sandbox.write("known.php", known);
    let copy = || shell(&format!("docker cp {}/known.php {name}:/var/www/html/", sandbox.home.path().display())).ok();
    copy();
    assert_eq!(front.curl(&format!("-H 'X-Forwarded-For: 192.0.2.66' {site}/known.php")), "127.0.0.9 https");
    blog(&sandbox, &[]).ok().says("nothing to change");
    // A proxy elsewhere: nobody here is believed.
    blog(&sandbox, &["--trusted-proxy", "192.0.2.1", "--bind", ""]).ok();
    copy();
    let lie = "-H 'X-Forwarded-For: 192.0.2.66' -H 'X-Forwarded-Proto: https'";
    let known = shell(&format!("curl -sS {lie} http://localhost:{}/known.php", sandbox.port)).ok().out;
    assert!(known.ends_with(" http") && !known.contains("192.0.2.66"), "{known}");
}
