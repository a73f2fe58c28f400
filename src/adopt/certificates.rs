//! Certificates and keys that somebody else made, and what is wrong with them.

use time::{Duration, OffsetDateTime};

use super::Finding;
use crate::formats::x509::{PublicKey, Survey, public_half, too_many};
use crate::secret::Secret;

/// The longest life that Apple's clients accept, in days (Apple, support article 103769).
const LONGEST: i64 = 825;
const SOON: Duration = Duration::days(30);
const WEAKEST_RSA: usize = 2048;

/// A file with one or more certificates.
pub(super) struct CertificateFile {
    pub path: String,
    pub all: Vec<Survey>,
}

/// A file with a private key.
pub(super) struct KeyFile {
    pub path: String,
    pub mode: u32,
    /// None if the key is damaged, or closed with a passphrase.
    pub public: Option<PublicKey>,
}

impl CertificateFile {
    /// None if the text holds no certificate that can be read.
    pub fn read(path: &str, text: &str) -> Option<Self> {
        let all = Survey::all(text).ok().filter(|_| text.contains("-----BEGIN "))?;
        Some(Self { path: path.to_owned(), all })
    }

    /// Why a text is not looked into though it holds certificates: there are too many.
    pub fn refused(text: &str) -> Option<String> {
        too_many(text).err().map(|error| error.to_string())
    }

    pub fn leaf(&self) -> &Survey {
        &self.all[0]
    }

    /// Whether one of its certificates signed another.
    pub fn signed(&self, other: &Survey) -> bool {
        self.all
            .iter()
            .any(|authority| authority.facts.fingerprint != other.facts.fingerprint && authority.signed(other))
    }
}

impl KeyFile {
    pub fn read(path: &str, text: &str, mode: u32) -> Option<Self> {
        let is_key = text.contains("PRIVATE KEY-----");
        is_key.then(|| Self { path: path.to_owned(), mode, public: public_half(&Secret::new(text.to_owned())) })
    }

    /// Whether users of the host who are neither its owner nor in its group may read it.
    pub fn exposed(&self) -> bool {
        self.mode & 0o004 != 0
    }
}

/// Programs that renew certificates, by where they keep them: a folder, or a part of the path where that begins with `…`.
const MANAGERS: [(&str, &str); 12] = [
    ("/etc/letsencrypt/", "certbot"),
    ("…/.acme.sh/", "acme.sh"),
    ("/etc/acme.sh/", "acme.sh"),
    ("/var/lib/caddy/", "Caddy"),
    ("…/caddy/certificates/", "Caddy"),
    ("/var/lib/dehydrated/", "dehydrated"),
    ("…/.lego/", "lego"),
    ("/var/lib/acme/", "acmetool"),
    ("/var/lib/traefik/", "Traefik"),
    ("/etc/kubernetes/", "Kubernetes"),
    // A secret that is mounted: what cert-manager renews comes this way.
    ("…/kubernetes.io~secret/", "Kubernetes (cert-manager)"),
    ("…/..data/", "Kubernetes (cert-manager)"),
];

/// Which program manages a certificate or a key at this path: it renews it there, so it stays where it is.
pub(super) fn managed(path: &str) -> Option<&'static str> {
    let is_in = |place: &str| match place.strip_prefix('…') {
        Some(part) => path.contains(part),
        None => path.starts_with(place),
    };
    MANAGERS.iter().find(|(place, _)| is_in(place)).map(|(_, program)| *program)
}

/// What is wrong with the certificate that a server shows.
pub(super) fn of_leaf(path: &str, leaf: &Survey, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = Vec::new();
    if leaf.facts.names.is_empty() {
        let name = leaf.facts.common_name.as_deref().unwrap_or_default();
        found.push(
            Finding::high(
                path,
                format!("a certificate with its name `{name}` in the common name alone, without a SAN"),
                "Docker and every other client in Go refuse it: \"certificate relies on legacy Common Name field, use SANs instead\"",
            )
            .remedy("issues one whose SAN has every name"),
        );
    }
    found.extend(dates(path, "a certificate", leaf, now));
    if leaf.days > LONGEST {
        let years = leaf.days / 365;
        found.push(
            Finding::low(
                path,
                format!("a certificate that is valid for {} days ({years} years)", leaf.days),
                "Apple's clients refuse more than 825 days, and a stolen key stays of use until the end of it",
            )
            .remedy("issues one for 90 days, and a new one at a run in the last third of them"),
        );
    }
    found.extend(strength(path, "a certificate", leaf, true));
    if leaf.self_issued {
        found.push(
            Finding::low(
                path,
                "a certificate that is its own authority",
                "clients that trust it must be told anew of every new certificate, and the server's key can sign for any name if it is marked as an authority's",
            )
            .remedy("makes an authority of its own, whose key no server needs"),
        );
    }
    found
}

