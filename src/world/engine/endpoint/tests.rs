#![expect(clippy::disallowed_methods, reason = "a test looks at the world")]

use std::fs;

use super::*;

/// A folder of Docker's configuration with one context, and the current one.
fn folder(context: &str, meta: &str, current: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("contexts/meta").join(sha256(context.as_bytes()));
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("meta.json"), meta).unwrap();
    fs::write(folder.path().join("config.json"), format!(r#"{{"auths":{{}},"currentContext":"{current}"}}"#)).unwrap();
    folder
}

fn far(more: &str) -> String {
    format!(r#"{{"Name":"far","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"tcp://far:2376"{more}}}}}}}"#)
}

fn words(host: &str, context: &str) -> Words {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Words { host: given(host), context: given(context), ..Words::default() }
}

fn of(words: &Words, folder: &tempfile::TempDir) -> std::result::Result<String, String> {
    Endpoint::of(words, Some(folder.path())).map(|found| found.describe()).map_err(|error| error.render())
}

#[test]
fn addresses_are_read_as_docker_reads_them() {
    let read = |text: &str| Address::parse(text).map(|found| found.to_string()).map_err(|error| error.to_string());
    let same = [
        ("unix:///run/d.sock", "unix:///run/d.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("tcp://far:2376", "tcp://far:2376"),
        ("tcp://far", "tcp://far:2375"),
        ("tcp://:2380", "tcp://localhost:2380"),
        ("far:2380", "tcp://far:2380"),
        ("tcp://[::1]:2376", "tcp://[::1]:2376"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("tcp://far:2376/", "tcp://far:2376"),
    ];
    for (text, address) in same {
        assert_eq!(read(text).as_deref(), Ok(address), "{text}");
    }
    for text in [
        "ssh://a;id",
        "ssh://-oProxyCommand=id",
        "ssh://",
        "npipe:////./pipe/docker_engine",
        "tcp://far:x",
        "tcp://far/path",
        "tcp://a b:1",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn an_address_goes_before_a_context_and_that_before_the_current_one() {
    let folder = folder("far", &far(""), "far");
    let tcp = "tcp://far:2376 (context `far`)".to_owned();
    assert_eq!(of(&words("", ""), &folder), Ok(tcp.clone()));
    assert_eq!(of(&words("", "far"), &folder), Ok(tcp));
    assert_eq!(of(&words("", "default"), &folder), Ok("unix:///var/run/docker.sock".to_owned()));
    assert_eq!(of(&words("unix:///x", "far"), &folder), Ok("unix:///x".to_owned()));
    // As `docker` has it, an address of blanks says that no context counts.
    assert_eq!(of(&words(" ", "far"), &folder), Ok("unix:///var/run/docker.sock".to_owned()));
    let missing = of(&words("", "nowhere"), &folder).unwrap_err();
    assert!(missing.contains("no context `nowhere` of Docker, which `DOCKER_CONTEXT` names"), "{missing}");
}

#[test]
fn what_asks_for_protection_gets_it_or_is_refused() {
    let folder = folder("far", &far(""), "far");
    let asking = |words: Words| Words { verify: true, ..words };
    let refused = |words: &Words| of(words, &folder).unwrap_err();
    assert!(refused(&asking(words("", ""))).contains("the context `far` (`tcp://far:2376`) has none"));
    assert!(refused(&asking(words("tcp://far:1", ""))).contains("there is no `"));
    assert!(refused(&asking(words("http://far:1", ""))).contains("for none"));
    let certificates = Words { certificates: Some("/nowhere".into()), ..words("tcp://far:1", "") };
    assert!(refused(&certificates).contains("nothing asks for TLS"));
    // A socket needs none; `DOCKER_TLS_VERIFY` alone leads to another engine.
    assert_eq!(of(&asking(words("unix:///x", "")), &folder), Ok("unix:///x".to_owned()));
    assert!(refused(&asking(words("", "default"))).contains("there is no `"));
}

#[test]
fn a_context_brings_its_own_protection() {
    let skips = folder("far", &far(r#","SkipTLSVerify":true"#), "far");
    assert_eq!(of(&words("", ""), &skips), Ok("tcp://far:2376 (context `far`, TLS)".to_owned()));
    let verify = Words { verify: true, ..words("", "") };
    assert!(of(&verify, &skips).unwrap_err().contains("does without"));
    let damaged = folder("far", &far(""), "far");
    let tls = damaged.path().join("contexts/tls").join(sha256(b"far")).join("docker");
    fs::create_dir_all(&tls).unwrap();
    fs::write(tls.join("ca.pem"), "no certificate").unwrap();
    let error = of(&words("", ""), &damaged).unwrap_err();
    assert!(error.contains("the context `far` of Docker") && error.contains("ca.pem` holds no certificate"), "{error}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_no_reason_to_take_another_engine() {
    let folder = folder("far", "{", "far");
    assert!(of(&words("", ""), &folder).unwrap_err().contains("cannot be understood"));
    fs::write(folder.path().join("config.json"), r#"{"auths":{"x":{"auth":"c2VjcmV0"}},"#).unwrap();
    let error = of(&words("", ""), &folder).unwrap_err();
    assert!(error.contains("it cannot be told which engine is meant") && !error.contains("c2VjcmV0"), "{error}");
    assert_eq!(of(&words("unix:///x", ""), &folder), Ok("unix:///x".to_owned()));
    let link = tempfile::tempdir().unwrap();
    assert_eq!(Endpoint::of(&words("tcp://far", ""), Some(link.path())).unwrap().host(), "far");
}
