//! A client of a registry that does one request at a time: [`Client`].

use crate::engine::{Sandbox, shell};

pub struct Client {
    url: String,
    curl: String,
}

/// What became of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It can be pulled.
    Whole,
    /// There is no such tag: its push was refused.
    Refused,
    /// There is the tag, and what it needs cannot be had.
    Broken,
}

pub fn digest(content: &str) -> String {
    let hex: String = openssl::sha::sha256(content.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Client {
    pub fn of(sandbox: &Sandbox) -> Self {
        let (ca, password) = (sandbox.output("ca"), sandbox.password());
        let url = format!("https://localhost:{}", sandbox.port);
        Self { url, curl: format!("curl -s --noproxy '*' --cacert {ca} -u admin:{password}") }
    }

    fn code(&self, arguments: &str) -> u16 {
        let ran = shell(&format!("{} -o /dev/null -w '%{{http_code}}' {arguments}", self.curl));
        ran.out.trim().parse().unwrap_or_default()
    }

    /// Uploads a blob, and gives the code of its last request.
    pub fn upload(&self, repository: &str, content: &str) -> u16 {
        let start = format!("{} -o /dev/null -D - -X POST {}/v2/{repository}/blobs/uploads/", self.curl, self.url);
        let head = shell(&start).ok().out;
        let location = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
        });
        let location = location.unwrap_or_else(|| panic!("no location in {head}"));
        let at = if location.starts_with('/') { format!("{}{location}", self.url) } else { location };
        let sign = if at.contains('?') { '&' } else { '?' };
        self.code(&format!(
            "-X PUT -H 'Content-Type: application/octet-stream' --data-binary '{content}' '{at}{sign}digest={}'",
            digest(content)
        ))
    }

    pub fn head(&self, repository: &str, content: &str) -> u16 {
        self.code(&format!("-I {}/v2/{repository}/blobs/{}", self.url, digest(content)))
    }

    pub fn put(&self, repository: &str, reference: &str, manifest: &str) -> u16 {
        self.code(&format!("-X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary '{manifest}' {}/v2/{repository}/manifests/{reference}", self.url))
    }

    pub fn delete(&self, repository: &str, manifest: &str) -> u16 {
        self.code(&format!("-X DELETE {}/v2/{repository}/manifests/{}", self.url, digest(manifest)))
    }

    /// Pulls a tag with all that it needs.
    pub fn outcome(&self, repository: &str, tag: &str, needs: &[&str]) -> Outcome {
        let listed = shell(&format!("{} {}/v2/{repository}/tags/list", self.curl, self.url)).out;
        let accept = "-H 'Accept: application/vnd.oci.image.manifest.v1+json'";
        let manifest = self.code(&format!("{accept} {}/v2/{repository}/manifests/{tag}", self.url));
        let pulled = |content: &&str| {
            shell(&format!("{} {}/v2/{repository}/blobs/{}", self.curl, self.url, digest(content))).out == **content
        };
        if !listed.contains(&format!("\"{tag}\"")) {
            Outcome::Refused
        } else if manifest == 200 && needs.iter().all(pulled) {
            Outcome::Whole
        } else {
            Outcome::Broken
        }
    }
}
