//! A playbook as a part of another: its inputs bound, its resources in a scope of its own.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Binding, Graph, PLAYBOOKS, RENDERING};
use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Span};
use crate::language::form::{Checker, Form, Slot};
use crate::language::input::{Input, InputType};
use crate::language::playbook::{Declaration, Playbook};
use crate::language::template::Expression;
use crate::language::template::variable;

/// How many playbooks may stand in each other.
const DEEPEST: usize = 50;

impl Graph {
    /// Fails if a playbook is included by itself, by way of others perhaps, or too deep.
    fn check_chain(&self, scope: usize, child: &Playbook) -> Result<()> {
        // One file may have many paths, with `..` in them.
        let file = |playbook: &Playbook| playbook.source.name.rsplit('/').next().map(str::to_owned);
        let is_child = |other: &Playbook| other.source.text == child.source.text && file(other) == file(child);
        let mut depth = 0;
        let mut above = Some(scope);
        while let Some(index) = above {
            if is_child(&self.scopes[index].playbook) {
                return Err(Error::new("playbooks include each other in a cycle"));
            }
            depth += 1;
            above = self.scopes[index].parent.as_ref().map(|(parent, _)| *parent);
        }
        if depth > DEEPEST {
            return Err(Error::new(format!("playbooks include each other more than {DEEPEST} deep"))
                .hint("include some of them from the one at the top"));
        }
        Ok(())
    }

    pub(super) fn include(
        &mut self,
        scope: usize,
        declaration: &Declaration,
        checker: &Checker<'_>,
        present: bool,
    ) -> Result<usize> {
        let place = |span: Span| checker.source.place(span);
        let child = self.scopes[scope]
            .playbook
            .included(&declaration.name.text)
            .map_err(|error| error.at(place(declaration.name.span)))?;
        if self.scopes.len() >= PLAYBOOKS {
            return Err(
                Error::new(format!("more than {PLAYBOOKS} playbooks are included")).at(place(declaration.name.span))
            );
        }
        self.check_chain(scope, &child).map_err(|error| error.at(place(declaration.name.span)))?;
        self.files.extend(child.files());
        let mut inputs = BTreeMap::new();
        for (key, node) in &declaration.fields {
            match (key.text.as_str(), &node.value) {
                ("as", Content::Scalar { .. }) => {}
                ("inputs", Content::Map(entries)) => Self::bind(scope, &child, entries, checker, &mut inputs)?,
                (field @ ("as" | "inputs"), _) => {
                    let wanted = if field == "as" { "a text" } else { "a mapping" };
                    return Err(
                        Error::new(format!("`{field}` wants {wanted}, not {}", node.describe())).at(place(node.span))
                    );
                }
                (other, _) => {
                    return Err(Error::new(format!("unknown field `{other}` of an included playbook"))
                        .at(place(key.span))
                        .hint(did_you_mean(other, &["as", "inputs", "when", "after"])));
                }
            }
        }
        for input in &child.inputs {
            let name = variable(&input.name);
            if inputs.contains_key(&name) {
                continue;
            }
            let default = input.default.clone().ok_or_else(|| {
                Error::new(format!("the included playbook `{}` needs the input `{}`", child.name, input.name))
                    .at(place(declaration.name.span))
                    .hint(format!("add `inputs: {{ {}: … }}`", input.name))
            })?;
            inputs.insert(name, Binding::Value(default));
        }
        for name in ["name", RENDERING] {
            inputs.insert(name.to_owned(), Binding::Form(Form::Expression(Box::new(slot(name))), scope));
        }
        let prefix = format!("{}{}/", self.scopes[scope].prefix, declaration.alias().text);
        let after = self.after(scope, declaration)?;
        self.open(child, prefix, Some((scope, after)), inputs, present)
    }

    fn bind(
        scope: usize,
        child: &Playbook,
        entries: &[(Key, Node)],
        checker: &Checker<'_>,
        inputs: &mut BTreeMap<String, Binding>,
    ) -> Result<()> {
        for (key, node) in entries {
            let input = child.input(&key.text).ok_or_else(|| {
                let known: Vec<&str> = child.inputs.iter().map(|input| input.name.as_str()).collect();
                Error::new(format!("unknown input `{}` of the playbook `{}`", key.text, child.name))
                    .at(checker.source.place(key.span))
                    .hint(did_you_mean(&key.text, &known))
            })?;
            let name = format!("input `{}`", key.text);
            let form = checker.check(node, &input_schema(input), &name)?;
            let form = form.map_literals(&mut |value, span| match value.as_str() {
                // An empty text stands for "not given", and a secret is taken as it is: no file is read here.
                Some("") => Ok(value),
                _ if matches!(input.element(), InputType::Secret | InputType::File | InputType::Certificates) => {
                    Ok(value)
                }
                text => {
                    let text = text.map_or_else(|| value.to_string(), str::to_owned);
                    input.parse(&text).map_err(|error| error.within(&name).at(checker.source.place(span)))
                }
            })?;
            inputs.insert(variable(&key.text), Binding::Form(form, scope));
        }
        Ok(())
    }
}

/// A name of the including playbook, as it is.
fn slot(name: &str) -> Slot {
    let expression = Expression::bare(name).expect("a single name is an expression");
    Slot::bare(expression, Span { line: 1, column: 1, width: 1 })
}

fn input_schema(input: &Input) -> Json {
    match input.kind {
        InputType::Port | InputType::Size => serde_json::json!({ "type": "integer" }),
        InputType::Bool => serde_json::json!({ "type": "boolean" }),
        InputType::List => {
            let item = if input.is_secret() { InputType::Secret } else { InputType::String };
            let items = input_schema(&Input { kind: item, ..input.clone() });
            serde_json::json!({ "type": "array", "items": items })
        }
        InputType::Secret => serde_json::json!({ "type": "string", "x-secret": true }),
        _ => serde_json::json!({ "type": "string" }),
    }
}
