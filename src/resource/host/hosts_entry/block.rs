//! A deployment's block in the text of a hosts file: found, written and taken out again: [`Block`].
//!
//! Nothing here touches a file. What stands outside of the block is never changed, whatever it is: the text is bytes.

use std::ops::Range;

#[cfg(test)]
mod tests;

/// The lines of one deployment, with its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it stands, in bytes, marks and all.
    range: Range<usize>,
    /// The line of its first mark, counted from 1.
    pub line: usize,
    /// What stands between its marks, without empty lines and without blanks at the ends of lines.
    pub lines: Vec<String>,
}

/// Marks that do not make one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The line of the mark that stands alone, counted from 1.
    pub line: usize,
    /// The mark that is missing; none if there is one too many.
    pub missing: Option<String>,
}

/// A name that has another address elsewhere in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clash {
    pub line: usize,
    pub name: String,
    pub address: String,
}

fn begin(deployment: &str) -> String {
    format!("# provision: {deployment} (begin)")
}

fn end(deployment: &str) -> String {
    format!("# provision: {deployment} (end)")
}

/// The lines of a text: where each stands, with its newline, and its words.
fn lines(text: &[u8]) -> impl Iterator<Item = (Range<usize>, String)> + '_ {
    text.split_inclusive(|byte| *byte == b'\n').scan(0, |at, line| {
        let range = *at..*at + line.len();
        *at = range.end;
        Some((range, String::from_utf8_lossy(line).trim().to_owned()))
    })
}

impl Block {
    /// Finds a deployment's block; none if there are no marks of it.
    pub fn find(text: &[u8], deployment: &str) -> Result<Option<Self>, Broken> {
        let (begin, end) = (begin(deployment), end(deployment));
        let mut open: Option<Self> = None;
        let mut found: Option<Self> = None;
        for (number, (range, line)) in lines(text).enumerate().map(|(index, line)| (index + 1, line)) {
            if line == begin {
                if open.is_some() || found.is_some() {
                    return Err(Broken { line: number, missing: None });
                }
                open = Some(Self { range, line: number, lines: Vec::new() });
            } else if line == end {
                let Some(block) = open.take() else {
                    let missing = found.is_none().then_some(begin);
                    return Err(Broken { line: number, missing });
                };
                found = Some(Self { range: block.range.start..range.end, ..block });
            } else if let Some(block) = open.as_mut().filter(|_| !line.is_empty()) {
                block.lines.push(line);
            }
        }
        match open {
            Some(block) => Err(Broken { line: block.line, missing: Some(end) }),
            None => Ok(found),
        }
    }

    /// What its only line gives: an address, and names. None if it was edited into something else.
    pub fn entry(&self) -> Option<(&str, Vec<&str>)> {
        let [line] = self.lines.as_slice() else { return None };
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| !word.starts_with('#'))?;
        Some((address, words.collect()))
    }

    /// The text with this in the place of the block, or at the end if there is none.
    pub fn put(text: &[u8], block: Option<&Self>, deployment: &str, lines: &[String]) -> Vec<u8> {
        let own = format!("{}\n{}\n{}\n", begin(deployment), lines.join("\n"), end(deployment));
        let range = block.map_or(text.len()..text.len(), |block| block.range.clone());
        let before = &text[..range.start];
        // A block starts on a line of its own, even below a last line that does not end.
        let gap = if is_whole(before) { "" } else { "\n" };
        [before, gap.as_bytes(), own.as_bytes(), &text[range.end..]].concat()
    }

    /// The text without the block. `unended` says whether the line above did not end before the block came: it is as it was
    /// again unless somebody else's lines follow by now.
    pub fn take_out(&self, text: &[u8], unended: bool) -> Vec<u8> {
        let (before, after) = (&text[..self.range.start], &text[self.range.end..]);
        let before = if unended && after.is_empty() { before.strip_suffix(b"\n").unwrap_or(before) } else { before };
        [before, after].concat()
    }
}

/// Whether the last line of a text ends.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    text.is_empty() || text.ends_with(b"\n")
}

/// Finds the first line outside of the block that gives one of the names another address. Names are the same whatever their
/// case (RFC 4343).
pub(crate) fn clash(text: &[u8], block: Option<&Block>, address: &str, names: &[String]) -> Option<Clash> {
    let outside = |range: &Range<usize>| block.is_none_or(|block| !block.range.contains(&range.start));
    let mut lines = lines(text).enumerate().filter(|(_, (range, _))| outside(range));
    lines.find_map(|(index, (_, line))| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let other = words.next().filter(|other| *other != address)?;
        let name = words.find(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word)))?;
        Some(Clash { line: index + 1, name: name.to_owned(), address: other.to_owned() })
    })
}
