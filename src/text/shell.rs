//! A text as a POSIX shell reads it: what is printed as a command can be pasted.

/// One word of a command line: in single quotes, unless it needs none.
pub(crate) fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command line of these words.
pub(crate) fn line(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| quoted(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{line, quoted};

    #[test]
    fn a_word_is_quoted_only_where_a_shell_would_change_it() {
        for plain in ["registry", "/etc/docker/certs.d/localhost:5000", "--out=./x", "a@b", "10%"] {
            assert_eq!(quoted(plain), plain);
        }
        for (text, word) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("x;id", "'x;id'"),
            ("robot$ci+push", "'robot$ci+push'"),
            ("it's", r"'it'\''s'"),
            ("~/x", "'~/x'"),
            ("a\nb", "'a\nb'"),
            ("*", "'*'"),
        ] {
            assert_eq!(quoted(text), word);
        }
        assert_eq!(line(["chown", "a:b", "/x y"]), "chown a:b '/x y'");
    }
}
