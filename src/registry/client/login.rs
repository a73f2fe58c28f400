//! Who a client is to a registry, as Docker and podman keep it: [`Login`].

use std::path::PathBuf;

use openssl::base64;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::engine::docker_folder;
use crate::world::{files, helper, host};

/// A login of one registry.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    Password {
        user: String,
        password: Secret,
    },
    /// A token that the registry's server of tokens gives others for.
    Token(Secret),
}

/// How Docker's files name Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

impl Login {
    /// The login of a registry (`HOST[:PORT]`): that of Docker's configuration with its helpers, else that of podman and
    /// skopeo; none if neither has one.
    ///
    /// # Errors
    /// A file cannot be understood, or a helper fails.
    pub async fn stored(name: &str) -> Result<Option<Self>> {
        let docker = docker_folder().map(|folder| folder.join("config.json"));
        for path in docker.into_iter().chain(auth_files()) {
            if !files::exists(&path) {
                continue;
            }
            let damaged = |what: String| {
                Error::new(format!("the logins in `{}` cannot be read: {what}", path.display()))
                    .hint(format!("mend the file, or move it away and run `docker login {name}`"))
            };
            let text = files::read_text(&path)?;
            let file: Json = serde_json::from_str(&text).map_err(|error| damaged(crate::text::json::told(&error)))?;
            if let Some(login) = of(&file, name).await.map_err(|error| error.within(format!("`{}`", path.display())))? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

/// Where podman and skopeo keep their logins (`containers-auth.json(5)`).
pub(crate) fn auth_files() -> Vec<PathBuf> {
    let runtime = || Some(PathBuf::from(host::variable("XDG_RUNTIME_DIR")?).join("containers/auth.json"));
    let user = || Some(PathBuf::from(format!("/run/containers/{}/auth.json", host::ids().0)));
    let home = || Some(host::home().ok()?.join(".config/containers/auth.json"));
    let given = host::variable("REGISTRY_AUTH_FILE").map(PathBuf::from);
    [given, runtime(), user(), home()].into_iter().flatten().collect()
}

/// The login that one file has for a registry.
async fn of(file: &Json, name: &str) -> Result<Option<Login>> {
    let key = if name == "docker.io" { HUB } else { name };
    let helper = file["credHelpers"][name].as_str().or_else(|| file["credHelpers"][key].as_str());
    let store = || file["credsStore"].as_str();
    if let Some(helper) = helper.or_else(store).filter(|helper| !helper.is_empty())
        && let Some(login) = asked(helper, key).await?
    {
        return Ok(Some(login));
    }
    let logins = file["auths"].as_object().into_iter().flatten();
    let entry = logins.into_iter().find(|(place, _)| fits(place, key)).map(|(_, entry)| entry);
    entry.map_or(Ok(None), |entry| kept(entry, name))
}

/// Whether an entry of a file is that of a registry; older clients wrote its whole URL.
fn fits(place: &str, key: &str) -> bool {
    let bare = |text: &str| {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        rest.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2").to_lowercase()
    };
    bare(place) == bare(key)
}

/// A login as it stands in a file.
fn kept(entry: &Json, name: &str) -> Result<Option<Login>> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Ok(Some(Login::Token(Secret::new(token))));
    }
    let Some(pair) = entry["auth"].as_str().filter(|pair| !pair.is_empty()) else { return Ok(None) };
    let decoded = base64::decode_block(pair).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.as_deref().map(|text| text.trim_end_matches('\0'));
    let Some((user, password)) = decoded.and_then(|text| text.split_once(':')) else {
        return Err(Error::new(format!("the login of `{name}` is damaged"))
            .hint(format!("`docker login {name}` stores it anew")));
    };
    Ok(Some(Login::Password { user: user.to_owned(), password: Secret::new(password) }))
}

/// The login that a program keeps (docker/docker-credential-helpers, "Development").
async fn asked(name: &str, key: &str) -> Result<Option<Login>> {
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(Error::new(format!("`{name}` is no name of a credential helper")));
    }
    let program = format!("docker-credential-{name}");
    let ran = helper::ask(&program, &["get"], key.as_bytes()).await?;
    if !ran.success {
        let said = format!("{}{}", ran.out, ran.err);
        if said.contains("not found") || said.contains("no such") {
            return Ok(None);
        }
        return Err(Error::new(format!("`{program}` gives no login for `{key}`"))
            .detail(said.lines().take(3).map(str::to_owned))
            .hint(format!("`echo {key} | {program} get` shows what it says")));
    }
    let answer: Json = serde_json::from_str(&ran.out)
        .map_err(|_| Error::new(format!("what `{program}` says of `{key}` is no login")))?;
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    let secret = Secret::new(text("Secret"));
    Ok(match text("Username").as_str() {
        "" => None,
        "<token>" => Some(Login::Token(secret)),
        user => Some(Login::Password { user: user.to_owned(), password: secret }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_found_under_each_of_its_names() {
        for (place, key) in [
            ("registry.example:5000", "registry.example:5000"),
            ("https://registry.example/v2/", "registry.example"),
            ("https://index.docker.io/v1/", HUB),
            ("Registry.Example", "registry.example"),
        ] {
            assert!(fits(place, key), "{place} {key}");
        }
        assert!(!fits("registry.example", "registry.example:5000"));
    }

    #[test]
    fn a_login_is_read_and_not_shown() {
        let found = kept(&json!({ "auth": base64::encode_block(b"me:p:w") }), "h").unwrap().unwrap();
        let Login::Password { user, password } = &found else { panic!("a password") };
        assert_eq!((user.as_str(), password.expose()), ("me", "p:w"));
        assert!(!format!("{found:?}").contains("p:w"));
        assert!(matches!(kept(&json!({ "identitytoken": "t", "auth": "" }), "h"), Ok(Some(Login::Token(_)))));
        assert!(kept(&json!({}), "h").unwrap().is_none());
        assert!(kept(&json!({ "auth": "?" }), "h").is_err());
    }
}
