//! What a deployment keeps about retention: the rules, whether a plan by them was confirmed, and what is held: [`Kept`].

use std::collections::BTreeSet;

use super::rules::Rules;
use crate::deployment::Store;
use crate::error::Result;
use crate::text::digest::sha256;

const RULES: &str = "retention/rules.yml";
/// The digest of the rules by which a plan was confirmed.
const CONFIRMED: &str = "retention/confirmed";
const HELD: &str = "retention/held.json";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The file as it was given; none if there are no rules.
    pub text: Option<String>,
    pub rules: Rules,
    pub is_confirmed: bool,
    /// `repository:tag`, or `repository@digest`.
    pub held: BTreeSet<String>,
}

impl Kept {
    pub fn read(store: &Store) -> Result<Self> {
        let text = store.get(RULES)?;
        let rules = text.as_deref().map(|text| Rules::read(RULES, text)).transpose()?.unwrap_or_default();
        let confirmed = store.get(CONFIRMED)?;
        let is_confirmed = text.as_ref().is_some_and(|text| confirmed == Some(sha256(text.as_bytes())));
        Ok(Self { text, rules, is_confirmed, held: store.json(HELD)?.unwrap_or_default() })
    }

    /// The rules that are carried out without a question.
    pub fn confirmed(&self) -> Rules {
        if self.is_confirmed { self.rules.clone() } else { Rules::default() }
    }

    /// Takes other rules, or none. The deployment is locked.
    pub fn set(store: &Store, text: Option<&str>) -> Result<()> {
        match text {
            Some(text) => store.put(RULES, text),
            None => store.delete(CONFIRMED).and_then(|()| store.delete(RULES)),
        }
    }

    /// Notes that a plan by these very rules was confirmed. The deployment is locked.
    pub fn confirm(&self, store: &Store) -> Result<()> {
        store.put(CONFIRMED, &sha256(self.text.as_deref().unwrap_or_default().as_bytes()))
    }

    /// Keeps what is held. The deployment is locked.
    pub fn hold(store: &Store, held: &BTreeSet<String>) -> Result<()> {
        if held.is_empty() { store.delete(HELD) } else { store.put(HELD, &serde_json::json!(held).to_string()) }
    }
}
