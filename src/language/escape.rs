//! Values as they stand in a file of a certain form, so that nothing in them means anything there: [`Target`]. Templates of the
//! binary have one by their path, and write every value by it unless they say `| safe`; filters of the same names do so
//! anywhere.

use serde_json::Value as Json;

use crate::formats::yaml;
use crate::text::shell;

/// A form of file, by what reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A setting of PHP.
    Ini,
    Json,
    Nginx,
    /// The inside of a text in double quotes in a file of options of `MySQL`.
    Options,
    Shell,
    /// Values of a unit that are words or paths.
    Systemd,
    Yaml,
}

impl Target {
    pub const ALL: [(&str, Self); 7] = [
        ("ini", Self::Ini),
        ("json", Self::Json),
        ("nginx", Self::Nginx),
        ("options", Self::Options),
        ("quote", Self::Shell),
        ("systemd", Self::Systemd),
        ("yaml", Self::Yaml),
    ];

    /// The form of a template of the binary, by its path below `templates/`.
    pub fn of(path: &str) -> Option<Self> {
        let (folder, file) = path.split_once('/').unwrap_or(("", path));
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
        match (folder, ending) {
            ("nginx", _) => Some(Self::Nginx),
            ("systemd", _) => Some(Self::Systemd),
            ("sysv" | "upstart", _) => Some(Self::Shell),
            (_, "cnf") => Some(Self::Options),
            (_, "ini") => Some(Self::Ini),
            (_, "json") => Some(Self::Json),
            (_, "yml") => Some(Self::Yaml),
            _ => None,
        }
    }

    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, target)| *target == self).map_or("", |(word, _)| word)
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, target)| *target)
    }

    /// A text as it stands in such a file.
    ///
    /// # Errors
    /// What cannot be written there at all.
    pub fn write(self, text: &str) -> Result<String, String> {
        match self {
            Self::Ini => ini(text),
            Self::Json => Ok(Json::from(text).to_string()),
            Self::Nginx => nginx(text),
            Self::Options => Ok(options(text)),
            Self::Shell => Ok(shell::quoted(text)),
            Self::Systemd => systemd(text),
            Self::Yaml => Ok(yaml::scalar(text)),
        }
    }
}

/// Whether a text is a word wherever it stands.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:@+=,".contains(c))
}

/// One argument of a directive. Nothing takes the meaning from a `$` there.
fn nginx(text: &str) -> Result<String, String> {
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    if text.contains(|c: char| c == '$' || c.is_control()) {
        return Err("nginx takes no `$`, no end of line and no other control character in a value".to_owned());
    }
    Ok(in_quotes(text))
}

/// One word of a unit (systemd.syntax(7), systemd.unit(5): specifiers).
fn systemd(text: &str) -> Result<String, String> {
    if is_plain(text) {
        return Ok(text.to_owned());
    }
    if text.contains(char::is_control) {
        return Err("a unit takes no end of line and no other control character in a value".to_owned());
    }
    Ok(in_quotes(text).replace('%', "%%"))
}

/// One value (PHP's manual, `parse_ini_file`): nothing takes the meaning from `${` there.
fn ini(text: &str) -> Result<String, String> {
    if is_plain(text) && !["=", ":"].iter().any(|sign| text.contains(sign)) {
        return Ok(text.to_owned());
    }
    if text.contains("${") || text.contains(char::is_control) {
        return Err("PHP takes no `${`, no end of line and no other control character in a setting".to_owned());
    }
    Ok(in_quotes(text))
}

fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The inside of a quoted value (the manual of `MySQL`, "Using Option Files").
fn options(text: &str) -> String {
    let mut written = String::new();
    for c in text.chars() {
        match c {
            '\\' => written.push_str("\\\\"),
            '"' => written.push_str("\\\""),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use minijinja::Value;
    use minijinja::value::Serde;
    use serde_json::{Value as Json, json};

    use super::Target;
    use crate::formats::yaml::{Content, Node, Source};
    use crate::language::template::{Expression, embedded, embedded_paths};

    const HOSTILE: [&str; 14] = [
        "",
        "plain",
        "/srv/a b",
        "a\"b'c",
        "back\\slash\\",
        "x: y # z",
        "- {a: [b]}",
        "100% $HOME `id` ${x}",
        "no",
        "0x10",
        "12:30:45",
        "line\nadmin: true\r\n\u{85}\u{2028}",
        "&a *a !b |",
        "é\u{1b}\u{7f}\u{9b}",
    ];

    #[test]
    fn what_is_written_as_yaml_or_json_reads_back() {
        for text in HOSTILE {
            let written = Target::Yaml.write(text).unwrap();
            let source = Source::new("x", format!("a: {written}\nb: [{written}]\n"));
            let Content::Map(entries) = Node::parse(&source).unwrap().value else { panic!("{written}") };
            assert_eq!(entries.len(), 2, "{written}");
            assert!(matches!(&entries[0].1.value, Content::Scalar { text: read, .. } if read == text), "{written}");
            let json: String = serde_json::from_str(&Target::Json.write(text).unwrap()).unwrap();
            assert_eq!(json, text);
        }
    }

    #[test]
    fn what_nginx_and_systemd_cannot_be_told_is_refused() {
        for target in [Target::Ini, Target::Nginx, Target::Systemd] {
            assert_eq!(target.write("a b\"c\\").unwrap(), "\"a b\\\"c\\\\\"");
            assert!(target.write("a\nb").is_err());
        }
        assert!(Target::Nginx.write("$host").is_err() && Target::Ini.write("${host}").is_err());
        assert_eq!(Target::Systemd.write("/srv/100% $x").unwrap(), "\"/srv/100%% $x\"");
        assert_eq!(Target::Options.write("a\"b\\#").unwrap(), "a\\\"b\\\\#");
    }

    #[test]
    fn every_template_with_expressions_has_a_form() {
        // It writes its values by a macro of its own, for a shell and for systemd at once.
        let own = "registry-v1/environment";
        for path in embedded_paths().into_iter().filter(|path| *path != own) {
            let text = embedded(path).unwrap_or_default();
            assert!(!text.contains("{{") || Target::of(path).is_some(), "{path}");
        }
    }

    /// A template with the same text for everything that it names, but for what decides which parts it has.
    fn rendered(path: &str, decided: &Json, leaf: &str) -> String {
        let template = Expression::file(embedded(path).unwrap(), Target::of(path)).unwrap();
        let mut scope = json!({});
        for name in template.names() {
            let mut place = &mut scope;
            for part in name.split('.') {
                place = &mut place[part];
            }
            if place.is_null() {
                *place = Json::from(leaf);
            }
        }
        for (name, value) in decided.as_object().unwrap() {
            scope[name] = value.clone();
        }
        let scope: BTreeMap<String, Json> = serde_json::from_value(scope).unwrap();
        template.evaluate(Value::from(Serde(&scope))).unwrap().to_string()
    }

    /// Each scalar of a text and the way to it.
    fn scalars(node: &Node, way: &str, found: &mut Vec<(String, String)>) {
        match &node.value {
            Content::Scalar { text, .. } => found.push((way.to_owned(), text.clone())),
            Content::List(items) => items.iter().for_each(|item| scalars(item, &format!("{way}[]"), found)),
            Content::Map(entries) => {
                entries.iter().for_each(|(key, node)| scalars(node, &format!("{way}.{}", key.text), found));
            }
        }
    }

    fn read(text: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        scalars(&Node::parse(&Source::new("x", text)).unwrap(), "", &mut found);
        found
    }

    #[test]
    fn no_value_changes_what_else_a_configuration_says() {
        let common = json!({ "on": "host", "generation": "3", "redirect": "auto", "delete": true, "endpoint": "http://store/", "mirror_of": "https://m" });
        let mut cases = vec![("registry/throw-away.yml", json!({}))];
        for flavor in ["local", "s3", "gcs", "azure", "swift", "oss"] {
            let mut decided = common.clone();
            decided["flavor"] = Json::from(flavor);
            cases.push(("registry/config.yml", decided));
        }
        for (path, decided) in cases {
            let plain = read(&rendered(path, &decided, "plain"));
            assert!(plain.iter().any(|(_, text)| text.contains("plain")), "{path}");
            for hostile in HOSTILE.iter().filter(|text| !text.is_empty()) {
                let wanted: Vec<_> =
                    plain.iter().map(|(way, text)| (way.clone(), text.replace("plain", hostile))).collect();
                assert_eq!(read(&rendered(path, &decided, hostile)), wanted, "{path}: {hostile:?}");
            }
        }
        for hostile in HOSTILE {
            let decided = json!({ "policy": "least", "root": "", "bucket": hostile });
            let policy: Json = serde_json::from_str(&rendered("aws/registry-policy.json", &decided, hostile)).unwrap();
            assert_eq!(policy["Statement"][1]["Resource"], format!("arn:aws:s3:::{hostile}/*"));
        }
    }
}
