//! YAML text as a tree that remembers where each part stands: [`Node`] in a [`Source`].

mod source;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use saphyr_parser::{Event, Parser, ScalarStyle, Span as ParserSpan};
use serde_json::Value as Json;

pub(crate) use self::source::{Source, Span};
use crate::error::{Error, Result};

/// How deep a playbook may nest; a deeper one is a mistake or an attack.
const DEPTH: usize = 64;
/// How many parts a text may have once every alias is written out; more are a mistake or an attack.
const PARTS: usize = 120_000;
/// How many bytes of text may be used again by aliases.
const REPEATED: usize = 4 << 20;

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub value: Content,
    pub span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// `plain` tells `no` from `"no"`.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub text: String,
    pub span: Span,
}

/// The text of a key of a mapping, read no further than that; none if it has no such key, or something else stands there.
pub(crate) fn value_of(text: &str, key: &str) -> Option<String> {
    let (mut depth, mut is_key, mut is_wanted) = (0, false, false);
    for event in Parser::new_from_str(text) {
        match event.ok()?.0 {
            Event::Scalar(value, ..) if depth == 1 && is_wanted => return Some(value.into_owned()),
            Event::Scalar(value, ..) if depth == 1 => {
                is_wanted = is_key && value == key;
                is_key = !is_key;
            }
            Event::SequenceStart(..) if depth == 0 => return None,
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                depth += 1;
                is_key |= depth == 1;
                is_wanted = false;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                depth -= 1;
                is_key |= depth == 1;
            }
            _ => {}
        }
    }
    None
}

impl Node {
    /// Reads the one document of a source.
    ///
    /// # Errors
    /// Text that is no YAML, an alias, a duplicate or non-text key, more than one document: each with its place.
    pub fn parse(source: &Source) -> Result<Self> {
        Reader::new(source, None).document()
    }

    /// Reads every document of a source.
    ///
    /// # Errors
    /// As [`Node::parse`], but for their number.
    pub fn documents(source: &Source) -> Result<Vec<Self>> {
        Reader::new(source, None).documents()
    }

    /// Reads the one document of a source in which parts may have names and be used again (`&name`, `*name`), as other
    /// programs' files have them. A use stands where its name stands.
    ///
    /// # Errors
    /// As [`Node::parse`], but for the alias; and a text that grows beyond all measure by them.
    pub fn parse_with_aliases(source: &Source) -> Result<Self> {
        Reader::new(source, Some(BTreeMap::new())).document()
    }

    /// How many parts it has, itself among them, and how many bytes their texts have.
    fn size(&self) -> (usize, usize) {
        let mut size = (1, 0);
        let mut add = |(parts, bytes): (usize, usize)| size = (size.0 + parts, size.1 + bytes);
        match &self.value {
            Content::Scalar { text, .. } => add((0, text.len())),
            Content::List(items) => items.iter().for_each(|item| add(item.size())),
            Content::Map(entries) => entries.iter().for_each(|(key, node)| {
                add(node.size());
                add((0, key.text.len()));
            }),
        }
        size
    }

    /// What an error calls it.
    pub fn describe(&self) -> String {
        match &self.value {
            Content::Scalar { text, plain: true } if text.is_empty() => "nothing".to_owned(),
            Content::Scalar { text, .. } if text.chars().count() > 40 => "a long text".to_owned(),
            Content::Scalar { text, .. } => format!("`{text}`"),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The same without its text, which may be a secret.
    pub fn describe_veiled(&self) -> String {
        match &self.value {
            Content::Scalar { text, .. } if !text.is_empty() => "a text".to_owned(),
            _ => self.describe(),
        }
    }
}

/// A text as one scalar of YAML: as it is where nothing in it means something else, otherwise in double quotes.
pub(crate) fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    // JSON leaves as they are what YAML does not print: DEL, the controls of C1, and separators of lines (YAML 1.2, 5.1).
    let escaped = |c: char| match c {
        '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    Json::from(text).to_string().chars().map(escaped).collect()
}

/// Words that YAML 1.1 or 1.2 reads as something else than a text.
const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

struct Reader<'s> {
    source: &'s Source,
    parser: Parser<'s, saphyr_parser::StrInput<'s>>,
    depth: usize,
    parts: usize,
    repeated: usize,
    /// The parts that have names, by the parser's numbers for these; none where the language has no aliases.
    anchors: Option<BTreeMap<usize, Node>>,
}

impl<'s> Reader<'s> {
    fn new(source: &'s Source, anchors: Option<BTreeMap<usize, Node>>) -> Self {
        Self { source, parser: Parser::new_from_str(&source.text), depth: 0, parts: 0, repeated: 0, anchors }
    }

