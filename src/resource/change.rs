//! What is to be done with one resource, and why, field by field: [`Change`].

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::event::{FieldEvent, LineEvent};
use crate::resource::difference::Texts;
use crate::text::unknown::awaited;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// As it should be.
    Unchanged,
    /// A check that is carried out because something that it watches changes.
    Check,
    Update,
    Create,
    Replace,
    Delete,
}

/// One field that differs: as it is, and as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub old: String,
    pub new: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    pub fields: Vec<Field>,
    /// Why, where the fields do not say it.
    pub reason: Option<String>,
    /// Whether it deletes something that cannot be made again.
    pub data: bool,
    /// For how long nobody answers while it is carried out; none if somebody does all the time.
    pub gap: Option<Gap>,
    /// The contents of fields that differ in them; a plan turns them into lines.
    pub texts: Vec<Texts>,
    /// The lines that change, by the field.
    pub lines: BTreeMap<String, Vec<LineEvent>>,
}

/// How long a gap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    Milliseconds(u64),
    /// It was never measured.
    Unknown,
}

impl Action {
    /// The word in a plan, and as an event says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Check => "check",
            Self::Update => "update",
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }

    pub fn done(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Check => "checked",
            Self::Update => "updated",
            Self::Create => "created",
            Self::Replace => "replaced",
            Self::Delete => "deleted",
        }
    }
}

impl Change {
    pub fn new(action: Action) -> Self {
        Self {
            action,
            fields: Vec::new(),
            reason: None,
            data: false,
            gap: None,
            texts: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    pub fn unchanged() -> Self {
        Self::new(Action::Unchanged)
    }

    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// `action` if any field differs, else nothing.
    pub fn of(action: Action, fields: Vec<Field>) -> Self {
        let action = if fields.is_empty() { Action::Unchanged } else { action };
        Self { fields, ..Self::new(action) }
    }

    /// The same with the contents of fields that differ in them.
    #[must_use]
    pub fn with(mut self, texts: impl IntoIterator<Item = Texts>) -> Self {
        self.texts.extend(texts);
        self
    }

    /// Its fields as a plan tells them.
    pub fn events(&self) -> Vec<FieldEvent> {
        let event = |field: &Field| FieldEvent {
            field: field.name.clone(),
            old: field.old.clone(),
            new: field.new.clone(),
            lines: self.lines.get(&field.name).cloned().unwrap_or_default(),
        };
        self.fields.iter().map(event).collect()
    }

    pub fn is_change(&self) -> bool {
        self.action != Action::Unchanged
    }
}

impl Field {
    /// The difference between two values, if there is one. A value that is not known yet may differ, so it counts.
    pub fn compare(name: impl Into<String>, old: &str, new: &str) -> Option<Self> {
        (old != new).then(|| Self { name: name.into(), old: shown(old), new: shown(new) })
    }
}

/// A set of values as a diff shows it: each once, in order.
pub(crate) fn listed(values: impl IntoIterator<Item = impl ToString>) -> String {
    let values: std::collections::BTreeSet<String> = values.into_iter().map(|value| value.to_string()).collect();
    values.into_iter().collect::<Vec<_>>().join(", ")
}

/// A value as a plan shows it.
fn shown(text: &str) -> String {
    match awaited(text) {
        Some(id) => format!("(known after `{id}`)"),
        _ if text.is_empty() => "(none)".to_owned(),
        _ => text.to_owned(),
    }
}
