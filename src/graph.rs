//! The resources of a playbook and of those it includes, and which needs which: [`Graph`].
//!
//! Everything that can be wrong with a playbook is found here, before anything is read from the world.

mod uses;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::form::{Checker, Form, Slot};
use crate::input::InputType;
use crate::playbook::{Declaration, Playbook};
use crate::resource::{self, Entry};
use crate::template::{Expression, is_expression};
use crate::yaml::{Content, Key, Node, Span};

/// The name of a resource in its graph; one of an included playbook is `include/resource`.
pub(crate) type Id = String;

#[derive(Debug)]
pub(crate) struct Graph {
    pub nodes: BTreeMap<Id, Vertex>,
    /// Every id, each after all that it needs.
    pub order: Vec<Id>,
    /// Resources that `when` switched off: checked, but no part of the graph.
    absent: Vec<Vertex>,
    scopes: Vec<Scope>,
}

/// One resource in the graph.
#[derive(Debug)]
pub(crate) struct Vertex {
    pub kind: &'static Entry,
    pub form: Form,
    pub needs: BTreeSet<Id>,
    scope: usize,
    after: Vec<Key>,
    span: Span,
}

/// The names that the expressions of one playbook see.
#[derive(Debug)]
struct Scope {
    playbook: Arc<Playbook>,
    /// `""`, or the including name with a slash.
    prefix: String,
    inputs: BTreeMap<String, Binding>,
    members: BTreeMap<String, Member>,
    outputs: BTreeMap<String, Form>,
}

#[derive(Debug)]
enum Binding {
    Value(Json),
    /// An expression of the including playbook, evaluated in its scope.
    Form(Form, usize),
}

#[derive(Debug)]
enum Member {
    Resource { id: Id, kind: &'static Entry, present: bool },
    Include(usize),
}

impl Graph {
    /// Checks a playbook and builds its graph; `name` is the deployment's.
    ///
    /// # Errors
    /// An unknown kind, field, name, input or output, a duplicate name, a cycle, a wrong type, a secret where it would
    /// show: each with its place and a hint.
    pub fn build(playbook: Playbook, values: BTreeMap<String, Json>, name: &str) -> Result<Self> {
        let mut inputs: BTreeMap<String, Binding> =
            values.into_iter().map(|(key, value)| (variable(&key), Binding::Value(value))).collect();
        inputs.insert("name".to_owned(), Binding::Value(Json::from(name)));
        let mut graph = Self { nodes: BTreeMap::new(), order: Vec::new(), absent: Vec::new(), scopes: Vec::new() };
        graph.open(playbook, String::new(), inputs, true)?;
        graph.connect()?;
        graph.order = graph.sorted()?;
        Ok(graph)
    }

    fn open(
        &mut self,
        playbook: Playbook,
        prefix: String,
        inputs: BTreeMap<String, Binding>,
        present: bool,
    ) -> Result<usize> {
        let playbook = Arc::new(playbook);
        let index = self.scopes.len();
        let scope =
            Scope { playbook: playbook.clone(), prefix, inputs, members: BTreeMap::new(), outputs: BTreeMap::new() };
        self.scopes.push(scope);
        let text_schema = serde_json::json!({ "type": "string" });
        let own = |path: &str| playbook.own_template(path);
        let checker = Checker { source: &playbook.source, template: &own };
        for declaration in &playbook.declarations {
            let present = present && self.when(index, declaration)?;
            let alias = variable(&declaration.alias().text);
            if self.scopes[index].inputs.contains_key(&alias) {
                return Err(Error::new(format!("`{}` is an input already", declaration.alias().text))
                    .at(playbook.source.place(declaration.alias().span))
                    .hint("give the resource another name"));
            }
            let member = if declaration.kind.text == "playbook" {
                Member::Include(self.include(index, declaration, &checker, present)?)
            } else {
                self.vertex(index, declaration, &checker, present)?
            };
            self.scopes[index].members.insert(alias, member);
        }
        for (key, node) in &playbook.outputs {
            let form = checker.check(node, &text_schema, &format!("output `{}`", key.text))?;
            self.scopes[index].outputs.insert(variable(&key.text), form);
        }
        Ok(index)
    }

