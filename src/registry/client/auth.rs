//! How a client shows who it is: by a password, or by a token that a server gives for it: [`Auth`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use openssl::base64;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::Registry;
use super::login::Login;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::web::{Ask, Reply};

/// How long a token is good for where its server does not say, and how much before the end a new one is asked for.
const USUAL: u64 = 60;
const MARGIN: Duration = Duration::from_secs(10);
const ANSWER: usize = 1 << 20;
const WAIT: Duration = Duration::from_mins(1);

/// What a request needs the right to do: `repository:NAME:pull`. None for the root of the API.
pub(super) type Scope = Vec<String>;

pub(super) fn pull(repository: &str) -> Scope {
    vec![format!("repository:{repository}:pull")]
}

pub(super) fn push(repository: &str) -> Scope {
    vec![format!("repository:{repository}:pull,push")]
}

pub(super) fn delete(repository: &str) -> Scope {
    vec![format!("repository:{repository}:pull,delete")]
}

pub(super) fn catalog() -> Scope {
    vec!["registry:catalog:*".to_owned()]
}

pub(super) struct Auth {
    login: Option<Login>,
    state: Mutex<State>,
}

struct State {
    scheme: Option<Scheme>,
    /// Tokens by their scopes, and when each ends.
    tokens: HashMap<Scope, (Secret, Instant)>,
}

/// What the registry asks for (RFC 9110, 11.6.1; for `Bearer` the token specification of distribution).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: String, service: String, scope: String },
}

/// An answer with a token, under either of its names.
#[derive(Deserialize)]
struct Given {
    token: Option<Secret>,
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

impl Auth {
    /// `basic`: the registry is known to want the password, so that the first request has it.
    pub fn new(login: Option<Login>, basic: bool) -> Self {
        let scheme = Some(Scheme::Basic).filter(|_| basic && login.is_some());
        Self { login, state: Mutex::new(State { scheme, tokens: HashMap::new() }) }
    }

    pub fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// The header for a request, as far as the registry has said what it wants.
    pub async fn header(&self, registry: &Registry, scope: &Scope) -> Result<Option<Secret>> {
        let mut state = self.state.lock().await;
        match state.scheme.clone() {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(self.login.as_ref().and_then(basic)),
            Some(Scheme::Bearer { .. }) => {
                if let Some((token, end)) = state.tokens.get(scope)
                    && Instant::now() + MARGIN < *end
                {
                    return Ok(Some(bearer(token)));
                }
                self.token(registry, &mut state, scope).await.map(|token| Some(bearer(&token)))
            }
        }
    }

    /// Learns from an answer 401 what the registry wants; true if the request is worth another try. `sent` is the header that the
    /// request had: a token that came since is used, and none is asked for.
    pub async fn challenged(
        &self,
        registry: &Registry,
        reply: &Reply,
        (scope, sent): (&Scope, Option<&Secret>),
        task: &str,
    ) -> Result<bool> {
        let Some(scheme) = reply.headers("www-authenticate").iter().find_map(|text| Scheme::parse(text)) else {
            return Ok(false);
        };
        let mut state = self.state.lock().await;
        let known = state.scheme.replace(scheme.clone());
        match scheme {
            Scheme::Basic => Ok(known != Some(Scheme::Basic) && self.login.as_ref().and_then(basic).is_some()),
            Scheme::Bearer { .. } => {
                let is_sent = |token: &Secret| sent.is_some_and(|sent| sent.expose() == bearer(token).expose());
                if state.tokens.get(scope).is_some_and(|(token, _)| !is_sent(token)) {
                    return Ok(true);
                }
                state.tokens.remove(scope);
                let token = self.token(registry, &mut state, scope).await;
                token.map(|_| true).map_err(|error| error.within(format!("cannot {task}")))
            }
        }
    }

