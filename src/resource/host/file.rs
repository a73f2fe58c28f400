//! A file on this host: [`FileKind`].

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::content::{Content, Mode, fingerprint};
use crate::resource::difference::{Kept, Texts};
use crate::resource::hostfile::{HostFile, Undo};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::secret::Secret;

pub(crate) struct FileKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// Where it stands on this host; the folders above it are made.
    path: String,
    content: Option<Secret>,
    /// A file below `templates/`, or beside the playbook, that is rendered with the names of the playbook.
    template: Option<Content>,
    /// The permission bits, in octal. Without it only the owner may read the file, since it may hold a secret.
    #[serde(default = "mode")]
    mode: Mode,
}

fn mode() -> Mode {
    Mode::new(0o600)
}

impl Spec {
    fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    fn text(&self) -> Result<&str> {
        match (&self.content, &self.template) {
            (Some(content), None) => Ok(content.expose()),
            (None, Some(template)) => Ok(template.expose()),
            _ => Err(Error::new(format!("the file `{}` needs either `content` or `template`", self.path))),
        }
    }
}

impl Kind for FileKind {
    const NAME: &'static str = "file";
    const ABOUT: &'static str = "a file on this host, written whole or not at all";
    const OUTPUTS: &'static [Output] = &[public("path")];
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = HostFile;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<HostFile>> {
        HostFile::read(&at.key(), spec.path(), at)
    }

    async fn check(spec: &Spec, actual: Option<&HostFile>, change: &Change, _: &At) -> Result<()> {
        spec.text()?;
        if !spec.path().is_absolute() {
            return Err(Error::new(format!("the path `{}` does not start with a slash", spec.path)).hint(
                "a path of this host counts from the root; an input of type `path` turns what a user gives into one",
            ));
        }
        if change.is_change() { HostFile::check(spec.path(), actual) } else { Ok(()) }
    }

    fn diff(spec: &Spec, actual: &HostFile, _: &At) -> Change {
        let Some(record) = actual.record.as_ref() else { return Change::new(Action::Create) };
        if record.path != spec.path() {
            let fields = Field::compare("path", &record.path.display().to_string(), &spec.path).into_iter().collect();
            // A file that only its owner may read is a key or a password, and those cannot be made again.
            return Change { data: spec.mode.is_private(), ..Change::of(Action::Replace, fields) };
        }
        let Some(found) = &actual.found else { return Change::new(Action::Create).because("the file is gone") };
        let mut fields: Vec<Field> = Vec::new();
        fields.extend(Field::compare(
            "content",
            &fingerprint(&found.content),
            &fingerprint(spec.text().unwrap_or_default().as_bytes()),
        ));
        fields.extend(Field::compare("mode", &Mode::new(found.mode).to_string(), &spec.mode.to_string()));
        fields.extend(actual.folders.iter().cloned());
        let differs = fields.iter().any(|field| field.name == "content");
        let texts = || Texts::new("content", Kept::of(&found.content), spec.text().unwrap_or_default());
        Change::of(Action::Update, fields).with(differs.then(texts))
    }

    fn outputs(spec: &Spec, _: Option<&HostFile>, _: &At) -> Outputs {
        Outputs::default().with("path", spec.path.as_str())
    }

    async fn apply(spec: &Spec, _: Option<HostFile>, _: &Change, at: &At) -> Result<()> {
        HostFile::write(&at.key(), spec.path(), spec.text()?.as_bytes(), spec.mode.bits(), at).await
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
