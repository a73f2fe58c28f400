//! Which lines of a file change: [`lines`], and which of them are not shown because they hold a secret: [`Veil`].

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value as Json;
use similar::{DiffOp, TextDiff};

use crate::event::{LineChange, LineEvent};
use crate::secret::Secret;

/// Bytes of a text whose lines are compared; of a larger one only the size is told.
const LARGEST: usize = 1 << 20;
/// Lines shown before and after those that change.
const AROUND: usize = 3;
/// How long a comparison may look for the shortest answer; it is right at any time.
const TIME: Duration = Duration::from_millis(200);
/// A secret that is shorter than this is hidden by its place alone: everything holds it by chance.
const SHORTEST: usize = 6;

/// How a certificate or a key begins (RFC 7468).
pub(crate) const PEM: &str = "-----BEGIN ";

/// What stands in the place of a secret that is not given: what was given before stands there in the old content.
const GIVEN: &str = "VeiledSecret";

/// What stands in the place of a line that is not shown.
pub(crate) const HIDDEN: &str = "(secret)";

/// A content as it is and as it should be, in the field that says that they differ. It may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    pub field: String,
    pub old: Kept,
    pub new: Kept,
}

/// What is kept of a content until the plan is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    Text(Secret),
    /// It is no text, or too large; how many bytes it has.
    Size(u64),
}

impl Kept {
    pub fn of(content: &[u8]) -> Self {
        let text = std::str::from_utf8(content).ok().filter(|text| text.len() <= LARGEST && !text.contains('\0'));
        text.map_or(Self::Size(content.len() as u64), |text| Self::Text(Secret::new(text)))
    }

    pub fn told(&self) -> String {
        match self {
            Self::Text(text) => format!("{} bytes", text.expose().len()),
            Self::Size(bytes) if *bytes > LARGEST as u64 => format!("{bytes} bytes"),
            Self::Size(bytes) => format!("{bytes} bytes that are no text"),
        }
    }
}

impl Texts {
    pub fn new(field: impl Into<String>, old: Kept, new: &str) -> Self {
        Self { field: field.into(), old, new: Kept::of(new.as_bytes()) }
    }
}

/// Another text in the place of a secret: of the same length and kind of characters, so that what holds it has the same lines.
/// One that is empty becomes one that is not, since its place is one all the same.
pub(crate) fn other(value: &Json) -> Json {
    match value {
        Json::String(text) if text.is_empty() => GIVEN.into(),
        Json::String(text) => {
            let turned: String = text.chars().map(turn).collect();
            if turned == *text {
                return text.chars().map(|c| if c.is_whitespace() { c } else { 'x' }).collect::<String>().into();
            }
            turned.into()
        }
        Json::Array(items) => items.iter().map(other).collect(),
        Json::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), other(value))).collect(),
        value => value.clone(),
    }
}

fn turn(c: char) -> char {
    match c {
        'z' => 'a',
        'Z' => 'A',
        '9' => '0',
        'a'..='y' | 'A'..='Y' | '0'..='8' => char::from_u32(u32::from(c) + 1).unwrap_or(c),
        c => c,
    }
}

/// Which lines hold a secret, found by what becomes of them where another secret stands in its place.
pub(crate) struct Veil<'a> {
    /// Lines of the new text, from 0.
    lines: BTreeSet<usize>,
    /// What stands before the secret in these lines: an old line that begins like one stands in its place.
    keys: Vec<&'a str>,
    /// Whether a secret is the first word of a line: then any old line may be one.
    any: bool,
    /// The secrets themselves, for old lines that stand elsewhere.
    secrets: &'a BTreeSet<String>,
}

impl<'a> Veil<'a> {
    /// None where nothing but secrets is in it, or it cannot be told what is.
    pub fn of(text: &'a str, stand_in: &'a str, secrets: &'a BTreeSet<String>) -> Option<Self> {
        let (lines, others): (Vec<&'a str>, Vec<&'a str>) = (text.lines().collect(), stand_in.lines().collect());
        let mut veil = Self { lines: BTreeSet::new(), keys: Vec::new(), any: false, secrets };
        if lines.len() == others.len() {
            let pairs = lines.iter().zip(&others).enumerate().filter(|(_, (line, other))| line != other);
            pairs.for_each(|(number, (line, other))| veil.hide(number, &line[..common(line, other)]));
            return veil.shows(&lines).then_some(veil);
        }
        // A part that is there only where a secret is given; otherwise it cannot be told what is one.
        if !stand_in.contains(GIVEN) {
            return None;
        }
        for op in TextDiff::configure().timeout(TIME).diff_slices(&lines, &others).ops() {
            if let DiffOp::Equal { .. } = op {
                continue;
            }
            op.old_range().for_each(|number| veil.hide(number, first_word(lines[number])));
            op.new_range().for_each(|number| veil.know(before(others[number])));
        }
        veil.shows(&lines).then_some(veil)
    }

