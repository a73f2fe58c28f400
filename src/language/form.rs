//! The fields of one resource, checked against the schema of their kind and ready to be evaluated: [`Form`].
//!
//! The schema is the one that `provision schema` prints; it is derived from the kind's own type, so that the check, the
//! editor and the program cannot disagree.

mod schema;

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::error::{Error, Place, Result, did_you_mean, nearest};
use crate::formats::yaml::{Content, Node, Source, Span};
use crate::language::escape::Target;
use crate::language::template::{Expression, embedded, embedded_paths, is_expression};
use schema::{allowed, coerce, has_type, literal, required_schema, want};

#[derive(Debug)]
pub(crate) enum Form {
    Literal(Json, Span),
    Expression(Box<Slot>),
    List(Vec<Form>, Span),
    Map(Vec<(FormKey, Form)>, Span),
}

#[derive(Debug)]
pub(crate) enum FormKey {
    Literal(String),
    Expression(Box<Slot>),
}

/// One expression in its place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub expression: Expression,
    want: Want,
    limits: Limits,
    /// Whether a secret may stand here.
    pub secret: bool,
    pub span: Span,
    /// The template file that the text came from, when it did not stand in the playbook itself.
    template: Option<Arc<Source>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Text,
    Integer,
    Number,
    Boolean,
    Any,
}

/// The least and the greatest number that fit.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    least: Option<f64>,
    greatest: Option<f64>,
}

/// Checks nodes against schemas, for one playbook.
pub(crate) struct Checker<'a> {
    pub source: &'a Arc<Source>,
    /// Finds the text of a template by its name.
    pub template: &'a dyn Fn(&str) -> Option<String>,
    /// Whether values may be secrets, so that no error tells one.
    pub veiled: bool,
}

