//! A real browser: headless Chromium, driven as `WebDriver` does. Each session has a profile of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::engine::{free_port, shell};

/// The property that holds an element's reference, <https://www.w3.org/TR/webdriver2/#elements>.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The few commands of `WebDriver` that these tests need, by curl: the libraries for it turn on features of crates that the binary shares,
/// so that `cargo test` had to build nearly every dependency a second time (5.5 min).
pub struct Browser {
    session: String,
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
        let capabilities = json!({ "goog:chromeOptions": {
            "args": ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900", data],
        }});
        let driver_url = format!("http://127.0.0.1:{port}/session");
        let created =
            request("POST", &driver_url, &json!({ "capabilities": { "alwaysMatch": capabilities } })).unwrap();
        let session = format!("{driver_url}/{}", created["sessionId"].as_str().unwrap());
        Self { session, driver, _profile: profile }
    }

    #[track_caller]
    fn get(&self, what: &str) -> Json {
        request("GET", &format!("{}/{what}", self.session), &json!({})).unwrap()
    }

    #[track_caller]
    fn post(&self, what: &str, body: &Json) -> Json {
        request("POST", &format!("{}/{what}", self.session), body).unwrap()
    }

    #[track_caller]
    pub fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    #[track_caller]
    pub fn address(&self) -> String {
        self.get("url").as_str().unwrap().into()
    }

    #[track_caller]
    pub fn source(&self) -> String {
        self.get("source").as_str().unwrap().into()
    }

    /// Waits until an element is there.
    #[track_caller]
    pub fn wait(&self, css: &str) {
        self.find(css);
    }

    #[track_caller]
    fn find(&self, css: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let found = request(
                "POST",
                &format!("{}/element", self.session),
                &json!({ "using": "css selector", "value": css }),
            );
            match found {
                Ok(found) => return format!("element/{}", found[ELEMENT].as_str().unwrap()),
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
                Err(error) => panic!("no `{css}` at {}: {error}\n{}", self.address(), self.source()),
            }
        }
    }

    /// Fills in a field.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let field = self.find(css);
        self.post(&format!("{field}/clear"), &json!({}));
        self.post(&format!("{field}/value"), &json!({ "text": text }));
    }

    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        self.post(&format!("{element}/click"), &json!({}));
    }

    /// Runs a script that calls its last argument with the result.
    #[track_caller]
    pub fn script(&self, script: &str) -> Json {
        self.post("execute/async", &json!({ "script": script, "args": [] }))
    }

    #[track_caller]
    pub fn screenshot(&self, path: &Path) {
        let image = self.get("screenshot");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, openssl::base64::decode_block(image.as_str().unwrap()).unwrap()).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(request("DELETE", &self.session, &json!({})));
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// One command; what the browser says is wrong is the error.
fn request(method: &str, url: &str, body: &Json) -> Result<Json, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "120", "--noproxy", "*", "--request", method]);
    if method == "POST" {
        command.args(["--json", &body.to_string()]);
    }
    let output = command.arg(url).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let mut answer: Json = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    match answer["value"]["error"].as_str() {
        Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
        None => Ok(answer["value"].take()),
    }
}
