//! Where a registry is: [`Address`].

use std::net::IpAddr;

use crate::error::{Error, Result};

/// The address of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `https://HOST[:PORT]`, without a path.
    pub base: String,
    /// As names of images begin: `HOST[:PORT]`.
    pub name: String,
    /// The host alone, without brackets.
    pub host: String,
    pub port: u16,
}

/// Docker Hub as images name it, and the host that answers for it.
const HUB: [&str; 2] = ["docker.io", "registry-1.docker.io"];

impl Address {
    /// Reads `https://HOST[:PORT]`, `http://…` for this host's own loopback, or `HOST[:PORT]`.
    ///
    /// # Errors
    /// It is no such address, or `http` would carry a password over a network.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("`{text}` is no address of a registry"))
                .hint("write `https://HOST` or `https://HOST:PORT`, or the name of a deployment")
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
        if !matches!(scheme, "http" | "https") {
            return Err(wrong());
        }
        let rest = rest.trim_end_matches('/');
        let rest = rest.strip_suffix("/v2").unwrap_or(rest);
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-.:[]_".contains(c);
        if rest.is_empty() || !rest.chars().all(allowed) {
            return Err(wrong());
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port))),
        };
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| wrong()))?;
        if host.is_empty() || (host.contains(':') && host.parse::<IpAddr>().is_err()) {
            return Err(wrong());
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if scheme == "http" && !loopback {
            return Err(Error::usage(format!(
                "`{text}`: without TLS anybody on the way reads and changes what is sent"
            ))
            .hint("give its `https://` address; `http://` is only for a registry of this host, on its loopback"));
        }
        let name = if rest == HUB[1] { HUB[0] } else { rest };
        let asked = if rest == HUB[0] { HUB[1] } else { rest };
        let host = if rest == HUB[0] { HUB[1] } else { host };
        Ok(Self { base: format!("{scheme}://{asked}"), name: name.to_owned(), host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_scheme_port_and_name() {
        let cases = [
            ("https://registry.example:5000/", "https://registry.example:5000", "registry.example:5000", 5000),
            ("registry.example", "https://registry.example", "registry.example", 443),
            ("http://localhost:5000", "http://localhost:5000", "localhost:5000", 5000),
            ("https://[::1]:5000", "https://[::1]:5000", "[::1]:5000", 5000),
            ("docker.io", "https://registry-1.docker.io", "docker.io", 443),
            ("https://h:1/v2/", "https://h:1", "h:1", 1),
        ];
        for (text, base, name, port) in cases {
            let found = Address::parse(text).unwrap();
            assert_eq!((found.base.as_str(), found.name.as_str(), found.port), (base, name, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_hint() {
        for text in
            ["", "https://", "ftp://h", "https://h/team", "https://me:secret@h", "h:port", "http://registry.example"]
        {
            assert!(Address::parse(text).unwrap_err().next_step().is_some(), "{text}");
        }
    }
}
