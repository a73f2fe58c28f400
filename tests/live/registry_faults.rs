//! Registries that fail, lie and run full, and clients whose logins end: what `copy`, `migrate` and `push` make of it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::{Ran, Sandbox, shell};
use crate::migrate::Stock;
use crate::relay::{Fault, Relay, Request};

/// The digest of an image as the registry itself has it; nothing if it has no such image.
fn digest(registry: &Stock, image: &str) -> String {
    let (name, tag) = image.split_once(':').unwrap();
    let accept = "-H 'Accept: application/vnd.oci.image.manifest.v1+json'";
    shell(&format!(
        "curl -sf {accept} {}/v2/{name}/manifests/{tag} | sha256sum | grep -v ^e3b0c442 | cut -c-64",
        registry.url
    ))
    .out
}

fn is_layer(request: &Request, method: &str) -> bool {
    request.method == method && request.path.contains("/blobs/sha256:")
}

fn copy(sandbox: &Sandbox, from: &str, to: &str) -> Ran {
    sandbox.command(&["copy", from, to])
}

/// Two registries with a relay before each; the first has images.
struct Place {
    sandbox: Sandbox,
    source: Stock,
    target: Stock,
    from: Relay,
    to: Relay,
}

impl Place {
    fn new(test: &str) -> Self {
        let sandbox = Sandbox::new(test);
        let (source, target) = (Stock::start(&sandbox, 4), Stock::empty(&sandbox, "target", ""));
        let (from, to) = (Relay::before(source.port()), Relay::before(target.port()));
        Self { sandbox, source, target, from, to }
    }

    /// Copies the image with a layer of 40 MB, whose name at the target is new each time.
    fn copied(&self, name: &str) -> Ran {
        copy(&self.sandbox, &format!("{}/large/app:1", self.from.url), &format!("{}/{name}:1", self.to.url))
    }

    /// It fails, says all this, and nothing has the name.
    fn fails(&self, name: &str, texts: &[&str]) {
        let mut ran = self.copied(name).fails(1);
        for text in [&["hint:", "large/app:1"], texts].concat() {
            ran = ran.says(text);
        }
        assert_eq!(digest(&self.target, &format!("{name}:1")), "", "{name} is there: {}", ran.all());
        self.heal();
    }

    fn arrives(&self, name: &str) {
        self.copied(name).ok().says("copied");
        assert_eq!(digest(&self.target, &format!("{name}:1")), digest(&self.source, "large/app:1"), "{name}");
        self.heal();
    }

    fn heal(&self) {
        self.from.fail(|_| None);
        self.to.fail(|_| None);
    }
}

