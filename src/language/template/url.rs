//! The parts of a URL, for expressions: the filter `url`.

use minijinja::Value;

use crate::formats::x509::Name;

/// The scheme of a URL in small letters, whatever follows it; empty where there is none.
pub(super) fn scheme(text: &str) -> String {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    scheme.to_ascii_lowercase()
}

/// The mapping of a URL's parts: `scheme`, `user`, `password` (whether there is one), `host`, `port`, `path`, and `address`, the host
/// with its port as image references have it. Where there is no port, it is 0; where the text is no URL of a host, all are empty.
pub(super) fn parts(text: &str) -> Value {
    let Some(parts) = parse(text) else {
        return minijinja::context! {
            scheme => "", user => "", password => false, host => "", port => 0, path => "", address => "",
        };
    };
    let address = if parts.port == 0 { parts.host.clone() } else { format!("{}:{}", parts.host, parts.port) };
    minijinja::context! {
        scheme => parts.scheme, user => parts.user, password => parts.password,
        host => parts.host, port => parts.port, path => parts.path, address => address,
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    scheme: String,
    user: String,
    password: bool,
    host: String,
    port: u16,
    path: String,
}

/// Takes `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH]` (RFC 3986, section 3) apart. A user's name may have an `@` in it, as
/// mail addresses do: the last one counts.
fn parse(text: &str) -> Option<Parts> {
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').map_or((login, false), |(user, _)| (user, true));
    let bare = address.ends_with(']') || !address.contains(':');
    let (host, port) = if bare { (address, "0") } else { address.rsplit_once(':')? };
    let name = Name::parse(host).ok()?.to_string();
    // An IPv6 address has a colon, and stands in brackets.
    if name.contains(':') != host.starts_with('[') || name.contains('*') || (!bare && port == "0") {
        return None;
    }
    Some(Parts {
        scheme: scheme.to_ascii_lowercase(),
        user: decoded(user)?,
        password,
        host: if name.contains(':') { format!("[{name}]") } else { name },
        port: port.parse().ok()?,
        path: path.to_owned(),
    })
}

/// A text without the escapes of a URL, such as `%40` for an `@`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &others[2..] } else { others };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::{Parts, parse};

    fn parts(scheme: &str, user: &str, host: &str, port: u16, path: &str) -> Parts {
        let text = str::to_owned;
        Parts { scheme: text(scheme), user: text(user), password: false, host: text(host), port, path: text(path) }
    }

    #[test]
    fn a_url_is_taken_apart() {
        let cases = [
            ("smtp://mail.example.com", parts("smtp", "", "mail.example.com", 0, "")),
            ("SMTPS://me@mail.example.com:465", parts("smtps", "me", "mail.example.com", 465, "")),
            ("smtps://me@example.org@mail:465", parts("smtps", "me@example.org", "mail", 465, "")),
            ("smtps://me%40example.org@mail", parts("smtps", "me@example.org", "mail", 0, "")),
            ("smtp://50%@mail", parts("smtp", "50%", "mail", 0, "")),
            ("smtp://[2001:db8::1]:25/x", parts("smtp", "", "[2001:db8::1]", 25, "/x")),
            ("smtp://10.0.0.1", parts("smtp", "", "10.0.0.1", 0, "")),
            ("smtp://me:secret@mail", Parts { password: true, ..parts("smtp", "me", "mail", 0, "") }),
        ];
        for (text, parts) in cases {
            assert_eq!(parse(text), Some(parts), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_host_is_none() {
        for text in [
            "",
            "mail",
            "mail:25",
            "://mail",
            "smtp://",
            "smtp://me@",
            "smtp://mail:",
            "smtp://mail:0",
            "smtp://mail:99999",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        for text in ["smtp://a b", "smtp://2001:db8::1", "smtp://[mail]", "1smtp://mail", "smtp://mail:25:25"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
