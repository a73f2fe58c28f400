//! A typed input of a playbook, which is also a flag of the command: [`Input`].

pub(crate) mod condition;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Error, Result, did_you_mean};
use crate::formats::x509::{self, Name};
use crate::text::shell::quoted;
use crate::world::{files, host, typed};
use condition::Condition;

/// What a user may give for an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InputType {
    /// Any text.
    String,
    /// A TCP port, 1 to 65535.
    Port,
    /// A host name or an IP address.
    Domain,
    /// `true` or `false`; as a flag it needs no value.
    Bool,
    /// One of `choices`.
    Choice,
    /// A path on this host; a relative one counts from the folder where the command was typed.
    Path,
    /// A file of the machine where the command is typed, with `--host` as well. Its path is kept, and it is read while a run needs it.
    Upload,
    /// The text of a file on this host, read when the command is typed, and kept.
    File,
    /// The certificates in a file on this host, in PEM. What else stands there is neither kept nor handed on.
    Certificates,
    /// A number of bytes: `64k`, `512m`, `2g`.
    Size,
    /// A mail address, by the rules of `WordPress`.
    Email,
    /// An IP address, or a network of them: `10.0.0.0/8`.
    Network,
    /// Any number of values of the type `of`; the flag is repeated.
    List,
    /// A text that must not be shown. As a flag: `@FILE` reads a file, `-` reads standard input.
    Secret,
}

impl InputType {
    pub const NAMES: [&str; 14] = [
        "string",
        "port",
        "domain",
        "bool",
        "choice",
        "path",
        "upload",
        "file",
        "certificates",
        "size",
        "email",
        "network",
        "list",
        "secret",
    ];

    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_value(Json::from(text))
            .map_err(|_| Error::new(format!("unknown input type `{text}`")).hint(did_you_mean(text, &Self::NAMES)))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub name: String,
    pub kind: InputType,
    /// What it takes when it is not given; without one it must be given.
    pub default: Option<Json>,
    pub about: String,
    /// What a choice may be; of a text the values that are known, beside which a rule of the playbook may let others pass.
    pub choices: Vec<String>,
    /// Another playbook that stands in for this one where a choice is made, by the choice.
    pub instead: BTreeMap<String, String>,
    /// The type of the items of a list.
    pub of: InputType,
    /// Under which heading `--help` shows it.
    pub group: Option<String>,
    /// Where it means something; where it does not, it must have its default.
    pub when: Option<Condition>,
    /// Whether it has no flag of its own, because the verb has an option of that name: then it is given by `--set`.
    pub by_set: bool,
}

impl Input {
    /// What gives it a value, in the words of messages.
    pub fn given_by(&self) -> String {
        if self.by_set { format!("--set {}=…", self.name) } else { format!("--{}", self.name) }
    }

    /// The words that give it a value which is not shown.
    pub fn shown(&self) -> String {
        if self.by_set { format!("--set {}=(secret)", self.name) } else { format!("--{} (secret)", self.name) }
    }

