//! What is wrong with a host, from all that was seen there.

use std::collections::BTreeSet;

use time::OffsetDateTime;

use super::certificates::{self, CertificateFile, KeyFile};
use super::config::Api;
use super::finding::Finding;
use super::host::{Host, Site, absolute};
use super::keys;
use super::{nginx, policy, words};
use crate::formats::htpasswd::{self, HIGHEST_COST};
use crate::formats::x509::Survey;
use crate::formats::yaml::Source;

/// A layer of an image is seldom larger.
const LARGE: u64 = 1 << 30;
const NOBODY_ASKED: &str = "whoever reaches that port may pull, push and delete every image without a password";

const IN_CLEAR: &str = "the password of everybody who logs in there crosses the network in clear";
const BEHIND: &str = "has it listen on a socket that nginx alone can open";

/// All findings, the most dangerous first.
pub(crate) fn findings(host: &Host, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    found.extend(host.sites.iter().flat_map(|site| of_server(site, host)));
    let path = |path: &Option<String>| path.as_deref().map(absolute);
    // Many servers may show one certificate.
    let shown: BTreeSet<_> =
        host.sites.iter().map(|site| (path(&site.server.certificate), path(&site.server.key))).collect();
    found.extend(
        shown.iter().flat_map(|(certificate, key)| of_shown(certificate.as_deref(), key.as_deref(), host, now)),
    );
    found.extend(authorities(host).flat_map(|(path, survey)| certificates::of_authority(path, survey, now)));
    found.extend(authority_keys(host).map(certificates::of_authority_key));
    found.extend(other_keys(host).map(certificates::of_other_key));
    found.extend(open_doors(host));
    found.extend(secrets_in_clear(host));
    found.extend(first_registry(host));
    found.extend(lost(host));
    found.extend(images_in_a_container(host));
    found.extend(host.policies.iter().flat_map(|(path, text)| policy::findings(path, text)));
    found.extend(host.passwords.iter().flat_map(|(path, (mode, text))| of_passwords(path, *mode, text)));
    found.into_iter().collect()
}

/// What is wrong with a certificate and a key that a server shows, by their paths.
fn of_shown(certificate: Option<&str>, key: Option<&str>, host: &Host, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = Vec::new();
    let certificate = certificate.and_then(|path| host.certificate(path));
    let key = key.and_then(|path| host.keys.iter().find(|key| key.path == path));
    if let Some(file) = certificate {
        let leaf = file.leaf();
        found.extend(certificates::of_leaf(&file.path, leaf, now));
        if !leaf.self_issued && host.issuer(leaf).is_none() && certificates::managed(&file.path).is_none() {
            found.push(
                Finding::low(
                    &file.path,
                    "a certificate whose authority was found nowhere on this host",
                    "clients of this host cannot check it, unless they are told not to",
                )
                .remedy("makes an authority, and puts its certificate where clients look for it"),
            );
        }
    }
    found.extend(key.map(|key| certificates::of_key(key, certificate.map(CertificateFile::leaf))).unwrap_or_default());
    found
}

fn of_server(site: &Site, host: &Host) -> Vec<Finding> {
    let (server, path) = (&site.server, site.real.as_str());
    let mut found = Vec::new();
    let plain = server.listens.iter().find(|listen| !listen.tls);
    if let Some(listen) = plain.filter(|_| server.asks && !server.redirects) {
        let what = format!("a site that asks for a password on port {}, without TLS", listen.port);
        found.push(Finding::high(path, what, IN_CLEAR).remedy("serves TLS alone on that port"));
    }
    let asked = server.asks || host.configs.iter().any(|(config, _)| config.asks);
    if !asked && !server.backends.is_empty() {
        found.push(
            Finding::high(path, "a site that asks for no password", NOBODY_ASKED)
                .remedy("asks for a password for everything but the check whether it is a registry"),
        );
    }
    let size = server.body_size.as_deref();
    if size.is_none_or(|size| nginx::size(size).is_some_and(|size| size > 0 && size < LARGE)) {
        let what = size.map_or_else(
            || "a site without `client_max_body_size`, which is then 1 MB".to_owned(),
            |size| format!("a site with `client_max_body_size {size}`"),
        );
        found.push(
            Finding::low(path, what, "a push of a larger layer ends with 413 Request Entity Too Large")
                .remedy("sets no limit, and passes layers on without keeping them"),
        );
    }
    found
}

