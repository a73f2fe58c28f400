//! What an expression draws on: every name looked up, and no secret where it would show.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::{Binding, Graph, Id, Member};
use crate::error::{Error, Result, did_you_mean};
use crate::language::form::{Form, Slot};
use crate::language::template::variable;

/// What one expression draws on.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    pub needs: BTreeSet<Id>,
    pub secret: bool,
}

impl Graph {
    pub(super) fn uses_of_form(&self, scope: usize, form: &Form) -> Result<Uses> {
        let mut slots = Vec::new();
        form.slots(&mut slots);
        let mut all = Uses::default();
        for slot in slots {
            let uses = self.uses(scope, slot)?;
            all.needs.extend(uses.needs);
            all.secret |= uses.secret;
        }
        Ok(all)
    }

    /// What a value draws on, by its scope and name: looked at once, for values may build on each other in many ways.
    fn uses_once(&self, key: (usize, String), scope: usize, form: &Form) -> Result<Uses> {
        let seen = self.used.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(uses) = seen {
            return Ok(uses);
        }
        let uses = self.uses_of_form(scope, form)?;
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(key, uses.clone());
        Ok(uses)
    }

    /// What an expression draws on, each name checked; a secret must have its place.
    pub(super) fn uses(&self, scope: usize, slot: &Slot) -> Result<Uses> {
        let mut all = Uses::default();
        for name in slot.expression.names() {
            let uses = self.uses_of_name(scope, slot, name)?;
            if uses.secret && !slot.secret {
                let source = &self.scopes[scope].playbook.source;
                return Err(Error::new(format!("`{name}` is a secret, and it would show here"))
                    .at(slot.place(source, name))
                    .hint("a secret fits a file's `content`, `secret_env` and other fields that are kept from view; `provision secrets` prints it"));
            }
            all.needs.extend(uses.needs);
            all.secret |= uses.secret;
        }
        Ok(all)
    }

    pub(super) fn uses_of_name(&self, scope: usize, slot: &Slot, name: &str) -> Result<Uses> {
        let here = &self.scopes[scope];
        let (root, attribute) =
            name.split_once('.').map_or((name, None), |(root, rest)| (root, rest.split('.').next()));
        if let Some(binding) = here.inputs.get(root) {
            let typed_secret =
                here.playbook.inputs.iter().any(|input| variable(&input.name) == root && input.is_secret());
            let inner = match binding {
                Binding::Value(_) => Uses::default(),
                Binding::Form(form, parent) => self.uses_once((scope, root.to_owned()), *parent, form)?,
            };
            if attribute.is_some() {
                return Err(Error::new(format!("`{root}` is an input and has no outputs"))
                    .at(slot.place(&here.playbook.source, name))
                    .hint(format!("write `{root}` alone")));
            }
            return Ok(Uses { needs: inner.needs, secret: typed_secret || inner.secret });
        }
        match here.members.get(root) {
            Some(Member::Resource { id, kind, .. }) => {
                let output = attribute.or(kind.bare);
                let known: Vec<&str> = kind.outputs.iter().map(|output| output.name).collect();
                let found = output.and_then(|wanted| kind.outputs.iter().find(|output| output.name == wanted));
                let found = found.ok_or_else(|| match attribute {
                    Some(attribute) => Error::new(format!("{} `{root}` has no output `{attribute}`", kind.name))
                        .at(slot.place(&here.playbook.source, name))
                        .hint(did_you_mean(attribute, &known)),
                    None => Error::new(format!("`{root}` is a {}, not text", kind.name))
                        .at(slot.place(&here.playbook.source, name))
                        .hint(dotted(root, &known)),
                })?;
                Ok(Uses { needs: BTreeSet::from([id.clone()]), secret: found.secret })
            }
            Some(Member::Include(inner)) => self.uses_of_include(scope, slot, name, *inner, attribute),
            None => {
                let mut known = self.inputs(scope);
                known.extend(here.members.keys().map(String::as_str));
                Err(Error::new(format!("unknown name `{root}`"))
                    .at(slot.place(&here.playbook.source, root))
                    .hint(did_you_mean(root, &known)))
            }
        }
    }

    fn uses_of_include(
        &self,
        scope: usize,
        slot: &Slot,
        name: &str,
        inner: usize,
        attribute: Option<&str>,
    ) -> Result<Uses> {
        let outputs = &self.scopes[inner].outputs;
        if let Some(form) = attribute.and_then(|attribute| outputs.get(attribute)) {
            // A dot is in no name of an input.
            return self.uses_once((inner, format!(".{}", attribute.unwrap_or_default())), inner, form);
        }
        let known: Vec<&str> = outputs.keys().map(String::as_str).collect();
        let root = name.split('.').next().unwrap_or(name);
        let (what, hint) = match attribute {
            Some(attribute) => {
                (format!("the included playbook `{root}` has no output `{attribute}`"), did_you_mean(attribute, &known))
            }
            None => (format!("`{root}` is an included playbook, not text"), dotted(root, &known)),
        };
        Err(Error::new(what).at(slot.place(&self.scopes[scope].playbook.source, name)).hint(hint))
    }
}

/// A hint to name an output.
fn dotted(root: &str, outputs: &[&str]) -> String {
    let names: Vec<String> = outputs.iter().map(|output| format!("`{root}.{output}`")).collect();
    if names.is_empty() {
        "it has no outputs".to_owned()
    } else {
        format!("name one of its outputs: {}", names.join(", "))
    }
}