    fn vertex(
        &mut self,
        scope: usize,
        declaration: &Declaration,
        checker: &Checker<'_>,
        present: bool,
    ) -> Result<Member> {
        let kind = resource::kind(&declaration.kind.text).expect("a playbook is read with known kinds only");
        let title = format!("{} `{}`", kind.name, declaration.name.text);
        let form = checker.fields(&declaration.fields, declaration.span, kind.schema(), &title)?;
        let id = format!("{}{}", self.scopes[scope].prefix, declaration.name.text);
        let vertex = Vertex {
            kind,
            form,
            needs: BTreeSet::new(),
            scope,
            after: declaration.after.clone(),
            span: declaration.name.span,
        };
        if present {
            self.nodes.insert(id.clone(), vertex);
        } else {
            self.absent.push(vertex);
        }
        Ok(Member::Resource { id, kind, present })
    }

    fn include(
        &mut self,
        scope: usize,
        declaration: &Declaration,
        checker: &Checker<'_>,
        present: bool,
    ) -> Result<usize> {
        let place = |span: Span| checker.source.place(span);
        let depth = self.scopes[scope].prefix.matches('/').count();
        if depth > 8 {
            return Err(Error::new("playbooks include each other in a circle").at(place(declaration.name.span)));
        }
        let child = self.scopes[scope]
            .playbook
            .included(&declaration.name.text)
            .map_err(|error| error.at(place(declaration.name.span)))?;
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
        inputs.insert("name".to_owned(), Binding::Form(Form::Expression(Box::new(name_slot())), scope));
        let prefix = format!("{}{}/", self.scopes[scope].prefix, declaration.alias().text);
        self.open(child, prefix, inputs, present)
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
            let form = checker.check(node, &input_schema(input.kind), &name)?;
            let form = form.map_literals(&mut |value, span| match value.as_str() {
                // An empty text stands for "not given", and a secret is taken as it is: no file is read here.
                Some("") => Ok(value),
                _ if input.kind == InputType::Secret || input.of == InputType::Secret => Ok(value),
                text => {
                    let text = text.map_or_else(|| value.to_string(), str::to_owned);
                    input.parse(&text).map_err(|error| error.within(&name).at(checker.source.place(span)))
                }
            })?;
            inputs.insert(variable(&key.text), Binding::Form(form, scope));
        }
        Ok(())
    }

    /// Whether a declaration is switched on. Only inputs are known this early.
    fn when(&self, scope: usize, declaration: &Declaration) -> Result<bool> {
        let Some(node) = &declaration.when else { return Ok(true) };
        let source = &self.scopes[scope].playbook.source;
        let Content::Scalar { text, .. } = &node.value else {
            return Err(Error::new("`when` wants an expression").at(source.place(node.span)));
        };
        if is_expression(text) {
            return Err(Error::new("`when` is an expression already")
                .at(source.place(node.span))
                .hint("write it without braces"));
        }
        let expression = Expression::bare(text).map_err(|fault| {
            Error::new(format!("not a valid expression: {}", fault.message)).at(source.place(node.span))
        })?;
        let slot = Slot::bare(expression, node.span);
        for name in slot.expression.names() {
            let root = name.split('.').next().unwrap_or(name);
            if !self.scopes[scope].inputs.contains_key(root) {
                let known = self.inputs(scope);
                return Err(Error::new(format!("`when` knows inputs only, and `{name}` is none"))
                    .at(slot.place(source, name))
                    .hint(did_you_mean(root, &known)));
            }
        }
        if self.uses(scope, &slot)?.needs.is_empty() {
            let value = slot.expression.evaluate(self.context(scope, &slot, &BTreeMap::new())?);
            let value = value.map_err(|fault| Error::new(fault.message).at(source.place(node.span)))?;
            return Ok(value.is_true());
        }
        Err(Error::new("`when` cannot wait for a resource").at(source.place(node.span)))
    }

