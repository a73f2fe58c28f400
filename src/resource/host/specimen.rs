//! A kind that is there in tests alone, as small as one can be: [`SpecimenKind`]. It shows that this file, its name beside the
//! others in this folder and one line of the table are all that a kind needs.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::Result;
use crate::resource::change::{Action, Change, Field};
use crate::resource::hostfile::{HostFile, Undo};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};

pub(crate) struct SpecimenKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Where it stands.
    path: String,
    text: String,
}

impl Kind for SpecimenKind {
    const NAME: &'static str = "specimen";
    const ABOUT: &'static str = "a text on this host";
    const OUTPUTS: &'static [Output] = &[public("path")];

    type Spec = Spec;
    type Actual = HostFile;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<HostFile>> {
        HostFile::read(&at.key(), Path::new(&spec.path), at)
    }

    fn diff(spec: &Spec, actual: &HostFile, _: &At) -> Change {
        let found = actual.found.as_ref().map(|found| String::from_utf8_lossy(&found.content).into_owned());
        let fields = Field::compare("text", &found.unwrap_or_default(), &spec.text);
        Change::of(Action::Update, fields.into_iter().collect())
    }

    fn outputs(spec: &Spec, _: Option<&HostFile>, _: &At) -> Outputs {
        Outputs::default().with("path", spec.path.as_str())
    }

    async fn apply(spec: &Spec, _: Option<HostFile>, _: &Change, at: &At) -> Result<()> {
        HostFile::write(&at.key(), Path::new(&spec.path), spec.text.as_bytes(), 0o600, at).await
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        HostFile::owned(at)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        HostFile::remove(owned, at)
    }
}
