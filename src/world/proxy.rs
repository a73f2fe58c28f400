//! The proxies that requests leave this host through: [`Proxies`].
//!
//! The variables are read as Go's programs read them, Docker and the registry among them: `HTTP_PROXY`, `HTTPS_PROXY` and
//! `NO_PROXY`, in large letters or small ones, and never for the host's own loopback.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::host;
use crate::error::{Error, Result};

/// A login in the address of a proxy is a secret: this type is shown nowhere.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Proxies {
    /// The proxy of `http://…`; empty if there is none.
    #[serde(default)]
    http: String,
    #[serde(default)]
    https: String,
    /// What is reached without one: names, addresses and networks, with commas between.
    #[serde(default)]
    direct: String,
}

impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(proxies)")
    }
}

/// A proxy as a client takes it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// Its URL without a login.
    pub url: String,
    pub login: Option<(String, String)>,
}

/// What no proxy stands before.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Proxies {
    /// What this process was given.
    ///
    /// # Errors
    /// A proxy of a kind that is not understood.
    pub fn of_environment() -> Result<Self> {
        let given = |name: &str| host::variable(name).or_else(|| host::variable(&name.to_lowercase()));
        let proxy = |name: &str| given(name).map_or(Ok(String::new()), |text| checked(&text, &format!("`{name}`")));
        Ok(Self {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            direct: given("NO_PROXY").unwrap_or_default(),
        })
    }

    /// One proxy for all; what needs none is as the environment says.
    pub fn of(url: &str) -> Result<Self> {
        let url = checked(url, "`--proxy`").map_err(Error::into_usage)?;
        let direct = host::variable("NO_PROXY").or_else(|| host::variable("no_proxy")).unwrap_or_default();
        Ok(Self { http: url.clone(), https: url, direct })
    }

    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.https.is_empty()
    }

    /// Whether one of them wants a login.
    pub fn have_login(&self) -> bool {
        [&self.http, &self.https].into_iter().any(|url| Proxy::read(url).login.is_some())
    }

    /// The URL, without a login, of one that only this host itself reaches.
    pub fn on_loopback(&self) -> Option<String> {
        let all = [&self.http, &self.https].into_iter().filter(|url| !url.is_empty()).map(|url| Proxy::read(url).url);
        all.into_iter().find(|url| {
            let (host, _) = split(url.split_once("://").map_or(url.as_str(), |(_, place)| place), 80);
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// The proxy that a URL is asked for through, if any is.
    pub fn of_url(&self, url: &str) -> Option<Proxy> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let secure = scheme.eq_ignore_ascii_case("https");
        let proxy = if secure { &self.https } else { &self.http };
        let (host, port) = split(authority, if secure { 443 } else { 80 });
        (!proxy.is_empty() && !self.is_direct(&host, port)).then(|| Proxy::read(proxy))
    }

    /// Whether a host is reached without a proxy (golang.org/x/net/http/httpproxy).
    fn is_direct(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return true;
        }
        self.direct.split(',').map(|rule| rule.trim().to_lowercase()).filter(|rule| !rule.is_empty()).any(|rule| {
            if rule == "*" {
                return true;
            }
            if let Some((network, bits)) = rule.split_once('/') {
                return address.is_some_and(|address| holds(network, bits, address));
            }
            let (name, only) = match rule.parse::<IpAddr>() {
                Ok(_) => (rule.clone(), None),
                Err(_) => {
                    match rule.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse::<u16>().ok()?))) {
                        Some((name, port)) => (name.trim_matches(['[', ']']).to_owned(), Some(port)),
                        None => (rule.clone(), None),
                    }
                }
            };
            if only.is_some_and(|only| only != port) {
                return false;
            }
            let name = name.strip_prefix('*').unwrap_or(&name);
            match name.strip_prefix('.') {
                Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
                None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
            }
        })
    }

    /// What a program is given in its environment, in both cases of letters, so that it goes the same way; `more` are hosts
    /// that it reaches directly.
    pub fn variables(&self, more: &[String]) -> Vec<(String, String)> {
        if self.is_empty() {
            return Vec::new();
        }
        let own = LOOPBACK.iter().map(|name| (*name).to_owned());
        let given = self.direct.split(',').map(|rule| rule.trim().to_owned());
        let mut direct: Vec<String> = Vec::new();
        for rule in given.chain(own).chain(more.iter().cloned()).filter(|rule| !rule.is_empty()) {
            if !direct.contains(&rule) {
                direct.push(rule);
            }
        }
        let pairs =
            [("HTTP_PROXY", self.http.clone()), ("HTTPS_PROXY", self.https.clone()), ("NO_PROXY", direct.join(","))];
        let set = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        set.flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_lowercase(), value)]).collect()
    }
}

impl Proxy {
    fn read(url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        match rest.rsplit_once('@') {
            Some((login, place)) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                Self { url: format!("{scheme}://{place}"), login: Some((plain(user), plain(password))) }
            }
            None => Self { url: url.to_owned(), login: None },
        }
    }
}