    fn inputs(&self, scope: usize) -> Vec<&str> {
        self.scopes[scope].inputs.keys().map(String::as_str).collect()
    }

    /// Fills in what each resource needs, and checks every name.
    fn connect(&mut self) -> Result<()> {
        let mut all = BTreeMap::new();
        for (id, vertex) in &self.nodes {
            let mut needs = self.uses_of_form(vertex.scope, &vertex.form)?.needs;
            for key in &vertex.after {
                needs.extend(self.after(vertex.scope, key)?);
            }
            needs.retain(|need| self.nodes.contains_key(need));
            all.insert(id.clone(), needs);
        }
        for vertex in &self.absent {
            self.uses_of_form(vertex.scope, &vertex.form)?;
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            for form in scope.outputs.values() {
                self.uses_of_form(index, form)?;
            }
        }
        for (id, needs) in all {
            if let Some(vertex) = self.nodes.get_mut(&id) {
                vertex.needs = needs;
            }
        }
        Ok(())
    }

    fn after(&self, scope: usize, key: &Key) -> Result<BTreeSet<Id>> {
        match self.scopes[scope].members.get(&variable(&key.text)) {
            Some(Member::Resource { id, .. }) => Ok(BTreeSet::from([id.clone()])),
            Some(Member::Include(inner)) => {
                let prefix = &self.scopes[*inner].prefix;
                Ok(self.nodes.keys().filter(|id| id.starts_with(prefix)).cloned().collect())
            }
            None => {
                let known: Vec<&str> = self.scopes[scope].members.keys().map(String::as_str).collect();
                Err(Error::new(format!("unknown name `{}` in `after`", key.text))
                    .at(self.scopes[scope].playbook.source.place(key.span))
                    .hint(did_you_mean(&key.text, &known)))
            }
        }
    }

    /// Every id after all that it needs.
    fn sorted(&self) -> Result<Vec<Id>> {
        let mut order = Vec::new();
        let mut path = Vec::new();
        for id in self.nodes.keys() {
            self.visit(id, &mut path, &mut order)?;
        }
        Ok(order)
    }

    fn visit(&self, id: &Id, path: &mut Vec<Id>, order: &mut Vec<Id>) -> Result<()> {
        if order.contains(id) {
            return Ok(());
        }
        if let Some(start) = path.iter().position(|seen| seen == id) {
            let circle: Vec<String> = path[start..].iter().chain([id]).map(|id| format!("`{id}`")).collect();
            let vertex = &self.nodes[id];
            return Err(Error::new(format!("these need each other in a circle: {}", circle.join(" → ")))
                .at(self.scopes[vertex.scope].playbook.source.place(vertex.span))
                .hint("take one of the names out of an expression or out of `after`"));
        }
        path.push(id.clone());
        for need in &self.nodes[id].needs {
            self.visit(need, path, order)?;
        }
        path.pop();
        order.push(id.clone());
        Ok(())
    }
}

/// How a name with hyphens is written in an expression.
pub(crate) fn variable(name: &str) -> String {
    name.replace('-', "_")
}

fn name_slot() -> Slot {
    let expression = Expression::bare("name").expect("a single name is an expression");
    Slot::bare(expression, Span { line: 1, column: 1, width: 1 })
}

fn input_schema(kind: InputType) -> Json {
    match kind {
        InputType::Port | InputType::Size => serde_json::json!({ "type": "integer" }),
        InputType::Bool => serde_json::json!({ "type": "boolean" }),
        InputType::List => serde_json::json!({ "type": "array", "items": { "type": "string" } }),
        InputType::Secret => serde_json::json!({ "type": "string", "x-secret": true }),
        _ => serde_json::json!({ "type": "string" }),
    }
}