    fn next(&mut self) -> Result<(Event<'s>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.span(span))),
            Some(Err(error)) => {
                let marker = *error.marker();
                let span = self.source.within(Span { line: marker.line(), column: marker.col() + 1, width: 1 });
                // The parser looks ahead, and has a limit of its own.
                let what = match error.info() {
                    info if info.contains("recursion limit") => format!("nested deeper than {DEPTH} levels"),
                    info => format!("not valid YAML: {info}"),
                };
                let fault = Error::new(what).at(self.source.place(span));
                Err(if error.info().contains("tab") { fault.hint("indent with spaces") } else { fault })
            }
            None => Ok((Event::StreamEnd, Span { line: 1, column: 1, width: 1 })),
        }
    }

    fn span(&self, span: ParserSpan) -> Span {
        let line = span.start.line();
        let column = span.start.col() + 1;
        let width = if span.end.line() == line {
            span.end.col().saturating_sub(span.start.col())
        } else {
            let text = self.source.line_text(line);
            text.trim_end().chars().count().saturating_sub(span.start.col())
        };
        Span { line, column, width: width.max(1) }
    }

    fn documents(&mut self) -> Result<Vec<Node>> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(nodes),
                (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
                (event, span) => nodes.push(self.node(event, span)?),
            }
        }
    }

    fn document(&mut self) -> Result<Node> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => {
                    return Err(Error::new("the playbook is empty")
                        .at(self.source.place(span))
                        .hint("a playbook needs `about:` and `resources:`; `provision schema` prints its form"));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                event => {
                    let node = self.node(event, span)?;
                    return self.end(node);
                }
            }
        }
    }

    fn end(&mut self, node: Node) -> Result<Node> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(node),
                (Event::DocumentStart(_), span) => {
                    return Err(Error::new("a playbook is one YAML document").at(self.source.place(span)));
                }
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'s>, span: Span) -> Result<Node> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Error::new(format!("nested deeper than {DEPTH} levels")).at(self.source.place(span)));
        }
        self.count(1, span)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                (Content::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (Content::List(self.list()?), anchor),
            Event::MappingStart(anchor, _) => (Content::Map(self.map()?), anchor),
            Event::Alias(anchor) => (self.used_again(anchor, span)?, 0),
            _ => return Err(Error::new("not a part of a YAML text").at(self.source.place(span))),
        };
        self.depth -= 1;
        // A collection is shown where it begins.
        let width = if matches!(value, Content::Scalar { .. }) { span.width } else { 1 };
        let node = Node { value, span: Span { width, ..span } };
        if self.anchors.is_some() && anchor > 0 {
            self.repeat(&node, span)?;
            self.anchors.get_or_insert_default().insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, parts: usize, span: Span) -> Result<()> {
        self.parts += parts;
        if self.parts > PARTS {
            return Err(Error::new(format!("it has more than {PARTS} parts with all its aliases written out"))
                .at(self.source.place(span)));
        }
        Ok(())
    }

    fn used_again(&mut self, anchor: usize, span: Span) -> Result<Content> {
        let Some(anchors) = &self.anchors else {
            return Err(Error::new("a YAML alias is not part of the playbook language")
                .at(self.source.place(span))
                .hint("write the value out, or make it an input"));
        };
        let node = anchors.get(&anchor).cloned();
        let node = node.ok_or_else(|| Error::new("an alias within what it names").at(self.source.place(span)))?;
        self.repeat(&node, span)?;
        Ok(node.value)
    }

    /// Counts what a copy of a part takes.
    fn repeat(&mut self, node: &Node, span: Span) -> Result<()> {
        let (parts, bytes) = node.size();
        self.repeated += bytes;
        if self.repeated > REPEATED {
            return Err(Error::new(format!("what its aliases use again is more than {} MiB", REPEATED >> 20))
                .at(self.source.place(span)));
        }
        self.count(parts, span)
    }

    fn list(&mut self) -> Result<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<(Key, Node)>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        // Which keys there are, by hashes that nobody can foresee: one that is there already is compared.
        let (hashes, mut seen) = (RandomState::new(), HashSet::new());
        loop {
            let (text, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, ..), span) => (text.into_owned(), span),
                (Event::MappingStart(..), span) => {
                    return Err(Error::new("a key must be a text, not a mapping")
                        .at(self.source.place(span))
                        .hint("put an expression in quotes: `\"{{ name }}\"`"));
                }
                (_, span) => return Err(Error::new("a key must be a text").at(self.source.place(span))),
            };
            let known = !seen.insert(hashes.hash_one(&text));
            if known && let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                return Err(Error::new(format!("`{text}` stands twice here (first on line {})", first.span.line))
                    .at(self.source.place(span)));
            }
            let (event, value_span) = self.next()?;
            let node = self.node(event, value_span)?;
            entries.push((Key { text, span }, node));
        }
    }
}
