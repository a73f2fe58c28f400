//! Fields of a container that no playbook names, against what the image or the engine's default says.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{ContainerInspectResponse, EndpointSettings, HostConfig, ImageInspect};
use serde_json::{Map, Value as Json};

use super::record::Record;
use super::spec::Spec;
use crate::resource::change::{Field, listed};

/// What is compared elsewhere, because a playbook names it, or decides nothing about how it runs.
const NAMED: [&str; 18] = [
    "Binds",
    "CapAdd",
    "CapDrop",
    "ConsoleSize",
    "ContainerIDFile",
    "Links",
    "Memory",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "ReadonlyRootfs",
    "RestartPolicy",
    "SecurityOpt",
    "Tmpfs",
    "Annotations",
];
/// What each engine has a default of its own for. It is kept when a container is made.
const ENGINES: [&str; 11] = [
    "CgroupnsMode",
    "IpcMode",
    "LogConfig",
    "MaskedPaths",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "ReadonlyPaths",
    "Runtime",
    "ShmSize",
    "Ulimits",
];
/// Those of a container's configuration that are the image's, or nothing.
const IMAGES: [&str; 2] = ["StopSignal", "WorkingDir"];
/// Those that are nothing.
const EMPTY: [&str; 7] =
    ["Domainname", "MacAddress", "NetworkDisabled", "OpenStdin", "StdinOnce", "StopTimeout", "Tty"];

/// How the fields that nobody named differ from what they should be.
pub(super) fn compare(
    spec: &Spec,
    found: &ContainerInspectResponse,
    image: Option<&ImageInspect>,
    record: &Record,
) -> Vec<Field> {
    let mut fields = Vec::new();
    let host = object(&found.host_config);
    let names: BTreeSet<&String> = host.keys().chain(record.defaults.keys()).collect();
    for name in names.into_iter().filter(|name| !NAMED.contains(&name.as_str())) {
        let wanted = match record.defaults.get(name) {
            Some(default) => default.as_str(),
            None if ENGINES.contains(&name.as_str()) => continue,
            None => "",
        };
        let value = host.get(name).map(text).unwrap_or_default();
        fields.extend(Field::compare(format!("HostConfig.{name}"), &value, wanted));
    }
    let retries = found.host_config.as_ref().and_then(|config| config.restart_policy.as_ref());
    let retries = retries.and_then(|policy| policy.maximum_retry_count).filter(|count| *count != 0);
    let retries = retries.map(|count| count.to_string()).unwrap_or_default();
    fields.extend(Field::compare("HostConfig.RestartPolicy.MaximumRetryCount", &retries, ""));
    fields.extend(configuration(spec, found, image));
    fields
}

fn configuration(spec: &Spec, found: &ContainerInspectResponse, image: Option<&ImageInspect>) -> Vec<Field> {
    let own = object(&found.config);
    let shown = |object: &Map<String, Json>, name: &str| object.get(name).map(text).unwrap_or_default();
    let mut fields: Vec<Field> =
        EMPTY.iter().filter_map(|name| Field::compare(format!("Config.{name}"), &shown(&own, name), "")).collect();
    // The start of its id is its name among hosts.
    let host = shown(&own, "Hostname");
    let id = found.id.as_deref().unwrap_or_default();
    if !host.is_empty() && !id.starts_with(&host) {
        fields.extend(Field::compare("Config.Hostname", &host, id.get(..12).unwrap_or(id)));
    }
    let Some(image) = image.and_then(|image| image.config.as_ref()) else { return fields };
    let theirs = object(image);
    for name in IMAGES {
        let folder = |value: String| if value == "/" { String::new() } else { value };
        let (old, new) = (folder(shown(&own, name)), folder(shown(&theirs, name)));
        fields.extend(Field::compare(format!("Config.{name}"), &old, &new));
    }
    let config = found.config.clone().unwrap_or_default();
    let published = spec.published().unwrap_or_default().into_iter().map(|publish| publish.container);
    let exposed = image.exposed_ports.clone().unwrap_or_default().into_iter().chain(published);
    fields.extend(Field::compare("Config.ExposedPorts", &all(config.exposed_ports), &listed(exposed)));
    fields.extend(Field::compare("Config.Volumes", &all(config.volumes), &all(image.volumes.clone())));
    fields
}

fn all(values: Option<Vec<String>>) -> String {
    listed(values.into_iter().flatten())
}

/// The fields of which the engine has a default of its own, as they are.
pub(super) fn defaults(found: &ContainerInspectResponse) -> BTreeMap<String, String> {
    let fields = object(&found.host_config);
    ENGINES.iter().map(|name| ((*name).to_owned(), fields.get(*name).map(text).unwrap_or_default())).collect()
}

/// How each folder is mounted, where it is not as the engine mounts a volume by default; by the folder.
pub(super) fn mount_options(found: &HostConfig) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for mount in found.mounts.iter().flatten() {
        let mut fields = object(mount);
        for named in ["Source", "Target"] {
            fields.remove(named);
        }
        // The labels are those of a volume that is yet to be made, and what an image has is copied into a new one alone.
        if let Some(Json::Object(volume)) = fields.get_mut("VolumeOptions") {
            volume.remove("Labels");
            volume.remove("NoCopy");
        }
        fields.retain(|name, value| name != "Type" || value != "volume");
        told.insert(mount.target.clone().unwrap_or_default(), text(&Json::Object(fields)));
    }
    for bind in found.binds.iter().flatten() {
        let mut parts = bind.splitn(3, ':').skip(1);
        let target = parts.next().unwrap_or_default();
        let options = parts.next().unwrap_or_default().split(',').filter(|option| *option != "rw");
        told.insert(target.to_owned(), options.collect::<Vec<_>>().join(","));
    }
    told
}

/// What was asked for of a network that decides how the container is reached in it: addresses, options of its driver.
pub(super) fn endpoint_options(endpoint: &EndpointSettings) -> String {
    let asked = object(endpoint);
    let asked =
        asked.into_iter().filter(|(name, _)| ["DriverOpts", "GwPriority", "IPAMConfig"].contains(&name.as_str()));
    text(&Json::Object(asked.collect()))
}

/// A part of what the engine tells, by the names that `docker inspect` shows.
fn object(part: &impl serde::Serialize) -> Map<String, Json> {
    match serde_json::to_value(part) {
        Ok(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// A value as a diff shows it. Engines write that nothing was asked for in several ways.
fn text(value: &Json) -> String {
    match value {
        Json::Null | Json::Bool(false) => String::new(),
        Json::String(text) if text == "default" => String::new(),
        Json::String(text) => text.clone(),
        Json::Number(number) if number.as_i64() == Some(0) => String::new(),
        Json::Array(values) => values.iter().map(text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "),
        Json::Object(fields) => {
            let shown = fields.iter().map(|(name, value)| (name, text(value))).filter(|(_, value)| !value.is_empty());
            shown.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "unnamed_tests.rs"]
mod tests;
