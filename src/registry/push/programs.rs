//! Other engines than Docker's, reached by their own programs: [`Program`].

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::text::json;
use crate::world::host;
use crate::world::output::Output;

/// An engine that gives its images out by a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Podman,
    /// By `ctr`, with `CONTAINERD_ADDRESS` and `CONTAINERD_NAMESPACE` of the environment.
    Containerd,
}

/// An image as `podman images --format json` tells it.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Names", default)]
    names: Option<Vec<String>>,
}

impl Program {
    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Containerd => "ctr",
        }
    }

    /// All images: ids and names.
    pub async fn images(self) -> Result<Vec<(String, Vec<String>)>> {
        let arguments: &[&str] = match self {
            Self::Podman => &["images", "--format", "json"],
            Self::Containerd => &["images", "ls"],
        };
        let ran = host::ask(self.name(), arguments, &[]).await.map_err(|error| error.or_hint(self.hint()))?;
        if !ran.success {
            let words = ran.err.lines().take(3).map(str::to_owned);
            return Err(Error::new(format!("`{}` lists no images", self.name())).detail(words).hint(self.hint()));
        }
        match self {
            Self::Podman => listed(&ran.out),
            Self::Containerd => Ok(table(&ran.out)),
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Podman => {
                "`podman images` must work for this user; install podman, or push from the Docker engine without `--from`"
            }
            Self::Containerd => {
                "`ctr images ls` must work for this user: `CONTAINERD_ADDRESS` names the socket, `CONTAINERD_NAMESPACE` the namespace (`k8s.io` for Kubernetes)"
            }
        }
    }

    /// Begins to read images as an archive.
    pub(super) fn give(self, references: &[String]) -> Result<Output> {
        let start: &[&str] = match self {
            Self::Podman => &["save", "--quiet", "--format", "docker-archive", "--multi-image-archive"],
            Self::Containerd => &["images", "export", "-"],
        };
        let arguments: Vec<String> = start.iter().map(|word| (*word).to_owned()).chain(references.to_vec()).collect();
        Output::of(self.name(), &arguments)
    }
}

fn listed(text: &str) -> Result<Vec<(String, Vec<String>)>> {
    let listed: Vec<Listed> = json::read(text.as_bytes())
        .map_err(|why| Error::new(format!("what `podman images` says cannot be understood: {why}")))?;
    let image = |listed: Listed| (format!("sha256:{}", listed.id), listed.names.unwrap_or_default());
    Ok(listed.into_iter().map(image).collect())
}

/// Reads `REF TYPE DIGEST …`; names that are digests themselves are left out.
fn table(text: &str) -> Vec<(String, Vec<String>)> {
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, digest) = (words.next()?, words.nth(1)?);
        (digest.starts_with("sha256:") && !name.contains('@') && !name.starts_with("sha256:"))
            .then(|| (digest.to_owned(), vec![name.to_owned()]))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_list_is_read() {
        let text =
            r#"[{"Id":"ab","Names":["localhost/one:1","q/two:2"],"Size":1},{"Id":"cd","Names":null},{"Id":"ef"}]"#;
        let found = listed(text).unwrap();
        assert_eq!(found[0], ("sha256:ab".to_owned(), vec!["localhost/one:1".to_owned(), "q/two:2".to_owned()]));
        assert_eq!((found.len(), found[1].1.len(), found[2].1.len()), (3, 0, 0));
        assert!(listed("no").is_err());
        let text = "REF   TYPE   DIGEST   SIZE\ndocker.io/library/a:1 application/x sha256:ab 1 MiB linux/amd64 -\nsha256:ab application/x sha256:ab 1 MiB\na@sha256:ab application/x sha256:ab 1 MiB\n";
        assert_eq!(table(text), [("sha256:ab".to_owned(), vec!["docker.io/library/a:1".to_owned()])]);
    }
}