impl Checker<'_> {
    /// Checks `node` against `schema`; `name` is what an error calls it.
    pub fn check(&self, node: &Node, schema: &Json, name: &str) -> Result<Form> {
        let schema = required_schema(schema);
        match &node.value {
            Content::Scalar { text, plain } => self.scalar(node, text, *plain, schema, name),
            Content::List(items) => {
                let inner = schema.get("items").ok_or_else(|| self.wrong(node, schema, name))?;
                let items = items.iter().map(|item| self.check(item, inner, name)).collect::<Result<_>>()?;
                Ok(Form::List(items, node.span))
            }
            Content::Map(entries) => {
                if !has_type(schema, "object") {
                    return Err(self.wrong(node, schema, name));
                }
                self.fields(entries, node.span, schema, name)
            }
        }
    }

    /// Checks the entries of a mapping against an object schema.
    pub fn fields(
        &self,
        entries: &[(crate::formats::yaml::Key, Node)],
        span: Span,
        schema: &Json,
        name: &str,
    ) -> Result<Form> {
        let properties = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut fields = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let known = properties.and_then(|properties| properties.get(&key.text));
            let Some(inner) = known.or(others) else {
                let names: Vec<&str> = properties.map(|p| p.keys().map(String::as_str).collect()).unwrap_or_default();
                return Err(Error::new(format!("unknown field `{}` of {name}", key.text))
                    .at(self.source.place(key.span))
                    .hint(did_you_mean(&key.text, &names)));
            };
            let form_key = if known.is_none() && is_expression(&key.text) {
                FormKey::Expression(Box::new(self.slot(&key.text, key.span, Want::Text, false)?))
            } else {
                FormKey::Literal(key.text.clone())
            };
            fields.push((form_key, self.check(value, inner, &format!("`{}`", key.text))?));
        }
        let given = |wanted: &str| entries.iter().any(|(key, _)| key.text == wanted);
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        if let Some(missing) = required.filter_map(Json::as_str).find(|wanted| !given(wanted)) {
            return Err(Error::new(format!("{name} needs the field `{missing}`"))
                .at(self.source.place(span))
                .hint(format!("add `{missing}:` to it")));
        }
        Ok(Form::Map(fields, span))
    }

    fn scalar(&self, node: &Node, text: &str, plain: bool, schema: &Json, name: &str) -> Result<Form> {
        let secret = schema.get("x-secret").is_some();
        if schema.get("x-template").is_some() {
            return self.template(node, text);
        }
        if is_expression(text) {
            let slot = self.slot(text, node.span, want(schema), secret)?;
            return Ok(Form::Expression(Box::new(Slot { limits: Limits::of(schema), ..slot })));
        }
        let empty = plain && matches!(text, "" | "~" | "null");
        if empty || schema.get("items").is_some() || has_type(schema, "object") {
            return Err(if empty {
                Error::new(format!("{name} has no value"))
                    .at(self.source.place(node.span))
                    .hint("write `\"\"` for an empty text, or leave the field out")
            } else {
                self.wrong(node, schema, name)
            });
        }
        let value = literal(text, want(schema)).ok_or_else(|| self.wrong(node, schema, name))?;
        self.choice(&value, schema, node, name)?;
        Limits::of(schema).check(&value, name).map_err(|error| error.at(self.source.place(node.span)))?;
        Ok(Form::Literal(value, node.span))
    }

    fn choice(&self, value: &Json, schema: &Json, node: &Node, name: &str) -> Result<()> {
        let allowed = allowed(schema);
        if let (Some(text), false) = (value.as_str(), allowed.is_empty())
            && !allowed.contains(&text)
        {
            let found = if self.veiled { "what stands here".to_owned() } else { format!("`{text}`") };
            return Err(Error::new(format!("{name} cannot be {found}"))
                .at(self.source.place(node.span))
                .hint(did_you_mean(text, &allowed)));
        }
        Ok(())
    }

    /// Compiles one expression of the playbook's own text.
    fn slot(&self, text: &str, span: Span, want: Want, secret: bool) -> Result<Slot> {
        let expression = Expression::text(text).map_err(|fault| {
            let span = if fault.line > 1 { self.source.line(span.line + fault.line - 1) } else { span };
            Error::new(format!("not a valid expression: {}", fault.message))
                .at(self.source.place(span))
                .hint("an expression is written `{{ name }}` or `{{ resource.output }}`")
        })?;
        Ok(Slot { want, secret, ..Slot::bare(expression, span) })
    }

    fn template(&self, node: &Node, path: &str) -> Result<Form> {
        if is_expression(path) {
            return Err(Error::new("the name of a template cannot be an expression")
                .at(self.source.place(node.span))
                .hint("use `content:` with the expression, or an `{% if %}` inside the template"));
        }
        let own = (self.template)(path).map(|text| (Source::new(self.source.beside(path), text), Target::of_own(path)));
        let embedded = || {
            let source = Source::new(format!("templates/{path}"), embedded(path)?);
            Some((source, Target::of(path)))
        };
        let (source, target) = own.or_else(embedded).ok_or_else(|| self.no_template(node, path))?;
        let expression = Expression::file(&source.text, target)
            .map_err(|fault| fault.in_template(&source, "not a valid template"))?;
        let bare = Slot::bare(expression, node.span);
        let slot = Slot { want: Want::Text, secret: true, template: Some(source), ..bare };
        Ok(Form::Expression(Box::new(slot)))
    }

    fn no_template(&self, node: &Node, path: &str) -> Error {
        let hint = match nearest(path, embedded_paths()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("put it beside the playbook, as `{}`", self.source.beside(path)),
        };
        Error::new(format!("no template `{path}`")).at(self.source.place(node.span)).hint(hint)
    }

    fn wrong(&self, node: &Node, schema: &Json, name: &str) -> Error {
        let wanted = match schema {
            _ if schema.get("items").is_some() => "a list",
            _ if has_type(schema, "object") => "a mapping",
            _ => want(schema).describe(),
        };
        let found = if self.veiled { node.describe_veiled() } else { node.describe() };
        Error::new(format!("{name} wants {wanted}, not {found}")).at(self.source.place(node.span))
    }
}

impl Limits {
    fn of(schema: &Json) -> Self {
        let limit = |key: &str| schema.get(key).and_then(Json::as_f64);
        Self { least: limit("minimum"), greatest: limit("maximum") }
    }

    fn check(self, value: &Json, name: &str) -> Result<()> {
        let Some(number) = value.as_f64() else { return Ok(()) };
        if self.least.is_none_or(|least| number >= least) && self.greatest.is_none_or(|greatest| number <= greatest) {
            return Ok(());
        }
        let limits = [("from", self.least), ("to", self.greatest)];
        let limits = limits.map(|(word, limit)| limit.map_or(String::new(), |limit| format!(" {word} {limit}")));
        Err(Error::new(format!("{name} is out of range: {value}")).hint(format!("give a number{}", limits.concat())))
    }
}

impl Want {
    fn describe(self) -> &'static str {
        match self {
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "`true` or `false`",
            Self::Text | Self::Any => "a text",
        }
    }
}

impl Slot {
    /// A slot that stands by itself, such as `when:`; a secret has no place in it.
    pub fn bare(expression: Expression, span: Span) -> Self {
        Self { expression, want: Want::Any, limits: Limits::default(), secret: false, span, template: None }
    }

