//! What to do about errors of engines that people meet. An engine gives its reasons as text only.

use crate::error::Error;

/// A word or two of the engine's reason, all of which must be there, and what to do then.
const KNOWN: [(&[&str], &str); 13] = [
    (
        &["fully subnetted"],
        "the engine has no free address pool: `docker network prune` removes networks that nothing uses; or widen `default-address-pools` in its `daemon.json`",
    ),
    (
        &["non-overlapping IPv4 address pool"],
        "all address pools of the engine are taken by networks, or by routes of its host such as those of a VPN: `docker network ls` shows the former, and `ip route` the latter; `default-address-pools` in its `daemon.json` gives it others",
    ),
    (
        &["Pool overlaps with other one"],
        "another network has these addresses: `docker network ls` shows all, `docker network inspect` their subnets",
    ),
    (
        &["no space left on device"],
        "the disk of the engine is full: `docker system df` shows what takes the room; make some, then run the command again",
    ),
    (&["disk quota exceeded"], "the disk of the engine is full for its user; make room, then run the command again"),
    (
        &["read-only file system", "/var/lib/docker"],
        "the disk of the engine can only be read, as after a fault of the disk: `dmesg` on its host may tell",
    ),
    (
        &["toomanyrequests"],
        "the registry's rate limit is reached: log in with `docker login`, wait, or pull from another one with `--mirror`",
    ),
    (
        &["could not find an available", "plugin"],
        "the engine has no driver of that name: `docker info` lists those that it has",
    ),
    (&["plugin", "not found"], "the engine has no driver of that name: `docker info` lists those that it has"),
    (&["could not find plugin"], "the engine has no driver of that name: `docker info` lists those that it has"),
    (
        &["iptables", "No chain"],
        "a firewall has taken the engine's rules away: `sudo systemctl restart docker` puts them back",
    ),
    (
        &["network", "not found"],
        "`docker network ls` shows which networks there are; one of the deployment itself is made anew by the next run",
    ),
    (
        &["HTTP request to an HTTPS server"],
        "this engine wants TLS: set `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH` to the folder of `ca.pem`, `cert.pem` and `key.pem`",
    ),
];

/// What to do about a reason, if that is known.
fn of(reason: &str) -> Option<&'static str> {
    let lower = reason.to_lowercase();
    let fits = |words: &[&str]| words.iter().all(|word| lower.contains(&word.to_lowercase()));
    KNOWN.iter().find(|(words, _)| fits(words)).map(|(_, hint)| *hint)
}

/// The error with what to do about it, if that is known.
pub(super) fn add(error: Error, reason: &str) -> Error {
    match of(reason) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// What to do where TLS could not be agreed upon.
pub(super) fn of_tls(reason: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&["UnknownIssuer", "BadSignature"]) {
        return "its certificate is of another authority than that in `ca.pem`: give the right one, in the folder of `DOCKER_CERT_PATH` or in the context";
    }
    if has(&["not valid for name", "NotValidForName"]) {
        return "its certificate has other names: reach it by one of those, or issue it anew with this one";
    }
    if has(&["expired", "Expired", "NotValidYet", "not valid yet"]) {
        return "renew the certificate of the engine, or set the clock of this host";
    }
    if has(&["CertificateRequired", "BadCertificate", "UnknownCA", "HandshakeFailure", "AccessDenied"]) {
        return "the engine wants a certificate that its own authority has issued: `cert.pem` and `key.pem` beside `ca.pem`";
    }
    if has(&["corrupt message"]) {
        return "the server does not speak TLS: check the port (2376 by convention)";
    }
    "check that the engine was started with `--tlsverify`, and the files in the folder of `DOCKER_CERT_PATH` or in the context"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_meet_has_a_hint() {
        let met = [
            (
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network",
                "default-address-pools",
            ),
            ("all predefined address pools have been fully subnetted", "default-address-pools"),
            ("write /var/lib/docker/overlay2/x: no space left on device", "docker system df"),
            ("network 0f1c not found", "docker network ls"),
            ("could not find plugin weave in v1 plugin registry: plugin not found", "docker info"),
            ("Client sent an HTTP request to an HTTPS server.", "DOCKER_TLS_VERIFY"),
            ("toomanyrequests: You have reached your pull rate limit.", "docker login"),
        ];
        for (reason, hint) in met {
            assert!(of(reason).is_some_and(|found| found.contains(hint)), "{reason}: {:?}", of(reason));
        }
        assert_eq!(of("port is already allocated"), None);
    }

    #[test]
    fn no_hint_deletes_data() {
        for (_, hint) in KNOWN {
            assert!(!hint.contains("volume") && !hint.contains("rm ") && !hint.contains("system prune"), "{hint}");
        }
    }
}