#[test]
fn what_breaks_off_is_taken_up_and_what_is_wrong_gets_no_name() {
    let place = Place::new("cuts");
    // The layer breaks off after each tenth of it.
    place.from.fail(|request| is_layer(request, "GET").then_some(Fault::CutAnswer(4_000_000)));
    place.arrives("down");
    // What is sent breaks off too, each time in another place.
    let count = AtomicUsize::new(0);
    place.to.fail(move |request| {
        let tenths = [1, 5, 9].get(count.fetch_add(usize::from(request.method == "PATCH"), Ordering::SeqCst))?;
        (request.method == "PATCH").then_some(Fault::CutRequest(request.length * tenths / 10))
    });
    place.arrives("up");
    // Once only: an answer that a client is to wait for.
    for (status, headers) in [(408, ""), (429, "Retry-After: 1\r\n"), (503, "Retry-After: 1\r\n")] {
        let left = AtomicUsize::new(3);
        place.to.fail(move |request| {
            let is_it = matches!(request.method.as_str(), "POST" | "PATCH" | "PUT");
            let fails =
                is_it && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            fails.then(|| Fault::Answer(status, headers.to_owned(), String::new()))
        });
        place.arrives(&format!("patience{status}"));
    }

    place.from.fail(|request| is_layer(request, "GET").then_some(Fault::Change(|_, body| body[0] ^= 1)));
    place.fails("wrong", &["layer ", "has another content"]);
    let longer: fn(&mut String, &mut Vec<u8>) = |head, body| {
        *head =
            head.replace(&format!("Content-Length: {}", body.len()), &format!("Content-Length: {}", body.len() + 9));
        body.extend_from_slice(b"too much!");
    };
    place.from.fail(move |request| is_layer(request, "GET").then_some(Fault::Change(longer)));
    place.fails("longer", &["layer ", "longer than the "]);
    let page = || Fault::Answer(200, "Content-Type: text/html\r\n".to_owned(), "<html>log in</html>".to_owned());
    place.from.fail(move |request| is_layer(request, "GET").then(page));
    place.fails("page", &["layer ", "HTML"]);
    place.from.fail(move |request| request.path.contains("/manifests/").then(page));
    place.fails("page-manifest", &["HTML"]);
    let large = |request: &Request| request.method == "PATCH" || request.method == "PUT";
    let answer = |status: u16| move || Fault::Answer(status, String::new(), "<html>too large</html>".to_owned());
    place.to.fail(move |request| large(request).then(answer(413)));
    place.fails("large", &["layer ", "413", "client_max_body_size"]);
    place.to.fail(move |request| large(request).then(answer(507)));
    place.fails("full", &["layer ", "507", "the registry's disk is full"]);
    place.to.fail(move |request| {
        request.method.eq("PUT").then(answer(404)).filter(|_| request.path.contains("/manifests/"))
    });
    place.fails("refused", &["404"]);
    // All that was in the way is gone: the same command goes on.
    place.arrives("wrong");
}

#[test]
fn a_full_disk_a_moving_tag_and_two_copies_at_once_leave_nothing_half_made() {
    let place = Place::new("odds");
    let Place { sandbox, source, target, from, to } = &place;
    let full = Stock::empty(sandbox, "full", "--tmpfs /tmp/images:size=20m,mode=1777");
    let large = format!("{}/large/app:1", from.url);
    let refused = copy(sandbox, &large, &format!("{}/a:1", full.url)).fails(1).says("large/app:1").says("layer ");
    assert!(refused.says("the registry's own log says why").all().contains("answers 500"));
    assert_eq!(digest(&full, "a:1"), "");

    // The tag becomes another image as soon as its layer is asked for: what was looked at is copied, and the proof tells it.
    let before = digest(source, "large/app:1");
    let (url, moved) = (source.url.clone(), AtomicUsize::new(0));
    from.fail(move |request| {
        if is_layer(request, "GET") && moved.fetch_add(1, Ordering::SeqCst) == 0 {
            let kind = "application/vnd.oci.image.manifest.v1+json";
            shell(&format!("curl -sf -H 'Accept: {kind}' {url}/v2/large/app/manifests/1 | jq -c '.annotations = {{moved: \"yes\"}}' | curl -sf -X PUT -H 'Content-Type: {kind}' --data-binary @- {url}/v2/large/app/manifests/1")).ok();
        }
        None
    });
    let migrated = sandbox.command(&["migrate", &from.url, &to.url, "--match", "large/*"]).fails(3);
    migrated.says("large/app:1 differs");
    assert_eq!(digest(target, "large/app:1"), before);
    assert_ne!(digest(source, "large/app:1"), before);
    place.heal();

    let line = ["copy", &large, &format!("{}/both:1", to.url)];
    let runs = [sandbox.start(&line), sandbox.start(&line)];
    for run in runs {
        let ended = run.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    assert_eq!(digest(target, "both:1"), digest(source, "large/app:1"));

    // A push whose layer breaks off, and one that is refused.
    let image = format!("{}:1", sandbox.name);
    let folder = sandbox.home.path().display();
    shell(&format!("set -e; mkdir {folder}/root; head -c 20000000 /dev/urandom >{folder}/root/random; tar -C {folder}/root -c . | docker import - {image}")).ok();
    let push = || sandbox.command(&["push", &to.url, &image]);
    to.fail(|request| (request.method == "PATCH").then(|| Fault::Answer(413, String::new(), String::new())));
    let refused = push();
    let count = AtomicUsize::new(0);
    to.fail(move |request| {
        let tenths = [3, 7].get(count.fetch_add(usize::from(request.method == "PATCH"), Ordering::SeqCst))?;
        (request.method == "PATCH").then_some(Fault::CutRequest(request.length * tenths / 10))
    });
    let pushed = push();
    shell(&format!("docker rmi {image}"));
    refused.fails(1).says(&image).says("layer `").says("client_max_body_size");
    pushed.ok().says("pushed ");
    assert_ne!(digest(target, &image), "");
}

/// Has a relay want tokens, of which all that were used are void after every 25 requests. It gives them for a password or a longer token.
fn wants_tokens(relay: &Relay) {
    let (url, count) = (relay.url.clone(), AtomicUsize::new(0));
    // Each with whether it was used.
    let mut good: Vec<(String, bool)> = Vec::new();
    relay.fail(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        if request.path.starts_with("/token") {
            let by_password = request.method == "GET" && request.authorization == "Basic bWU6c2VjcmV0";
            let by_token = request.method == "POST" && request.body.contains("refresh_token=long-lived");
            if !by_password && !by_token {
                return Some(Fault::Answer(401, String::new(), "{\"details\":\"who are you\"}".to_owned()));
            }
            good.push((format!("Bearer t{number}"), false));
            let field = if by_password { "token" } else { "access_token" };
            return Some(Fault::Answer(
                200,
                String::new(),
                format!("{{\"{field}\":\"t{number}\",\"expires_in\":300}}"),
            ));
        }
        if number % 25 == 24 {
            good.retain(|(_, used)| !used);
        }
        let known = good.iter_mut().find(|(token, _)| *token == request.authorization);
        let challenge = format!("WWW-Authenticate: Bearer realm=\"{url}/token\",service=\"test\"\r\n");
        match known {
            Some((_, used)) => {
                *used = true;
                None
            }
            None => Some(Fault::Answer(401, challenge, String::new())),
        }
    });
}

