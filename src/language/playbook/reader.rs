//! Reads the nodes of a playbook's text into its parts: [`Reader`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Declaration, Kinds, RESERVED, Rule, Variable};
use crate::error::{Error, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Source, Span};
use crate::language::input::condition::Condition;
use crate::language::input::{Input, InputType};
use crate::language::template::variable;
use crate::language::template::{is_expression, is_word};

/// How many inputs a playbook may have, each of which is a flag, and how many rules.
const FLAGS: usize = 1000;
/// How many resources it may have, and values, and outputs.
const MEMBERS: usize = 20_000;

/// The fields of an input.
const FIELDS: [&str; 8] = ["type", "default", "about", "choices", "instead", "of", "group", "when"];

pub(super) struct Reader<'a> {
    source: &'a Source,
    kinds: Kinds,
    /// What must hold as well wherever a condition may stand.
    always: Option<Node>,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a Source, kinds: Kinds) -> Self {
        Self { source, kinds, always: None }
    }

    /// The same for what is there only where a condition holds.
    pub fn where_holds(&self, always: Option<&Node>) -> Self {
        Self { source: self.source, kinds: self.kinds, always: always.cloned() }
    }

    /// A condition together with the one that always must hold.
    fn both(&self, own: Option<Node>) -> Option<Node> {
        let (Some(always), Some(own)) = (&self.always, &own) else { return own.or_else(|| self.always.clone()) };
        let (Content::Scalar { text: first, .. }, Content::Scalar { text: second, .. }) = (&always.value, &own.value)
        else {
            return Some(own.clone());
        };
        let part = |text: &String| if text.contains(" or ") { format!("({text})") } else { text.clone() };
        let text = format!("{} and {}", part(first), part(second));
        Some(Node { value: Content::Scalar { text, plain: true }, span: own.span })
    }

    fn wrong(&self, span: Span, what: impl Into<String>) -> Error {
        Error::new(what).at(self.source.place(span))
    }

    pub fn map(&self, node: Node, name: &str) -> Result<Vec<(Key, Node)>> {
        match node.value {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.wrong(node.span, format!("{name} wants a mapping, not {}", node.describe()))),
        }
    }

    /// Fails if a playbook has more of something than it may have.
    fn few<T>(&self, found: &[T], most: usize, what: &str, span: Span) -> Result<()> {
        if found.len() > most {
            return Err(self.wrong(span, format!("a playbook has {most} {what} at most, and here are {}", found.len())));
        }
        Ok(())
    }

    /// Adds the outputs, each of which has a name of its own.
    pub fn outputs(&self, node: Node, found: &mut Vec<(Key, Node)>) -> Result<()> {
        let span = node.span;
        self.add("an output", self.map(node, "`outputs`")?, found)?;
        self.few(found, MEMBERS, "outputs", span)
    }

    fn add(&self, what: &str, more: Vec<(Key, Node)>, found: &mut Vec<(Key, Node)>) -> Result<()> {
        // Within one mapping names differ already.
        let known: BTreeMap<&str, Span> = found.iter().map(|(key, _)| (key.text.as_str(), key.span)).collect();
        for (key, _) in &more {
            if let Some(first) = known.get(key.text.as_str()) {
                return Err(self.twice(key, *first, what));
            }
        }
        found.extend(more);
        Ok(())
    }

    /// The error for a name that another part of the playbook has given already.
    fn twice(&self, key: &Key, first: Span, what: &str) -> Error {
        let (here, first) = (self.source.place(key.span), self.source.place(first));
        let place = if here.file == first.file {
            format!("stands on line {}", first.line)
        } else {
            format!("stands in `{}`, line {},", first.file, first.line)
        };
        self.wrong(key.span, format!("{what} `{}` {place} already", key.text))
    }

    pub fn list(&self, node: Node, name: &str) -> Result<Vec<Node>> {
        match node.value {
            Content::List(items) => Ok(items),
            _ => Err(self.wrong(node.span, format!("{name} wants a list, not {}", node.describe()))),
        }
    }

    pub fn text(&self, node: &Node, name: &str) -> Result<String> {
        match &node.value {
            Content::Scalar { text, .. } => Ok(text.clone()),
            _ => Err(self.wrong(node.span, format!("{name} wants a text, not {}", node.describe()))),
        }
    }

    /// A name of an input or resource: lower-case words joined by hyphens, so that it is also a flag and an expression.
    fn name(&self, key: &Key, of: &str) -> Result<()> {
        let first = key.text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
        let rest = key.text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        let hyphens = key.text.ends_with('-') || key.text.contains("--");
        if is_word(&key.text) {
            return Err(self
                .wrong(key.span, format!("`{}` cannot be a name: it is a word of expressions", key.text))
                .hint(format!("give the {of} another name, such as `my-{}`", key.text)));
        }
        if first && rest && !hyphens {
            return Ok(());
        }
        let what =
            if key.text.is_empty() { format!("the {of} has no name") } else { format!("`{}` is no name", key.text) };
        Err(self
            .wrong(key.span, what)
            .hint("a name is lower-case words and digits with hyphens between them, a letter first"))
    }

    /// Adds the inputs, and their conditions by the place of each: one may name inputs that are read after it.
    pub fn inputs(&self, node: Node, found: &mut Vec<Input>, conditions: &mut Vec<(usize, Node)>) -> Result<()> {
        let span = node.span;
        for (key, node) in self.map(node, "`inputs`")? {
            self.name(&key, "input")?;
            if RESERVED.contains(&key.text.as_str()) {
                return Err(self
                    .wrong(key.span, format!("an input cannot be called `{}`", key.text))
                    .hint("it means something in the expressions of every playbook already"));
            }
            if found.iter().any(|input| input.name == key.text) {
                return Err(self.wrong(key.span, format!("another part has an input `{}` already", key.text)));
            }
            let (input, when) = self.input(key, node)?;
            conditions.extend(when.map(|node| (found.len(), node)));
            found.push(input);
        }
        self.few(found, FLAGS, "inputs", span)
    }

    /// Reads the conditions of inputs.
    pub fn conditions(&self, inputs: &mut [Input], conditions: Vec<(usize, Node)>) -> Result<()> {
        for (index, node) in conditions {
            inputs[index].when = Some(self.condition(&node, inputs)?);
        }
        Ok(())
    }

    /// Reads a condition on inputs.
    fn condition(&self, node: &Node, inputs: &[Input]) -> Result<Condition> {
        let text = self.text(node, "`when`")?;
        if is_expression(&text) {
            return Err(self.wrong(node.span, "`when` is an expression already").hint("write it without braces"));
        }
        let condition = Condition::parse(&text)
            .map_err(|fault| self.wrong(node.span, format!("not a valid expression: {}", fault.message)))?;
        let known: Vec<String> = inputs.iter().map(|input| variable(&input.name)).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        match condition.names().iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Error::new(format!("`when` knows inputs only, and `{name}` is none"))
                .at(self.source.find(node.span, name))
                .hint(did_you_mean(name, &known))),
            None => Ok(condition),
        }
    }

    /// Reads the variables that stand for inputs: each has one meaning, or a list of them.
    pub fn variables(&self, node: Node, inputs: &[Input]) -> Result<Vec<Variable>> {
        let mut found = Vec::new();
        for (key, node) in self.map(node, "`variables`")? {
            let items = match node.value {
                Content::List(items) => items,
                _ => vec![node],
            };
            for item in items {
                found.push(self.variable(&key, item, inputs)?);
            }
        }
        Ok(found)
    }

    fn variable(&self, key: &Key, node: Node, inputs: &[Input]) -> Result<Variable> {
        let title = format!("variable `{}`", key.text);
        let mut found = Variable { name: key.text.clone(), ..Variable::default() };
        let mut when = None;
        for (field, node) in self.map(node, &title)? {
            match field.text.as_str() {
                "input" => {
                    let name = self.text(&node, "`input`")?;
                    let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                    if !known.contains(&name.as_str()) {
                        return Err(self
                            .wrong(node.span, format!("there is no input `{name}`"))
                            .hint(did_you_mean(&name, &known)));
                    }
                    found.input = Some(name);
                }
                "values" => {
                    for (from, to) in self.map(node, "`values`")? {
                        found.values.insert(from.text, self.text(&to, "a value")?);
                    }
                }
                "note" => found.note = Some(self.text(&node, "`note`")?),
                "file-only" => found.file_only = self.text(&node, "`file-only`")? == "true",
                "when" => when = Some(node),
                other => {
                    return Err(self
                        .wrong(field.span, format!("unknown field `{other}` of {title}"))
                        .hint(did_you_mean(other, &["input", "values", "note", "when", "file-only"])));
                }
            }
        }
        found.when = self.both(when).map(|node| self.condition(&node, inputs)).transpose()?;
        if found.input.is_none() && found.note.is_none() {
            return Err(self
                .wrong(key.span, format!("{title} needs `input` or `note`"))
                .hint("`note` says what to do instead of it"));
        }
        Ok(found)
    }

    /// Reads one input, and hands its condition back as it stands.
    fn input(&self, key: Key, node: Node) -> Result<(Input, Option<Node>)> {
        let title = format!("input `{}`", key.text);
        let mut fields: BTreeMap<String, (Key, Node)> =
            self.map(node, &title)?.into_iter().map(|(key, node)| (key.text.clone(), (key, node))).collect();
        let places: BTreeMap<String, Span> = fields.iter().map(|(field, (key, _))| (field.clone(), key.span)).collect();
        let mut text = |field: &str| {
            fields.remove(field).map(|(_, node)| Ok::<_, Error>((self.text(&node, field)?, node.span))).transpose()
        };
        let typed = |given: Option<(String, Span)>| {
            given
                .map(|(text, span)| InputType::parse(&text).map_err(|error| error.at(self.source.place(span))))
                .transpose()
        };
        let about = text("about")?.map(|(about, _)| about).unwrap_or_default();
        let kind = typed(text("type")?)?.ok_or_else(|| {
            self.wrong(key.span, format!("{title} needs a `type`"))
                .hint(format!("one of: {}", InputType::NAMES.join(", ")))
        })?;
        let of = typed(text("of")?)?.unwrap_or(InputType::String);
        let choices = match fields.remove("choices") {
            Some((_, node)) => {
                self.list(node, "`choices`")?.iter().map(|item| self.text(item, "a choice")).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        let mut instead = BTreeMap::new();
        if let Some((_, node)) = fields.remove("instead") {
            for (choice, playbook) in self.map(node, "`instead`")? {
                instead.insert(choice.text, self.text(&playbook, "the name of a playbook")?);
            }
        }
        let group = fields.remove("group").map(|(_, node)| self.text(&node, "`group`")).transpose()?;
        let [default, when] = ["default", "when"].map(|field| fields.remove(field).map(|(_, node)| node));
        let when = self.both(when);
        if let Some((unknown, _)) = fields.into_values().next() {
            return Err(self
                .wrong(unknown.span, format!("unknown field `{}` of {title}", unknown.text))
                .hint(did_you_mean(&unknown.text, &FIELDS)));
        }
        let mut input = Input {
            name: key.text,
            kind,
            default: None,
            about,
            choices,
            instead,
            of,
            group,
            when: None,
            by_set: false,
        };
        self.fits(&input, key.span, &places)?;
        input.default = default.map(|node| self.default(&input, node)).transpose()?;
        if let Some(when) = when.as_ref().filter(|_| input.default.is_none()) {
            return Err(self
                .wrong(when.span, format!("{title} has a condition and no default"))
                .hint("add the value that it has where it means nothing, as in `default: \"\"`"));
        }
        Ok((input, when))
    }

    /// Checks that `of` and `choices` stand where they mean something.
    fn fits(&self, input: &Input, name: Span, places: &BTreeMap<String, Span>) -> Result<()> {
        let wants_choices = [input.kind, input.of].contains(&InputType::Choice);
        let given = |field: &str, fits: bool| places.get(field).copied().filter(|_| !fits);
        if let Some(span) = given("of", input.kind == InputType::List) {
            return Err(self.wrong(span, "`of` belongs to an input of the type `list`"));
        }
        if let Some(span) = given("of", input.of != InputType::List) {
            return Err(self.wrong(span, "a list of lists cannot be given by flags"));
        }
        if let Some(span) = given("choices", wants_choices || input.kind == InputType::String) {
            return Err(
                self.wrong(span, "`choices` belong to an input of the type `choice`, or of `string` as proposals")
            );
        }
        if let Some(span) = given("instead", input.instead.keys().all(|choice| input.choices.contains(choice))) {
            return Err(self.wrong(span, "`instead` names something that is no choice").hint("it goes by `choices`"));
        }
        if wants_choices && input.choices.is_empty() {
            return Err(self
                .wrong(name, format!("input `{}` needs `choices`", input.name))
                .hint("add them as in `choices: [local, s3]`"));
        }
        Ok(())
    }

    /// The default of an input. An empty text stands for "not given" whatever the type, as with an absent flag.
    fn default(&self, input: &Input, node: Node) -> Result<Json> {
        let name = format!("the default of `{}`", input.name);
        if input.kind == InputType::List {
            let items = self.list(node, &name)?;
            return items.iter().map(|item| self.default_value(input, item, &name)).collect();
        }
        match self.text(&node, &name)?.as_str() {
            "" => Ok(Json::from("")),
            _ => self.default_value(input, &node, &name),
        }
    }

    /// One value of a default, or an item of it.
    fn default_value(&self, input: &Input, node: &Node, name: &str) -> Result<Json> {
        match input.element() {
            InputType::Secret => Err(self
                .wrong(node.span, format!("{name} would show in the playbook"))
                .hint("leave the default empty: a `secret` resource makes one where none is given")),
            InputType::Upload | InputType::File | InputType::Certificates => Err(self
                .wrong(node.span, format!("{name} would be a file of the user who types the command"))
                .hint("leave the default empty")),
            _ => self.value(input, node, name),
        }
    }

    fn value(&self, input: &Input, node: &Node, name: &str) -> Result<Json> {
        let text = self.text(node, name)?;
        if is_expression(&text) {
            return Err(self.wrong(node.span, format!("{name} cannot be an expression")).hint(format!(
                "leave it empty, and write `{{{{ {} or … }}}}` where the input is used",
                input.name.replace('-', "_")
            )));
        }
        input.parse(&text).map_err(|error| error.within(name).at(self.source.place(node.span)))
    }

    pub fn values(&self, node: Node, found: &mut Vec<(Key, Node)>) -> Result<()> {
        let span = node.span;
        let values = self.map(node, "`values`")?;
        values.iter().try_for_each(|(key, _)| self.name(key, "value"))?;
        self.add("a value", values, found)?;
        self.few(found, MEMBERS, "values", span)
    }

    pub fn rules(&self, node: Node, found: &mut Vec<Rule>) -> Result<()> {
        let span = node.span;
        let rules = self.list(node, "`rules`")?.into_iter().map(|item| self.rule(item));
        found.extend(rules.collect::<Result<Vec<_>>>()?);
        self.few(found, FLAGS, "rules", span)
    }

    fn rule(&self, node: Node) -> Result<Rule> {
        let span = node.span;
        let mut fields: BTreeMap<String, (Key, Node)> =
            self.map(node, "a rule")?.into_iter().map(|(key, node)| (key.text.clone(), (key, node))).collect();
        let mut take = |field: &str| fields.remove(field).map(|(_, node)| node);
        let (when, hint) = (take("when"), take("hint"));
        let (refuse, warn) = (take("refuse"), take("warn"));
        if let Some((unknown, _)) = fields.into_values().next() {
            return Err(self
                .wrong(unknown.span, format!("unknown field `{}` of a rule", unknown.text))
                .hint(did_you_mean(&unknown.text, &["refuse", "warn", "when", "hint"])));
        }
        let when = self.both(when);
        let when = when.ok_or_else(|| self.wrong(span, "a rule needs `when`").hint("write an expression of inputs"))?;
        match (refuse, warn) {
            (Some(text), None) => Ok(Rule { when, refuse: true, text, hint }),
            (None, Some(text)) => Ok(Rule { when, refuse: false, text, hint }),
            _ => Err(self.wrong(span, "a rule needs either `refuse` or `warn`").hint("write what a user should read")),
        }
    }

    pub fn declarations(&self, node: Node, found: &mut Vec<Declaration>) -> Result<()> {
        let span = node.span;
        let items = self.list(node, "`resources`")?.into_iter().map(|item| self.declaration(item));
        found.extend(items.collect::<Result<Vec<_>>>()?);
        self.few(found, MEMBERS, "resources", span)
    }

    /// Fails if two resources have one name.
    pub fn distinct(&self, declarations: &[Declaration]) -> Result<()> {
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for declaration in declarations {
            let key = declaration.alias();
            if let Some(first) = seen.insert(key.text.replace('-', "_"), declaration.span) {
                return Err(self
                    .twice(&key, first, "a resource")
                    .hint("every resource of a playbook has a name of its own, whatever its kind"));
            }
        }
        Ok(())
    }

    fn declaration(&self, node: Node) -> Result<Declaration> {
        let span = node.span;
        let mut fields = self.map(node, "a resource")?;
        if fields.is_empty() {
            return Err(self.wrong(span, "an empty resource"));
        }
        let (kind, first) = fields.remove(0);
        if kind.text != "playbook" && !self.kinds.contains(&kind.text.as_str()) {
            return Err(self.unknown_kind(&kind, &fields));
        }
        let name = Key { text: self.text(&first, &format!("the name of a `{}`", kind.text))?, span: first.span };
        let mut declaration = Declaration { kind, name, fields: Vec::new(), when: None, after: None, span };
        for (key, node) in fields {
            match key.text.as_str() {
                "when" => declaration.when = Some(node),
                "after" => declaration.after = Some(node),
                _ => declaration.fields.push((key, node)),
            }
        }
        declaration.when = self.both(declaration.when.take());
        let of = if declaration.kind.text == "playbook" { "included playbook" } else { &declaration.kind.text };
        self.name(&declaration.alias(), of)?;
        Ok(declaration)
    }

    fn unknown_kind(&self, kind: &Key, others: &[(Key, Node)]) -> Error {
        let mut known = self.kinds.to_vec();
        known.push("playbook");
        let hint = match others.iter().find(|(key, _)| known.contains(&key.text.as_str())) {
            Some((late, _)) => format!("the kind comes first: put `{}:` before `{}:`", late.text, kind.text),
            None => did_you_mean(&kind.text, &known),
        };
        self.wrong(kind.span, format!("unknown kind `{}`", kind.text)).hint(hint)
    }
}