    /// Hides a line of the new text, and old ones that begin like it.
    fn hide(&mut self, number: usize, key: &'a str) {
        self.lines.insert(number);
        self.know(key);
    }

    fn know(&mut self, key: &'a str) {
        let key = plain(key).trim_end_matches(|c: char| !c.is_alphanumeric());
        if key.is_empty() { self.any = true } else { self.keys.push(key) }
    }

    /// Whether anything is left to show.
    fn shows(&self, lines: &[&str]) -> bool {
        let open = |(number, line): (usize, &&str)| !line.trim().is_empty() && !self.lines.contains(&number);
        self.lines.is_empty() || lines.iter().enumerate().any(open)
    }

    fn hides_old(&self, line: &str) -> bool {
        let begins = |key: &&str| plain(line).starts_with(*key);
        let holds = |secret: &String| line.contains(secret.as_str());
        self.any || self.keys.iter().any(begins) || self.secrets.iter().any(holds)
    }
}

/// How many bytes two lines have in common at their beginnings.
fn common(line: &str, other: &str) -> usize {
    line.char_indices()
        .zip(other.chars())
        .find(|((_, a), b)| a != b)
        .map_or(line.len().min(other.len()), |((at, _), _)| at)
}

/// What stands before a secret in a line; where that was turned into something else, the name that the line begins with.
fn before(line: &str) -> &str {
    line.find(GIVEN).map_or_else(|| first_word(line), |at| &line[..at])
}

fn first_word(line: &str) -> &str {
    let start = line.len() - plain(line).len();
    let end =
        line[start..].find(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).map_or(line.len(), |at| start + at);
    &line[..end]
}

/// A line without what it is set off or quoted by.
fn plain(line: &str) -> &str {
    line.trim_start_matches(|c: char| !c.is_alphanumeric())
}

/// The words of secrets by which a line is known to hold one.
pub(crate) fn words(secret: &Json, found: &mut BTreeSet<String>) {
    match secret {
        Json::String(text) => {
            found.extend(text.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned));
        }
        Json::Array(items) => items.iter().for_each(|item| words(item, found)),
        Json::Object(fields) => fields.values().for_each(|value| words(value, found)),
        _ => {}
    }
}

/// The lines that change from one text to another, with some around them.
pub(crate) fn lines(old: &str, new: &str, veil: &Veil<'_>) -> Vec<LineEvent> {
    let mut config = TextDiff::configure();
    config.timeout(TIME);
    let diff = config.diff_lines(old, new);
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let mut shown = Vec::new();
    for op in diff.grouped_ops(AROUND).into_iter().flatten() {
        // What stands in the place of a secret is one as well, whatever it says.
        let in_its_place = matches!(op, DiffOp::Replace { .. }) && op.new_range().any(|at| veil.lines.contains(&at));
        if let DiffOp::Equal { .. } = op {
            for (before, after) in op.old_range().zip(op.new_range()) {
                let hidden = veil.lines.contains(&after);
                shown.push(line(LineChange::Same, (Some(before), Some(after)), new[after], hidden));
            }
            continue;
        }
        for at in op.old_range() {
            let hidden = in_its_place || veil.hides_old(old[at]);
            shown.push(line(LineChange::Removed, (Some(at), None), old[at], hidden));
        }
        for at in op.new_range() {
            shown.push(line(LineChange::Added, (None, Some(at)), new[at], veil.lines.contains(&at)));
        }
    }
    shown
}

fn line(change: LineChange, (old, new): (Option<usize>, Option<usize>), text: &str, hidden: bool) -> LineEvent {
    let number = |at: Option<usize>| at.map(|at| at + 1);
    let end = if text.ends_with('\n') { "" } else { " (without a line end)" };
    let text = if hidden { HIDDEN } else { text.strip_suffix('\n').unwrap_or(text) };
    LineEvent { change, old: number(old), new: number(new), text: format!("{text}{end}") }
}
