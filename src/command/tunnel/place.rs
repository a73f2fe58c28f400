//! Which registry a tunnel leads to: [`Place`].

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::Wanted;
use crate::command::clients;
use crate::deployment::{Record, Store, names};
use crate::error::{Error, Result, did_you_mean};
use crate::formats::x509::{self, Name};
use crate::registry::client::Address;
use crate::text::shell;
use crate::world::files;
use crate::world::ssh::Target;

/// The loopback of the other host, and where a registry is looked for there.
const LOOPBACK: &str = "127.0.0.1";
const PORT: u16 = 5000;
/// What stands in the name of a deployment here between that of one there and its host.
const AT: &str = "-at-";

/// Where a registry is, and what is known of it here.
#[derive(Debug)]
pub(super) struct Place {
    pub target: Target,
    /// As its host reaches it.
    pub address: String,
    pub port: u16,
    /// The certificate of its authority, in PEM.
    pub authority: Option<String>,
    origin: Origin,
}

/// What made the registry.
#[derive(Debug)]
enum Origin {
    /// A deployment of this machine, on an engine of that host.
    Here(String),
    /// A deployment of that host, of this name.
    There(String),
    Unknown,
}

/// A deployment that tells of a registry on another host.
struct Known {
    target: Target,
    address: String,
    ports: BTreeSet<u16>,
    authority: Option<String>,
    origin: Origin,
}

impl Place {
    pub fn find(wanted: &Wanted) -> Result<Self> {
        match wanted.registry.strip_prefix("ssh://") {
            Some(host) => Self::of_host(host, wanted),
            None => Self::of_deployment(wanted),
        }
    }

    fn of_host(host: &str, wanted: &Wanted) -> Result<Self> {
        let target = Target::parse(host).filter(|target| !target.has_socket()).ok_or_else(|| {
            Error::usage(format!("`{}` is no host that `ssh` can reach", wanted.registry))
                .hint("write `ssh://USER@HOST:PORT`, or `ssh://` and the name of a host in ~/.ssh/config")
        })?;
        let port = wanted.far_port.unwrap_or(PORT);
        let known = known_at(&target, port)?;
        let (authority, origin) = known.map_or((None, Origin::Unknown), |known| (known.authority, known.origin));
        let address = wanted.far_address.clone().unwrap_or_else(|| LOOPBACK.to_owned());
        Ok(Self { target, address, port, authority, origin })
    }

    fn of_deployment(wanted: &Wanted) -> Result<Self> {
        let name = chosen(&wanted.registry)?;
        let (_, record) = Store::existing(&name)?;
        let known = Known::read(&name, &record)?.ok_or_else(|| not_far(&name, &record))?;
        let ports: Vec<String> = known.ports.iter().map(u16::to_string).collect();
        let port = match (wanted.far_port, known.ports.first()) {
            (Some(port), _) => port,
            (None, Some(port)) if known.ports.len() == 1 => *port,
            _ => {
                return Err(Error::usage(format!("`{name}` listens on several ports: {}", ports.join(", ")))
                    .hint("say which one: `--far-port PORT`"));
            }
        };
        let address = wanted.far_address.clone().unwrap_or(known.address);
        Ok(Self { target: known.target, address, port, authority: known.authority, origin: known.origin })
    }

    /// The command that adds a name to its certificate, beside those that it has.
    pub fn adding(&self, added: &str, names: &BTreeSet<Name>) -> String {
        if matches!(self.origin, Origin::Unknown) {
            return format!("`--san {added}` where it is set up");
        }
        let mut words = self.origin.apply(&self.target);
        for name in names.iter().map(ToString::to_string).chain([added.to_owned()]) {
            words.extend(["--san".to_owned(), name]);
        }
        format!("`{}`", shell::line(words.iter().map(String::as_str)))
    }

    /// The command after which this machine knows the registry as it is now.
    pub fn known_again(&self) -> String {
        format!("`{}`", shell::line(self.origin.apply(&self.target).iter().map(String::as_str)))
    }
}

impl Origin {
    fn apply(&self, target: &Target) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Here(name) => words(&["provision", "apply", name]),
            Self::There(name) => words(&["provision", "--host", &target.short(), "apply", name]),
            Self::Unknown => words(&["provision", "--host", &target.short(), "apply", "registry"]),
        }
    }
}

