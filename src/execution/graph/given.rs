//! What inputs alone decide, before anything is read from the world: `when`, `after` and the rules of a playbook.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::values::Known;
use super::{Binding, Graph};
use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node};
use crate::language::form::{Checker, Slot};
use crate::language::playbook::Declaration;
use crate::language::template::{Expression, Fault, is_expression, variable, within};

impl Graph {
    /// Whether a condition holds; without one it does.
    pub(super) fn when(&self, scope: usize, condition: Option<&Node>) -> Result<bool> {
        let Some(node) = condition else { return Ok(true) };
        let place = || self.scopes[scope].playbook.source.place(node.span);
        let Content::Scalar { text, .. } = &node.value else {
            return Err(Error::new("`when` wants an expression").at(place()));
        };
        if is_expression(text) {
            return Err(Error::new("`when` is an expression already").at(place()).hint("write it without braces"));
        }
        Ok(self.decide(scope, node, "when", Expression::bare(text))?.is_true())
    }

    /// The names that a declaration comes after, though no expression of it says so.
    pub(super) fn after(&self, scope: usize, declaration: &Declaration) -> Result<Vec<Key>> {
        let Some(node) = &declaration.after else { return Ok(Vec::new()) };
        let place = |node: &Node| self.scopes[scope].playbook.source.place(node.span);
        let wrong =
            |node: &Node| Error::new(format!("`after` wants a list of names, not {}", node.describe())).at(place(node));
        match &node.value {
            Content::List(items) => {
                let key = |item: &Node| match &item.value {
                    Content::Scalar { text, .. } => Ok(Key { text: text.clone(), span: item.span }),
                    _ => Err(wrong(item)),
                };
                items.iter().map(key).collect()
            }
            Content::Scalar { text, .. } if is_expression(text) => {
                let value = self.decide(scope, node, "after", Expression::text(text))?;
                let names = serde_json::to_value(&value).ok().and_then(|value| serde_json::from_value(value).ok());
                let names: Vec<String> =
                    names.ok_or_else(|| Error::new("`after` wants a list of names").at(place(node)))?;
                Ok(names.into_iter().map(|text| Key { text, span: node.span }).collect())
            }
            _ => Err(wrong(node)),
        }
    }

    /// Gives names to the values of a playbook.
    pub(super) fn values(&mut self, scope: usize, checker: &Checker<'_>) -> Result<()> {
        let playbook = self.scopes[scope].playbook.clone();
        let order: BTreeMap<String, usize> =
            playbook.values.iter().enumerate().map(|(index, (key, _))| (variable(&key.text), index)).collect();
        for (index, (key, node)) in playbook.values.iter().enumerate() {
            let place = |span| checker.source.place(span);
            // It may hold a secret: where it is used tells whether that shows.
            let schema = serde_json::json!({ "x-secret": true });
            let form = checker.check(node, &schema, &format!("value `{}`", key.text))?;
            let mut slots = Vec::new();
            form.slots(&mut slots);
            let named = slots.iter().flat_map(|slot| slot.expression.names()).filter_map(|name| name.split('.').next());
            let later = named.filter_map(|name| order.get(name).filter(|found| **found >= index)).min();
            if let Some(name) = later.map(|found| variable(&playbook.values[*found].0.text)) {
                return Err(Error::new(format!("`{name}` is used before it has a value"))
                    .at(place(node.span))
                    .hint("a value knows inputs, resources, and the values before it"));
            }
            let depth = self.depth(scope, &form)?;
            self.scopes[scope].depths.insert(variable(&key.text), depth);
            if self.scopes[scope].inputs.insert(variable(&key.text), Binding::Form(form, scope)).is_some() {
                return Err(Error::new(format!("`{}` is an input already", key.text))
                    .at(place(key.span))
                    .hint("give the value another name"));
            }
        }
        Ok(())
    }

    /// Refuses inputs that do not go together, and keeps what a user should know of the others.
    pub(super) fn rules(&mut self, scope: usize, checker: &Checker<'_>) -> Result<()> {
        let playbook = self.scopes[scope].playbook.clone();
        for rule in &playbook.rules {
            if !self.when(scope, Some(&rule.when))? {
                continue;
            }
            let text = self.words(scope, &rule.text, checker)?;
            let hint = rule.hint.as_ref().map(|hint| self.words(scope, hint, checker)).transpose()?;
            if rule.refuse {
                let error = Error::usage(text);
                return Err(hint.into_iter().fold(error, Error::hint));
            }
            self.warnings.push([Some(text), hint].into_iter().flatten().collect::<Vec<_>>().join("; "));
        }
        Ok(())
    }

    /// A text of a rule, with its expressions evaluated.
    fn words(&self, scope: usize, node: &Node, checker: &Checker<'_>) -> Result<String> {
        let form = checker.check(node, &serde_json::json!({ "type": "string" }), "the text of a rule")?;
        if !self.uses_of_form(scope, &form)?.needs.is_empty() {
            return Err(Error::new("a rule knows inputs only").at(checker.source.place(node.span)));
        }
        let text = within(|| self.fill(scope, &form, &Known::new(&BTreeMap::new())))?;
        Ok(match text {
            Json::String(text) => text,
            other => other.to_string(),
        })
    }

    /// Evaluates an expression of inputs. A secret counts as true or false, for given or not, and its text is not seen.
    fn decide(
        &self,
        scope: usize,
        node: &Node,
        field: &str,
        expression: std::result::Result<Expression, Fault>,
    ) -> Result<minijinja::Value> {
        let source = &self.scopes[scope].playbook.source;
        let expression = expression.map_err(|fault| {
            Error::new(format!("not a valid expression: {}", fault.message)).at(source.place(node.span))
        })?;
        let mut slot = Slot::bare(expression, node.span);
        slot.secret = true;
        for name in slot.expression.names() {
            let root = name.split('.').next().unwrap_or(name);
            if !self.scopes[scope].inputs.contains_key(root) {
                let known = self.inputs(scope);
                return Err(Error::new(format!("`{field}` knows inputs only, and `{name}` is none"))
                    .at(slot.place(source, name))
                    .hint(did_you_mean(root, &known)));
            }
        }
        if !self.uses(scope, &slot)?.needs.is_empty() {
            return Err(Error::new(format!("`{field}` cannot wait for a resource")).at(source.place(node.span)));
        }
        let seen = within(|| self.context(scope, &slot, &Known::new(&BTreeMap::new())))?;
        let mut values = BTreeMap::new();
        for name in slot.expression.names() {
            let value = seen.get_attr(name).unwrap_or_default();
            let secret = self.uses_of_name(scope, &slot, name)?.secret;
            values.insert(name.clone(), if secret { minijinja::Value::from(value.is_true()) } else { value });
        }
        let value = slot.expression.evaluate(minijinja::Value::from(values));
        value.map_err(|fault| Error::new(fault.message).at(source.place(node.span)))
    }
}
