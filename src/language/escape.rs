//! Values as they stand in a file of a certain form, so that nothing in them means anything there: [`Target`]. Templates have one
//! by their path, and write every value by it unless they say `| safe`; filters of the same names do so anywhere.

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

    /// The form of a template of a user's own, by the ending of its name (`.j2` is left out); nginx's by `.nginx`, or by a file
    /// `nginx.conf` or a folder `nginx` that it is in.
    pub fn of_own(path: &str) -> Option<Self> {
        let path = path.strip_suffix(".j2").unwrap_or(path);
        let mut parts: Vec<&str> = path.split('/').collect();
        let file = parts.pop().unwrap_or_default();
        match file.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "json" => Some(Self::Json),
            "yml" | "yaml" => Some(Self::Yaml),
            "ini" => Some(Self::Ini),
            "cnf" => Some(Self::Options),
            "sh" => Some(Self::Shell),
            "service" | "socket" | "timer" | "mount" => Some(Self::Systemd),
            "nginx" => Some(Self::Nginx),
            "conf" if file == "nginx.conf" || parts.contains(&"nginx") => Some(Self::Nginx),
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
