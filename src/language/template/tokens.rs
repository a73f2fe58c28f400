//! The parts of a template, and the tokens in its braces, as minijinja's own lexer takes them apart: [`parts`].

use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Number,
    /// A text in quotes.
    Text,
    Open,
    Close,
    Sign,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub range: Range<usize>,
}

/// A part of a template: so many bytes of text, or braces with where they begin and what is in them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Raw(usize),
    Value(usize, Vec<Token>),
    Statement(usize, Vec<Token>),
}

/// The parts up to the end, or up to what no lexer takes apart.
#[derive(Debug)]
pub(super) struct Parts {
    pub parts: Vec<Part>,
    pub whole: bool,
}

/// The tokens of an expression without braces; none if it has no end or cannot be taken apart.
pub(super) fn expression(source: &str) -> Option<Vec<Token>> {
    tokens(source, 0, None).map(|(tokens, _)| tokens)
}

/// Takes a template apart.
pub(super) fn parts(source: &str) -> Parts {
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.len() {
        let start = marker(source, at).unwrap_or(source.len());
        if start > at {
            found.push(Part::Raw(start - at));
        }
        if start == source.len() {
            break;
        }
        let Some(end) = part(source, start, &mut found) else { return Parts { parts: found, whole: false } };
        at = end;
    }
    Parts { parts: found, whole: true }
}

/// Where braces begin, at or after a byte.
fn marker(source: &str, from: usize) -> Option<usize> {
    let bytes = source.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|at| bytes[*at] == b'{' && matches!(bytes[at + 1], b'{' | b'%' | b'#'))
}

/// Takes the part apart that begins with braces, and tells where it ends.
fn part(source: &str, start: usize, found: &mut Vec<Part>) -> Option<usize> {
    let bytes = source.as_bytes();
    let control = usize::from(matches!(bytes.get(start + 2), Some(b'-' | b'+')));
    let inside = start + 2 + control;
    match bytes[start + 1] {
        b'#' => Some(inside + source.get(inside..)?.find("#}")? + 2),
        b'{' => {
            let (tokens, end) = tokens(source, inside, Some("}}"))?;
            found.push(Part::Value(start, tokens));
            Some(end)
        }
        _ => {
            let Some(raw) = tag(&source[inside..], "raw", false) else {
                let (tokens, end) = tokens(source, inside, Some("%}"))?;
                found.push(Part::Statement(start, tokens));
                return Some(end);
            };
            let from = inside + raw;
            let mut at = from;
            loop {
                at += source[at..].find("{%")? + 2;
                if let Some(end) = tag(&source[at..], "endraw", true) {
                    found.push(Part::Raw(at - 2 - from));
                    return Some(at + end);
                }
            }
        }
    }
}

/// How long a tag of one word is, behind its opening braces, up to the end of the closing ones; none if it is another one.
fn tag(text: &str, name: &str, control: bool) -> Option<usize> {
    let white = |c: char| c.is_ascii_whitespace();
    let rest = if control { text.strip_prefix(['-', '+']).unwrap_or(text) } else { text };
    let rest = rest.trim_start_matches(white).strip_prefix(name)?.trim_start_matches(white);
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")?;
    Some(text.len() - rest.len())
}

/// The tokens from a byte to the closing braces, or to the end where there are none; and where those end.
fn tokens(source: &str, from: usize, close: Option<&str>) -> Option<(Vec<Token>, usize)> {
    let bytes = source.as_bytes();
    let mut found: Vec<Token> = Vec::new();
    let (mut at, mut depth) = (from, 0_usize);
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if let (Some(close), 0) = (close, depth) {
            let control = usize::from(matches!(bytes[at], b'-' | b'+'));
            if bytes[at + control..].starts_with(close.as_bytes()) {
                return Some((found, at + control + close.len()));
            }
        }
        let (kind, length) = token(&bytes[at..])?;
        match kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.checked_sub(1)?,
            _ => {}
        }
        found.push(Token { kind, range: at..at + length });
        at += length;
    }
    close.is_none().then_some((found, at))
}

/// The kind of the token that some bytes begin with, and its length; none if it is none.
fn token(bytes: &[u8]) -> Option<(Kind, usize)> {
    let pair = bytes.get(..2);
    if matches!(pair, Some(b"//" | b"**" | b"==" | b"!=" | b">=" | b"<=")) {
        return Some((Kind::Sign, 2));
    }
    let while_true = |test: fn(&u8) -> bool| bytes.iter().take_while(|byte| test(byte)).count();
    Some(match bytes.first()? {
        b'(' | b'[' | b'{' => (Kind::Open, 1),
        b')' | b']' | b'}' => (Kind::Close, 1),
        b'+' | b'-' | b'*' | b'/' | b'%' | b'.' | b',' | b':' | b'~' | b'|' | b'=' | b'>' | b'<' => (Kind::Sign, 1),
        quote @ (b'"' | b'\'') => (Kind::Text, text(bytes, *quote)?),
        b'0'..=b'9' => (Kind::Number, number(bytes)),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
            (Kind::Name, while_true(|byte| byte.is_ascii_alphanumeric() || *byte == b'_'))
        }
        _ => return None,
    })
}

fn text(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            byte if *byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// The length of a number. A fraction is a number, a dot and a number here.
fn number(bytes: &[u8]) -> usize {
    let run = |from: usize, test: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| test(byte)).count();
    if matches!(bytes.get(..2), Some(b"0x" | b"0X" | b"0b" | b"0B" | b"0o" | b"0O")) {
        return 2 + run(2, |byte| byte.is_ascii_hexdigit() || *byte == b'_');
    }
    let digits = run(0, |byte| byte.is_ascii_digit() || *byte == b'_');
    if !matches!(bytes.get(digits), Some(b'e' | b'E')) {
        return digits;
    }
    let signed = digits + 1 + usize::from(matches!(bytes.get(digits + 1), Some(b'+' | b'-')));
    signed + run(signed, |byte| byte.is_ascii_digit() || *byte == b'_')
}
