//! Whatever decides where a registry's images are, and every setting of it, is taken over by `provision adopt` or told.

use std::fmt::Write as _;

use crate::adopt::{Host, has};
use crate::snapshot;

const CONFIG: &str =
    "version: 0.1\nstorage: { filesystem: { rootdirectory: /var/lib/registry } }\nhttp: { addr: \"127.0.0.1:5000\" }\n";
const UNIT: &str = "[Service]\nExecStart=/usr/bin/docker-registry serve /etc/docker/registry/config.yml\n";

fn host(unit: &str) -> Host {
    let host = Host::new();
    host.write("/etc/hostname", "r.example.com\n")
        .write("/etc/docker/registry/config.yml", CONFIG)
        .write("/lib/systemd/system/docker-registry.service", unit);
    host
}

/// Another file of the host.
type More = Option<(&'static str, String)>;

#[test]
fn the_folder_of_the_images_is_found_wherever_it_is_said() {
    let set = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv/images";
    let environment = format!("{UNIT}Environment={set}\n");
    let file = format!("{UNIT}EnvironmentFile=-/srv/registry.env\n");
    let other = UNIT.replace("/etc/docker/registry/config.yml", "/srv/other.yml");
    let in_place =
        format!("[Service]\nExecStart=/usr/bin/env {set} docker-registry serve /etc/docker/registry/config.yml\n");
    let cases: [(&str, &str, More); 7] = [
        ("in the unit", &environment, None),
        ("on its command line", &in_place, None),
        ("in a file of variables", &file, Some(("/srv/registry.env", format!("{set}\n")))),
        (
            "in an addition to the unit",
            UNIT,
            Some((
                "/etc/systemd/system/docker-registry.service.d/images.conf",
                format!("[Service]\nEnvironment=\"{set}\"\n"),
            )),
        ),
        ("in the defaults", UNIT, Some(("/etc/default/docker-registry", format!("export {set}\n")))),
        (
            "in another configuration",
            &other,
            Some(("/srv/other.yml", CONFIG.replace("/var/lib/registry", "/srv/images"))),
        ),
        (
            "by an addition, against the unit",
            &environment.replace("/srv/images", "/wrong"),
            Some((
                "/etc/systemd/system/docker-registry.service.d/images.conf",
                format!("[Service]\nEnvironment={set}\n"),
            )),
        ),
    ];
    for (what, unit, more) in cases {
        let host = host(unit);
        if let Some((path, text)) = more {
            host.write(path, text);
        }
        host.adopt();
        assert!(host.inputs().contains("\ndata-folder: /srv/images\n"), "{what}: {}", host.inputs());
        assert_eq!(
            host.sandbox.run("graph registry --inputs registry.inputs.yml").code,
            0,
            "{what}: {}",
            host.inputs()
        );
    }
}

#[test]
fn what_adds_to_a_unit_steps_aside_with_it() {
    let host = host(UNIT);
    host.write("/etc/systemd/system/docker-registry.service.d/x.conf", "[Service]\nNice=5\n");
    host.adopt();
    assert!(host.inputs().contains("- /etc/systemd/system/docker-registry.service.d/x.conf\n"), "{}", host.inputs());
}

#[test]
fn a_store_may_be_said_by_variables_alone() {
    let host = host(&format!(
        "{UNIT}Environment=REGISTRY_STORAGE=s3 REGISTRY_STORAGE_S3_BUCKET=images REGISTRY_STORAGE_S3_REGION=eu-west-1 REGISTRY_HTTP_ADDR=0.0.0.0:5001\n"
    ));
    let said = host.adopt();
    has(&host.inputs(), &["\nflavor: s3\n", "\nbucket: images\n", "\nregion: eu-west-1\n"]);
    has(&said, &["listens on `0.0.0.0:5001`"]);
}

#[test]
fn every_setting_is_taken_over_or_told() {
    let mut text = String::new();
    for more in [
        "redis: { addr: \"redis:6379\", password: HUSH }\nproxy: { remoteurl: \"https://registry-1.docker.io\", username: me, password: HUSH, ttl: 24h }\n",
        "notifications: { endpoints: [{ name: x, url: \"https://x/\" }] }\nmiddleware: { storage: [{ name: cloudfront }] }\n",
        "auth: { token: { realm: \"https://auth/\", service: r, issuer: i, rootcertbundle: /x } }\nlog: { level: debug, hooks: [{ type: mail }] }\nhealth: { storagedriver: { enabled: true }, tcp: [{ addr: \"x:1\" }] }\n",
        "validation: { disabled: true }\ncompatibility: { schema1: { enabled: false } }\nreporting: {}\n",
    ] {
        let host = host(UNIT);
        let headers = "http: { addr: \"127.0.0.1:5000\", headers: { X-Content-Type-Options: [nosniff], Access-Control-Allow-Origin: [\"*\"] }, secret: HUSH, http2: { disabled: true } }\n";
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: /srv/r, maxthreads: 50 }}, delete: {{ enabled: false }}, maintenance: {{ readonly: {{ enabled: true }} }} }}\n{headers}{more}"
        );
        host.write("/etc/docker/registry/config.yml", config);
        let said = host.adopt();
        let graph = host.sandbox.run("graph registry --inputs registry.inputs.yml");
        assert_eq!(graph.code, 0, "{}{}", graph.text, host.inputs());
        writeln!(text, "{said}\n{}", host.inputs().replace("HUSH", "[secret]")).unwrap();
    }
    snapshot!("adopt_settings", text);
}

#[test]
fn an_endpoint_without_a_scheme_is_asked_as_the_registry_asked_it() {
    let host = host(UNIT);
    let config = "version: 0.1\nstorage: { s3: { bucket: b, region: r, regionendpoint: \"store:9000\", secure: false, v4auth: true } }\n";
    host.write("/etc/docker/registry/config.yml", config);
    host.adopt();
    has(&host.inputs(), &["\nendpoint: \"http://store:9000\"\n"]);
}

#[test]
fn files_that_are_named_are_read_whatever_they_are_called() {
    let host = Host::new();
    host.write("/etc/hostname", "r.example.com\n")
        .write("/srv/conf", CONFIG.replace("/var/lib/registry", "/srv/images"))
        .write("/srv/site", "server { listen 443 ssl; server_name site.example.com; location /v2/ { auth_basic x; auth_basic_user_file /srv/people; proxy_pass http://127.0.0.1:5000; } }\n")
        .write("/srv/people", format!("alice:{}\n", bcrypt::hash("HUSH", 4).unwrap()))
        .write("/srv/compose.yml", "services:\n  registry: { image: registry:2, volumes: [\"./images:/var/lib/registry\"] }\n")
        .write("/srv/notes", "buy milk\n");
    let named = ["conf", "site", "people", "compose.yml", "notes"].map(|name| format!("host/srv/{name}")).join(" ");
    let outcome = host.sandbox.run(&format!("adopt --root host {named}"));
    assert_eq!(outcome.code, 0, "{}", outcome.text);
    has(&host.inputs(), &["\ndata-folder: /srv/images\n", "\ncn: site.example.com\n"]);
    has(
        &outcome.text,
        &[
            "install -m 0600 /srv/people",
            "`/srv/notes`: neither a registry's configuration",
            "`/srv/compose.yml`: a file of Docker Compose",
        ],
    );
}
