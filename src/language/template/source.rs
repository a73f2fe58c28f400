//! Looks through the source of an expression or a template before it is compiled: [`Checked`]. It finds what is too long, too
//! many or too deep, and writes the accounting of values into the text: each place where a name is read gets the filter
//! [`WEIGH`], and so on. Of the language no more is understood than where names, brackets and statements stand.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Fault;
use super::tokens::{Kind, Part, Parts, Token, parts};

/// How long a source may be, in bytes.
pub(crate) const LENGTH: usize = 4 << 20;
/// How many words, numbers, texts and signs may stand in one pair of braces.
pub(crate) const TOKENS: usize = 2000;
/// How deep brackets may stand in each other.
pub(crate) const BRACKETS: usize = 50;
/// How many pairs of braces a template may have.
pub(crate) const TAGS: usize = 10_000;
/// How many `elif` a template may have: they stand in each other.
const ELIFS: usize = 200;

/// The filter that weighs a value that is read.
pub(super) const WEIGH: &str = "__weigh";
/// The filter that lets only numbers be multiplied.
pub(super) const NUMBER: &str = "__number";
/// The filter that weighs what a loop writes beside its values: the items times a number of bytes.
pub(super) const REPEAT: &str = "__repeat";
/// The function that notes where in the text the evaluation stands.
pub(super) const AT: &str = "__at";

/// Words of the language that name no value.
const WORDS: [&str; 13] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"];
/// Statements that read other templates; there are none beside the one that is rendered.
const OTHERS: [&str; 5] = ["block", "extends", "from", "import", "include"];

/// A source with the accounting written into it.
#[derive(Debug)]
pub(super) struct Checked {
    pub text: String,
    added: Vec<Added>,
    /// False if it cannot be taken apart; then it does not compile either.
    pub whole: bool,
}

/// What was written into a source: before which byte, what, and where that begins which it is about.
#[derive(Debug)]
struct Added {
    at: usize,
    text: String,
    about: usize,
}

/// A loop that is open: where its list stands, and how much text came before it.
struct Loop {
    list: Range<usize>,
    raw: usize,
}

#[derive(Default)]
struct Writer {
    added: Vec<Added>,
    loops: Vec<Loop>,
    raw: usize,
    elifs: usize,
}

impl Checked {
    /// Looks through an expression without braces.
    pub fn expression(source: &str) -> Result<Self, Fault> {
        length(source)?;
        let mut writer = Writer::default();
        let found = super::tokens::expression(source);
        if let Some(tokens) = &found {
            measure(source, tokens)?;
            writer.expression(source, tokens);
        }
        Ok(writer.written(source, found.is_some()))
    }

    /// Looks through a template.
    pub fn template(source: &str) -> Result<Self, Fault> {
        length(source)?;
        let mut writer = Writer::default();
        let Parts { parts, whole } = parts(source);
        if parts.iter().filter(|part| !matches!(part, Part::Raw(_))).count() > TAGS {
            return Err(Fault::at(source, 0..0, format!("it has more than {TAGS} pairs of braces")));
        }
        for part in parts {
            match part {
                Part::Raw(length) => writer.raw += length,
                Part::Value(start, tokens) => {
                    measure(source, &tokens)?;
                    writer.mark(source, start);
                    writer.expression(source, &tokens);
                }
                Part::Statement(start, tokens) => {
                    measure(source, &tokens)?;
                    writer.mark(source, start);
                    writer.statement(source, &tokens)?;
                }
            }
        }
        Ok(writer.written(source, whole))
    }

    /// The byte of the source for one of the text with the accounting. What was added stands where that does which it is about,
    /// or where it was put.
    fn origin(&self, byte: usize, is_start: bool) -> usize {
        let mut before = 0;
        for Added { at, text, about } in &self.added {
            if at + before > byte || (at + before == byte && !is_start) {
                break;
            }
            if byte < at + before + text.len() {
                return if is_start { *about } else { *at };
            }
            before += text.len();
        }
        byte - before
    }