    /// What `INPUT=VALUE` sets it to, if that is about this input.
    pub fn set_to<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.split_once('=').filter(|(name, _)| *name == self.name).map(|(_, value)| value)
    }

    /// A value that was given, as it is used: an earlier version kept a file of certificates whole.
    pub fn settled(&self, value: &Json) -> Json {
        match value.as_str().filter(|text| self.kind == InputType::Certificates && !text.is_empty()) {
            Some(text) => x509::certificates(text).map_or_else(|_| value.clone(), Json::from),
            None => value.clone(),
        }
    }

    /// Warnings of what was typed for it.
    pub fn warnings(&self, texts: &[String]) -> Vec<String> {
        if self.element() == InputType::Certificates {
            return texts.iter().flat_map(|text| self.certificates_of(text)).collect();
        }
        self.literal(texts).into_iter().collect()
    }

    /// What of a file with certificates is not as somebody may think who names it.
    fn certificates_of(&self, file: &str) -> Vec<String> {
        // A pipe can be read once only.
        let text = typed::is_plain(file).then(|| typed::read_text(file).ok()).flatten();
        let Some(text) = text else { return Vec::new() };
        let mut warnings = Vec::new();
        let of = self.given_by();
        if x509::has_key(&text) {
            warnings.push(format!(
                "`{of}`: a private key stands in `{file}` as well; only the certificates are taken from it, which everybody may read"
            ));
        }
        let certificates = x509::certificates(&text).unwrap_or_default();
        let blocks = x509::blocks(&certificates);
        let faults = blocks.iter().filter_map(|block| x509::read(block).ok()?.fault(host::now()));
        let faults = faults.map(|fault| format!("`{of}`: a certificate in `{file}` {fault}"));
        warnings.extend(faults);
        warnings
    }

    /// A warning of a secret that stands on the command line itself.
    fn literal(&self, texts: &[String]) -> Option<String> {
        let is_literal = |text: &String| !text.is_empty() && text != "-" && !text.starts_with('@');
        (self.is_secret() && texts.iter().any(is_literal)).then(|| {
            format!(
                "`{}`: a secret on the command line is visible to every user of this host while the command runs, and stays in the history of the shell; give `@FILE`, or `-` for standard input",
                self.given_by()
            )
        })
    }

    /// The words that give it a value, for a shell.
    pub fn typed(&self, value: &str) -> String {
        if self.by_set {
            return format!("--set {}", quoted(&format!("{}={value}", self.name)));
        }
        let equals = if self.kind == InputType::Bool { "=" } else { " " };
        format!("--{}{equals}{}", self.name, quoted(value))
    }

    /// The type of its value, or of the items of its list.
    pub fn element(&self) -> InputType {
        if self.kind == InputType::List { self.of } else { self.kind }
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.element() == InputType::Secret
    }

    /// Reads the values of a flag: one, or for a list any number, where an empty text takes all of them back if none is the default.
    ///
    /// # Errors
    /// A text that is not of the input's type; the error names the flag and says what it takes.
    pub fn flag(&self, texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Json> {
        let texts: Vec<_> = texts.into_iter().collect();
        let none = Json::from(Vec::<Json>::new());
        if self.default.as_ref() == Some(&none) && texts.len() == 1 && texts[0].as_ref().is_empty() {
            return Ok(none);
        }
        let values: Result<Vec<Json>> = texts.iter().map(|text| self.parse(text.as_ref())).collect();
        let mut values = values.map_err(|error| error.within(format!("`{}`", self.given_by())).into_usage())?;
        if self.kind == InputType::List { Ok(Json::from(values)) } else { Ok(values.pop().unwrap_or_default()) }
    }

    /// Reads a value, or one item of a list. An empty text takes back an input whose default is to be empty.
    ///
    /// # Errors
    /// A text that is not of the input's type.
    pub fn parse(&self, text: &str) -> Result<Json> {
        if text.is_empty() && self.default.as_ref().is_some_and(|default| default == "") {
            return Ok(Json::from(""));
        }
        self.parse_as(self.element(), text)
    }

    fn parse_as(&self, kind: InputType, text: &str) -> Result<Json> {
        match kind {
            InputType::String => Ok(Json::from(text)),
            InputType::Port => port(text),
            InputType::Domain => Name::parse(text).map(|name| Json::from(name.to_string())),
            InputType::Bool => text
                .parse::<bool>()
                .map(Json::from)
                .map_err(|_| Error::new(format!("`{text}` is neither `true` nor `false`"))),
            InputType::Choice if self.choices.iter().any(|choice| choice == text) => Ok(Json::from(text)),
            InputType::Choice => {
                let choices: Vec<&str> = self.choices.iter().map(String::as_str).collect();
                Err(Error::new(format!("there is no choice `{text}`")).hint(did_you_mean(text, &choices)))
            }
            InputType::Path | InputType::Upload if text.is_empty() => {
                Err(Error::new("an empty path").hint("`.` is the folder where the command is typed"))
            }
            InputType::Path => files::absolute(text).map(Json::from),
            InputType::Upload => typed::shown(text).map(Json::from),
            InputType::File => typed::read_text(&typed::shown(text)?).map(Json::from),
            InputType::Certificates => {
                let path = typed::shown(text)?;
                let read = typed::read_text(&path).and_then(|text| x509::certificates(&text).map(Json::from));
                read.map_err(|error| error.within(format!("`{path}`")))
            }
            InputType::Size => size(text).map(Json::from),
            InputType::Email => email(text).map(Json::from),
            InputType::Network => network(text).map(Json::from),
            InputType::Secret => typed::secret_argument(text).map(Json::from),
            InputType::List => Err(Error::new("a list of lists")),
        }
    }
}

fn port(text: &str) -> Result<Json> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Json::from(port)),
        _ => Err(Error::new(format!("`{text}` is no port")).hint("a port is a number from 1 to 65535")),
    }
}

/// A mail address as `WordPress` takes one (`is_email`).
fn email(text: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let name = |name: &str| !name.is_empty() && name.chars().all(|c| plain(c) || "!#$%&'*+/=?^_`{|}~.-".contains(c));
    let label = |label: &str| {
        !label.is_empty() && label.trim_matches('-') == label && label.chars().all(|c| plain(c) || c == '-')
    };
    let host = |host: &str| host.contains('.') && host.split('.').all(label);
    if text.len() >= 6 && text.split_once('@').is_some_and(|(local, rest)| name(local) && host(rest)) {
        return Ok(text.to_owned());
    }
    Err(Error::new(format!("`{text}` is no mail address"))
        .hint("write `name@example.com`: six characters at least, and a dot behind the `@`"))
}

/// An IP address, or a network as an address and the length of its prefix (RFC 4632, section 3.1).
fn network(text: &str) -> Result<String> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let wrong = || {
        Error::new(format!("`{text}` is neither an IP address nor a network"))
            .hint("write `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`")
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let Some(prefix) = prefix else { return Ok(address.to_string()) };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= longest).ok_or_else(wrong)?;
    Ok(format!("{address}/{prefix}"))
}

/// A size in bytes: digits and an optional `k`, `m` or `g` (powers of 1024, as Docker reads them), with or without a `b`.
pub(crate) fn size(text: &str) -> Result<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match bare.char_indices().next_back() {
        Some((at, 'k')) => (&bare[..at], 10),
        Some((at, 'm')) => (&bare[..at], 20),
        Some((at, 'g')) => (&bare[..at], 30),
        _ => (bare, 0),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.ok_or_else(|| Error::new(format!("`{text}` is no size")).hint("write `512m` or `2g`"))
}