impl Known {
    /// None if the deployment is of this host, or no registry.
    fn read(name: &str, record: &Record) -> Result<Option<Self>> {
        if clients::is_one(record) { Self::there(name, record) } else { Self::here(name, record) }
    }

    /// A registry that is on an engine of another host.
    fn here(name: &str, record: &Record) -> Result<Option<Self>> {
        let output = |name: &str| record.outputs.get(name).filter(|value| !value.is_empty());
        let engine = record.engine.as_ref().and_then(|engine| engine.address.strip_prefix("ssh://"));
        let (Some(target), Some(url)) = (engine.and_then(Target::parse), output("direct").or_else(|| output("url")))
        else {
            return Ok(None);
        };
        let bind = record.inputs.get("bind").and_then(Json::as_str).unwrap_or_default();
        let address = match bind {
            "" | "0.0.0.0" => LOOPBACK,
            "::" => "::1",
            bind => bind,
        };
        Ok(Some(Self {
            target: target.without_socket(),
            address: address.to_owned(),
            ports: BTreeSet::from([Address::parse(url)?.port]),
            authority: output("ca").map(|path| files::read_text(&PathBuf::from(path))).transpose()?,
            origin: Origin::Here(name.to_owned()),
        }))
    }

    /// A registry of a deployment there: what `--host` has left here, so that clients trust it.
    fn there(name: &str, record: &Record) -> Result<Option<Self>> {
        let input = |name: &str| record.inputs.get(name);
        let far = input("far").and_then(Json::as_str).unwrap_or_default();
        let Some(target) = far.strip_prefix("ssh://").and_then(Target::parse) else { return Ok(None) };
        let hosts = input("hosts").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        let ports = hosts.filter_map(|host| host.rsplit_once(':')?.1.parse().ok()).collect();
        let there = name.rsplit_once(AT).map_or(Origin::Unknown, |(there, _)| Origin::There(there.to_owned()));
        let authority = input("certificate").and_then(Json::as_str).map(x509::certificates).transpose()?;
        Ok(Some(Self { target, address: LOOPBACK.to_owned(), ports, authority, origin: there }))
    }
}

/// The deployment that is meant: also one there, whose name here has the host behind it.
fn chosen(typed: &str) -> Result<String> {
    let all = names()?;
    if all.iter().any(|name| name == typed) {
        return Ok(typed.to_owned());
    }
    let there: Vec<&String> = all.iter().filter(|name| name.starts_with(&format!("{typed}{AT}"))).collect();
    match there.as_slice() {
        [name] => Ok((*name).clone()),
        [] => {
            let known: Vec<&str> = all.iter().map(String::as_str).collect();
            let hint = "a registry that this machine has not set up is named by its host: `ssh://HOST`";
            let meant = if known.is_empty() { String::new() } else { format!("{}; ", did_you_mean(typed, &known)) };
            Err(Error::new(format!("there is no deployment `{typed}`")).hint(meant + hint))
        }
        several => {
            let several: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
            Err(Error::usage(format!("several registries are called `{typed}`"))
                .hint(format!("say which one: {}", several.join(", "))))
        }
    }
}

fn not_far(name: &str, record: &Record) -> Error {
    let by_ssh = record.engine.as_ref().is_some_and(|engine| engine.address.starts_with("ssh://"));
    if clients::is_one(record) || by_ssh {
        return Error::new(format!("where the registry of `{name}` is cannot be told"))
            .hint("name its host: `provision tunnel ssh://HOST --far-port PORT`");
    }
    let known = record.outputs.get("url").map_or(String::new(), |url| format!(": {url}"));
    Error::new(format!("`{name}` is on no host that is reached by `ssh`, and needs no tunnel{known}"))
        .hint("a registry of another host is named by it: `provision tunnel ssh://HOST`")
}

/// What is known of a registry by its host and port.
fn known_at(target: &Target, port: u16) -> Result<Option<Known>> {
    let mut own_name = None;
    for name in names()? {
        let Ok((_, record)) = Store::existing(&name) else { continue };
        let Some(known) = Known::read(&name, &record)?.filter(|known| known.ports.contains(&port)) else { continue };
        let own_name: &String = own_name.get_or_insert_with(|| target.host_name());
        if known.target == *target || known.target.host_name() == *own_name {
            return Ok(Some(known));
        }
    }
    Ok(None)
}
