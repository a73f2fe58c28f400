//! What expressions yield, once the outputs of other resources are known.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::Value as Json;

use super::{Binding, Graph, Id, Member, Scope};
use crate::error::{Error, Result};
use crate::language::form::{Form, Slot};
use crate::language::template::variable;
use crate::language::template::within;
use crate::resource::Outputs;
use crate::resource::difference;

/// How deep values may build on each other, by way of included playbooks too.
const DEEPEST: usize = 200;

/// What is known while something is evaluated: the outputs of resources, and the values that were made on the way, each once.
pub(super) struct Known<'a> {
    outputs: &'a BTreeMap<Id, Outputs>,
    made: RefCell<BTreeMap<(usize, String), Value>>,
    /// Whether other texts stand in the places of secrets.
    veiled: bool,
}

impl<'a> Known<'a> {
    pub fn new(outputs: &'a BTreeMap<Id, Outputs>) -> Self {
        Self { outputs, made: RefCell::default(), veiled: false }
    }

    /// The same with other texts in the places of secrets.
    fn veiled(outputs: &'a BTreeMap<Id, Outputs>) -> Self {
        Self { veiled: true, ..Self::new(outputs) }
    }

    /// A value by its scope and name; `make` makes it where it was not made yet.
    fn once(&self, key: (usize, String), make: impl FnOnce() -> Result<Json>) -> Result<Value> {
        let made = self.made.borrow().get(&key).cloned();
        if let Some(value) = made {
            return Ok(value);
        }
        let value = Value::from(Serde(&make()?));
        self.made.borrow_mut().insert(key, value.clone());
        Ok(value)
    }
}

impl Scope {
    fn takes_secret(&self, name: &str) -> bool {
        self.playbook.inputs.iter().any(|input| input.is_secret() && variable(&input.name) == name)
    }
}

impl Graph {
    /// The fields of a resource with every expression evaluated; `known` holds the outputs of what it needs.
    pub fn fields(&self, id: &Id, known: &BTreeMap<Id, Outputs>) -> Result<Json> {
        let vertex = &self.nodes[id];
        within(|| self.fill(vertex.scope, &vertex.form, &Known::new(known)))
    }

    /// The same with other texts in the places of secrets, so that those places can be told from the rest.
    pub fn veiled_fields(&self, id: &Id, known: &BTreeMap<Id, Outputs>) -> Result<Json> {
        let vertex = &self.nodes[id];
        within(|| self.fill(vertex.scope, &vertex.form, &Known::veiled(known)))
    }

    /// The words of every secret that is known, without those that are public as well, such as a certificate beside its key.
    pub fn secrets(&self, known: &BTreeMap<Id, Outputs>) -> BTreeSet<String> {
        let (mut secret, mut public) = (BTreeSet::new(), BTreeSet::new());
        for (id, outputs) in known {
            for output in self.nodes.get(id).into_iter().flat_map(|vertex| vertex.kind.outputs) {
                let Some(value) = outputs.get(output.name) else { continue };
                difference::words(value, if output.secret { &mut secret } else { &mut public });
            }
        }
        let known = Known::new(known);
        for scope in &self.scopes {
            for (_, binding) in scope.inputs.iter().filter(|(name, _)| scope.takes_secret(name)) {
                match binding {
                    Binding::Value(value) => difference::words(value, &mut secret),
                    Binding::Form(form, parent) => {
                        let filled = within(|| self.fill(*parent, form, &known));
                        drop(filled.map(|value| difference::words(&value, &mut secret)));
                    }
                }
            }
        }
        secret.retain(|word| !public.contains(word));
        secret
    }

    /// Turns an error at a path of a resource's fields into one with its place.
    pub fn locate(&self, id: &Id, path: &serde_path_to_error::Path, error: Error) -> Error {
        let vertex = &self.nodes[id];
        error.at(self.scopes[vertex.scope].playbook.source.place(vertex.form.locate(path)))
    }