    /// Where in the playbook or its template a name of this expression stands.
    pub fn place(&self, source: &Source, name: &str) -> Place {
        match &self.template {
            Some(template) => template.find(Span { line: 1, column: 1, width: 1 }, name),
            None => source.find(self.span, name),
        }
    }

    pub fn evaluate(&self, source: &Source, scope: minijinja::Value) -> Result<Json> {
        let value = self.expression.evaluate(scope).map_err(|fault| match &self.template {
            Some(template) => fault.in_template(template, "cannot render this template"),
            None => {
                Error::new(format!("cannot evaluate this expression: {}", fault.message)).at(source.place(self.span))
            }
        })?;
        if value.is_undefined() {
            return Err(Error::new("this expression yields no value").at(source.place(self.span)).hint(
                "a resource that `when` excludes has no outputs: write `{{ resource.output if input else '' }}`",
            ));
        }
        let json = serde_json::to_value(&value).unwrap_or(Json::Null);
        if let Some(template) = &self.template {
            self.expression.check_form(&json).map_err(|what| {
                Error::new(format!("this template does not give {what}")).at(template.place(template.line(1))).hint(
                    "a value brings its own quotes there: write `{{ name }}` and not `\"{{ name }}\"`, or `{{ name | safe }}` for a part of a text",
                )
            })?;
        }
        // The value itself may be a secret.
        let json = coerce(json, self.want).ok_or_else(|| {
            Error::new(format!(
                "{} is wanted here, and this expression yields a {}",
                self.want.describe(),
                value.kind()
            ))
            .at(source.place(self.span))
        })?;
        self.limits.check(&json, "what this expression yields").map_err(|error| error.at(source.place(self.span)))?;
        Ok(json)
    }
}

impl Form {
    /// Every expression in it, keys before values.
    pub fn slots<'a>(&'a self, found: &mut Vec<&'a Slot>) {
        match self {
            Self::Literal(..) => {}
            Self::Expression(slot) => found.push(slot),
            Self::List(items, _) => items.iter().for_each(|item| item.slots(found)),
            Self::Map(entries, _) => {
                for (key, value) in entries {
                    if let FormKey::Expression(slot) = key {
                        found.push(slot);
                    }
                    value.slots(found);
                }
            }
        }
    }

    /// The same form with every value that stands in the playbook itself replaced by what `read` makes of it.
    pub fn map_literals(self, read: &mut dyn FnMut(Json, Span) -> Result<Json>) -> Result<Self> {
        match self {
            Self::Literal(value, span) => Ok(Self::Literal(read(value, span)?, span)),
            Self::List(items, span) => {
                let items = items.into_iter().map(|item| item.map_literals(read)).collect::<Result<_>>()?;
                Ok(Self::List(items, span))
            }
            other => Ok(other),
        }
    }

    /// The value, with every expression evaluated by `evaluate`. An entry of a mapping whose name is empty is left out.
    pub fn fill(&self, evaluate: &mut dyn FnMut(&Slot) -> Result<Json>) -> Result<Json> {
        match self {
            Self::Literal(value, _) => Ok(value.clone()),
            Self::Expression(slot) => evaluate(slot),
            Self::List(items, _) => {
                items.iter().map(|item| item.fill(evaluate)).collect::<Result<Vec<_>>>().map(Json::from)
            }
            Self::Map(entries, _) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let key = match key {
                        FormKey::Literal(key) => key.clone(),
                        FormKey::Expression(slot) => evaluate(slot)?.as_str().unwrap_or_default().to_owned(),
                    };
                    if key.is_empty() {
                        continue;
                    }
                    map.insert(key, value.fill(evaluate)?);
                }
                Ok(Json::Object(map))
            }
        }
    }

    pub fn span(&self) -> Span {
        match self {
            Self::Literal(_, span) | Self::List(_, span) | Self::Map(_, span) => *span,
            Self::Expression(slot) => slot.span,
        }
    }

    /// Where the part named by a dotted path stands, as far as the path can be followed.
    pub fn locate(&self, path: &serde_path_to_error::Path) -> Span {
        use serde_path_to_error::Segment;
        let mut here = self;
        for segment in path {
            let inner = match (here, segment) {
                (Self::List(items, _), Segment::Seq { index }) => items.get(*index),
                (Self::Map(entries, _), Segment::Map { key }) => entries
                    .iter()
                    .find(|(name, _)| matches!(name, FormKey::Literal(name) if name == key))
                    .map(|(_, value)| value),
                _ => None,
            };
            match inner {
                Some(inner) => here = inner,
                None => break,
            }
        }
        here.span()
    }
}