    /// The same for a range.
    pub fn origins(&self, range: Range<usize>) -> Range<usize> {
        let start = self.origin(range.start, true);
        start..self.origin(range.end, false).max(start)
    }
}

fn length(source: &str) -> Result<(), Fault> {
    if source.len() > LENGTH {
        return Err(Fault::at(source, 0..0, format!("it is longer than {} MiB", LENGTH >> 20)));
    }
    Ok(())
}

/// Fails if one pair of braces has too many parts, or too many brackets in each other.
fn measure(source: &str, tokens: &[Token]) -> Result<(), Fault> {
    if let Some(token) = tokens.get(TOKENS) {
        return Err(Fault::at(source, token.range.clone(), format!("it has more than {TOKENS} words and signs")));
    }
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > BRACKETS {
            let what = format!("its brackets stand in each other more than {BRACKETS} deep");
            return Err(Fault::at(source, token.range.clone(), what));
        }
    }
    Ok(())
}

impl Writer {
    fn add(&mut self, at: usize, text: impl Into<String>, about: usize) {
        self.added.push(Added { at, text: text.into(), about });
    }

    /// Has the evaluation note that it comes to the braces that begin at a byte. White space around it is as before.
    fn mark(&mut self, source: &str, start: usize) {
        let trim = source.as_bytes().get(start + 2).filter(|byte| **byte == b'-').map_or("", |_| "-");
        self.add(start, format!("{{{{{trim}{AT}({start})}}}}"), start);
    }

    fn expression(&mut self, source: &str, tokens: &[Token]) {
        self.names(source, tokens, 0..tokens.len());
        self.factors(source, tokens);
    }

    /// Weighs every value where its name, with all its dots, brackets and calls, has been read.
    fn names(&mut self, source: &str, tokens: &[Token], among: Range<usize>) {
        for at in among {
            if is_value(source, tokens, at) {
                let end = chain(source, tokens, at + 1);
                self.add(tokens[end - 1].range.end, format!("|{WEIGH}"), tokens[at].range.start);
            }
        }
    }

    /// Lets both sides of each `*` be numbers only.
    fn factors(&mut self, source: &str, tokens: &[Token]) {
        let word = |at: usize| &source[tokens[at].range.clone()];
        for at in 1..tokens.len() {
            let operand = |token: &Token| !matches!(token.kind, Kind::Open | Kind::Sign);
            if word(at) != "*" || tokens[at].kind != Kind::Sign || !operand(&tokens[at - 1]) {
                continue;
            }
            self.add(tokens[at - 1].range.end, format!("|{NUMBER}"), tokens[at - 1].range.start);
            let mut next = at + 1;
            while next < tokens.len() && word(next) == "-" {
                next += 1;
            }
            if let Some(end) = operand_end(source, tokens, next) {
                self.add(tokens[end - 1].range.end, format!("|{NUMBER}"), tokens[next].range.start);
            }
        }
    }

