//! The configuration of the first registry (docker-registry 0.9.1): flavors, and the variables that stand in them as
//! `_env:NAME:DEFAULT`. The program itself takes what it does not understand for a text, or for nothing.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::error::{Error, Result, nearest};
use crate::formats::yaml::{Content, Key, Node, Source, Span};
use crate::language::template::embedded;

/// What a value begins with that a variable gives (`docker_registry/lib/config.py`).
const MARK: &str = "_env:";
/// The flavors as the program brings them.
const FLAVORS: &str = "registry-v1/config.yml";
/// Variables that are no part of a flavor: which flavor it is, and how gunicorn serves it.
const OTHERS: [&str; 4] =
    ["SETTINGS_FLAVOR", "GUNICORN_WORKERS", "GUNICORN_GRACEFUL_TIMEOUT", "GUNICORN_SILENT_TIMEOUT"];
/// How alike a name must be to one that is known to be a slip of the pen.
const ALIKE: f64 = 0.93;

/// The variables that the program's own flavors know.
fn known() -> &'static BTreeSet<&'static str> {
    static KNOWN: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let text = embedded(FLAVORS).expect("the flavors are part of the binary");
        let after = text.split(MARK).skip(1);
        after.filter_map(|rest| rest.split(|c: char| !is_part(c)).next()).chain(OTHERS).collect()
    })
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_part) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// Checks a configuration.
///
/// # Errors
/// What is no YAML, no mapping of flavors, or meant to be a variable and is none: with its place.
pub(super) fn config(source: &Source) -> Result<()> {
    let node = Node::parse_with_aliases(source)?;
    let Content::Map(flavors) = &node.value else {
        return Err(Error::new(format!("the flavors want a mapping, not {}", node.describe_veiled()))
            .at(source.place(node.span))
            .hint("a flavor is a name with settings below it, as in `mine:` and then, indented, `<<: *local`"));
    };
    flavors.iter().try_for_each(|(name, flavor)| self::flavor(source, name, flavor))
}

fn flavor(source: &Source, name: &Key, flavor: &Node) -> Result<()> {
    let Content::Map(settings) = &flavor.value else {
        return Err(Error::new(format!(
            "the flavor `{}` wants a mapping, not {}",
            name.text,
            flavor.describe_veiled()
        ))
        .at(source.place(name.span))
        .hint("write its settings below it, indented"));
    };
    settings.iter().filter(|(key, _)| key.text != "<<").try_for_each(|(_, setting)| values(source, setting))
}

/// Checks every value in a setting.
fn values(source: &Source, node: &Node) -> Result<()> {
    match &node.value {
        Content::Scalar { text, .. } => value(source, text, node.span),
        Content::List(items) => items.iter().try_for_each(|item| listed(source, item)),
        Content::Map(entries) => entries.iter().try_for_each(|(_, node)| values(source, node)),
    }
}

/// The program looks for variables in settings and in mappings of them, and not in lists.
fn listed(source: &Source, item: &Node) -> Result<()> {
    match &item.value {
        Content::Scalar { text, .. } if text.starts_with(MARK) => {
            Err(Error::new(format!("a variable, `{MARK}…`, is not read in a list"))
                .at(source.place(item.span))
                .hint("make the whole list the variable's value, as in `_env:NAME:[a, b]`"))
        }
        _ => values(source, item),
    }
}

