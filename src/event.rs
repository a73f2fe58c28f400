//! What happens during a run, told as it happens: [`Event`]. The progress display, the JSON lines and the summary read
//! the same events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// A word of this program's own, such as the name of a kind.
pub type Term = &'static str;

/// How many words of its own a program of this version can have: of another program's there may be any number.
const TERMS: usize = 1000;

/// Reads a word that this program has itself, or another of its version.
fn term<'de, D: Deserializer<'de>>(from: D) -> Result<Term, D::Error> {
    static KNOWN: Mutex<BTreeSet<Term>> = Mutex::new(BTreeSet::new());
    let text = String::deserialize(from)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(term) = known.get(text.as_str()) {
        return Ok(term);
    }
    if known.len() >= TERMS {
        return Ok("…");
    }
    let term: Term = text.leak();
    known.insert(term);
    Ok(term)
}

/// A file of a rendered tree as it must be on the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenderedFile {
    pub path: String,
    /// The permission bits, in octal.
    pub mode: String,
    pub owner: String,
}

/// One thing that happened. No event carries a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// What a plan says of one resource.
    Planned {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        #[serde(deserialize_with = "term")]
        action: Term,
        fields: Vec<FieldEvent>,
        reason: Option<String>,
    },
    /// The end of a plan.
    Plan {
        deployment: String,
        create: usize,
        update: usize,
        replace: usize,
        delete: usize,
        check: usize,
        unchanged: usize,
    },
    /// Work on a resource began.
    Started {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        #[serde(deserialize_with = "term")]
        action: Term,
    },
    /// How far a long step is. `total` is 0 where the end is not known.
    Progress {
        resource: String,
        text: String,
        done: u64,
        total: u64,
    },
    /// What a user should know of the inputs before they are carried out.
    Warning {
        text: String,
    },
    /// Something a user should know that is no error.
    Note {
        resource: Option<String>,
        text: String,
    },
    Finished {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        #[serde(deserialize_with = "term")]
        action: Term,
        milliseconds: u64,
    },
    Failed {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        error: String,
        hint: Option<String>,
        detail: Vec<String>,
    },
    /// A step that was taken back after a failure.
    Undone {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        error: Option<String>,
    },
    /// The state of one resource, for `status`.
    Status {
        resource: String,
        #[serde(deserialize_with = "term")]
        kind: Term,
        state: String,
        fields: Vec<FieldEvent>,
        reason: Option<String>,
    },
    /// All deployments, or one, at a glance.
    Overview {
        deployments: Vec<DeploymentEvent>,
        /// At how many of them something is wrong.
        wrong: usize,
    },
    /// The engine that requests go to.
    Engine {
        address: String,
        /// The version of its API that is spoken with it.
        api: String,
    },
    /// A request to the engine, or a call to AWS and what it is about; bodies are never shown.
    Request {
        method: String,
        path: String,
    },
    Outputs {
        deployment: String,
        outputs: BTreeMap<String, String>,
    },
    /// The tree of a host as it was rendered, and what remains to be done there as root.
    Rendered {
        root: String,
        files: Vec<RenderedFile>,
        commands: Vec<String>,
    },
    /// Something on a host that is not as it should be.
    Finding {
        #[serde(deserialize_with = "term")]
        danger: Term,
        place: String,
        what: String,
        #[serde(deserialize_with = "term")]
        consequence: Term,
        remedy: String,
    },
    /// The inputs that take a host over, and what remains to be done there, by root where services of the host are changed.
    Adopted {
        file: String,
        commands: Vec<String>,
        root: bool,
    },
    /// What became of one image that was to be brought to a registry.
    Image {
        /// As its source names it.
        image: String,
        /// As it is named there, with the registry.
        name: String,
        digest: Option<String>,
        #[serde(deserialize_with = "term")]
        state: Term,
    },
    /// The last event of a run.
    Summary {
        deployment: String,
        changed: usize,
        milliseconds: u64,
        #[serde(deserialize_with = "term")]
        outcome: Term,
    },
}

/// A deployment at a glance. Times are in RFC 3339; what is not known, or is not there, is null.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct DeploymentEvent {
    pub deployment: String,
    pub playbook: String,
    /// `ok`, `wrong`, `kept` where only its data is left, or `busy` while somebody works on it.
    #[serde(deserialize_with = "term")]
    pub state: Term,
    pub url: Option<String>,
    /// Since when all of it has run.
    pub up_since: Option<String>,
    pub certificate: Option<CertificateEvent>,
    pub space: Option<SpaceEvent>,
    pub backup: Option<BackupEvent>,
    pub users: Vec<String>,
    /// What came of its last upkeep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<UpkeepEvent>,
    /// When it was looked at: earlier than now where a look takes too long.
    pub looked: Option<String>,
    pub wrong: Vec<WrongEvent>,
    pub notes: Vec<String>,
}

/// The certificate that ends first.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct CertificateEvent {
    pub ends: String,
    /// Until then; less than nothing if it has ended.
    pub days: i64,
}

/// The bytes of all data, and when they were counted.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct SpaceEvent {
    pub bytes: u64,
    pub measured: String,
    /// Whether that was at this look.
    pub fresh: bool,
}

/// What `provision maintain` did last.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct UpkeepEvent {
    pub time: String,
    /// Its exit code.
    pub code: u8,
    /// The last line that it printed.
    pub line: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct BackupEvent {
    pub file: String,
    pub bytes: u64,
    pub time: String,
}

/// Something that is not as it should be: a resource, or all of the deployment.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct WrongEvent {
    pub resource: Option<String>,
    pub what: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct FieldEvent {
    pub field: String,
    pub old: String,
    pub new: String,
    /// The lines that change, with some around them, where it is the content of a file that can be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineEvent>,
}

/// A line of a file that changes, or one around it. Lines count from 1; one with a secret in it reads `(secret)`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct LineEvent {
    pub change: LineChange,
    /// Where it stands in the file as it is.
    pub old: Option<usize>,
    /// Where it is to stand.
    pub new: Option<usize>,
    pub text: String,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LineChange {
    Same,
    Removed,
    Added,
}

/// Where events are sent. A closed channel means that nobody listens any more, which is no error.
#[derive(Debug, Clone)]
pub struct Events(UnboundedSender<Event>);

impl Events {
    pub fn new(sender: UnboundedSender<Event>) -> Self {
        Self(sender)
    }

    pub fn send(&self, event: Event) {
        drop(self.0.send(event));
    }

    pub fn note(&self, resource: Option<&str>, text: impl Into<String>) {
        self.send(Event::Note { resource: resource.map(str::to_owned), text: text.into() });
    }
}