/// The authorities that have to do with the registry: those that signed what it shows, and those of Docker's folders.
fn authorities(host: &Host) -> impl Iterator<Item = (&str, &Survey)> {
    let mut seen = BTreeSet::new();
    let leaves: Vec<&Survey> = host.leaves().collect();
    let own: BTreeSet<&str> = leaves.iter().map(|leaf| leaf.facts.fingerprint.as_str()).collect();
    let all = host.certificates.iter().flat_map(|file| file.all.iter().map(move |one| (file.path.as_str(), one)));
    let found: Vec<_> = all
        .filter(|(path, one)| {
            let clients = path.starts_with("/etc/docker/certs.d/") && path.ends_with(".crt");
            let signed = leaves.iter().any(|leaf| one.signed(leaf));
            !own.contains(one.facts.fingerprint.as_str()) && (clients || signed)
        })
        .filter(|(_, one)| seen.insert(one.facts.fingerprint.clone()))
        .collect();
    found.into_iter()
}

/// Private keys of authorities that lie about.
pub(super) fn authority_keys(host: &Host) -> impl Iterator<Item = &KeyFile> {
    let leaves: Vec<_> = host.leaves().filter_map(Survey::public_key).collect();
    let authorities: Vec<_> = authorities(host)
        .map(|(_, survey)| survey)
        .chain(host.certificates.iter().flat_map(|file| &file.all).filter(|one| one.facts.authority))
        .filter_map(Survey::public_key)
        .filter(|key| !leaves.contains(key))
        .collect();
    host.keys.iter().filter(move |key| key.public.as_ref().is_some_and(|public| authorities.contains(public)))
}

/// Keys of somebody else that every user may read.
fn other_keys(host: &Host) -> impl Iterator<Item = &KeyFile> {
    let servers: BTreeSet<String> =
        host.sites.iter().filter_map(|site| site.server.key.as_deref().map(absolute)).collect();
    let authorities: BTreeSet<&str> = authority_keys(host).map(|key| key.path.as_str()).collect();
    let exposed = host.keys.iter().filter(|key| key.exposed());
    exposed.filter(move |key| !servers.contains(&key.path) && !authorities.contains(key.path.as_str()))
}

/// Where the registry itself can be reached past nginx.
fn open_doors(host: &Host) -> Vec<Finding> {
    let configured = host.configs.iter().filter_map(|(config, _)| {
        let safe = config.asks && config.tls;
        Some((config.path.clone(), config.address.clone().filter(|_| !safe)?, config.asks))
    });
    let bound = host.units.iter().flat_map(|unit| {
        // Where there is a configuration, this stands in it already.
        let own = unit.variables.get("REGISTRY_HTTP_ADDR").filter(|_| host.configs.is_empty());
        let addresses = words::bound(&unit.text).into_iter().chain(own.cloned());
        addresses.map(|address| (unit.path.clone(), address, false))
    });
    let mut ports = BTreeSet::new();
    let mut found = Vec::new();
    for (path, address, asks) in configured.chain(bound).filter(|(_, address, _)| words::is_open(address)) {
        ports.insert(words::port(&address));
        let (how, consequence) = if asks { (" without TLS,", IN_CLEAR) } else { (",", NOBODY_ASKED) };
        let what = format!("a registry that listens on `{address}`{how} for every network");
        found.push(Finding::high(path, what, consequence).remedy(BEHIND));
    }
    ports.extend(
        host.configs
            .iter()
            .filter(|(config, _)| config.tls)
            .map(|(config, _)| config.address.as_deref().and_then(words::port)),
    );
    for (address, program) in &host.listening {
        if words::is_open(address) && !ports.contains(&words::port(address)) {
            let what = format!("`{program}` listens there, for every network");
            let remedy = "has its own registry listen on a socket that nginx alone can open; stop this one";
            found.push(Finding::high(address, what, NOBODY_ASKED).remedy(remedy));
        }
    }
    found
}

fn secrets_in_clear(host: &Host) -> Vec<Finding> {
    let configs = host.configs.iter().map(|(config, mode)| (&config.path, *mode, config.secrets.clone()));
    let units = host.units.iter().map(|unit| {
        let set = unit.variables.iter().filter(|(name, value)| keys::is_secret(name) && !value.is_empty());
        (&unit.path, unit.mode, set.map(|(name, _)| name.clone()).collect::<Vec<_>>())
    });
    let exposed = configs.chain(units).filter(|(_, mode, secrets)| mode & 0o004 != 0 && !secrets.is_empty());
    exposed
        .map(|(path, mode, secrets)| {
            let names: Vec<String> = secrets.iter().map(|name| format!("`{name}`")).collect();
            let what = format!("{} in clear, for every user of this host to read (mode {mode:04o})", names.join(", "));
            let consequence = "whoever copied it gets to the images past the registry, until the key is changed";
            let remedy =
                "keeps secrets in files for the registry alone; change this one, since nobody knows who has it";
            Finding::high(path, what, consequence).remedy(remedy)
        })
        .collect()
}

