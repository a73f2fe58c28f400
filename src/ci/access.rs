//! What clients need to use a registry without a login: files in the deployment's folder, and the environment that names
//! them: [`Access`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use openssl::base64;
use serde_json::{Map, Value as Json, json};

use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::engine::docker_folder;
use crate::world::{files, host};

/// The variable with the deployment's name.
pub(crate) const NAME: &str = "PROVISION_CI";

/// Where systems keep the certificates that they trust, in one file.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// Variables that name such a file for one program or another, and that win over `SSL_CERT_FILE` where they are set.
const OVERRIDES: [&str; 9] = [
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];
/// What Docker keeps beside its configuration and a job may need: plugins such as buildx, contexts, and what TLS with the engine
/// takes where no other folder is named.
const BESIDE: [&str; 6] = ["cli-plugins", "contexts", "buildx", "ca.pem", "cert.pem", "key.pem"];

pub(crate) struct Access {
    pub registry: String,
    pub user: String,
    pub password: Secret,
    pub password_file: PathBuf,
    pub ca: PathBuf,
    pub variables: BTreeMap<String, String>,
    /// What those need who cannot read these files: each in one line.
    pub contents: BTreeMap<String, String>,
}

impl Access {
    /// Writes the files of a registry that is up.
    pub fn write(store: &Store, outputs: &BTreeMap<String, String>) -> Result<Self> {
        let output = |name: &str| {
            let value = outputs.get(name).cloned();
            value.ok_or_else(|| Error::new(format!("the playbook `ci` has no output `{name}`")))
        };
        let (registry, user, ca) = (output("registry")?, output("user")?, PathBuf::from(output("ca")?));
        let password = store.get("secret/password")?.map(Secret::new);
        let password = password.ok_or_else(|| Error::new("the playbook `ci` has no secret `password`"))?;
        let login = base64::encode_block(format!("{user}:{}", password.expose()).as_bytes());
        store.put("client/password", password.expose())?;
        store.put("client/docker/config.json", &docker_config(docker_folder().as_deref(), &registry, &login)?)?;
        for name in BESIDE {
            let own = docker_folder().map(|folder| folder.join(name)).filter(|path| files::exists(path));
            own.map_or(Ok(()), |own| files::link(&own, &store.path("client/docker").join(name)))?;
        }
        store
            .put("client/auth.json", &with_login(read_json(auth_file().as_deref())?, &registry, &login).to_string())?;
        store.put("client/ca-bundle.crt", &bundle(&ca)?)?;
        let path = |key: &str| store.path(key);
        let text = |path: &Path| path.display().to_string();
        let variables = BTreeMap::from([
            ("REGISTRY", registry.clone()),
            ("REGISTRY_USER", user.clone()),
            ("REGISTRY_PASSWORD_FILE", text(&path("client/password"))),
            ("REGISTRY_CA", text(&ca)),
            ("REGISTRY_AUTH_FILE", text(&path("client/auth.json"))),
            ("DOCKER_CONFIG", text(&path("client/docker"))),
            ("SSL_CERT_FILE", text(&path("client/ca-bundle.crt"))),
            (NAME, store.name().to_owned()),
        ]);
        let contents = BTreeMap::from([
            ("REGISTRY", registry.clone()),
            ("REGISTRY_USER", user.clone()),
            ("REGISTRY_PASSWORD", password.expose().to_owned()),
            ("REGISTRY_CA_BASE64", base64::encode_block(files::read_text(&ca)?.as_bytes())),
            (NAME, store.name().to_owned()),
        ]);
        let overridden = OVERRIDES.into_iter().filter(|name| is_overridden(name));
        let overridden = overridden.map(|name| (name, text(&path("client/ca-bundle.crt"))));
        let more = beside(store, outputs, &user)?;
        let readable = more.iter().filter(|(name, _)| !name.ends_with("_FILE")).cloned();
        let contents = contents.into_iter().chain(readable).map(|(name, value)| (name.to_owned(), value)).collect();
        let variables =
            variables.into_iter().chain(overridden).chain(more).map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { registry, user, password, password_file: path("client/password"), ca, variables, contents })
    }
}

