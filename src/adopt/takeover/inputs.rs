//! The inputs that were found on a host.

use std::collections::BTreeSet;

use super::{Input, Value};
use crate::adopt::certificates::managed;
use crate::adopt::config::{Api, Config};
use crate::adopt::host::{Host, absolute};
use crate::formats::x509::Name;

/// Where the images of a registry on a host are if nothing else is said.
const FOLDER: &str = "/var/lib/registry";

pub(super) fn of(host: &Host) -> Vec<Input> {
    let mut found = names(host);
    if let Some((port, from)) = host.port() {
        found.push(Input { name: "port", value: Value::Plain(port.to_string()), comment: from });
    }
    if host.stays_on_host() {
        found.push(one("on", "host", "as services of this host, where it was before"));
    }
    found.push(one(
        "flavor",
        host.flavor(),
        host.config().map_or_else(|| "what it is by itself".to_owned(), |(config, _)| config.path.clone()),
    ));
    if let Some((config, _)) = host.config() {
        found.extend(store(config));
    }
    found.extend(contained(host));
    found.extend(user(host));
    let outside = outside(host);
    if outside.is_empty() {
        found.extend(trust(host));
    }
    found.extend(outside);
    let replaced: Vec<String> = host.replaced().into_iter().collect();
    if host.stays_on_host() && !replaced.is_empty() {
        let comment = "these step aside; `provision destroy` puts them back as they were".to_owned();
        found.push(Input { name: "replaces", value: Value::List(replaced), comment });
    }
    found
}

fn one(name: &'static str, value: impl Into<String>, comment: impl Into<String>) -> Input {
    Input { name, value: Value::One(value.into()), comment: comment.into() }
}

/// The names of the registry: those of the site, of the certificate, and those by which clients of this host know it.
fn names(host: &Host) -> Vec<Input> {
    let mut all: Vec<(Name, String)> = Vec::new();
    let mut add = |text: &str, from: String| {
        if let Ok(name) = Name::parse(text)
            && !all.iter().any(|(known, _)| *known == name)
        {
            all.push((name, from));
        }
    };
    for name in host.site().iter().flat_map(|site| &site.server.names) {
        add(name, format!("`server_name` of the site {}", host.site().map_or("", |site| site.real.as_str())));
    }
    if let Some((path, leaf)) = host.leaf() {
        if let Some(name) = &leaf.facts.common_name {
            add(name, format!("the common name of {path}"));
        }
        leaf.facts.names.iter().for_each(|name| add(&name.to_string(), format!("a SAN of {path}")));
    }
    if let Some(name) = &host.name {
        add(name, "/etc/hostname".to_owned());
    }
    // What another program manages is for the names that it was issued for.
    if let Some((path, leaf)) = host.leaf().filter(|(path, _)| managed(path).is_some()) {
        let is_for = |name: &Name| leaf.facts.names.iter().any(|own| own.covers(name));
        all.retain(|(name, _)| is_for(name) && !name.to_string().starts_with('*'));
        if all.is_empty() {
            all = leaf.facts.names.iter().map(|name| (name.clone(), path.clone())).collect();
        }
    }
    let mut all = all.into_iter();
    let Some((first, from)) = all.next() else { return Vec::new() };
    let mut found = vec![one("cn", first.to_string(), from)];
    let (others, from): (Vec<String>, BTreeSet<String>) = all.map(|(name, from)| (name.to_string(), from)).unzip();
    if !others.is_empty() {
        let comment = from.into_iter().collect::<Vec<_>>().join("; ");
        found.push(Input { name: "san", value: Value::List(others), comment });
    }
    found
}

fn store(config: &Config) -> Vec<Input> {
    let mut found = Vec::new();
    let from = |input: &str| match input {
        "access-key" => format!(
            "{}; without `access-key` and `secret-key` the registry gets a user of its own, which may do what it needs and no more",
            config.path
        ),
        _ => config.path.clone(),
    };
    found.extend(config.store.iter().map(|(input, value)| one(input, value.as_str(), from(input))));
    if config.flavor == "s3" {
        let comment = "the bucket is there already".to_owned();
        found.push(Input { name: "adopt", value: Value::Plain("true".to_owned()), comment });
    }
    if config.api == Api::V2
        && let Some(folder) = config.folder.as_ref().filter(|folder| *folder != FOLDER)
    {
        found.push(one("data-folder", folder.as_str(), config.path.clone()));
    }
    found
}

/// The images of a registry in a container, and the containers that are stopped for ours.
fn contained(host: &Host) -> Vec<Input> {
    let Some((container, (config, _))) = host.container().zip(host.config()) else { return Vec::new() };
    let mut found = Vec::new();
    if let Some(images) = config.images.as_ref().filter(|_| config.api == Api::V2) {
        let comment = format!("the images of the container {}: used where they are, and never deleted", container.name);
        found.push(one("data-volume", images.as_str(), comment));
    } else if config.flavor == "local" {
        // Its images are in the container: as long as they are not copied, it is still needed.
        return found;
    }
    let names = host.containers.iter().map(|container| container.name.clone()).collect();
    let comment = "these are stopped, and stay; `provision destroy` starts them again".to_owned();
    found.push(Input { name: "replaces-containers", value: Value::List(names), comment });
    found
}

/// The registry's own user, where one of the users before has the usual name.
fn user(host: &Host) -> Option<Input> {
    let taken = host.users().into_values().flatten().collect::<BTreeSet<_>>();
    let (usual, free) = ("admin", "provision");
    (taken.contains(usual) && !taken.contains(free))
        .then(|| one("user", free, "the user by which every run proves the registry; `admin` is one of those before"))
}

/// The certificate and the key that another program manages: they stay in use where they are.
fn outside(host: &Host) -> Vec<Input> {
    let server = host.site().map(|site| &site.server);
    let path = |named: Option<&String>| named.map(|path| absolute(path));
    let paths = server.and_then(|server| path(server.certificate.as_ref()).zip(path(server.key.as_ref())));
    let Some((program, (certificate, key))) = paths.and_then(|paths| Some((managed(&paths.0)?, paths))) else {
        return Vec::new();
    };
    let comment = format!("{program} manages it: it stays where it is, and is read at every run");
    vec![one("certificate", certificate, comment), one("certificate-key", key, "its key")]
}

fn trust(host: &Host) -> Option<Input> {
    let (_, leaf) = host.leaf()?;
    let issuer = host.issuer(leaf).filter(|_| !leaf.self_issued)?;
    let lasting = !host.replaced().contains(&issuer.path);
    lasting.then(|| {
        one(
            "also-trust",
            issuer.path.as_str(),
            "the authority so far: clients of this host trust it until `--also-trust ''`",
        )
    })
}
