//! A real browser: headless Chromium, driven as `WebDriver` does. Each session has a profile of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value as Json, json};
use tokio::runtime::Runtime;

use crate::engine::{free_port, shell};

pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub fn new() -> Self {
        Self::with_profile(tempfile::tempdir().unwrap())
    }

    /// A session that trusts an authority beside its own, as a user has it after importing the certificate.
    pub fn trusting(authority: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let store = profile.path().join(".pki/nssdb").display().to_string();
        shell(&format!("set -e; mkdir -p {store}; certutil -d sql:{store} -N --empty-password; certutil -d sql:{store} -A -t C,, -n ca -i {authority}")).ok();
        Self::with_profile(profile)
    }

    fn with_profile(profile: tempfile::TempDir) -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .env("HOME", profile.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`make setup` installs chromium-driver");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        let data = format!("--user-data-dir={}/data", profile.path().display());
        let options = json!({ "goog:chromeOptions": {
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", data],
        }});
        let runtime = Runtime::new().unwrap();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(serde_json::from_value(options).unwrap());
        let client = runtime.block_on(builder.connect(&format!("http://127.0.0.1:{port}"))).unwrap();
        Self { runtime, client: Some(client), driver, _profile: profile }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client().goto(url)).unwrap();
    }

    pub fn address(&self) -> String {
        self.runtime.block_on(self.client().current_url()).unwrap().to_string()
    }

    pub fn source(&self) -> String {
        self.runtime.block_on(self.client().source()).unwrap()
    }

    /// Waits until an element is there.
    #[track_caller]
    pub fn wait(&self, css: &str) {
        let found = self.client().wait().at_most(Duration::from_mins(1));
        let found = self.runtime.block_on(found.for_element(Locator::Css(css)));
        assert!(found.is_ok(), "no `{css}` at {}:\n{}", self.address(), self.source());
    }

    /// Fills in a field.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        self.wait(css);
        self.runtime.block_on(async {
            let field = self.client().find(Locator::Css(css)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        });
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        self.wait(css);
        self.runtime.block_on(async { self.client().find(Locator::Css(css)).await.unwrap().click().await.unwrap() });
    }

    /// Runs a script that calls its last argument with the result.
    pub fn script(&self, script: &str) -> Json {
        self.runtime.block_on(self.client().execute_async(script, Vec::new())).unwrap()
    }

    pub fn screenshot(&self, path: &Path) {
        let image = self.runtime.block_on(self.client().screenshot()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, image).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(self.runtime.block_on(client.close()));
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