    /// Asks the server of tokens for one, and keeps it.
    async fn token(&self, registry: &Registry, state: &mut State, scope: &Scope) -> Result<Secret> {
        let Some(Scheme::Bearer { realm, service, scope: asked }) = state.scheme.clone() else {
            return Err(Error::new("the registry asks for no token"));
        };
        let scopes = if scope.is_empty() { vec![asked] } else { scope.clone() };
        let failed = |what: String| {
            Error::new(format!("`{}` gives no token for the registry `{}`: {what}", shown(&realm), registry.name()))
                .hint(format!(
                    "`{}` stores another login",
                    crate::text::shell::line(["docker", "login", registry.name()])
                ))
        };
        let mut url = reqwest::Url::parse(&realm).map_err(|error| failed(error.to_string()))?;
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !loopback {
            return Err(failed("its address has no TLS, and a password is not sent there".to_owned()));
        }
        let mut headers = Vec::new();
        let mut form = Vec::new();
        match &self.login {
            Some(Login::Token(token)) => {
                form.extend([("grant_type", "refresh_token"), ("refresh_token", token.expose())]);
                form.extend([("client_id", "provision"), ("service", service.as_str())]);
            }
            login => {
                headers
                    .extend(login.as_ref().and_then(basic).map(|header| ("Authorization", header.expose().to_owned())));
                let mut query = url.query_pairs_mut();
                query.append_pair("service", &service);
                scopes.iter().filter(|scope| !scope.is_empty()).for_each(|scope| {
                    query.append_pair("scope", scope);
                });
            }
        }
        let joined = scopes.join(" ");
        let method = if form.is_empty() {
            "GET"
        } else {
            form.push(("scope", joined.as_str()));
            headers.push(("Content-Type", "application/x-www-form-urlencoded".to_owned()));
            "POST"
        };
        let mut body = reqwest::Url::parse("http://form/").expect("this is a URL");
        body.query_pairs_mut().extend_pairs(&form);
        let body = if form.is_empty() { String::new() } else { body.query().unwrap_or_default().to_owned() };
        let web = if registry.is_own(&realm) { &registry.0.web } else { registry.foreign(&realm).await? };
        let ask = Ask { method, url: url.as_str(), headers, body: body.into(), wait: WAIT };
        let reply = web.send(&ask).await.map_err(|lost| failed(lost.reason))?;
        let status = reply.status();
        let content = reply.content(ANSWER).await.map_err(|lost| failed(lost.reason))?.unwrap_or_default();
        if status != 200 {
            return Err(failed(format!("it answers {status}")));
        }
        let given: Given = serde_json::from_slice(&content).map_err(|_| failed("its answer is no token".to_owned()))?;
        let end = Instant::now() + Duration::from_secs(given.expires_in.unwrap_or(USUAL).min(24 * 3600));
        let token = given.token.or(given.access_token).filter(|token| !token.expose().is_empty());
        let token = token.ok_or_else(|| failed("its answer has no token in it".to_owned()))?;
        state.tokens.insert(scope.clone(), (token.clone(), end));
        Ok(token)
    }
}

impl Scheme {
    /// Reads a `WWW-Authenticate`.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameter = |name: &str| parameters(rest).remove(name).unwrap_or_default();
        let realm = Some(parameter("realm")).filter(|realm| !realm.is_empty())?;
        Some(Self::Bearer { realm, service: parameter("service"), scope: parameter("scope") })
    }
}

/// The parameters of a challenge: `name="value"` or `name=value`, with commas between.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut rest = text;
    while let Some((name, more)) = rest.split_once('=') {
        let (value, after) = match more.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => more.split_once(',').unwrap_or((more, "")),
        };
        found.insert(name.trim_matches([',', ' ']).to_lowercase(), value.trim().to_owned());
        rest = after.trim_start_matches([',', ' ']);
    }
    found
}

fn basic(login: &Login) -> Option<Secret> {
    let Login::Password { user, password } = login else { return None };
    let pair = base64::encode_block(format!("{user}:{}", password.expose()).as_bytes());
    Some(Secret::new(format!("Basic {pair}")))
}

fn bearer(token: &Secret) -> Secret {
    Secret::new(format!("Bearer {}", token.expose()))
}

/// A URL without what stands behind its question mark.
fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read() {
        let text =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push""#;
        assert_eq!(
            Scheme::parse(text),
            Some(Scheme::Bearer {
                realm: "https://auth.example/token".to_owned(),
                service: "registry.example".to_owned(),
                scope: "repository:a:pull,push".to_owned(),
            })
        );
        assert_eq!(Scheme::parse(r#"basic realm="Registry""#), Some(Scheme::Basic));
        assert_eq!(Scheme::parse("Basic"), Some(Scheme::Basic));
        assert_eq!((Scheme::parse("Negotiate"), Scheme::parse("Bearer service=x")), (None, None));
        assert_eq!(parameters("a=b, c=\"d,e\"")["c"], "d,e");
    }
}
