//! A playbook in several files: [`joined`] reads its parts, [`sections`] takes all of it apart.
//!
//! A part has no scope of its own, as an included playbook has: its inputs, values and resources are those of the playbook.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::{EMBEDDED, RESERVED, is_file_name};
use crate::error::{Error, Place, Result, did_you_mean};
use crate::formats::yaml::{Content, Key, Node, Source, Span};
use crate::language::template::{Expression, is_expression, variable};
use crate::world::files;

/// The fields of a part.
pub(super) const FIELDS: [&str; 7] = ["takes", "inputs", "variables", "values", "rules", "resources", "outputs"];
/// How many parts a playbook may have.
const PARTS: usize = 100;

/// What stands in one file of a playbook.
pub(super) struct Section {
    pub is_part: bool,
    /// What must hold for whatever has a condition.
    pub when: Option<Node>,
    pub fields: Vec<(Key, Node)>,
}

/// One item of `parts:`.
struct Part {
    name: Key,
    when: Option<Node>,
}

/// The playbook with its parts in one source, and its documents; none if it names no parts.
///
/// # Errors
/// A part is not there, or is named in a way that is none.
pub(super) fn joined(source: &Source, main: &Node, folder: Option<&Path>) -> Result<Option<(Arc<Source>, Vec<Node>)>> {
    let parts = named(source, main)?;
    let text = |part: &Part| {
        let name = &part.name.text;
        let found = match folder {
            None => EMBEDDED.get_file(format!("{name}.yml")).and_then(|file| file.contents_utf8()).map(str::to_owned),
            Some(_) if !is_file_name(name) || name.contains('/') => {
                return Err(Error::new(format!("`{name}` is no file beside this playbook"))
                    .at(source.place(part.name.span))
                    .hint("name it as in `parts: [stores.yml]`"));
            }
            Some(folder) => {
                Some(files::read_text(&folder.join(name)).map_err(|error| error.at(source.place(part.name.span)))?)
            }
        };
        let shown = if folder.is_some() { source.beside(name) } else { format!("playbooks/{name}.yml") };
        found
            .map(|text| (shown, text))
            .ok_or_else(|| Error::new(format!("there is no part `{name}`")).at(source.place(part.name.span)))
    };
    let others = parts.iter().map(text).collect::<Result<Vec<_>>>()?;
    if others.is_empty() {
        return Ok(None);
    }
    let all = Source::join(&source.name, &source.text, &others);
    let documents = Node::documents(&all)?;
    // A test has looked at those of the binary.
    if folder.is_some() {
        check(&all, &documents)?;
    }
    Ok(Some((all, documents)))
}

/// Fails if a part uses a name of the rest that its `takes` does not list, or lists one that it does not use.
pub(super) fn check(source: &Source, documents: &[Node]) -> Result<()> {
    let defined: Vec<BTreeSet<String>> = documents.iter().map(defined).collect();
    for (index, part) in documents.iter().enumerate().skip(1) {
        let takes = taken(source, part)?;
        let mut used = Used { source, names: BTreeMap::new() };
        used.within(part, None)?;
        used.names.retain(|name, _| !defined[index].contains(name) && !RESERVED.contains(&name.as_str()));
        let everywhere: Vec<&str> = defined.iter().flatten().map(String::as_str).collect();
        for (name, place) in &used.names {
            if !everywhere.contains(&name.as_str()) {
                let error = Error::new(format!("unknown name `{name}`")).at(place.clone());
                return Err(error.hint(did_you_mean(name, &everywhere)));
            }
            if !takes.iter().any(|(taken, _)| taken == name) {
                return Err(Error::new(format!("this part uses `{name}`, and its `takes` does not list it"))
                    .at(place.clone())
                    .hint(format!("add it at the top of the part: `takes: [{name}]`")));
            }
        }
        if let Some((name, node)) = takes.iter().find(|(name, _)| !used.names.contains_key(name)) {
            return Err(Error::new(format!("`takes` lists `{name}`, and nothing in this part uses it"))
                .at(source.place(node.span))
                .hint("leave it out"));
        }
    }
    Ok(())
}

/// The names that a document gives to inputs, values and resources, as expressions write them.
fn defined(document: &Node) -> BTreeSet<String> {
    let Content::Map(fields) = &document.value else { return BTreeSet::new() };
    let mut names = BTreeSet::new();
    for (field, node) in fields {
        match (field.text.as_str(), &node.value) {
            ("inputs" | "values", Content::Map(entries)) => {
                names.extend(entries.iter().map(|(key, _)| variable(&key.text)));
            }
            ("resources", Content::List(items)) => {
                for item in items {
                    let Content::Map(fields) = &item.value else { continue };
                    let alias = fields.iter().find(|(key, _)| key.text == "as").or(fields.first());
                    if let Some((_, Node { value: Content::Scalar { text, .. }, .. })) = alias {
                        names.insert(variable(text));
                    }
                }
            }
            _ => {}
        }
    }
    names
}

/// What a part says that it takes, as expressions write it.
fn taken<'n>(source: &Source, part: &'n Node) -> Result<Vec<(String, &'n Node)>> {
    let Content::Map(fields) = &part.value else { return Ok(Vec::new()) };
    let Some((_, node)) = fields.iter().find(|(key, _)| key.text == "takes") else { return Ok(Vec::new()) };
    let wrong = |node: &Node| {
        let what = format!("`takes` wants a list of names, not {}", node.describe());
        Error::new(what).at(source.place(node.span)).hint("write it as in `takes: [port, users]`")
    };
    let Content::List(items) = &node.value else { return Err(wrong(node)) };
    let name = |item: &'n Node| match &item.value {
        Content::Scalar { text, .. } => Ok((variable(text), item)),
        _ => Err(wrong(item)),
    };
    items.iter().map(name).collect()
}

