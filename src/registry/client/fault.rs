//! What a registry says when it refuses something, as an error of ours with a hint.

use serde_json::Value as Json;

use super::Registry;
use crate::error::{Error, Result};
use crate::text::shell;
use crate::world::web::{Lost, Reply};

/// What is read of an answer that is an error.
const WORDS: usize = 64 << 10;

impl Registry {
    /// The answer, if it has one of the statuses that are wanted; else the registry's own words as an error.
    pub(super) async fn expect(&self, reply: Reply, statuses: &[u16], task: &str) -> Result<Reply> {
        if statuses.contains(&reply.status()) {
            return Ok(reply);
        }
        Err(self.refused(reply, task).await)
    }

    /// The error of an answer that says no.
    pub(super) async fn refused(&self, reply: Reply, task: &str) -> Error {
        let status = reply.status();
        let html = is_html(&reply);
        let body = reply.content(WORDS).await.ok().flatten().unwrap_or_default();
        let said = Said::read(&body);
        let what = format!("cannot {task}: the registry `{}` answers {status}{}", self.name(), said.told());
        let error = Error::new(what).hint(self.hint(status, html));
        let error = if html || !said.is_empty() { error } else { error.detail(lines(&body)) };
        if html { error.detail(["(a page in HTML)".to_owned()]) } else { error }
    }

    /// The error of a request that got no answer.
    pub(super) fn unanswered(&self, lost: &Lost, task: &str) -> Error {
        let error =
            Error::new(format!("cannot {task}: no answer from the registry `{}`: {}", self.name(), lost.reason));
        if lost.reason.contains("certificate") || lost.reason.contains("UnknownIssuer") {
            let folder = format!("/etc/docker/certs.d/{}", self.name());
            return error.hint(format!("put the certificate of its authority into `{folder}/ca.crt`, as for Docker"));
        }
        match &self.nature().deployment {
            Some(name) => error.hint(format!("`{}` shows what is down", shell::line(["provision", "status", name]))),
            None => error.hint(format!("`curl -i {}/v2/` shows whether it can be reached", self.0.address.base)),
        }
    }

    fn hint(&self, status: u16, html: bool) -> String {
        let name = self.name();
        match status {
            401 if self.0.auth.has_login() => {
                format!("the login is refused: `{}` stores another one", shell::line(["docker", "login", name]))
            }
            401 => format!("log in first: `{}`", shell::line(["docker", "login", name])),
            403 => "this login has no right to do that: ask the registry's administrator for it".to_owned(),
            404 if html => "what answers there is no registry: check its address".to_owned(),
            404 => "the registry knows no such place: check its address and the name of the image".to_owned(),
            405 => "the registry does not take that: it passes pulls on to another one, or deletes nothing".to_owned(),
            413 => "a proxy before the registry limits the size of requests: nginx needs `client_max_body_size 0`"
                .to_owned(),
            429 => "the registry limits how often it is asked: wait, and run the command again".to_owned(),
            507 => "the registry's disk is full: free space there, and run the command again".to_owned(),
            500..=599 => "the registry's own log says why; run the command again, it goes on where it was".to_owned(),
            _ if html => "what answers there is no registry: check its address, and the proxy before it".to_owned(),
            _ => String::new(),
        }
    }
}

/// Whether an answer is a page for people: then something else than a registry wrote it.
pub(super) fn is_html(reply: &Reply) -> bool {
    reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"))
}

/// The errors of an answer (OCI distribution specification 1.1, "Error Codes").
struct Said(Vec<(String, String)>);

impl Said {
    fn read(body: &[u8]) -> Self {
        let parsed: Json = serde_json::from_slice(body).unwrap_or_default();
        let errors = parsed["errors"].as_array().into_iter().flatten().take(3);
        let text = |value: &Json| value.as_str().unwrap_or_default().chars().take(300).collect::<String>();
        let own = errors.map(|error| {
            let detail = match &error["detail"] {
                Json::String(detail) if !detail.is_empty() => format!(" ({})", text(&Json::String(detail.clone()))),
                _ => String::new(),
            };
            (text(&error["code"]), format!("{}{detail}", text(&error["message"])))
        });
        Self(own.filter(|(code, message)| !code.is_empty() || !message.is_empty()).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn told(&self) -> String {
        let all: Vec<String> = self.0.iter().map(|(code, message)| format!("{code}: {message}")).collect();
        if all.is_empty() { String::new() } else { format!(", {}", all.join("; ")) }
    }
}

fn lines(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    text.lines().filter(|line| !line.trim().is_empty()).take(3).map(|line| line.chars().take(200).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_s_own_code_and_message_are_told() {
        let body = br#"{"errors":[{"code":"DENIED","message":"requested access is denied","detail":null}]}"#;
        assert_eq!(Said::read(body).told(), ", DENIED: requested access is denied");
        let body = br#"{"errors":[{"code":"X","message":"m","detail":"d"},{"code":"Y","message":"n","detail":{}}]}"#;
        assert_eq!(Said::read(body).told(), ", X: m (d); Y: n");
        for body in [&b""[..], b"<html>", b"[]", br#"{"errors":7}"#, br#"{"errors":[{}]}"#] {
            assert!(Said::read(body).is_empty());
        }
    }
}
