//! What must hold of something that is known only once another resource is there: [`RequirementKind`].

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::resource::change::Change;
use crate::resource::{At, Kind, Output, Outputs};
use crate::text::unknown::is_unknown;

pub(crate) struct RequirementKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// What is looked at.
    value: String,
    /// What it may be.
    one_of: Vec<String>,
    /// Why it can be nothing else.
    refuse: String,
    /// What to do.
    hint: Option<String>,
}

impl Kind for RequirementKind {
    const NAME: &'static str = "requirement";
    const ABOUT: &'static str =
        "something that must hold before anything is changed, or as soon as it is known; `rules` do so for inputs";
    const OUTPUTS: &'static [Output] = &[];

    type Spec = Spec;
    type Actual = ();
    type Undo = ();

    async fn actual(_: &Spec, _: &At) -> Result<Option<()>> {
        Ok(Some(()))
    }

    async fn check(spec: &Spec, _: Option<&()>, _: &Change, _: &At) -> Result<()> {
        if is_unknown(&spec.value) || spec.one_of.contains(&spec.value) {
            return Ok(());
        }
        let error = Error::new(spec.refuse.clone());
        Err(spec.hint.iter().fold(error, |error, hint| error.hint(hint.clone())))
    }

    fn diff(_: &Spec, (): &(), _: &At) -> Change {
        Change::unchanged()
    }

    fn outputs(_: &Spec, _: Option<&()>, _: &At) -> Outputs {
        Outputs::default()
    }

    async fn apply(_: &Spec, _: Option<()>, _: &Change, _: &At) -> Result<()> {
        Ok(())
    }

    async fn undo((): (), _: &At) -> Result<()> {
        Ok(())
    }
}
