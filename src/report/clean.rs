//! Foreign text as it may be printed: what a terminal would act upon is shown instead.

/// A text of lines in which every control character but tab and line end is shown by its number, as are the marks that turn
/// the direction of writing.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\t' => clean.push(c),
            '\r' if rest.peek() == Some(&'\n') => {}
            c if acts(c) => clean.push_str(&shown(c)),
            c => clean.push(c),
        }
    }
    clean
}

/// The same as one line.
pub(crate) fn clean_line(text: &str) -> String {
    clean(text.trim_end()).replace('\n', " ")
}

/// The same for JSON, whose writer leaves DEL, the controls of C1 and the marks of direction as they are; what it says stays.
pub(super) fn clean_json(text: &str) -> String {
    if !text.chars().any(acts) {
        return text.to_owned();
    }
    text.chars().map(|c| if acts(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// Whether a terminal does something else than show it: C0 and C1 (ECMA-48), and the bidirectional controls of Unicode (UAX 9).
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown(c: char) -> String {
    let number = u32::from(c);
    if number < 0x100 { format!("\\x{number:02x}") } else { format!("\\u{{{number:x}}}") }
}

#[cfg(test)]
mod tests {
    use super::{clean, clean_json, clean_line};

    #[test]
    fn what_a_terminal_acts_upon_is_shown() {
        for (text, shown) in [
            ("plain → Zoë\tx\ny", "plain → Zoë\tx\ny"),
            ("\u{1b}[31mred\u{1b}]0;title\u{7}", "\\x1b[31mred\\x1b]0;title\\x07"),
            ("over\rwritten\r\n", "over\\x0dwritten\n"),
            ("\u{9b}2J\u{7f}", "\\x9b2J\\x7f"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(clean_line("one\ntwo\n"), "one two");
    }

    #[test]
    fn json_says_the_same_as_before() {
        let text = serde_json::json!({ "a": "\u{9b}2J \u{7f} \u{1b} \u{202e} Zoë" }).to_string();
        let clean = clean_json(&text);
        assert!(clean.is_ascii() || !clean.contains(['\u{9b}', '\u{7f}', '\u{202e}']));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&clean), read(&text));
    }
}