/// What a job needs of the bucket and the blog beside its registry, if it has them.
fn beside(store: &Store, outputs: &BTreeMap<String, String>, user: &str) -> Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    let named = [
        ("bucket", "S3_BUCKET"),
        ("endpoint", "AWS_ENDPOINT_URL"),
        ("region", "AWS_REGION"),
        ("region", "AWS_DEFAULT_REGION"),
        ("blog", "BLOG_URL"),
    ];
    for (output, variable) in named {
        variables.extend(outputs.get(output).map(|value| (variable, value.clone())));
    }
    if let Some(password) = store.get("secret/blog.admin-password")? {
        store.put("client/blog-password", &password)?;
        variables.push(("BLOG_USER", user.to_owned()));
        variables.push(("BLOG_PASSWORD_FILE", store.path("client/blog-password").display().to_string()));
    }
    Ok(variables)
}

/// Where podman and skopeo keep their logins (`containers-auth.json(5)`).
fn auth_file() -> Option<PathBuf> {
    let runtime = || Some(PathBuf::from(host::variable("XDG_RUNTIME_DIR")?).join("containers/auth.json"));
    let home = || Some(host::home().ok()?.join(".config/containers/auth.json"));
    let given = host::variable("REGISTRY_AUTH_FILE").map(PathBuf::from);
    [given, runtime(), home()].into_iter().flatten().find(|path| files::exists(path))
}

/// A file with a JSON object; an empty one if there is no file. One that cannot be understood is of no use to a client
/// either, and counts as none.
fn read_json(path: Option<&Path>) -> Result<Map<String, Json>> {
    let Some(path) = path.filter(|path| files::exists(path)) else { return Ok(Map::new()) };
    Ok(serde_json::from_str(&files::read_text(path)?).unwrap_or_default())
}

fn with_login(mut configuration: Map<String, Json>, registry: &str, login: &str) -> Json {
    let logins = configuration.entry("auths").or_insert_with(|| json!({}));
    if let Some(logins) = logins.as_object_mut() {
        logins.insert(registry.to_owned(), json!({ "auth": login }));
    }
    Json::Object(configuration)
}

/// The user's own configuration of Docker with one more login.
fn docker_config(folder: Option<&Path>, registry: &str, login: &str) -> Result<String> {
    let own = folder.map(|folder| folder.join("config.json"));
    let mut configuration = read_json(own.as_deref())?;
    if configuration.contains_key("credsStore") {
        // A store of logins is asked for every registry but those that are named here with no store.
        let helpers = configuration.entry("credHelpers").or_insert_with(|| json!({}));
        if let Some(helpers) = helpers.as_object_mut() {
            helpers.insert(registry.to_owned(), json!(""));
        }
    }
    Ok(with_login(configuration, registry, login).to_string())
}

/// Whether a program would look elsewhere than at `SSL_CERT_FILE`. curl does where a folder is named as well.
fn is_overridden(name: &str) -> bool {
    host::variable(name).is_some() || name == "CURL_CA_BUNDLE" && host::variable("SSL_CERT_DIR").is_some()
}

/// What the system and this job trust, and our authority.
fn bundle(ca: &Path) -> Result<String> {
    let given = host::variable("SSL_CERT_FILE").map(PathBuf::from);
    let system = given.into_iter().chain(BUNDLES.map(PathBuf::from)).find(|path| files::exists(path));
    let others = OVERRIDES.into_iter().filter_map(host::variable).map(PathBuf::from).filter(|path| files::exists(path));
    let paths: BTreeSet<PathBuf> = system.into_iter().chain(others).chain([ca.to_path_buf()]).collect();
    let mut bundle = String::new();
    for path in paths {
        bundle.push_str(&files::read_text(&path)?);
        bundle.push('\n');
    }
    Ok(bundle)
}
