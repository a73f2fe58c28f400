//! The first registry (docker-registry 0.9.1, API v1), for real: what it reads of each flavor, and what its clients of 2014 would do.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value as Json, json};

use crate::engine::{Sandbox, shell};
use crate::machine::{BARE, Host};
use crate::stores::Store;

/// The image of the program, built once.
fn image(sandbox: &Sandbox) -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let text = "resources:\n  - image: it\n    build: registry-v1\n    suite: bullseye\noutputs:\n  it: \"{{ it.reference }}\"\n";
        let playbook = sandbox.write("v1-image.yml", text);
        let name = format!("{}-v1-image", sandbox.name);
        sandbox.command(&["apply", &playbook, "--name", &name]).ok();
        sandbox.command(&["output", &name, "it"]).ok().out.trim().to_owned()
    })
}

/// A setting: its path, the variable that gives it, and its default as JSON. Without a variable it is always that.
type Setting = (&'static str, &'static str, &'static str);

const COMMON: &[Setting] = &[
    ("issue", "", r#""\"docker-registry server\"""#),
    ("loglevel", "LOGLEVEL", r#""info""#),
    ("debug", "DEBUG", "false"),
    ("standalone", "STANDALONE", "true"),
    ("index_endpoint", "INDEX_ENDPOINT", r#""https://index.docker.io""#),
    ("storage_redirect", "STORAGE_REDIRECT", "null"),
    ("disable_token_auth", "DISABLE_TOKEN_AUTH", "null"),
    ("privileged_key", "PRIVILEGED_KEY", "null"),
    ("search_backend", "SEARCH_BACKEND", "null"),
    ("sqlalchemy_index_database", "SQLALCHEMY_INDEX_DATABASE", r#""sqlite:////tmp/docker-registry.db""#),
    ("mirroring.source", "MIRROR_SOURCE", "null"),
    ("mirroring.source_index", "MIRROR_SOURCE_INDEX", "null"),
    ("mirroring.tags_cache_ttl", "MIRROR_TAGS_CACHE_TTL", "172800"),
    ("cache.host", "CACHE_REDIS_HOST", "null"),
    ("cache.port", "CACHE_REDIS_PORT", "null"),
    ("cache.db", "CACHE_REDIS_DB", "0"),
    ("cache.password", "CACHE_REDIS_PASSWORD", "null"),
    ("cache_lru.host", "CACHE_LRU_REDIS_HOST", "null"),
    ("cache_lru.port", "CACHE_LRU_REDIS_PORT", "null"),
    ("cache_lru.db", "CACHE_LRU_REDIS_DB", "0"),
    ("cache_lru.password", "CACHE_LRU_REDIS_PASSWORD", "null"),
    ("email_exceptions.smtp_host", "SMTP_HOST", "null"),
    ("email_exceptions.smtp_port", "SMTP_PORT", "25"),
    ("email_exceptions.smtp_login", "SMTP_LOGIN", "null"),
    ("email_exceptions.smtp_password", "SMTP_PASSWORD", "null"),
    ("email_exceptions.smtp_secure", "SMTP_SECURE", "false"),
    ("email_exceptions.from_addr", "SMTP_FROM_ADDR", r#""docker-registry@localdomain.local""#),
    ("email_exceptions.to_addr", "SMTP_TO_ADDR", r#""noise+dockerregistry@localdomain.local""#),
    ("bugsnag", "BUGSNAG", "null"),
    ("cors.origins", "CORS_ORIGINS", "null"),
    ("cors.methods", "CORS_METHODS", "null"),
    ("cors.headers", "CORS_HEADERS", r#"["Content-Type"]"#),
    ("cors.expose_headers", "CORS_EXPOSE_HEADERS", "null"),
    ("cors.supports_credentials", "CORS_SUPPORTS_CREDENTIALS", "null"),
    ("cors.max_age", "CORS_MAX_AGE", "null"),
    ("cors.send_wildcard", "CORS_SEND_WILDCARD", "null"),
    ("cors.always_send", "CORS_ALWAYS_SEND", "null"),
    ("cors.automatic_options", "CORS_AUTOMATIC_OPTIONS", "null"),
    ("cors.vary_header", "CORS_VARY_HEADER", "null"),
    ("cors.resources", "CORS_RESOURCES", "null"),
];
const LOCAL: &[Setting] = &[("storage", "", r#""local""#), ("storage_path", "STORAGE_PATH", r#""/tmp/registry""#)];
const S3: &[Setting] = &[
    ("storage", "", r#""s3""#),
    ("s3_region", "AWS_REGION", "null"),
    ("s3_bucket", "AWS_BUCKET", "null"),
    ("boto_bucket", "AWS_BUCKET", "null"),
    ("storage_path", "STORAGE_PATH", r#""/registry""#),
    ("s3_encrypt", "AWS_ENCRYPT", "true"),
    ("s3_secure", "AWS_SECURE", "true"),
    ("s3_access_key", "AWS_KEY", "null"),
    ("s3_secret_key", "AWS_SECRET", "null"),
    ("s3_use_sigv4", "AWS_USE_SIGV4", "null"),
    ("boto_host", "AWS_HOST", "null"),
    ("boto_port", "AWS_PORT", "null"),
    ("boto_calling_format", "AWS_CALLING_FORMAT", "null"),
];
const CLOUDFRONT: &[Setting] = &[
    ("cloudfront.base", "CF_BASE_URL", "null"),
    ("cloudfront.keyid", "CF_KEYID", "null"),
    ("cloudfront.keysecret", "CF_KEYSECRET", "null"),
];
const AZURE: &[Setting] = &[
    ("storage", "", r#""azureblob""#),
    ("azure_storage_account_name", "AZURE_STORAGE_ACCOUNT_NAME", "null"),
    ("azure_storage_account_key", "AZURE_STORAGE_ACCOUNT_KEY", "null"),
    ("azure_storage_container", "AZURE_STORAGE_CONTAINER", r#""registry""#),
    ("azure_use_https", "AZURE_USE_HTTPS", "true"),
];
const CEPH: &[Setting] = &[
    ("storage", "", r#""s3""#),
    ("s3_region", "", "null"),
    ("s3_bucket", "AWS_BUCKET", "null"),
    ("boto_bucket", "AWS_BUCKET", "null"),
    ("storage_path", "STORAGE_PATH", r#""/registry""#),
    ("s3_encrypt", "AWS_ENCRYPT", "false"),
    ("s3_secure", "AWS_SECURE", "false"),
    ("s3_access_key", "AWS_KEY", "null"),
    ("s3_secret_key", "AWS_SECRET", "null"),
    ("boto_host", "AWS_HOST", "null"),
    ("boto_port", "AWS_PORT", "null"),
    ("boto_debug", "AWS_DEBUG", "0"),
    ("boto_calling_format", "AWS_CALLING_FORMAT", "null"),
];
const GCS: &[Setting] = &[
    ("storage", "", r#""gcs""#),
    ("boto_bucket", "GCS_BUCKET", "null"),
    ("storage_path", "STORAGE_PATH", r#""/registry""#),
    ("gs_secure", "GCS_SECURE", "true"),
    ("gs_access_key", "GCS_KEY", "null"),
    ("gs_secret_key", "GCS_SECRET", "null"),
    ("oauth2", "GCS_OAUTH2", "false"),
];
const SWIFT: &[Setting] = &[
    ("storage", "", r#""swift""#),
    ("storage_path", "STORAGE_PATH", r#""/registry""#),
    ("swift_authurl", "OS_AUTH_URL", "null"),
    ("swift_container", "OS_CONTAINER", "null"),
    ("swift_user", "OS_USERNAME", "null"),
    ("swift_password", "OS_PASSWORD", "null"),
    ("swift_tenant_name", "OS_TENANT_NAME", "null"),
    ("swift_region_name", "OS_REGION_NAME", "null"),
];
const GLANCE: &[Setting] = &[
    ("storage", "", r#""glance""#),
    ("storage_alternate", "GLANCE_STORAGE_ALTERNATE", r#""file""#),
    ("storage_path", "STORAGE_PATH", r#""/tmp/registry""#),
];
const GLANCE_ON_SWIFT: &[Setting] = &[("storage", "", r#""glance""#), ("storage_alternate", "", r#""swift""#)];
const ELLIPTICS: &[Setting] = &[
    ("storage", "", r#""elliptics""#),
    ("elliptics_nodes", "ELLIPTICS_NODES", "null"),
    ("elliptics_wait_timeout", "ELLIPTICS_WAIT_TIMEOUT", "60"),
    ("elliptics_check_timeout", "ELLIPTICS_CHECK_TIMEOUT", "60"),
    ("elliptics_io_thread_num", "ELLIPTICS_IO_THREAD_NUM", "2"),
    ("elliptics_net_thread_num", "ELLIPTICS_NET_THREAD_NUM", "2"),
    ("elliptics_nonblocking_io_thread_num", "ELLIPTICS_NONBLOCKING_IO_THREAD_NUM", "2"),
    ("elliptics_groups", "ELLIPTICS_GROUPS", "null"),
    ("elliptics_verbosity", "ELLIPTICS_VERBOSITY", "4"),
    ("elliptics_logfile", "ELLIPTICS_LOGFILE", r#""/dev/stderr""#),
    ("elliptics_addr_family", "ELLIPTICS_ADDR_FAMILY", "2"),
];
const OSS: &[Setting] = &[
    ("storage", "", r#""oss""#),
    ("storage_path", "STORAGE_PATH", r#""/registry/""#),
    ("oss_host", "OSS_HOST", "null"),
    ("oss_bucket", "OSS_BUCKET", "null"),
    ("oss_accessid", "OSS_KEY", "null"),
    ("oss_accesskey", "OSS_SECRET", "null"),
];
const DEV: &[Setting] = &[
    ("loglevel", "LOGLEVEL", r#""debug""#),
    ("debug", "DEBUG", "true"),
    ("search_backend", "SEARCH_BACKEND", r#""sqlalchemy""#),
];
const TEST: &[Setting] = &[
    ("index_endpoint", "", r#""https://registry-stage.hub.docker.com""#),
    ("standalone", "", "true"),
    ("storage_path", "STORAGE_PATH", r#""./tmp/test""#),
];
const PROD: &[Setting] = &[("storage_path", "STORAGE_PATH", r#""/prod""#)];
const MINE: &[Setting] = &[("storage_path", "STORAGE_PATH", r#""/mine""#), ("of_mine", "OF_MINE", r#""a: b""#)];

const MINE_TEXT: &str =
    "mine:\n  <<: *local\n  storage_path: _env:STORAGE_PATH:/mine\n  of_mine: '_env:OF_MINE:\"a: b\"'\n";

/// Prints what the program itself reads, by the paths of the settings.
const SHOW: &str = "import json, sys\nfrom docker_registry.lib import config\ndef flat(c, at):\n  for k in c.keys():\n    v = c[k]\n    if isinstance(v, config.Config):\n      for x in flat(v, at + k + '.'): yield x\n    else: yield at + k, v\nprint(json.dumps(dict(flat(config.load(), ''))))\n";

/// The variable that names a file, which the program would open.
const KEY: &str = "PRIVILEGED_KEY";

/// Reads the configuration twice: without variables, and with all of these.
fn script(flavor: &str, names: &[&str]) -> String {
    let names = names.iter().filter(|name| !name.is_empty() && **name != KEY);
    let set: String = names.map(|name| format!("export {name}='\"a: {name}\"'\n")).collect();
    format!(
        "cat >/tmp/config.yml\ncat >/tmp/show.py <<'END'\n{SHOW}END\nexport DOCKER_REGISTRY_CONFIG=/tmp/config.yml SETTINGS_FLAVOR={flavor}\npython2.7 /tmp/show.py\n{set}python2.7 /tmp/show.py\n"
    )
}

/// Has the program read the rendered configuration with that flavor, without variables and with every one of them set, and
/// compares all that it then knows.
fn reads(flavor: &str, settings: &[&[Setting]]) {
    let sandbox = Sandbox::new(&format!("v1-{flavor}"));
    let image = image(&sandbox);
    let flavors = sandbox.write("mine.yml", MINE_TEXT);
    let tree = sandbox.home.path().join("tree").display().to_string();
    sandbox.command(&["render", "registry", "--api", "v1", "--out", &tree, "--flavors", &flavors]).ok();
    // A later table says otherwise of the same setting.
    let settings: BTreeMap<&str, (&str, &str)> = settings
        .iter()
        .flat_map(|table| table.iter())
        .map(|(path, name, default)| (*path, (*name, *default)))
        .collect();
    let script =
        sandbox.write("show.sh", &script(flavor, &settings.values().map(|(name, _)| *name).collect::<Vec<_>>()));
    let ran = shell(&format!(
        "docker run --rm -i --network none --entrypoint sh {image} -c \"$(cat {script})\" <{tree}/etc/docker-registry/config.yml"
    ));
    let told: Vec<BTreeMap<String, Json>> =
        ran.ok().out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let plain = |(path, (_, default)): (&&str, &(&str, &str))| {
        ((*path).to_owned(), serde_json::from_str::<Json>(default).unwrap())
    };
    let set = |(path, (name, default)): (&&str, &(&str, &str))| match *name {
        "" | KEY => plain((path, &("", default))),
        name => ((*path).to_owned(), json!(format!("a: {name}"))),
    };
    assert_eq!(told[0], settings.iter().map(plain).collect::<BTreeMap<_, _>>(), "{flavor} without variables");
    assert_eq!(told[1], settings.iter().map(set).collect::<BTreeMap<_, _>>(), "{flavor} with variables");
    sandbox.command(&["destroy", "registry-v1-render", "--yes"]).ok();
}

macro_rules! flavors {
    ($($test:ident: $flavor:literal, $settings:expr;)*) => {
        $(#[test] fn $test() { reads($flavor, &$settings); })*
    };
}

flavors! {
    the_program_reads_common: "common", [COMMON];
    the_program_reads_local: "local", [COMMON, LOCAL];
    the_program_reads_s3: "s3", [COMMON, S3];
    the_program_reads_cloudfronts3: "cloudfronts3", [COMMON, S3, CLOUDFRONT];
    the_program_reads_azureblob: "azureblob", [COMMON, AZURE];
    the_program_reads_ceph_s3: "ceph-s3", [COMMON, CEPH];
    the_program_reads_gcs: "gcs", [COMMON, GCS];
    the_program_reads_swift: "swift", [COMMON, SWIFT];
    the_program_reads_glance: "glance", [COMMON, GLANCE];
    the_program_reads_openstack: "openstack", [COMMON, GLANCE];
    the_program_reads_glance_swift: "glance-swift", [COMMON, SWIFT, GLANCE_ON_SWIFT];
    the_program_reads_openstack_swift: "openstack-swift", [COMMON, SWIFT, GLANCE_ON_SWIFT];
    the_program_reads_elliptics: "elliptics", [COMMON, ELLIPTICS];
    the_program_reads_oss: "oss", [COMMON, OSS];
    the_program_reads_dev: "dev", [COMMON, LOCAL, DEV];
    the_program_reads_test: "test", [COMMON, LOCAL, DEV, TEST];
    the_program_reads_prod: "prod", [COMMON, S3, PROD];
    the_program_reads_one_of_the_users_own: "mine", [COMMON, LOCAL, MINE];
}

/// What a body of JSON needs: with the type that curl gives it by itself the program does not see it.
const JSON: &str = "-H 'Content-Type: application/json'";

/// A registry of the API v1 with curl as its client.
struct V1 {
    sandbox: Sandbox,
    curl: String,
    url: String,
}

impl V1 {
    /// Sets one up.
    fn new(sandbox: Sandbox, more: &[&str]) -> Self {
        image(&sandbox);
        let port = sandbox.port.to_string();
        let ran =
            sandbox.command(&[&["registry", "--api", "v1", "--name", &sandbox.name, "--port", &port], more].concat());
        ran.ok().says("warning: no Docker client of today speaks the API v1").says("checked   probe round-trip");
        let (ca, url) = (sandbox.output("ca"), sandbox.output("url"));
        let curl = format!("curl -s --cacert {ca} -o /dev/stdout -w ' %{{http_code}}'");
        Self { sandbox, curl, url }
    }

    /// What a path answers: the body and the status.
    fn call(&self, arguments: &str, path: &str) -> String {
        shell(&format!("{} {arguments} {}{path}", self.curl, self.url)).ok().out
    }

    fn with_password(&self, arguments: &str, path: &str) -> String {
        self.call(&format!("-u admin:{} {arguments}", self.sandbox.password()), path)
    }

    /// Answers as the program alone does, stores an image and gives it back, and keeps strangers out.
    fn serves(&self) {
        assert_eq!(self.call("", "/v1/_ping"), "{} 200");
        assert_eq!(self.call("", "/_ping"), "{} 200");
        for path in ["/", "/v1/search", "/v1/images/a/json", "/_pingx", "/v1/_ping/x"] {
            assert!(self.call("", path).ends_with(" 401"), "{path}");
            assert!(self.call("-u admin:wrong", path).ends_with(" 401"), "{path}");
        }
        assert_eq!(self.with_password("", "/"), "\"\\\"docker-registry server\\\"\" 200");
        let found = self.with_password("", "/v1/search");
        assert_eq!(found, "{\"num_results\": 0, \"query\": \"\", \"results\": []} 200");
        let id = "0123456789abcdef".repeat(4);
        let folder = tempfile::tempdir().unwrap();
        let (layer, about) = (folder.path().join("layer.tar"), folder.path().join("json"));
        let (layer, about) = (layer.display(), about.display());
        shell(&format!(
            "cd {}; head -c 7000000 /dev/urandom >file; tar -cf layer.tar file; printf '{{\"id\": \"{id}\"}}' >json",
            folder.path().display()
        ))
        .ok();
        let put = |arguments: &str, path: &str, status: &str| {
            let answer = self.with_password(&format!("-X PUT {arguments}"), path);
            assert!(answer.ends_with(status), "{path}: {answer}");
        };
        put(
            &format!("{JSON} -H 'X-Docker-Token: true' -d '[{{\"id\": \"{id}\"}}]'"),
            "/v1/repositories/team/app/",
            " 200",
        );
        put(&format!("{JSON} --data-binary @{about}"), &format!("/v1/images/{id}/json"), " 200");
        // In chunks, as Docker sends a layer.
        put(
            &format!("-H 'Transfer-Encoding: chunked' --data-binary @{layer}"),
            &format!("/v1/images/{id}/layer"),
            " 200",
        );
        let sum = shell(&format!("(cat {about}; echo; cat {layer}) | sha256sum | cut -d' ' -f1")).out;
        put("-H 'X-Docker-Checksum-Payload: sha256:0000'", &format!("/v1/images/{id}/checksum"), " 400");
        put(
            &format!("-H 'X-Docker-Checksum-Payload: sha256:{}'", sum.trim()),
            &format!("/v1/images/{id}/checksum"),
            " 200",
        );
        put(&format!("{JSON} -d '\"{id}\"'"), "/v1/repositories/team/app/tags/latest", " 200");
        put(&format!("{JSON} -d '[{{\"id\": \"{id}\"}}]'"), "/v1/repositories/team/app/images", " 204");
        // Back again.
        assert_eq!(self.with_password("", "/v1/repositories/team/app/tags"), format!("{{\"latest\": \"{id}\"}} 200"));
        assert_eq!(self.with_password("", &format!("/v1/images/{id}/ancestry")), format!("[\"{id}\"] 200"));
        assert_eq!(self.with_password("", &format!("/v1/images/{id}/json")), format!("{{\"id\": \"{id}\"}} 200"));
        let password = self.sandbox.password();
        shell(&format!(
            "curl -sf --cacert {} -u admin:{password} {}/v1/images/{id}/layer | cmp - {layer}",
            self.sandbox.output("ca"),
            self.url
        ))
        .ok();
        let found = self.with_password("", "/v1/search?q=app");
        assert!(found.contains("\"num_results\": 1") && found.contains("team/app"), "{found}");
    }

    /// Nothing to change, drift told and mended, users at once, and nothing left.
    fn lives_on_and_goes(&self) {
        let name = self.sandbox.name.clone();
        self.sandbox.command(&["registry", "--api", "v1", "--name", &name]).ok().says("nothing to change");
        shell(&format!("docker exec -u 0 {name}-registry sh -c 'echo x >>/etc/provision/environment'")).ok();
        self.sandbox.command(&["plan", &name, "--exit-code"]).fails(3).says("files./etc/provision/environment.content");
        self.sandbox.command(&["registry", "--api", "v1", "--name", &name]).ok().says("checked   probe round-trip");
        self.sandbox.command(&["users", &name, "add", "alice", "--generate"]).ok();
        let alice = self.sandbox.command(&["secrets", &name, "users.alice"]).ok().out;
        assert!(self.call(&format!("-u alice:{}", alice.trim()), "/v1/repositories/team/app/tags").ends_with(" 200"));
        // No secret where others look.
        let seen = shell(&format!("docker inspect {name}-registry; docker logs {name}-registry 2>&1")).ok().out;
        assert!(!seen.contains(&self.sandbox.password()) && !seen.contains("AWS_SECRET"), "{seen}");
        self.sandbox.destroy().ok();
        assert_eq!(self.sandbox.things(), "");
    }
}

#[test]
fn the_first_registry_stores_images_in_a_volume() {
    let registry = V1::new(Sandbox::new("v1-run"), &[]);
    registry.serves();
    registry.lives_on_and_goes();
}

#[test]
fn the_first_registry_runs_as_in_the_tutorials() {
    let registry = V1::new(Sandbox::new("v1-run-dev"), &["--flavor", "dev"]);
    registry.serves();
    registry.lives_on_and_goes();
}

/// Garage knows signatures of version 4 alone, which the program of 2015 makes for Amazon's own names unless it is told the region.
#[test]
fn the_first_registry_stores_images_in_a_bucket() {
    let store = Store::garage();
    let sandbox = Sandbox::new("v1-run-s3");
    let bucket = sandbox.name.clone();
    store.aws(&format!("s3api create-bucket --bucket {bucket}")).ok();
    let address = store.url.trim_start_matches("http://").split(':').next().unwrap().to_owned();
    let variables = sandbox.write("v1.env", &format!(
        "SETTINGS_FLAVOR=s3\nAWS_BUCKET={bucket}\nAWS_KEY={}\nAWS_SECRET={}\nAWS_REGION={}\nAWS_HOST={address}\nAWS_PORT={}\nAWS_SECURE=false\nAWS_USE_SIGV4=true\nAWS_CALLING_FORMAT=boto.s3.connection.OrdinaryCallingFormat\n",
        store.id, store.secret, store.region, store.port
    ));
    let registry = V1::new(sandbox, &["--env-file", &variables]);
    registry.serves();
    let objects = store.objects(&bucket);
    assert!(objects.iter().any(|key| key.starts_with("registry/images/0123456789abcdef")), "{objects:?}");
    registry.lives_on_and_goes();
}

/// A rendered tree on a host with Python 2.7: the program is installed as it is told, and systemd starts it.
#[test]
fn a_rendered_tree_makes_a_first_registry_where_it_is_carried() {
    let sandbox = Sandbox::new("v1-tree");
    image(&sandbox);
    let tree = sandbox.home.path().join("tree").display().to_string();
    let told = sandbox.command(&[
        "render",
        "registry",
        "--api",
        "v1",
        "--out",
        &tree,
        "--port",
        "8080",
        "--name",
        &sandbox.name,
        "--output",
        "json",
    ]);
    let told = told.ok().out;
    let told = told.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let commands = told.into_iter().find(|event| event["event"] == "rendered").unwrap()["commands"].clone();
    let host = Host::start_old("v1-tree", &format!("{BARE} nginx logrotate"));
    // As on any host behind a proxy that has an authority of its own.
    shell(&format!("docker cp /usr/local/share/ca-certificates/. {0}:/usr/local/share/ca-certificates/; docker exec {0} update-ca-certificates", host.name)).ok();
    shell(&format!(
        "tar -C {tree} -cf - . | docker exec -i {} sh -c 'mkdir -p {tree}; tar -C {tree} -xf -'",
        host.name
    ))
    .ok();
    for command in commands.as_array().unwrap().iter().skip(1) {
        host.run(command.as_str().unwrap()).ok();
    }
    let password = sandbox.password();
    let ca = "/usr/local/share/ca-certificates/docker-registry/ca.crt";
    let call = |arguments: &str, path: &str| {
        host.run(&format!("curl -s -m 20 --cacert {ca} -w ' %{{http_code}}' {arguments} https://localhost:8080{path}"))
            .out
    };
    host.run(&format!("for i in $(seq 100); do curl -sf -m 5 --cacert {ca} https://localhost:8080/v1/_ping && exit 0; sleep 0.2; done; cat /var/log/docker-registry/*.log; exit 1")).ok();
    assert_eq!(call("", "/v1/_ping"), "{} 200");
    assert!(call("", "/v1/search").ends_with(" 401"));
    assert_eq!(
        call(&format!("-u admin:{password}"), "/v1/search"),
        "{\"num_results\": 0, \"query\": \"\", \"results\": []} 200"
    );
    let id = "fedcba9876543210".repeat(4);
    let about = format!("{{\"id\": \"{id}\"}}");
    let put = call(
        &format!("-u admin:{password} -X PUT {JSON} -d \"{}\"", about.replace('"', "\\\"")),
        &format!("/v1/images/{id}/json"),
    );
    assert!(put.ends_with(" 200"), "{put}");
    host.run(&format!("test -e /var/lib/docker-registry/images/{id}/json")).ok();
    host.run("systemd-analyze verify /etc/systemd/system/docker-registry.service").ok();
    let exposure = host.run("systemd-analyze security --no-pager docker-registry.service | tail -1").ok().out;
    let level: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(10.0);
    assert!(level < 3.0, "{exposure}");
    host.run("sh -n /etc/init.d/docker-registry; logrotate -d /etc/logrotate.d/docker-registry").ok();
    // By its script, as a host without systemd starts it.
    host.run(&format!("systemctl stop docker-registry && export SYSTEMCTL_SKIP_REDIRECT=1 && /etc/init.d/docker-registry start && for i in $(seq 100); do curl -sf -m 5 --cacert {ca} https://localhost:8080/v1/_ping && break; sleep 0.2; done; /etc/init.d/docker-registry status")).ok();
    assert_eq!(call("", "/v1/_ping"), "{} 200");
    host.run("export SYSTEMCTL_SKIP_REDIRECT=1; /etc/init.d/docker-registry stop && test ! -e /run/docker-registry")
        .ok();
    sandbox.destroy().ok();
}
