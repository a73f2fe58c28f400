//! Addresses and paths in expressions: the filter `bracketed`, the tests `loopback`, `address`, `below` and `prefixed`.

use std::net::IpAddr;
use std::path::Path;

use minijinja::value::Rest;

use crate::formats::x509::Name;

/// A host as URLs write it: an IPv6 address in brackets, everything else as it is.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The host of `HOST`, `HOST:PORT` or `ADDRESS/BITS`, without the brackets of an IPv6 address, and the port.
fn taken_apart(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (text.split('/').next().unwrap_or_default(), None),
    }
}

/// Whether only this host reaches it: `localhost`, an address of 127.0.0.0/8 or `::1`, with or without a port.
pub(super) fn is_loopback(text: &str) -> bool {
    let host = taken_apart(text).0;
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether it is `HOST` or `HOST:PORT`.
pub(super) fn is_address(text: &str) -> bool {
    let (host, port) = taken_apart(text);
    let whole = !text.contains('/') && (port.is_some() || !text.ends_with(':'));
    let known = Name::parse(host).is_ok() || host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    whole && !host.is_empty() && known && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether a path is one of these folders, or below one.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands it over")]
pub(super) fn is_below(path: &str, folders: Rest<String>) -> bool {
    folders.iter().any(|folder| Path::new(path).starts_with(folder))
}

/// Whether a text begins with one of these.
#[expect(clippy::needless_pass_by_value, reason = "minijinja hands it over")]
pub(super) fn is_prefixed(text: &str, beginnings: Rest<String>) -> bool {
    beginnings.iter().any(|beginning| text.starts_with(beginning.as_str()))
}

#[cfg(test)]
mod tests {
    use minijinja::value::Rest;

    use super::{bracketed, is_address, is_below, is_loopback};

    #[test]
    fn only_an_ipv6_address_gets_brackets() {
        for (host, written) in
            [("::1", "[::1]"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1"), ("hub", "hub"), ("", "")]
        {
            assert_eq!(bracketed(host), written);
        }
    }

    #[test]
    fn loopback_is_told_in_every_form() {
        for text in
            ["localhost", "localhost:6379", "127.0.0.1", "127.1.2.3:80", "::1", "[::1]", "[::1]:80", "127.0.0.0/8"]
        {
            assert!(is_loopback(text), "{text}");
        }
        for text in ["", "localhost.example.com", "10.0.0.1", "::2", "[2001:db8::1]:80", "128.0.0.1", "127.example.com"]
        {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        for text in ["redis", "redis:6379", "my_redis:1", "10.0.0.1:6379", "[::1]:6379", "::1"] {
            assert!(is_address(text), "{text}");
        }
        for text in ["", ":6379", "redis:", "redis:0", "redis:x", "redis:99999", "a b", "redis/0", "redis://x"] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn a_folder_is_no_beginning_of_a_name() {
        let folders = || Rest(vec!["/home".to_owned(), "/root".to_owned()]);
        assert!(is_below("/home/me/images", folders()));
        assert!(is_below("/root", folders()));
        assert!(!is_below("/homestead", folders()));
        assert!(!is_below("/srv/home", folders()));
    }
}
