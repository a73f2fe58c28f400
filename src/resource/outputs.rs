//! What a resource tells other resources: [`Outputs`].

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Value as Json;

use crate::resource::difference::other;
use crate::text::unknown::unknown;

/// One output of a kind.
#[derive(Debug)]
pub(crate) struct Output {
    pub name: &'static str,
    pub secret: bool,
}

pub(crate) const fn public(name: &'static str) -> Output {
    Output { name, secret: false }
}

pub(crate) const fn hidden(name: &'static str) -> Output {
    Output { name, secret: true }
}

/// The values of a resource's outputs; one that is not known yet is a stand-in.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outputs(BTreeMap<&'static str, Json>);

impl Outputs {
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.0.insert(name, value.into());
        self
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// The same with other texts in the places of secrets.
    pub fn veiled(&self, outputs: &[Output]) -> Self {
        let secret = |name: &str| outputs.iter().any(|output| output.name == name && output.secret);
        let veil =
            |(name, value): (&&'static str, &Json)| (*name, if secret(name) { other(value) } else { value.clone() });
        Self(self.0.iter().map(veil).collect())
    }

    /// The outputs of a resource that does not exist yet.
    pub fn unknown(outputs: &[Output], id: &str) -> Self {
        Self(outputs.iter().map(|output| (output.name, Json::from(unknown(id)))).collect())
    }

    /// The names of those that are not known though `id` has been applied.
    pub fn missing(&self, id: &str) -> impl Iterator<Item = &'static str> {
        let stand_in = unknown(id);
        self.0.iter().filter(move |(_, value)| value.as_str() == Some(&stand_in)).map(|(name, _)| *name)
    }

    /// As an expression sees it: the one value, or a mapping of all.
    pub fn value(&self, bare: Option<&str>) -> Value {
        match bare.and_then(|bare| self.0.get(bare)) {
            Some(value) => Value::from(Serde(value)),
            None => Value::from(Serde(&self.0)),
        }
    }
}
