//! A host's name or address as a certificate holds it: [`Name`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::error::{Error, Result};

/// The longest host name and the longest label of one, in bytes (RFC 1035 section 2.3.4, less the wire's length bytes).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// One entry of a certificate's subject alternative name (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A lower-case host name, international labels in their `xn--` form, with or without `*.` before it.
    Dns(String),
    Ip(IpAddr),
}

impl Name {
    /// Reads a host name, a wildcard such as `*.example.com`, or an IP address with or without `[]`.
    ///
    /// A host name is letters, digits and inner hyphens (RFC 1123 section 2.1); international names are turned into
    /// their `xn--` form (UTS 46). The error says what is wrong with the text, and its hint what to give instead.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new("a name is empty").hint("give a host name such as `registry.example.com`"));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong(text, "contains a space").hint("give one name at a time, without spaces"));
        }
        if let Some(address) = address(text) {
            return Ok(Self::Ip(address));
        }
        refuse_surroundings(text)?;
        let (host, wildcard) = text.strip_prefix("*.").map_or((text, false), |host| (host, true));
        let ascii = Uts46::new()
            .to_ascii(host.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore)
            .map_err(|_| wrong(text, "is not a valid international name").hint("check its spelling"))?;
        let name = if wildcard { format!("*.{ascii}") } else { ascii.into_owned() };
        check_dots(text, &name)?;
        check_labels(text, name.strip_prefix("*.").unwrap_or(&name))?;
        if wildcard && !ascii_has_two_labels(&name) {
            let what = "is too wide: clients refuse a wildcard right below a top-level name";
            return Err(wrong(text, what).hint("give a wildcard with two labels behind it, such as `*.example.com`"));
        }
        if name.len() > LONGEST_NAME {
            let what = format!("is {} characters long, and a name has at most {LONGEST_NAME}", name.len());
            return Err(wrong(text, &what).hint("shorten it"));
        }
        Ok(Self::Dns(name))
    }

    /// The name that a name constraint permits for this one: `*.a.b` is under `a.b` (RFC 5280 section 4.2.1.10).
    pub(crate) fn subtree(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.strip_prefix("*.").unwrap_or(name).to_owned()),
            Self::Ip(address) => Self::Ip(*address),
        }
    }

    /// Whether a certificate with this name is for another: a wildcard stands for one label (RFC 9525 section 6.3).
    pub(crate) fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Dns(own), Self::Dns(name)) if own.starts_with("*.") => {
                own == name || name.split_once('.').is_some_and(|(label, rest)| label != "*" && rest == &own[2..])
            }
            _ => self == name,
        }
    }

    /// Whether a name constraint that permits `subtree` permits this name (RFC 5280 section 4.2.1.10).
    pub(super) fn is_under(&self, subtree: &Self) -> bool {
        match (self, subtree) {
            (Self::Dns(name), Self::Dns(parent)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            _ => self == subtree,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn wrong(text: &str, what: &str) -> Error {
    Error::new(format!("`{text}` {what}"))
}

fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Refuses what a URL has around its host, and says what is left when it is taken away.
fn refuse_surroundings(text: &str) -> Result<()> {
    let (scheme, rest) = text.split_once("://").map_or((false, text), |(_, rest)| (true, rest));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority_only = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority_only.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => (host, Some(port)),
        _ => (authority_only, None),
    };
    let what = if scheme {
        "is a URL, not a name"
    } else if authority.len() < rest.len() {
        "has a path, which is no part of a name"
    } else if port.is_some() {
        "has a port, which is no part of a name"
    } else if text.contains(['[', ']']) || text.matches(':').count() > 1 {
        return Err(wrong(text, "is not an IPv6 address").hint("write it like `2001:db8::1`"));
    } else {
        return Ok(());
    };
    let hint = match (host, port) {
        ("", _) => "give a host name such as `registry.example.com`".to_owned(),
        (_, Some(port)) => format!("give `{host}` alone, and give the port with `--port {port}`"),
        (_, None) => format!("give `{host}` alone"),
    };
    Err(wrong(text, what).hint(hint))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn check_dots(text: &str, name: &str) -> Result<()> {
    let trimmed = name.trim_matches('.');
    if name.starts_with('.') {
        let hint = format!("give `{trimmed}`, or `*.{trimmed}` for the names below it");
        return Err(wrong(text, "starts with a dot").hint(hint));
    }
    if name.ends_with('.') {
        return Err(wrong(text, "ends with a dot").hint(format!("give `{trimmed}`")));
    }
    if name.contains("..") {
        return Err(wrong(text, "has two dots in a row").hint("put a label between them, or leave one out"));
    }
    Ok(())
}

fn check_labels(text: &str, host: &str) -> Result<()> {
    if host.contains('*') {
        let hint = "a `*` stands alone in front, as in `*.example.com`";
        return Err(wrong(text, "has a `*` that is not its whole first label").hint(hint));
    }
    if host.contains('_') {
        let hint = format!("use a hyphen: `{}`", text.replace('_', "-"));
        return Err(wrong(text, "contains `_`, which a host name may not").hint(hint));
    }
    if let Some(other) = host.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '.')) {
        let what = format!("contains `{other}`, which a host name may not");
        return Err(wrong(text, &what).hint("use letters, digits, hyphens and dots"));
    }
    for label in host.split('.') {
        if label.len() > LONGEST_LABEL {
            let what = format!("has a label of {} characters, and at most {LONGEST_LABEL} may be", label.len());
            return Err(wrong(text, &what).hint(format!("shorten `{label}`")));
        }
        if label.starts_with('-') || label.ends_with('-') {
            let what = format!("has the label `{label}`, which starts or ends with a hyphen");
            return Err(wrong(text, &what).hint(format!("give it as `{}`", label.trim_matches('-'))));
        }
    }
    // A last label of digits makes clients take the whole for an IPv4 address (WHATWG URL, "ends in a number").
    if host.rsplit('.').next().is_some_and(is_port) {
        let hint = format!("an IPv4 address is four numbers from 0 to 255, such as `{}`", Ipv4Addr::LOCALHOST);
        return Err(wrong(text, "ends in a number but is not an IPv4 address").hint(hint));
    }
    Ok(())
}

fn ascii_has_two_labels(name: &str) -> bool {
    name.matches('.').count() >= 2
}