#[test]
fn tokens_run_out_and_helpers_keep_the_logins() {
    let mut place = Place::new("tokens");
    let folder = place.sandbox.home.path().display().to_string();
    let hosts = [place.from.host(), place.to.host()];
    let helpers: Vec<String> = hosts.iter().map(|host| format!("\"{host}\":\"test\"")).collect();
    place.sandbox.write("config.json", &format!("{{\"credHelpers\":{{{}}}}}", helpers.join(",")));
    place.sandbox.variables.push(("DOCKER_CONFIG", folder.clone()));
    place.sandbox.variables.push(("PATH", format!("{folder}:{}", std::env::var("PATH").unwrap())));
    let helper = |place: &Place, script: &str| {
        let file = place
            .sandbox
            .write("docker-credential-test", &format!("#!/bin/sh\n[ \"$1\" = get ] || exit 9\nread host\n{script}\n"));
        shell(&format!("chmod 755 {file}")).ok();
    };
    let says = |user: &str, secret: &str| {
        format!("printf '{{\"ServerURL\":\"%s\",\"Username\":\"{user}\",\"Secret\":\"{secret}\"}}' $host")
    };
    wants_tokens(&place.from);
    wants_tokens(&place.to);
    let migrate = |place: &Place| place.sandbox.command(&["migrate", &place.from.url, &place.to.url]);
    helper(&place, &says("me", "wrong"));
    migrate(&place).fails(1).says("gives no token").says("it answers 401").says("docker login");
    helper(&place, "echo the safe is locked; exit 1");
    migrate(&place).fails(1).says("`docker-credential-test` gives no login").says("the safe is locked");
    helper(&place, &says("me", "secret"));
    migrate(&place).ok().says("are the same on both sides");
    assert_eq!(digest(&place.target, "large/app:1"), digest(&place.source, "large/app:1"));
    helper(&place, &says("<token>", "long-lived"));
    migrate(&place).ok().says("unchanged").says("0 kB were sent");
    helper(&place, "echo credentials not found in native keychain; exit 1");
    migrate(&place).fails(1).says("gives no token");
}
