//! The resources of a playbook and of those it includes, and which needs which: [`Graph`].
//!
//! Everything that can be wrong with a playbook is found here, before anything is read from the world.

mod given;
mod include;
mod uses;
mod values;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::event::Event;
use crate::formats::yaml::{Key, Span};
use crate::language::form::{Checker, Form};
use crate::language::playbook::{Declaration, Playbook};
use crate::language::template::variable;
use crate::resource::run::Run;
use crate::resource::{self, Entry};
use uses::Uses;

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
    /// What a user should know of the inputs.
    warnings: Vec<String>,
    /// What each value draws on, as far as it was looked at.
    used: Mutex<HashMap<(usize, String), Uses>>,
    /// The text of every file of the user's that was read beside the playbook itself.
    pub files: BTreeMap<PathBuf, String>,
}

/// One resource in the graph.
#[derive(Debug)]
pub(crate) struct Vertex {
    pub kind: &'static Entry,
    pub form: Form,
    /// All that has to be there before it.
    pub needs: BTreeSet<Id>,
    /// Those of them whose outputs its fields name.
    pub uses: BTreeSet<Id>,
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
    /// The scope that includes it, and what all its resources come after there.
    parent: Option<(usize, Vec<Key>)>,
    /// False if `when` switched it off: its outputs have no value.
    present: bool,
    inputs: BTreeMap<String, Binding>,
    members: BTreeMap<String, Member>,
    outputs: BTreeMap<String, Form>,
    /// How deep other values stand behind each value.
    depths: BTreeMap<String, usize>,
}

#[derive(Debug)]
enum Binding {
    Value(Json),
    /// An expression of the including playbook, or a value of this one, evaluated in its scope.
    Form(Form, usize),
}

#[derive(Debug)]
enum Member {
    Resource { id: Id, kind: &'static Entry, present: bool },
    Include(usize),
}

impl Graph {
    /// Checks a playbook and builds its graph; `name` is the deployment's, and `rendering` tells that files of a host are only
    /// written into a folder.
    ///
    /// # Errors
    /// An unknown kind, field, name, input or output, a duplicate name, a cycle, a wrong type, a secret where it would
    /// show: each with its place and a hint.
    pub fn build(playbook: Playbook, values: BTreeMap<String, Json>, name: &str, rendering: bool) -> Result<Self> {
        let mut inputs: BTreeMap<String, Binding> =
            values.into_iter().map(|(key, value)| (variable(&key), Binding::Value(value))).collect();
        inputs.insert("name".to_owned(), Binding::Value(Json::from(name)));
        inputs.insert(RENDERING.to_owned(), Binding::Value(Json::from(rendering)));
        let mut graph = Self {
            nodes: BTreeMap::new(),
            order: Vec::new(),
            absent: Vec::new(),
            scopes: Vec::new(),
            warnings: Vec::new(),
            used: Mutex::default(),
            files: BTreeMap::new(),
        };
        graph.open(playbook, String::new(), None, inputs, true)?;
        graph.connect()?;
        graph.order = graph.sorted()?;
        Ok(graph)
    }

