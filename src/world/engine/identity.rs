//! Which engine it is that answers, whatever address it is reached by: [`Identity`].

use bollard::errors::Error as Cause;
use serde::{Deserialize, Serialize};

use super::transport::Transport;
use super::{Endpoint, plain};
use crate::world::host;

/// Where the engine of a host listens: a socket that stands elsewhere may lead to another host.
const OF_A_HOST: [&str; 2] = ["unix:///var/run/docker.sock", "unix:///run/docker.sock"];

/// What tells one engine from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Where it was reached.
    pub address: String,
    /// The context that named it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// What it calls itself. Podman has another one at each question.
    #[serde(default)]
    pub id: String,
    /// The name of its host.
    #[serde(default)]
    pub host: String,
    /// The version of the API that was spoken with it: the number behind `1.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<u32>,
    /// The folder of its data.
    #[serde(default)]
    pub root: String,
}

impl Identity {
    /// Whether it is the same engine: by its own mark, wherever it is reached now; or at the same place of the same host, where it
    /// was set up anew.
    pub fn is_same(&self, other: &Self) -> bool {
        let by_mark = !self.id.is_empty() && self.id == other.id;
        let by_place = self.address == other.address && self.host == other.host;
        self.root == other.root && (by_mark || by_place)
    }

    /// Whether the engine at an address can be no other than this one, so that it need not be asked.
    pub fn is_surely_at(&self, address: &str) -> bool {
        self.address == address && OF_A_HOST.contains(&address) && self.host == host::name()
    }

    /// As it is told: ``at `tcp://far:2376`, on the host `far` ``.
    pub fn describe(&self) -> String {
        let host = if self.host.is_empty() { String::new() } else { format!(", on the host `{}`", self.host) };
        format!("at `{}`{host}", self.address)
    }
}

/// Asks an engine. Its answer is read loosely: engines differ in all the rest of it.
pub(super) async fn ask(endpoint: &Endpoint, transport: &Transport) -> Result<Identity, Cause> {
    let info = plain::ask("/info", transport).await?;
    let text = |name: &str| info[name].as_str().unwrap_or_default().to_owned();
    let (id, host, root) = (text("ID"), text("Name"), text("DockerRootDir"));
    Ok(Identity {
        address: endpoint.address.clone(),
        context: endpoint.context.clone(),
        id,
        host,
        root,
        api: transport.api.next(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(address: &str, id: &str, host: &str, root: &str) -> Identity {
        let own = str::to_owned;
        Identity { address: own(address), context: None, id: own(id), host: own(host), root: own(root), api: None }
    }

    #[test]
    fn an_engine_is_known_again_by_its_mark_or_by_its_place() {
        let known = engine("unix:///var/run/docker.sock", "A", "here", "/var/lib/docker");
        let same = |other: Identity| known.is_same(&other);
        assert!(same(engine("tcp://here:2376", "A", "here", "/var/lib/docker")), "by another way");
        assert!(same(engine("unix:///var/run/docker.sock", "B", "here", "/var/lib/docker")), "set up anew");
        assert!(same(engine("unix:///var/run/docker.sock", "A", "renamed", "/var/lib/docker")), "its host was renamed");
        assert!(!same(engine("tcp://far:2376", "B", "far", "/var/lib/docker")), "another host");
        assert!(!same(engine("unix:///var/run/docker.sock", "B", "far", "/var/lib/docker")), "the same path elsewhere");
        assert!(!same(engine("unix:///tmp/second", "A", "here", "/tmp/data")), "a second engine of the host");
        assert!(!same(engine("unix:///run/user/1000/docker.sock", "", "here", "/home/u/data")), "a user's own");
    }
}