    fn statement(&mut self, source: &str, tokens: &[Token]) -> Result<(), Fault> {
        let word = |at: usize| tokens.get(at).map_or("", |token| &source[token.range.clone()]);
        let outside = outside(tokens);
        let find = |wanted: &[&str], from: usize| {
            outside.iter().copied().find(|at| *at >= from && wanted.contains(&word(*at))).unwrap_or(tokens.len())
        };
        let all = tokens.len();
        let refuse = |what: String| Err(Fault::at(source, tokens[0].range.clone(), what));
        match word(0) {
            "for" => {
                let from = (find(&["in"], 1) + 1).min(all);
                let end = find(&["if", "recursive"], from);
                if outside.iter().any(|at| word(*at) == "recursive") {
                    return refuse("a loop cannot be recursive".to_owned());
                }
                if from < end {
                    let list = tokens[from].range.start..tokens[end - 1].range.end;
                    self.add(list.start, "(", list.start);
                    self.names(source, tokens, from..end);
                    self.loops.push(Loop { list, raw: self.raw });
                }
                self.names(source, tokens, end..all);
            }
            "endfor" => {
                if let Some(open) = self.loops.pop() {
                    self.add(open.list.end, format!(")|{REPEAT}({})", self.raw - open.raw), open.list.start);
                }
            }
            "set" => self.names(source, tokens, find(&["=", "|"], 1)..all),
            "with" => {
                let mut at = 1;
                while at < all {
                    let (from, end) = (find(&["="], at), find(&[","], find(&["="], at)));
                    self.names(source, tokens, from..end);
                    at = end + 1;
                }
            }
            // `do` wants a call, and what that yields goes nowhere.
            "filter" | "do" => self.names(source, tokens, 2.min(all)..all),
            "elif" => {
                self.elifs += 1;
                if self.elifs > ELIFS {
                    return refuse(format!("it has more than {ELIFS} `elif`"));
                }
                self.names(source, tokens, 1..all);
            }
            "if" | "autoescape" => self.names(source, tokens, 1..all),
            other if OTHERS.contains(&other) => {
                return refuse(format!("`{other}` is no part of the language: a template stands by itself"));
            }
            // What a macro takes is weighed inside of it.
            _ => {}
        }
        self.factors(source, tokens);
        Ok(())
    }

    fn written(mut self, source: &str, whole: bool) -> Checked {
        if !whole || !self.loops.is_empty() {
            return Checked { text: source.to_owned(), added: Vec::new(), whole: false };
        }
        self.added.sort_by_key(|added| added.at);
        let mut text = String::with_capacity(source.len() + self.added.len() * 10);
        let mut from = 0;
        for added in &self.added {
            text.push_str(&source[from..added.at]);
            text.push_str(&added.text);
            from = added.at;
        }
        text.push_str(&source[from..]);
        Checked { text, added: self.added, whole: true }
    }
}

/// Whether a token names a value that is read there.
fn is_value(source: &str, tokens: &[Token], at: usize) -> bool {
    let word = |at: usize| tokens.get(at).map_or("", |token| &source[token.range.clone()]);
    let before = |back: usize| at.checked_sub(back).map_or("", word);
    let is_test = before(1) == "is" || (before(1) == "not" && before(2) == "is");
    let is_member = matches!(before(1), "." | "|");
    tokens[at].kind == Kind::Name && !WORDS.contains(&word(at)) && !is_member && !is_test && word(at + 1) != "="
}

/// The end of the dots, brackets and calls that follow what ends before `at`.
fn chain(source: &str, tokens: &[Token], mut at: usize) -> usize {
    loop {
        let next = tokens.get(at).map_or("", |token| &source[token.range.clone()]);
        at = match next {
            "." if at + 1 < tokens.len() => at + 2,
            "(" | "[" => closing(tokens, at),
            _ => return at,
        };
    }
}

/// The end of an operand with its filters; none if there is none at all.
fn operand_end(source: &str, tokens: &[Token], at: usize) -> Option<usize> {
    let mut end = match tokens.get(at)?.kind {
        Kind::Open => closing(tokens, at),
        Kind::Text => at + tokens[at..].iter().take_while(|token| token.kind == Kind::Text).count(),
        _ => at + 1,
    };
    end = chain(source, tokens, end);
    while tokens.get(end).is_some_and(|token| &source[token.range.clone()] == "|") {
        end = chain(source, tokens, (end + 2).min(tokens.len()));
    }
    Some(end)
}

/// The token after the bracket that closes the one at `at`.
fn closing(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// The tokens that stand in no bracket.
fn outside(tokens: &[Token]) -> BTreeSet<usize> {
    let mut depth = 0_usize;
    let mut found = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ if depth == 0 => drop(found.insert(index)),
            _ => {}
        }
    }
    found
}
