//! A condition on the inputs of a playbook: [`Condition`], and the refusal of inputs whose condition does not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Value as Json;

use super::Input;
use crate::error::{Error, Result};
use crate::language::template::variable;
use crate::language::template::{Expression, Fault};

/// An expression of inputs, written without braces as `when:` is.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    text: String,
    expression: Arc<Expression>,
}

impl Condition {
    pub fn parse(text: &str) -> std::result::Result<Self, Fault> {
        Ok(Self { text: text.to_owned(), expression: Arc::new(Expression::bare(text)?) })
    }

    /// The names that it looks up, as expressions write them.
    pub fn names(&self) -> &[String] {
        self.expression.names()
    }

    /// Reads on after "only": `with --redis`, or `where flavor == 's3'`.
    pub fn told(&self, inputs: &[Input]) -> String {
        let text = self.text.trim();
        match inputs.iter().find(|input| variable(&input.name) == text) {
            Some(input) => format!("`{}`", input.given_by()),
            None => format!("`{text}`"),
        }
    }

    /// Whether it holds for these values. A secret counts as given or not, and its text is not seen.
    pub fn holds(&self, inputs: &[Input], values: &BTreeMap<String, Json>) -> Result<bool> {
        let known = inputs.iter().filter(|input| self.names().contains(&variable(&input.name)));
        let scope: BTreeMap<String, Value> = known
            .map(|input| {
                let value = values.get(&input.name).cloned().unwrap_or_else(|| Json::from(""));
                let seen = Value::from(Serde(&value));
                let seen = if input.is_secret() { Value::from(seen.is_true()) } else { seen };
                (variable(&input.name), seen)
            })
            .collect();
        let found = self.expression.evaluate(Value::from(scope));
        found.map(|value| value.is_true()).map_err(|fault| {
            Error::new(format!("the condition `{}` cannot be decided: {}", self.text, fault.message))
                .hint("this is a mistake in the playbook")
        })
    }
}

impl Input {
    /// The flag that gives it its default again.
    fn taken_back(&self) -> String {
        match &self.default {
            Some(Json::String(text)) => self.typed(text),
            Some(Json::Array(items)) if items.is_empty() => self.typed(""),
            Some(value) => self.typed(&value.to_string()),
            None => self.given_by(),
        }
    }
}

/// Fails if an input has a value though its condition does not hold; `fresh` are those given for this run.
pub(crate) fn check(inputs: &[Input], values: &BTreeMap<String, Json>, fresh: &BTreeSet<String>) -> Result<()> {
    let mut idle = Vec::new();
    for input in inputs {
        let Some(condition) = &input.when else { continue };
        if values.get(&input.name) != input.default.as_ref() && !condition.holds(inputs, values)? {
            idle.push((input, condition));
        }
    }
    let (now, earlier): (Vec<_>, Vec<_>) = idle.into_iter().partition(|(input, _)| fresh.contains(&input.name));
    let Some((first, condition)) = now.first().or(earlier.first()) else { return Ok(()) };
    let since = if now.is_empty() { ", which an earlier run was given," } else { "" };
    let list = |idle: &[(&Input, &Condition)], text: fn(&Input) -> String| {
        idle.iter().map(|(input, _)| text(input)).collect::<Vec<_>>().join(" ")
    };
    let leave =
        (!now.is_empty()).then(|| format!("give what it goes with, or leave out `{}`", list(&now, Input::given_by)));
    let back = (!earlier.is_empty())
        .then(|| format!("take back what an earlier run was given: `{}`", list(&earlier, Input::taken_back)));
    let only = condition.told(inputs);
    Err(Error::usage(format!("`{}`{since} requires {only}", first.given_by()))
        .hint(leave.into_iter().chain(back).collect::<Vec<_>>().join("; ")))
}
