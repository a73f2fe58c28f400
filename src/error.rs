//! The one error of the crate: what failed, where, and the next command to type.

use crate::text::unknown::plain;
use std::fmt;

use unicode_width::UnicodeWidthChar;

/// A result whose error can be shown to a user as it is.
pub type Result<T> = std::result::Result<T, Error>;

/// What failed, where, and what to do about it.
///
/// `what` is a lowercase sentence without a full stop that names things in backticks. [`Error::render`] is the whole
/// text that a user reads; it needs no colour to be understood.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Error {
    what: String,
    place: Option<Box<Place>>,
    hint: Option<String>,
    detail: Vec<String>,
    usage: bool,
    decisive: bool,
    moved: bool,
    aside: bool,
}

/// Where in a file something stands: line and column count from 1, in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
    /// How many characters the caret underlines; at least 1.
    pub width: usize,
    /// The whole line as it stands in the file.
    pub text: String,
}

/// How many characters of a line an error shows at most.
const LONGEST_LINE: usize = 160;

impl Error {
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: plain(what.into()),
            place: None,
            hint: None,
            detail: Vec::new(),
            usage: false,
            decisive: false,
            moved: false,
            aside: false,
        }
    }

    /// An error in how the command was called: the exit code is 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { usage: true, ..Self::new(what) }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(plain(hint.into())).filter(|hint| !hint.trim().is_empty());
        self
    }

    /// The same for an error that may have a better one already.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.hint.is_some() { self } else { self.hint(hint) }
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert_with(|| Box::new(place));
        self
    }

    /// Adds lines that show the failing thing's own words, such as a container's last log lines.
    #[must_use]
    pub fn detail(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.detail.extend(lines);
        self
    }

    /// Says of which larger thing this was a part: `{context}: {what}`.
    #[must_use]
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.what = format!("{context}: {}", self.what);
        self
    }

    /// The same error, as one in how the command was called.
    #[must_use]
    pub fn into_usage(mut self) -> Self {
        self.usage = true;
        self
    }

    /// The same error with its line veiled, for a file that may hold secrets.
    #[must_use]
    pub fn veiled(mut self) -> Self {
        self.place = self.place.map(|place| Box::new(place.veiled()));
        self
    }

    /// The same error, as the one that is told where several things fail for the same reason.
    #[must_use]
    pub fn decisive(mut self) -> Self {
        self.decisive = true;
        self
    }

    pub fn is_decisive(&self) -> bool {
        self.decisive
    }

    /// The same error, as one that says that something came or went since it was looked at: a new look may find a way.
    #[must_use]
    pub fn moved(mut self) -> Self {
        self.moved = true;
        self
    }

    pub fn is_moved(&self) -> bool {
        self.moved
    }

    /// The same error, as one of a check of what stands behind: what stands before it has answered as it should.
    #[must_use]
    pub fn aside(mut self) -> Self {
        self.aside = true;
        self
    }

    pub fn is_aside(&self) -> bool {
        self.aside
    }

    /// The failing thing's own words.
    pub fn lines(&self) -> &[String] {
        &self.detail
    }

    pub fn is_usage(&self) -> bool {
        self.usage
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.as_deref()
    }

    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole text for a user, without a final newline.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", self.what.replace('\n', "\n  "));
        if let Some(place) = &self.place {
            text.push_str(&place.render());
        }
        for line in self.detail.iter().flat_map(|part| part.split('\n')) {
            text.push_str("\n  | ");
            text.push_str(line);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        text
    }
}

impl Place {
    /// The same place with no more of its line than the key that it begins with: the rest may be a secret.
    #[must_use]
    pub(crate) fn veiled(mut self) -> Self {
        let key = self.text.split_once(':').map(|(key, _)| key.trim_end());
        let named = |key: &&str| key.trim().chars().all(|c| c.is_alphanumeric() || "-_ .".contains(c));
        self.text = key.filter(named).map_or_else(|| "…".to_owned(), |key| format!("{key}: …"));
        let room = self.text.chars().count().saturating_sub(self.column.saturating_sub(1));
        self.width = self.width.clamp(1, room.max(1));
        self
    }

    fn render(&self) -> String {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let (text, before, width) = self.visible();
        // A tab stays one, or the caret would stand elsewhere than what it points at.
        let blank = |c: char| if c == '\t' { "\t".to_owned() } else { " ".repeat(c.width().unwrap_or_default()) };
        let indent: String = before.chars().map(blank).collect();
        let caret = "^".repeat(width);
        format!(
            "\n{gutter}--> {}:{}:{}\n{gutter} |\n{number} | {text}\n{gutter} | {indent}{caret}",
            self.file, self.line, self.column
        )
    }

    /// What is shown of the line, what of that is before the caret, and how many characters the caret underlines. Of a
    /// very long line only the part around the caret is shown.
    fn visible(&self) -> (String, String, usize) {
        let at = self.column.saturating_sub(1);
        let width = self.width.max(1);
        if self.text.chars().count() <= LONGEST_LINE {
            return (self.text.clone(), self.text.chars().chain(std::iter::repeat(' ')).take(at).collect(), width);
        }
        let (start, mark) = if at > LONGEST_LINE / 2 { (at - LONGEST_LINE / 2, "…") } else { (0, "") };
        let shown: String = self.text.chars().skip(start).take(LONGEST_LINE).collect();
        let rest = if self.text.chars().count() > start + LONGEST_LINE { "…" } else { "" };
        let before = format!("{mark}{}", shown.chars().take(at - start).collect::<String>());
        (format!("{mark}{shown}{rest}"), before, width.min(LONGEST_LINE - (at - start)))
    }
}

/// The known name nearest to a mistyped one, if any is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// A hint for an unknown name: the nearest one, else all of them.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are none".to_owned(),
        None => format!("known: {}", known.join(", ")),
    }
}