fn value(source: &Source, text: &str, span: Span) -> Result<()> {
    let wrong = |what: String, hint: String| Err(Error::new(what).at(source.place(span)).hint(hint));
    let Some(variable) = text.strip_prefix(MARK) else {
        return match meant(text) {
            Some(meant) => wrong(format!("`{text}` is taken as it stands"), format!("did you mean `{meant}`?")),
            None => Ok(()),
        };
    };
    let (name, default) = variable.split_once(':').map_or((variable, None), |(name, default)| (name, Some(default)));
    if !is_name(name) {
        return wrong(
            format!("`{text}` names no variable"),
            "write `_env:NAME` or `_env:NAME:DEFAULT`, without spaces".to_owned(),
        );
    }
    match default {
        None if !known().contains(name) => {
            let near = nearest(name, known().iter().copied());
            let near = near.map_or_else(String::new, |near| format!("did you mean `{MARK}{near}`? "));
            wrong(
                format!("the variable `{name}` is none that the registry knows"),
                format!("{near}one of your own needs a default, if only an empty one: `{MARK}{name}:`"),
            )
        }
        Some(default) if Node::parse(&Source::new("", format!("value: {default}"))).is_err() => wrong(
            format!("the default of `{name}` is no YAML"),
            "the registry reads it, and the variable itself, as YAML: put a text with `: ` or ` #` in it in quotes"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// What a value that begins almost like a variable was to be.
fn meant(text: &str) -> Option<String> {
    let at = text.find(|c: char| c == ':' || c.is_whitespace())?;
    let (head, rest) = (&text[..at], text[at..].trim_start_matches(|c: char| c == ':' || c.is_whitespace()));
    let name = rest.split(':').next().unwrap_or_default();
    let loud = is_name(name) && !name.contains(|c: char| c.is_ascii_lowercase());
    let close = strsim::osa_distance(&head.to_ascii_lowercase(), "_env") <= 2;
    (loud && close && head.len() >= 3).then(|| format!("{MARK}{rest}"))
}

/// Checks the file with the variables, `NAME="VALUE"` a line. Values are not shown: they may be secrets.
///
/// # Errors
/// A line without a name, or a name that is almost one which the registry knows.
pub(super) fn environment(file: &str, text: &str) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            return Err(Error::new(format!("line {} of `{file}` would name no variable", index + 1))
                .hint("a line of `--settings` is `NAME=VALUE`, without `export` or spaces before `=`"));
        };
        let close = known().iter().map(|known| (strsim::jaro_winkler(name, known), *known));
        // One that goes on where a known one ends, such as `AWS_BUCKET2`, was meant to be another.
        let close = close.filter(|(score, known)| *score > ALIKE && !name.starts_with(known));
        let close = close.max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, near)) = close.filter(|_| !known().contains(name)) {
            return Err(Error::new(format!("the registry knows no variable `{name}`"))
                .hint(format!("did you mean `{near}`? `--settings` or `--env-file` names it")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::language::format::Format;
    use crate::language::template::embedded;

    /// The program's own flavors and some more.
    fn config(more: &str) -> String {
        let text = embedded(super::FLAVORS).unwrap();
        let (_, text) = text.split_once("-#}").unwrap();
        let whole = format!("{}\n{more}", text.split("{%-").next().unwrap());
        let checked = Format::RegistryV1Config.check("config.yml", &whole);
        checked.map_or_else(|error| error.render(), |()| "ok".to_owned())
    }

    #[test]
    fn flavors_of_the_users_own_are_checked_value_by_value() {
        for good in [
            "",
            "mine:\n  <<: *local\n  storage_path: _env:STORAGE_PATH:/mine\n",
            "mine: { <<: *s3, boto_bucket: '_env:MY_BUCKET:' }\n",
            "mine: { <<: *local, title: 'env: production', list: [1, a] }\n",
            "mine: { storage: local, storage_path: 'EVENT:ABC' }\n",
        ] {
            assert_eq!(config(good), "ok", "{good}");
        }
        for (bad, what, hint) in [
            ("mine: { a: _env }\n", "ok", ""),
            ("mine: { a: ['_env:LOGLEVEL'] }\n", "is not read in a list", "`_env:NAME:[a, b]`"),
            ("mine: { a: '_env:' }\n", "`_env:` names no variable", "`_env:NAME:DEFAULT`"),
            ("mine: { a: '_env: STORAGE_PATH' }\n", "names no variable", "without spaces"),
            ("mine: { a: '_env:A-B:c' }\n", "names no variable", "without spaces"),
            ("mine: { a: '_evn:STORAGE_PATH:/x' }\n", "taken as it stands", "did you mean `_env:STORAGE_PATH:/x`?"),
            ("mine: { a: 'env:AWS_KEY' }\n", "taken as it stands", "did you mean `_env:AWS_KEY`?"),
            ("mine: { a: { b: ['_ENV:AWS_KEY'] } }\n", "taken as it stands", "did you mean `_env:AWS_KEY`?"),
            ("mine: { a: '_env AWS_KEY' }\n", "taken as it stands", "did you mean `_env:AWS_KEY`?"),
            ("mine: { a: '_env:AWS_BUKET' }\n", "`AWS_BUKET` is none", "did you mean `_env:AWS_BUCKET`?"),
            ("mine: { a: '_env:OF_MINE' }\n", "`OF_MINE` is none", "if only an empty one: `_env:OF_MINE:`"),
            ("mine: { a: '_env:OF_MINE:[' }\n", "the default of `OF_MINE` is no YAML", "in quotes"),
            ("mine: { <<: *lcoal }\n", "not valid YAML", "config.yml:"),
            ("local: { storage: local }\n", "`local` stands twice", "first on line"),
            ("mine\n", "not valid YAML", "config.yml:"),
            ("mine: local\n", "the flavor `mine` wants a mapping, not a text", "indented"),
        ] {
            let told = config(bad);
            assert!(told.contains(what) && told.contains(hint), "{bad}{told}");
        }
    }

    #[test]
    fn variables_are_checked_by_name_and_never_shown() {
        let check = |text: &str| {
            let checked = Format::RegistryV1Environment.check("environment", text);
            checked.map_or_else(|error| error.render(), |()| "ok".to_owned())
        };
        for good in ["", "# x\n\nAWS_KEY=\"hush\"\n", "AWS_BUCKET2=\"hush\"\n", "OF_MINE=\"hush\"\n"] {
            assert_eq!(check(good), "ok", "{good}");
        }
        for (bad, what) in [
            ("AWS_BUKET=\"hush\"\n", "did you mean `AWS_BUCKET`?"),
            ("SETTING_FLAVOR=\"hush\"\n", "did you mean `SETTINGS_FLAVOR`?"),
            ("A=\"b\"\nhush\n", "line 2 of `environment` would name no variable"),
            ("export AWS_KEY=\"hush\"\n", "without `export`"),
            ("1A=\"hush\"\n", "would name no variable"),
        ] {
            let told = check(bad);
            assert!(told.contains(what) && !told.contains("hush"), "{told}");
        }
    }
}