/// The registry in Python, if it is in use.
fn first_registry(host: &Host) -> Option<Finding> {
    let unit = host.units.iter().find(|unit| unit.python && !unit.name.is_empty()).map(|unit| unit.path.clone());
    let config = host.configs.iter().find(|(config, _)| config.api == Api::V1).map(|(config, _)| config.path.clone());
    Some(
        Finding::low(
            unit.or(config)?,
            "the first registry, docker-registry in Python, with the API v1",
            "no Docker since 17.12 speaks it, and its images are in a form that no registry of today reads",
        )
        .remedy("sets up a registry of today beside its images, which have to be pushed anew"),
    )
}

/// Images that are nowhere but in a container.
fn images_in_a_container(host: &Host) -> Option<Finding> {
    let (config, _) = host.config()?;
    let name = config.container.as_ref().filter(|_| config.flavor == "local" && config.images.is_none())?;
    let what = "a registry whose images are in the container itself, in no volume and no folder";
    let finding = Finding::high(format!("container {name}"), what, "whoever removes the container deletes all images");
    let remedy = match &config.address {
        Some(address) => format!(
            "cannot mount them: set up the registry on another port, then `provision migrate http://{address} registry`"
        ),
        None => {
            "cannot mount them: publish its port, set up a registry, then copy them with `provision migrate`".to_owned()
        }
    };
    Some(finding.remedy(remedy))
}

/// Settings that are not taken over.
fn lost(host: &Host) -> Option<Finding> {
    let (config, _) = host.config().filter(|(config, _)| !config.lost.is_empty())?;
    let names: Vec<String> = config.lost.iter().map(|name| format!("`{name}`")).collect();
    let what = format!("settings for which `provision registry` has no input: {}", names.join(", "));
    let consequence = "the registry that takes over does not do what they ask for";
    Some(
        Finding::low(&config.path, what, consequence)
            .remedy("sets none of them: decide about each before it takes over"),
    )
}

fn of_passwords(path: &str, mode: u32, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let source = Source::new(path, text);
    let (entries, broken) = match htpasswd::read(&source) {
        Ok(file) => (file.entries, file.others),
        Err(error) => (Vec::new(), vec![(error.place().map_or(0, |place| place.line), error.to_string())]),
    };
    for (line, error) in broken {
        let what = format!("a password file with a mistake on line {line}: {error}");
        let consequence = "a registry of today answers everybody with an error, and nginx refuses that user";
        found.push(Finding::low(path, what, consequence).remedy("takes over its users once the line is mended"));
    }
    let others: Vec<String> = entries
        .iter()
        .filter(|entry| !entry.is_bcrypt())
        .map(|entry| format!("`{}` ({})", entry.name, entry.scheme()))
        .collect();
    if !others.is_empty() {
        let what = format!("passwords that are not hashed by bcrypt: {}", others.join(", "));
        let consequence = "a registry of today does not let them in, and such hashes are soon guessed";
        let remedy =
            "takes over users with bcrypt; the others need a new password: `provision users registry add USER`";
        found.push(Finding::low(path, what, consequence).remedy(remedy));
    }
    let costly: Vec<String> = entries
        .iter()
        .filter(|entry| entry.is_costly())
        .map(|entry| format!("`{}` ({})", entry.name, entry.scheme()))
        .collect();
    if !costly.is_empty() {
        let what = format!("passwords that take long to check: {}", costly.join(", "));
        let consequence = "nginx answers nobody while it checks one, so that a few wrong ones hold everybody up";
        let remedy = format!(
            "takes over users up to a cost of {HIGHEST_COST}; take the lines of the others out of the file: they need a new password, by `provision users registry add USER`"
        );
        found.push(Finding::low(path, what, consequence).remedy(remedy));
    }
    if mode & 0o004 != 0 {
        let what = format!("a password file that every user of this host may read (mode {mode:04o})");
        let consequence = "whoever copies it can guess passwords at leisure";
        found.push(Finding::low(path, what, consequence).remedy("writes one for nginx alone"));
    }
    found
}

impl Host {
    pub(super) fn certificate(&self, path: &str) -> Option<&CertificateFile> {
        self.certificates.iter().find(|file| file.path == path)
    }

    /// The certificates that the sites show.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &Survey> {
        let paths: BTreeSet<String> =
            self.sites.iter().filter_map(|site| site.server.certificate.as_deref().map(absolute)).collect();
        paths.into_iter().filter_map(|path| self.certificate(&path).map(CertificateFile::leaf))
    }

    /// The file with the authority that signed a certificate, one that clients look at if there is one.
    pub(super) fn issuer(&self, leaf: &Survey) -> Option<&CertificateFile> {
        let lasting = |file: &&CertificateFile| {
            ["/usr/local/share/ca-certificates/", "/etc/docker/certs.d/"]
                .iter()
                .position(|folder| file.path.starts_with(folder))
                .unwrap_or(2)
        };
        self.certificates.iter().filter(|file| file.signed(leaf)).min_by_key(lasting)
    }
}
