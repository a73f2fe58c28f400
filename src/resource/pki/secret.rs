//! A password: generated once, or given, and kept: [`SecretKind`].

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kept, Kind, Output, Outputs, Owned, hidden};
use crate::secret::Secret;
use crate::world::host;

pub(crate) struct SecretKind;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// How many letters and digits a generated one has; 32 hold 190 bits.
    #[serde(default = "length")]
    #[schemars(range(min = 8, max = 1024))]
    length: u16,
    /// The secret itself, where a user gave one. An empty text counts as not given.
    value: Option<Secret>,
}

fn length() -> u16 {
    32
}

impl Spec {
    fn given(&self) -> Option<&Secret> {
        self.value.as_ref().filter(|value| !value.expose().is_empty())
    }
}

impl Kind for SecretKind {
    const NAME: &'static str = "secret";
    const ABOUT: &'static str = "a password, generated once and kept in the deployment's folder";
    const OUTPUTS: &'static [Output] = &[hidden("value")];
    const BARE: Option<&'static str> = Some("value");
    const STAYS: bool = true;

    type Spec = Spec;
    type Actual = Secret;
    type Undo = Kept;

    async fn actual(_: &Spec, at: &At) -> Result<Option<Secret>> {
        Ok(at.store().get(&at.key())?.map(Secret::new))
    }

    fn diff(spec: &Spec, actual: &Secret, _: &At) -> Change {
        match spec.given() {
            Some(given) if given != actual => {
                let field =
                    Field { name: "value".to_owned(), old: "(secret)".to_owned(), new: "(another secret)".to_owned() };
                Change::of(Action::Update, vec![field])
            }
            _ => Change::unchanged(),
        }
    }

    fn outputs(_: &Spec, actual: Option<&Secret>, at: &At) -> Outputs {
        match actual {
            Some(secret) => Outputs::default().with("value", secret.expose()),
            None => Outputs::unknown(Self::OUTPUTS, &at.id),
        }
    }

    async fn apply(spec: &Spec, _: Option<Secret>, _: &Change, at: &At) -> Result<()> {
        if !(8..=1024).contains(&spec.length) {
            return Err(Error::new(format!(
                "a secret of {} characters is not made; the length goes from 8 to 1024",
                spec.length
            )));
        }
        match spec.given() {
            Some(given) => at.keep(&at.key(), given.expose()).await,
            None => at.keep(&at.key(), &host::random_text(usize::from(spec.length))?).await,
        }
    }

    async fn undo(undo: Kept, at: &At) -> Result<()> {
        undo.restore(at)
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        at.owned_keys(true)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        at.store().delete(&owned.handle)
    }
}
