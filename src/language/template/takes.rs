//! What a template says at its top that it takes: `{# takes: name, port #}`.

use std::collections::BTreeSet;

use super::Fault;

/// What such a line begins with, after the brace.
const TAKES: &str = " takes:";

/// The names that a template lists, with the place of the list; none if it has no list.
fn listed(text: &str) -> Option<(BTreeSet<&str>, std::ops::Range<usize>)> {
    let inner = text.strip_prefix("{#")?;
    let list = inner.strip_prefix(TAKES)?;
    let list = &list[..list.find("#}")?];
    let names = list.trim_end_matches('-').split([',', ' ', '\n']).filter(|name| !name.is_empty());
    let start = "{#".len() + TAKES.len();
    Some((names.collect(), start..start + list.len()))
}

/// Fails if a template lists what it takes, and uses other names than those.
pub(super) fn check(text: &str, names: &[String]) -> Result<(), Fault> {
    let Some((takes, range)) = listed(text) else { return Ok(()) };
    let used: BTreeSet<&str> = names.iter().map(|name| name.split('.').next().unwrap_or(name)).collect();
    if let Some(name) = used.difference(&takes).next() {
        return Err(Fault::at(text, range, format!("it uses `{name}`, which is not in its list of what it takes")));
    }
    match takes.difference(&used).next() {
        Some(name) => Err(Fault::at(text, range, format!("it lists `{name}`, and nothing in it uses that"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, embedded, embedded_paths, is_expression};

    #[test]
    fn a_list_is_exact_or_refused() {
        let message = |text: &str| Expression::file(text, None).unwrap_err().message;
        assert!(Expression::file("{# takes: port, ca -#}\n{{ port }}{{ ca.certificate }}", None).is_ok());
        assert!(Expression::file("{{ port }}", None).is_ok());
        assert!(message("{# takes: port -#}\n{{ port }}{{ name }}").contains("uses `name`"));
        assert!(message("{# takes: port, name -#}\n{{ port }}").contains("lists `name`"));
    }

    #[test]
    fn every_template_of_the_binary_lists_what_it_takes() {
        for path in embedded_paths().into_iter().filter(|path| !path.starts_with("images/")) {
            let Some(text) = embedded(path).filter(|text| is_expression(text)) else { continue };
            assert!(text.starts_with("{# takes:"), "{path}");
        }
    }
}
