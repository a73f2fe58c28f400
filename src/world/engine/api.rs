//! The version of the API that is spoken with an engine: the newest that both sides know: [`Api`].

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bollard::API_DEFAULT_VERSION;
use bollard::errors::Error as Cause;
use hyper::Request;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use super::plain;
use super::transport::Transport;

/// The newest version that the client was written for: 1.NEWEST.
#[expect(clippy::cast_possible_truncation, reason = "a version is a small number")]
pub(super) const NEWEST: u32 = API_DEFAULT_VERSION.minor_version as u32;

/// What an engine says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Greeting {
    pub minor: u32,
    /// The version of Podman, if it is that.
    pub podman: Option<String>,
}

/// All numbers are those behind `1.`; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Api {
    spoken: AtomicU32,
    /// What the engine told with an answer.
    heard: AtomicU32,
    pub greeting: OnceCell<Greeting>,
    told: AtomicBool,
}

impl Api {
    pub fn minor(&self) -> Option<u32> {
        Some(self.spoken.load(Ordering::Relaxed)).filter(|minor| *minor > 0)
    }

    /// Speaks the newest version that is not newer than this one.
    pub fn settle(&self, minor: u32) {
        self.spoken.store(minor.min(NEWEST), Ordering::Relaxed);
    }

    pub fn heard(&self, minor: u32) {
        self.heard.store(minor, Ordering::Relaxed);
    }

    /// Whether the engine was asked in this run.
    pub fn was_asked(&self) -> bool {
        self.greeting.initialized()
    }

    /// Whether it is to be told now: once.
    pub fn is_first(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }

    /// The version to begin with the next time.
    pub fn next(&self) -> Option<u32> {
        let heard = Some(self.heard.load(Ordering::Relaxed)).filter(|minor| *minor > 0);
        heard.map(|minor| minor.min(NEWEST)).or_else(|| self.minor())
    }
}

/// The number behind `1.` of a version.
pub(super) fn minor_of(version: &str) -> Option<u32> {
    version.trim().strip_prefix("1.")?.parse().ok().filter(|minor| *minor > 0)
}

/// Asks an engine what it is.
pub(super) async fn greet(transport: &Transport) -> Result<Greeting, Cause> {
    let request = Request::get("http://engine/version").body(String::new());
    let request = request.map_err(|err| Cause::HttpClientError { err })?;
    Ok(read(&plain::read(transport.send_as_it_is(request).await?).await?))
}

fn read(version: &Json) -> Greeting {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let components = version["Components"].as_array().into_iter().flatten();
    let podman = components.filter(|part| text(&part["Name"]).starts_with("Podman")).map(|part| text(&part["Version"]));
    // The oldest that is spoken has no word for it.
    let minor = minor_of(&text(&version["ApiVersion"])).unwrap_or(41);
    Greeting { minor, podman: podman.into_iter().next() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        let api = Api::default();
        assert_eq!((api.minor(), api.next()), (None, None));
        api.settle(41);
        assert_eq!((api.minor(), api.next()), (Some(41), Some(41)));
        // An engine that was brought up to date is spoken to in a newer one the next time.
        api.heard(52);
        assert_eq!((api.minor(), api.next()), (Some(41), Some(52.min(NEWEST))));
        api.settle(NEWEST + 7);
        assert_eq!(api.minor(), Some(NEWEST));
    }

    #[test]
    fn an_engine_is_told_from_podman_by_its_parts() {
        let docker = json!({ "ApiVersion": "1.41", "Components": [{ "Name": "Engine", "Version": "20.10.24" }] });
        assert_eq!(read(&docker), Greeting { minor: 41, podman: None });
        let podman = json!({ "ApiVersion": "1.40", "Components": [{ "Name": "Podman Engine", "Version": "4.3.1" }] });
        assert_eq!(read(&podman), Greeting { minor: 40, podman: Some("4.3.1".to_owned()) });
        assert_eq!(read(&json!({})), Greeting { minor: 41, podman: None });
    }

    #[test]
    fn a_version_is_read() {
        assert_eq!(["1.41", " 1.53 ", "2.0", "1.x", ""].map(minor_of), [Some(41), Some(53), None, None, None]);
    }
}