/// What is wrong with an authority that clients trust.
pub(super) fn of_authority(path: &str, authority: &Survey, now: OffsetDateTime) -> Vec<Finding> {
    let mut found: Vec<Finding> = dates(path, "an authority", authority, now).into_iter().collect();
    // The signature of a root is checked by nobody.
    found.extend(strength(path, "an authority", authority, !authority.self_issued));
    if !authority.facts.authority || authority.signs != Some(true) {
        let lacks = if authority.facts.authority {
            "a key usage that lets it sign certificates"
        } else {
            "the mark of an authority"
        };
        found.push(
            Finding::low(
                path,
                format!("an authority without {lacks}"),
                "strict clients refuse what it signed: OpenSSL's strict mode, Python from 3.13",
            )
            .remedy("makes an authority that they accept; this one stays trusted until `--also-trust ''`"),
        );
    }
    found
}

fn dates(path: &str, what: &str, certificate: &Survey, now: OffsetDateTime) -> Option<Finding> {
    let end = certificate.facts.not_after;
    if end < now {
        return Some(
            Finding::high(path, format!("{what} that expired on {}", end.date()), "every client refuses it")
                .remedy("issues a new one"),
        );
    }
    (end < now + SOON).then(|| {
        Finding::low(path, format!("{what} that expires on {}", end.date()), "from then on every client refuses it")
            .remedy("issues a new one, and renews it at later runs")
    })
}

fn strength(path: &str, what: &str, certificate: &Survey, signature: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if certificate.broken_digest && signature {
        found.push(
            Finding::high(
                path,
                format!("{what} that is signed by way of SHA-1 or MD5"),
                "clients refuse it: such signatures can be forged",
            )
            .remedy("signs by ECDSA with SHA-256"),
        );
    }
    if let Some(bits) = certificate.rsa.filter(|bits| *bits < WEAKEST_RSA) {
        found.push(
            Finding::high(
                path,
                format!("{what} with an RSA key of {bits} bits"),
                "clients refuse it: such a key can be computed",
            )
            .remedy("makes a key on the curve P-256"),
        );
    }
    found
}

/// What is wrong with the key of a server.
pub(super) fn of_key(key: &KeyFile, certificate: Option<&Survey>) -> Vec<Finding> {
    let mut found = Vec::new();
    if key.exposed() {
        found.push(
            Finding::high(
                &key.path,
                format!(
                    "the private key of the server, which every user of this host may read (mode {:04o})",
                    key.mode
                ),
                "whoever copied it can answer in the registry's name, and read the passwords of those who log in there",
            )
            .remedy("replaces it: the new one is readable by root alone"),
        );
    }
    let differs = certificate.and_then(|certificate| Some(certificate.public_key()? != *key.public.as_ref()?));
    if differs == Some(true) {
        found.push(
            Finding::high(
                &key.path,
                "a private key that does not belong to its certificate",
                "nginx does not start with it",
            )
            .remedy("makes a key and a certificate that belong together"),
        );
    }
    found
}

/// The private key of an authority, which a server does not need.
pub(super) fn of_authority_key(key: &KeyFile) -> Finding {
    let finding = if key.exposed() { Finding::high } else { Finding::low };
    let who = if key.exposed() { ", readable by every user of this host" } else { "" };
    finding(
        key.path.clone(),
        format!("the private key of the authority{who} (mode {:04o})", key.mode),
        "whoever gets it can make certificates for any name, which all clients of this authority believe",
    )
    .remedy("makes an authority that is held to the registry's names; take this key off the host, and the old authority out of trust soon")
}

/// A private key that no site of a registry names.
pub(super) fn of_other_key(key: &KeyFile) -> Finding {
    Finding::high(
        &key.path,
        format!("a private key that every user of this host may read (mode {:04o})", key.mode),
        "whoever copied it can answer in the name of whomever it belongs to",
    )
    .remedy("does not know what it is for, and leaves it: `chmod 600` it, and replace it")
}