/// The names that a part uses, and where each does so first.
struct Used<'s> {
    source: &'s Source,
    names: BTreeMap<String, Place>,
}

impl Used<'_> {
    /// Adds those of a node that stands under a field of that name.
    fn within(&mut self, node: &Node, field: Option<&str>) -> Result<()> {
        match &node.value {
            Content::Scalar { text, .. } => self.add(text, field, node.span),
            Content::List(items) => items.iter().try_for_each(|item| self.within(item, field)),
            Content::Map(entries) => entries.iter().try_for_each(|(key, node)| {
                self.add(&key.text, None, key.span)?;
                match key.text.as_str() {
                    "takes" | "about" => Ok(()),
                    name => self.within(node, Some(name)),
                }
            }),
        }
    }

    fn add(&mut self, text: &str, field: Option<&str>, span: Span) -> Result<()> {
        let expression = match field {
            // Names of resources as they are.
            Some("after") if !is_expression(text) => {
                self.names.entry(variable(text)).or_insert_with(|| self.source.place(span));
                return Ok(());
            }
            Some("when") if !is_expression(text) => Expression::bare(text),
            _ if is_expression(text) => Expression::text(text),
            _ => return Ok(()),
        };
        let expression = expression.map_err(|fault| {
            Error::new(format!("not a valid expression: {}", fault.message)).at(self.source.place(span))
        })?;
        for name in expression.names() {
            let root = name.split('.').next().unwrap_or(name);
            self.names.entry(root.to_owned()).or_insert_with(|| self.source.find(span, root));
        }
        Ok(())
    }
}

/// The sections of a playbook, in the order of its documents.
pub(super) fn sections(source: &Source, documents: Vec<Node>) -> Result<Vec<Section>> {
    let mut parts = match documents.first() {
        Some(main) => named(source, main)?,
        None => Vec::new(),
    };
    let mut sections: Vec<Section> = Vec::new();
    for (index, node) in documents.into_iter().enumerate() {
        let what = if index == 0 { "a playbook" } else { "a part of a playbook" };
        let place = source.place(node.span);
        let Content::Map(mut fields) = node.value else {
            return Err(Error::new(format!("{what} wants a mapping, not {}", node.describe())).at(place));
        };
        let is_part = index > 0;
        let when = if is_part && !parts.is_empty() { parts.remove(0).when } else { None };
        fields.retain(|(key, _)| key.text != if is_part { "takes" } else { "parts" });
        sections.push(Section { is_part, when, fields });
    }
    Ok(sections)
}

/// The parts that a playbook names.
fn named(source: &Source, main: &Node) -> Result<Vec<Part>> {
    let Content::Map(fields) = &main.value else { return Ok(Vec::new()) };
    let Some((_, node)) = fields.iter().find(|(key, _)| key.text == "parts") else { return Ok(Vec::new()) };
    let wrong = |node: &Node, what: &str| {
        Error::new(format!("{what}, not {}", node.describe()))
            .at(source.place(node.span))
            .hint("write it as in `parts: [stores.yml, { part: host.yml, when: on == 'host' }]`")
    };
    let Content::List(items) = &node.value else { return Err(wrong(node, "`parts` wants a list")) };
    if items.len() > PARTS {
        return Err(Error::new(format!("a playbook has {PARTS} parts at most")).at(source.place(node.span)));
    }
    let mut parts: Vec<Part> = Vec::new();
    for item in items {
        let part = match &item.value {
            Content::Scalar { text, .. } => Part { name: Key { text: text.clone(), span: item.span }, when: None },
            Content::Map(fields) => described(source, item, fields)?,
            Content::List(_) => return Err(wrong(item, "a part is a name")),
        };
        if parts.iter().any(|known| known.name.text == part.name.text) {
            let what = format!("the part `{}` is named twice", part.name.text);
            return Err(Error::new(what).at(source.place(part.name.span)));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn described(source: &Source, item: &Node, fields: &[(Key, Node)]) -> Result<Part> {
    let (mut name, mut when) = (None, None);
    for (key, node) in fields {
        match (key.text.as_str(), &node.value) {
            ("part", Content::Scalar { text, .. }) => name = Some(Key { text: text.clone(), span: node.span }),
            ("when", Content::Scalar { text, .. }) if !is_expression(text) => when = Some(node.clone()),
            ("when", _) => {
                return Err(Error::new("`when` is an expression of inputs, without braces").at(source.place(node.span)));
            }
            ("part", _) => {
                let what = format!("the name of a part is a text, not {}", node.describe());
                return Err(Error::new(what).at(source.place(node.span)));
            }
            (other, _) => {
                return Err(Error::new(format!("unknown field `{other}` of an item of `parts`"))
                    .at(source.place(key.span))
                    .hint(did_you_mean(other, &["part", "when"])));
            }
        }
    }
    let name = name.ok_or_else(|| Error::new("an item of `parts` needs `part`").at(source.place(item.span)))?;
    Ok(Part { name, when })
}
