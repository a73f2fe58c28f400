//! A file's text, and where a part of it stands: [`Source`], [`Span`].

use std::sync::{Arc, OnceLock};

use crate::error::Place;

/// What the line begins with, in a text that is made of several files, before each one but the first; the file's name follows.
const BOUNDARY: &str = "--- # part: ";

/// A file's name and text, kept for showing the line of an error.
#[derive(Debug)]
pub(crate) struct Source {
    pub name: String,
    pub text: String,
    /// Where each line begins; found out when it is asked for.
    starts: OnceLock<Vec<usize>>,
    /// The files after the first: the number of the line before each, and its name.
    joined: Vec<(usize, String)>,
}

/// A part of a source: line from 1, column from 1, width in characters on that line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub line: usize,
    pub column: usize,
    pub width: usize,
}

impl Source {
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), starts: OnceLock::new(), joined: Vec::new() })
    }

    /// A text and what belongs to it, a document each. Lines are counted through all of it, and [`Source::place`] names the file.
    pub fn join(name: &str, text: &str, others: &[(String, String)]) -> Arc<Self> {
        let mut all = text.to_owned();
        for (name, text) in others {
            let end = if all.ends_with('\n') { "" } else { "\n" };
            all += &format!("{end}{BOUNDARY}{name}\n{text}");
        }
        Self::joined(name, all)
    }

    /// The same from one text in which [`Source::join`] put them.
    pub fn joined(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let lines = text.lines().enumerate();
        let joined = lines.filter_map(|(index, line)| Some((index + 1, line.strip_prefix(BOUNDARY)?.to_owned())));
        let joined = joined.collect();
        Arc::new(Self { name: name.into(), text, starts: OnceLock::new(), joined })
    }

    /// The name and the text of each file.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let ends = self.joined.iter().map(|(line, _)| self.starts()[line - 1]).chain([self.text.len()]);
        let begins = self.joined.iter().map(|(line, _)| self.starts()[*line]);
        let names = self.joined.iter().map(|(_, name)| name.as_str());
        let begins = [(self.name.as_str(), 0)].into_iter().chain(names.zip(begins));
        begins.zip(ends).map(|((name, begin), end)| (name, &self.text[begin..end]))
    }

    fn starts(&self) -> &[usize] {
        self.starts.get_or_init(|| [0].into_iter().chain(self.text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// A line by its number, from 1, without its end; empty where there is none.
    pub(super) fn line_text(&self, number: usize) -> &str {
        let starts = self.starts();
        let index = number.saturating_sub(1);
        let Some(start) = starts.get(index) else { return "" };
        let end = starts.get(index + 1).copied().unwrap_or(self.text.len());
        self.text[*start..end].lines().next().unwrap_or_default()
    }

    pub fn place(&self, span: Span) -> Place {
        let file = self.joined.iter().rev().find(|(before, _)| *before < span.line);
        let (before, name) = file.map_or((0, &self.name), |(before, name)| (*before, name));
        Place {
            file: name.clone(),
            line: span.line - before,
            column: span.column,
            width: span.width,
            text: self.line_text(span.line).to_owned(),
        }
    }

    /// The span, or the end of the text where that is before it.
    pub(super) fn within(&self, span: Span) -> Span {
        let text = self.text.trim_end();
        let lines = text.lines().count().max(1);
        if span.line <= lines {
            return span;
        }
        Span { line: lines, column: text.lines().last().unwrap_or_default().chars().count() + 1, width: 1 }
    }

    /// A line without the spaces around it.
    pub fn line(&self, number: usize) -> Span {
        let text = self.line_text(number);
        let indent = text.chars().take_while(|c| c.is_whitespace()).count();
        Span { line: number, column: indent + 1, width: text.trim().chars().count().max(1) }
    }

    /// Where a range of bytes stands.
    pub fn span(&self, bytes: std::ops::Range<usize>) -> Span {
        if !self.text.is_char_boundary(bytes.start) {
            return Span { line: 1, column: 1, width: 1 };
        }
        let line = self.starts().partition_point(|start| *start <= bytes.start);
        let before = &self.text[self.starts()[line - 1]..bytes.start];
        let inside = self.text.get(bytes).unwrap_or_default().lines().next().unwrap_or_default();
        Span { line, column: before.chars().count() + 1, width: inside.chars().count().max(1) }
    }

    /// The name of a file that stands beside this one.
    pub fn beside(&self, path: &str) -> String {
        std::path::Path::new(&self.name).with_file_name(path).display().to_string()
    }

    /// Where `needle` first stands as a whole word at or after the start of `from`; else `from` itself.
    pub fn find(&self, from: Span, needle: &str) -> Place {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        for (index, line) in self.text.lines().enumerate().skip(from.line.saturating_sub(1)) {
            let skip = if index + 1 == from.line { from.column.saturating_sub(1) } else { 0 };
            let start = line.char_indices().nth(skip).map_or(line.len(), |(byte, _)| byte);
            let hit = line[start..].match_indices(needle).find(|(at, _)| {
                let before = line[..start + at].chars().next_back();
                let after = line[start + at + needle.len()..].chars().next();
                !before.is_some_and(|c| word(c) || c == '.') && !after.is_some_and(word)
            });
            if let Some((at, _)) = hit {
                let column = line[..start + at].chars().count() + 1;
                return self.place(Span { line: index + 1, column, width: needle.chars().count() });
            }
        }
        self.place(from)
    }
}