    /// The outputs of the playbook, in the order of their names. One that is empty is none.
    pub fn outputs(&self, known: &BTreeMap<Id, Outputs>) -> Result<BTreeMap<String, String>> {
        let Some(root) = self.scopes.first() else { return Ok(BTreeMap::new()) };
        let mut outputs = BTreeMap::new();
        let known = Known::new(known);
        for (key, _) in &root.playbook.outputs {
            let Some(form) = root.outputs.get(&variable(&key.text)) else { continue };
            let value = within(|| self.fill(0, form, &known))?;
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !text.is_empty() {
                outputs.insert(key.text.clone(), text);
            }
        }
        Ok(outputs)
    }

    pub(super) fn fill(&self, scope: usize, form: &Form, known: &Known<'_>) -> Result<Json> {
        let source = &self.scopes[scope].playbook.source;
        form.fill(&mut |slot| slot.evaluate(source, self.context(scope, slot, known)?))
    }

    /// The values of the names that an expression uses.
    pub(super) fn context(&self, scope: usize, slot: &Slot, known: &Known<'_>) -> Result<Value> {
        let here = &self.scopes[scope];
        let mut values = BTreeMap::new();
        for name in slot.expression.names() {
            let root = name.split('.').next().unwrap_or(name);
            let veil =
                |value: Json| if known.veiled && here.takes_secret(root) { difference::other(&value) } else { value };
            let value = match (here.inputs.get(root), here.members.get(root)) {
                (Some(Binding::Value(value)), _) if known.veiled => Some(Value::from(Serde(&veil(value.clone())))),
                (Some(Binding::Value(value)), _) => Some(Value::from(Serde(value))),
                (Some(Binding::Form(form, parent)), _) => {
                    Some(known.once((scope, root.to_owned()), || self.fill(*parent, form, known).map(veil))?)
                }
                (None, Some(Member::Resource { id, kind, present: true })) => {
                    let outputs = known.outputs.get(id);
                    if known.veiled {
                        outputs.map(|outputs| outputs.veiled(kind.outputs).value(kind.bare))
                    } else {
                        outputs.map(|outputs| outputs.value(kind.bare))
                    }
                }
                (None, Some(Member::Include(inner))) if self.scopes[*inner].present => {
                    Some(self.include_value(*inner, name, known)?)
                }
                _ => None,
            };
            if let Some(value) = value {
                let merged = values.remove(root).map_or(value.clone(), |earlier| merge(&earlier, &value));
                values.insert(root.to_owned(), merged);
            }
        }
        Ok(Value::from(values))
    }

    /// How deep values stand behind a form: 1 where it names none.
    ///
    /// # Errors
    /// More than [`DEEPEST`].
    pub(super) fn depth(&self, scope: usize, form: &Form) -> Result<usize> {
        let here = &self.scopes[scope];
        let mut slots = Vec::new();
        form.slots(&mut slots);
        let mut deepest = 0;
        for root in slots.iter().flat_map(|slot| slot.expression.names()).filter_map(|name| name.split('.').next()) {
            deepest = deepest.max(match here.members.get(root) {
                Some(Member::Include(inner)) => self.scopes[*inner].depths.values().max().copied().unwrap_or(0),
                _ => here.depths.get(root).copied().unwrap_or(0),
            });
        }
        if deepest >= DEEPEST {
            return Err(Error::new(format!("values build on each other more than {DEEPEST} deep"))
                .at(here.playbook.source.place(form.span())));
        }
        Ok(deepest + 1)
    }

    fn include_value(&self, inner: usize, name: &str, known: &Known<'_>) -> Result<Value> {
        let attribute = name.split('.').nth(1).unwrap_or_default();
        let Some(form) = self.scopes[inner].outputs.get(attribute) else { return Ok(Value::UNDEFINED) };
        // A dot is in no name of an input.
        let value = known.once((inner, format!(".{attribute}")), || self.fill(inner, form, known))?;
        Ok(Value::from(BTreeMap::from([(attribute.to_owned(), value)])))
    }
}

/// Two sets of attributes of the same name as one.
fn merge(earlier: &Value, later: &Value) -> Value {
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for value in [earlier, later] {
        let Ok(keys) = value.try_iter() else { return later.clone() };
        for key in keys {
            let inner = value.get_item(&key).unwrap_or(Value::UNDEFINED);
            all.insert(key.to_string(), inner);
        }
    }
    Value::from(all)
}