    fn open(
        &mut self,
        playbook: Playbook,
        prefix: String,
        parent: Option<(usize, Vec<Key>)>,
        inputs: BTreeMap<String, Binding>,
        present: bool,
    ) -> Result<usize> {
        let playbook = Arc::new(playbook);
        let index = self.scopes.len();
        let mut depths = BTreeMap::new();
        let scope = Scope {
            playbook: playbook.clone(),
            prefix,
            parent,
            present,
            inputs,
            members: BTreeMap::new(),
            outputs: BTreeMap::new(),
            depths: BTreeMap::new(),
        };
        self.scopes.push(scope);
        for (name, binding) in &self.scopes[index].inputs {
            if let Binding::Form(form, home) = binding {
                depths.insert(name.clone(), self.depth(*home, form)?);
            }
        }
        self.scopes[index].depths = depths;
        let text_schema = serde_json::json!({ "type": "string" });
        let read = RefCell::new(BTreeMap::new());
        let own = |path: &str| {
            let text = playbook.own_template(path)?;
            let path = playbook.folder.as_ref()?.join(path);
            read.borrow_mut().insert(path, text.clone());
            Some(text)
        };
        let checker = Checker { source: &playbook.source, template: &own, veiled: false };
        self.values(index, &checker)?;
        if present {
            self.rules(index, &checker)?;
        }
        for declaration in &playbook.declarations {
            let present = present && self.when(index, declaration.when.as_ref())?;
            let alias = variable(&declaration.alias().text);
            if self.scopes[index].inputs.contains_key(&alias) {
                return Err(Error::new(format!("`{}` is an input or a value already", declaration.alias().text))
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
            // What names an output builds on it.
            let depth = self.depth(index, &form)?;
            self.scopes[index].depths.insert(format!(".{}", key.text), depth);
            self.scopes[index].outputs.insert(variable(&key.text), form);
        }
        self.files.extend(read.into_inner());
        Ok(index)
    }

    fn vertex(
        &mut self,
        scope: usize,
        declaration: &Declaration,
        checker: &Checker<'_>,
        present: bool,
    ) -> Result<Member> {
        let kind = resource::find(&declaration.kind.text).expect("a playbook is read with known kinds only");
        let title = format!("{} `{}`", kind.name, declaration.name.text);
        let form = checker.fields(&declaration.fields, declaration.span, kind.schema(), &title)?;
        let id = format!("{}{}", self.scopes[scope].prefix, declaration.name.text);
        let vertex = Vertex {
            kind,
            form,
            needs: BTreeSet::new(),
            uses: BTreeSet::new(),
            scope,
            after: self.after(scope, declaration)?,
            span: declaration.name.span,
        };
        if self.nodes.len() + self.absent.len() >= RESOURCES {
            return Err(Error::new(format!("more than {RESOURCES} resources, included ones counted"))
                .at(checker.source.place(declaration.name.span)));
        }
        if present {
            self.nodes.insert(id.clone(), vertex);
        } else {
            self.absent.push(vertex);
        }
        Ok(Member::Resource { id, kind, present })
    }

    /// Tells what a user should know of the inputs.
    pub fn warn(&self, run: &Run) {
        self.warnings.iter().for_each(|text| run.events.send(Event::Warning { text: text.clone() }));
    }

    fn inputs(&self, scope: usize) -> Vec<&str> {
        self.scopes[scope].inputs.keys().map(String::as_str).collect()
    }

    /// Fills in what each resource needs, and checks every name.
    fn connect(&mut self) -> Result<()> {
        let mut all = BTreeMap::new();
        for (id, vertex) in &self.nodes {
            let mut uses = self.uses_of_form(vertex.scope, &vertex.form)?.needs;
            uses.retain(|need| self.nodes.contains_key(need));
            let mut needs = uses.clone();
            for key in &vertex.after {
                needs.extend(self.named(vertex.scope, key)?);
            }
            let mut scope = vertex.scope;
            while let Some((parent, after)) = &self.scopes[scope].parent {
                for key in after {
                    needs.extend(self.named(*parent, key)?);
                }
                scope = *parent;
            }
            needs.retain(|need| self.nodes.contains_key(need));
            all.insert(id.clone(), (needs, uses));
        }
        for vertex in &self.absent {
            self.uses_of_form(vertex.scope, &vertex.form)?;
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            for form in scope.outputs.values() {
                self.uses_of_form(index, form)?;
            }
            for binding in scope.inputs.values() {
                if let Binding::Form(form, home) = binding {
                    self.uses_of_form(*home, form)?;
                }
            }
        }
        for (id, (needs, uses)) in all {
            if let Some(vertex) = self.nodes.get_mut(&id) {
                vertex.needs = needs;
                vertex.uses = uses;
            }
        }
        Ok(())
    }

    /// The resources that a name in `after` stands for.
    fn named(&self, scope: usize, key: &Key) -> Result<BTreeSet<Id>> {
        match self.scopes[scope].members.get(&variable(&key.text)) {
            Some(Member::Resource { id, .. }) => Ok(BTreeSet::from([id.clone()])),
            Some(Member::Include(inner)) => {
                let prefix = &self.scopes[*inner].prefix;
                let inside = self.nodes.range(prefix.clone()..).take_while(|(id, _)| id.starts_with(prefix));
                Ok(inside.map(|(id, _)| id.clone()).collect())
            }
            None => {
                let known: Vec<&str> = self.scopes[scope].members.keys().map(String::as_str).collect();
                Err(Error::new(format!("unknown name `{}` in `after`", key.text))
                    .at(self.scopes[scope].playbook.source.place(key.span))
                    .hint(did_you_mean(&key.text, &known)))
            }
        }
    }

    /// Has everything of a kind wait for `first` that these do not need themselves.
    pub fn put_first(&mut self, first: &BTreeSet<Id>, kind: &str) -> Result<()> {
        let mut before = first.clone();
        for id in self.order.iter().rev() {
            if before.contains(id) {
                before.extend(self.nodes[id].needs.iter().cloned());
            }
        }
        let after = self.nodes.iter_mut().filter(|(id, vertex)| vertex.kind.name == kind && !before.contains(*id));
        after.for_each(|(_, vertex)| vertex.needs.extend(first.iter().cloned()));
        self.order = self.sorted()?;
        Ok(())
    }

    /// Every id after all that it needs.
    fn sorted(&self) -> Result<Vec<Id>> {
        let mut order = Vec::with_capacity(self.nodes.len());
        // False as long as what it needs is being visited.
        let mut seen: HashMap<&Id, bool> = HashMap::with_capacity(self.nodes.len());
        for first in self.nodes.keys() {
            if seen.contains_key(first) {
                continue;
            }
            seen.insert(first, false);
            let mut path = vec![(first, self.nodes[first].needs.iter())];
            while let Some((id, needs)) = path.last_mut() {
                let Some(need) = needs.next() else {
                    seen.insert(id, true);
                    order.push((*id).clone());
                    path.pop();
                    continue;
                };
                match seen.get(need) {
                    Some(true) => {}
                    Some(false) => return Err(self.circle(need, path.iter().map(|(id, _)| *id))),
                    None => {
                        seen.insert(need, false);
                        path.push((need, self.nodes[need].needs.iter()));
                    }
                }
            }
        }
        Ok(order)
    }

    /// The error for a resource that needs itself by way of the last ones of a path.
    fn circle<'a>(&self, id: &'a Id, path: impl Iterator<Item = &'a Id>) -> Error {
        let circle: Vec<String> = path.skip_while(|seen| *seen != id).chain([id]).map(|id| format!("`{id}`")).collect();
        let vertex = &self.nodes[id];
        Error::new(format!("dependency cycle: {}", circle.join(" → ")))
            .at(self.scopes[vertex.scope].playbook.source.place(vertex.span))
            .hint("remove one of the names from an expression or from `after`")
    }
}

/// How many playbooks there may be with all that are included, and how many resources in all of them.
const PLAYBOOKS: usize = 1000;
const RESOURCES: usize = 20_000;

/// The name that is true where files of a host are rendered.
const RENDERING: &str = "rendering";