/// A proxy's URL, whole. It is not shown: it may hold a login.
fn checked(text: &str, named_by: &str) -> Result<String> {
    let text = text.trim();
    let wrong = |what: &str| {
        Error::new(format!("{named_by} names a proxy {what}"))
            .hint("write `http://HOST:PORT`, or `http://USER:PASSWORD@HOST:PORT`")
    };
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if !matches!(scheme, "http" | "https") {
        return Err(wrong(if scheme.starts_with("socks") {
            "that speaks SOCKS, and HTTP is needed"
        } else {
            "of another kind than `http` or `https`"
        }));
    }
    let rest = rest.trim_end_matches('/');
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let (host, _) = split(place, 80);
    // It becomes a line of a file that a shell reads, and a part of others' configuration.
    if host.is_empty()
        || place.contains('/')
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || "'\"\\`$".contains(c))
    {
        return Err(wrong("whose URL cannot be understood"));
    }
    Ok(format!("{scheme}://{rest}"))
}

/// A host in small letters, and its port.
fn split(authority: &str, usual: u16) -> (String, u16) {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
        None => authority.rsplit_once(':').unwrap_or((authority, "")),
    };
    (host.trim_end_matches('.').to_lowercase(), port.parse().unwrap_or(usual))
}

/// Whether a network such as `10.0.0.0/8` holds an address.
fn holds(network: &str, bits: &str, address: IpAddr) -> bool {
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) if bits <= 32 => {
            (u32::from(network) ^ u32::from(address)).checked_shr(32 - bits).unwrap_or_default() == 0
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) if bits <= 128 => {
            (u128::from(network) ^ u128::from(address)).checked_shr(128 - bits).unwrap_or_default() == 0
        }
        _ => false,
    }
}

/// A part of a URL without its escapes (`%40`).
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let escaped = (*first == b'%').then(|| more.get(..2)).flatten();
        let byte = escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &more[2..] } else { more };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(direct: &str) -> Proxies {
        Proxies {
            http: "http://plain:1".to_owned(),
            https: "http://me:p%40ss@secure:2".to_owned(),
            direct: direct.to_owned(),
        }
    }

    #[test]
    fn a_url_goes_through_the_proxy_of_its_scheme() {
        let found = proxies("").of_url("https://s3.eu-central-1.amazonaws.com/bucket").unwrap();
        assert_eq!((found.url.as_str(), found.login), ("http://secure:2", Some(("me".to_owned(), "p@ss".to_owned()))));
        assert_eq!(proxies("").of_url("http://store:9000").unwrap().url, "http://plain:1");
        assert!(Proxies::default().of_url("https://store").is_none());
    }

    #[test]
    fn what_is_exempt_is_reached_directly_as_go_has_it() {
        let cases = [
            ("", "http://localhost:5000", true),
            ("", "http://127.8.0.1", true),
            ("", "https://[::1]:5000/v2/", true),
            ("*", "https://far", true),
            ("far", "https://far", true),
            ("FAR", "https://Far.", true),
            ("far", "https://sub.far", true),
            (".far", "https://far", false),
            (".far", "https://sub.far", true),
            ("*.far", "https://sub.far", true),
            ("far", "https://notfar", false),
            ("far:8443", "https://far", false),
            ("far:8443", "https://far:8443", true),
            ("10.0.0.0/8", "http://10.1.2.3:9000", true),
            ("10.0.0.0/8", "http://11.1.2.3:9000", false),
            ("0.0.0.0/0", "http://11.1.2.3", true),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("fd00::/8", "http://[fd12::1]", true),
            ("a, b", "http://b", true),
        ];
        for (direct, url, exempt) in cases {
            assert_eq!(proxies(direct).of_url(url).is_none(), exempt, "{direct:?} {url}");
        }
    }

    #[test]
    fn a_program_is_given_both_cases_and_never_its_own_loopback() {
        let variables =
            Proxies { http: String::new(), ..proxies("corp, localhost") }.variables(&["blog.example".to_owned()]);
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]);
        assert_eq!(variables[3].1, "corp,localhost,127.0.0.1,::1,blog.example");
        assert!(Proxies::default().variables(&[]).is_empty());
    }

    #[test]
    fn an_address_is_completed_and_what_is_none_is_refused_without_showing_it() {
        assert_eq!(checked("proxy:3128", "x").unwrap(), "http://proxy:3128");
        assert_eq!(checked("http://me:secret@proxy:3128/", "x").unwrap(), "http://me:secret@proxy:3128");
        for wrong in [
            "socks5://me:secret@proxy",
            "ftp://me:secret@proxy",
            "http://me:secret@",
            "http://me:se'cret@proxy",
            "http://me:secret@proxy/x",
        ] {
            let error = checked(wrong, "`HTTPS_PROXY`").unwrap_err().render();
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(format!("{:?}", proxies("")), "(proxies)");
    }
}
