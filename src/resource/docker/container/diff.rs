//! A container as it is against a container as it should be, field by field.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{HealthConfig, HostConfig, ImageConfig};

use super::files::FileState;
use super::spec::{BRIDGE, OF_CONTAINER, Publish, Spec};
use super::state::{self, State};
use super::{Actual, body, unnamed};
use crate::resource::At;
use crate::resource::change::{Action, Change, Field, listed};
use crate::resource::difference::Texts;
use crate::text::shell;
use crate::text::unknown::is_unknown;

/// The field that says whether it runs.
pub(super) const STATE: &str = "state";
/// How the names of labels begin that engines and Docker Desktop keep for themselves (docs.docker.com, "Docker object labels").
const RESERVED: [&str; 4] = ["desktop.docker.io/", "com.docker.", "io.docker.", "org.dockerproject."];
/// How the fields of its files begin.
pub(super) const FILES: &str = "files.";

pub(super) fn compare(spec: &Spec, actual: &Actual, at: &At) -> Change {
    if spec.once.is_some() {
        return compare_once(spec, actual, at);
    }
    let mut fixed = Fields::default();
    identity(&mut fixed, spec, actual, at);
    environment(&mut fixed, spec, actual);
    let default = HostConfig::default();
    limits(&mut fixed, spec, actual.container.host_config.as_ref().unwrap_or(&default));
    health(&mut fixed, spec, actual);
    places(&mut fixed, spec, actual);
    fixed.0.extend(unnamed::compare(spec, &actual.container, actual.image.as_ref(), &actual.record));
    let mut files = Fields::default();
    file_fields(&mut files, spec, actual);
    let mut name = Fields::default();
    name.add("name", actual.name(), spec.name(at));
    let state = state::told(&actual.container, actual.looked);
    let moves = actual.moves.as_ref();
    let is_left = moves.is_some_and(|moves| moves.is_late);
    let action = match (fixed.0.is_empty(), files.0.is_empty(), actual.state()) {
        // What makes one end again and again may lie in what it has written itself.
        (_, _, State::Dying | State::Looping) => Action::Replace,
        (true, true, _) => Action::Update,
        (true, false, State::Running) if spec.reload.is_some() => Action::Update,
        _ => Action::Replace,
    };
    let state = state.map(|old| Field { name: STATE.to_owned(), old, new: "running".to_owned() });
    let moves = moves.filter(|_| is_left || action == Action::Replace).map(super::carry::Moves::field);
    let below = actual.below.iter().map(super::below::Below::field);
    let fields = name.0.into_iter().chain(fixed.0).chain(files.0).chain(state).chain(moves).chain(below).collect();
    told(Change::of(action, fields).with(texts(spec, actual)), spec, actual)
}

/// Says why where the fields do not, and for how long nobody answers meanwhile.
fn told(change: Change, spec: &Spec, actual: &Actual) -> Change {
    if change.action != Action::Replace {
        return change;
    }
    let stays = actual.state() != State::Running || spec.may_overlap() || actual.overlaps(spec);
    let change = Change { gap: (!stays).then(|| actual.record.gap()), ..change };
    let labels = actual.container.config.as_ref().and_then(|config| config.labels.as_ref());
    if spec.reload.is_none() || labels.is_some_and(|labels| labels.contains_key(super::RELOAD)) {
        return change;
    }
    change.because(
        "an earlier version had it read files by a signal of the engine, which may then not start it again after a \
         restart of its own",
    )
}

/// What has run once is done, whatever it would be made of now.
fn compare_once(spec: &Spec, actual: &Actual, at: &At) -> Change {
    let found = actual.container.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
    let mut fields = at.compare_labels(&found);
    let done = found.get(super::ONCE).map(String::as_str).unwrap_or_default();
    fields.extend(Field::compare("once", done, spec.once.as_deref().unwrap_or_default()));
    fields.extend(super::ready::unfinished(&actual.container).map(|old| Field {
        name: STATE.to_owned(),
        old,
        new: "ended with exit code 0".to_owned(),
    }));
    Change::of(Action::Replace, fields)
}

#[derive(Default)]
struct Fields(Vec<Field>);

impl Fields {
    fn add(&mut self, name: impl Into<String>, old: impl AsRef<str>, new: impl AsRef<str>) {
        self.0.extend(Field::compare(name, old.as_ref(), new.as_ref()));
    }

    fn add_list(&mut self, name: &str, old: Option<&Vec<String>>, new: &[String]) {
        self.add(name, listed(old.into_iter().flatten()), listed(new));
    }
}

fn health(fields: &mut Fields, spec: &Spec, actual: &Actual) {
    let show = |health: Option<HealthConfig>| {
        let health = health.unwrap_or_default();
        let seconds = |value: Option<i64>| value.unwrap_or_default() / 1_000_000_000;
        let test = health.test.unwrap_or_default();
        let (interval, timeout, start) =
            (seconds(health.interval), seconds(health.timeout), seconds(health.start_period));
        let retries = health.retries.unwrap_or_default();
        let meanwhile = match seconds(health.start_interval) {
            0 => String::new(),
            every => format!(", until then every {every} s"),
        };
        if test.is_empty() {
            String::new()
        } else {
            format!(
                "{} (every {interval} s, {timeout} s, {retries} times, after {start} s{meanwhile})",
                shell::line(test)
            )
        }
    };
    let wanted = body::health(spec).or_else(|| image_config(actual).healthcheck);
    let found = actual.container.config.as_ref().and_then(|config| config.healthcheck.clone());
    fields.add("health", show(found), show(wanted));
}

/// The image, its command and user, and the labels.
fn identity(fields: &mut Fields, spec: &Spec, actual: &Actual, at: &At) {
    let config = actual.container.config.clone().unwrap_or_default();
    let wanted = actual.image.as_ref().and_then(|image| image.id.clone());
    let image_old = actual.container.image.clone().unwrap_or_default();
    match wanted {
        Some(id) if id == image_old => {}
        _ if is_unknown(&spec.image) => fields.add("image", config.image.clone().unwrap_or_default(), &spec.image),
        Some(id) => fields.add("image", short(&image_old), short(&id)),
        None => fields.add("image", config.image.clone().unwrap_or_default(), format!("{} (not there)", spec.image)),
    }
    let default = image_config(actual);
    let entrypoint = spec.entrypoint.clone().or(default.entrypoint).unwrap_or_default();
    // The engine drops the image's own command where the entry point is another one.
    let default_command = if spec.entrypoint.is_some() { None } else { default.cmd };
    let command = spec.command.clone().or(default_command).unwrap_or_default();
    fields.add("entrypoint", shell::line(config.entrypoint.unwrap_or_default()), shell::line(entrypoint));
    fields.add("command", shell::line(config.cmd.unwrap_or_default()), shell::line(command));
    fields.add("user", config.user.unwrap_or_default(), spec.user.clone().or(default.user).unwrap_or_default());
    let found = config.labels.unwrap_or_default();
    let image_labels = default.labels.unwrap_or_default();
    let wanted: BTreeMap<String, String> = body::labels(spec, at).into_iter().collect();
    for (name, value) in &wanted {
        fields.add(format!("labels.{name}"), found.get(name).map(String::as_str).unwrap_or_default(), value);
    }
    let engines = |name: &str, value: &String| {
        RESERVED.iter().any(|start| name.starts_with(start)) || actual.record.labels.get(name) == Some(value)
    };
    let extra: BTreeMap<_, _> = found
        .iter()
        .filter(|(name, value)| !wanted.contains_key(*name) && image_labels.get(*name) != Some(value))
        .filter(|(name, value)| !engines(name, value))
        .collect();
    for (name, value) in extra {
        fields.add(format!("labels.{name}"), value, "");
    }
}

fn image_config(actual: &Actual) -> ImageConfig {
    actual.image.as_ref().and_then(|image| image.config.clone()).unwrap_or_default()
}

fn environment(fields: &mut Fields, spec: &Spec, actual: &Actual) {
    let split = |list: &[String]| -> BTreeMap<String, String> {
        list.iter()
            .filter_map(|item| item.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let mut wanted = split(&image_config(actual).env.unwrap_or_default());
    wanted.extend(split(&body::environment(spec)));
    let found = split(&actual.container.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default());
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    for name in names {
        let (old, new) = (found.get(name), wanted.get(name));
        let shown = |value: Option<&String>| match value {
            Some(_) if spec.secret_env.contains_key(name) => "(secret)".to_owned(),
            Some(value) => value.clone(),
            None => String::new(),
        };
        if old != new {
            let new = if spec.secret_env.contains_key(name) { "(another secret)".to_owned() } else { shown(new) };
            fields.add(format!("env.{name}"), shown(old), new);
        }
    }
}

fn limits(fields: &mut Fields, spec: &Spec, found: &HostConfig) {
    let restart =
        found.restart_policy.as_ref().and_then(|policy| policy.name).map(|name| name.to_string()).unwrap_or_default();
    fields.add("restart", if restart.is_empty() { "no" } else { &restart }, spec.restart.word());
    let number = |value: Option<i64>| value.unwrap_or_default().to_string();
    fields.add("memory", number(found.memory), number(spec.memory().unwrap_or_default()));
    fields.add("cpus", number(found.nano_cpus), number(spec.cpus.map(body::nano_cpus)));
    // Engines write that there is no limit in several ways.
    let pids = |limit: Option<i64>| number(limit.filter(|limit| *limit > 0));
    fields.add("pids", pids(found.pids_limit), pids(spec.pids));
    fields.add("read_only", found.readonly_rootfs.unwrap_or_default().to_string(), spec.read_only.to_string());
    fields.add("privileged", found.privileged.unwrap_or_default().to_string(), "false");
    fields.add_list("cap_drop", Some(&capabilities(found.cap_drop.as_ref())), &capabilities(Some(&spec.cap_drop)));
    fields.add_list("cap_add", Some(&capabilities(found.cap_add.as_ref())), &capabilities(Some(&spec.cap_add)));
    fields.add_list("security", found.security_opt.as_ref(), &body::security(spec));
    let tmpfs: BTreeMap<String, String> = found.tmpfs.clone().unwrap_or_default().into_iter().collect();
    let show = |map: &BTreeMap<String, String>| {
        map.iter().map(|(path, options)| format!("{path}:{options}")).collect::<Vec<_>>().join(" ")
    };
    fields.add("tmpfs", show(&tmpfs), show(&spec.tmpfs));
}

/// Capabilities by their short names: engines take both, and newer ones tell the long ones.
fn capabilities(names: Option<&Vec<String>>) -> Vec<String> {
    let short = |name: &String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
    };
    names.into_iter().flatten().map(short).collect()
}

/// Ports, volumes and networks.
fn places(fields: &mut Fields, spec: &Spec, actual: &Actual) {
    let found = actual.container.host_config.clone().unwrap_or_default();
    let mut ports = Vec::new();
    for (container, bindings) in found.port_bindings.clone().unwrap_or_default() {
        for binding in bindings.into_iter().flatten() {
            let host = binding.host_port.and_then(|port| port.parse().ok()).unwrap_or_default();
            ports.push(Publish { address: binding.host_ip.unwrap_or_default(), host, container: container.clone() });
        }
    }
    let show = |ports: &mut Vec<Publish>| {
        ports.sort();
        ports
            .iter()
            .map(|port| {
                format!(
                    "{}{}{}:{}",
                    port.address,
                    if port.address.is_empty() { "" } else { ":" },
                    port.host,
                    port.container
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    fields.add("publish", show(&mut ports), show(&mut spec.published().unwrap_or_default()));
    let own = spec.file_folders().unwrap_or_default();
    let mut volumes: BTreeMap<String, String> = BTreeMap::new();
    for mount in found.mounts.clone().unwrap_or_default() {
        let target = mount.target.unwrap_or_default();
        if !own.contains(&target) {
            volumes.insert(target, mount.source.unwrap_or_default());
        }
    }
    for bind in found.binds.clone().unwrap_or_default() {
        let (source, target) = bind.split_once(':').unwrap_or((&bind, ""));
        volumes.insert(target.split(':').next().unwrap_or_default().to_owned(), source.to_owned());
    }
    for (target, options) in unnamed::mount_options(&found) {
        fields.add(format!("volumes.{target}.options"), options, "");
    }
    let targets: BTreeSet<&String> = volumes.keys().chain(spec.volumes.keys()).collect();
    for target in targets {
        let get = |map: &BTreeMap<String, String>| map.get(target).cloned().unwrap_or_default();
        fields.add(format!("volumes.{target}"), get(&volumes), get(&spec.volumes));
    }
    networks(fields, spec, actual);
}

fn networks(fields: &mut Fields, spec: &Spec, actual: &Actual) {
    let networks =
        actual.container.network_settings.as_ref().and_then(|settings| settings.networks.clone()).unwrap_or_default();
    let mut names: Vec<String> = networks.keys().cloned().collect();
    if spec.networks.is_empty() {
        names.retain(|name| name != BRIDGE);
    }
    // In the network of another container it is on none by itself.
    let mode = actual.container.host_config.as_ref().and_then(|config| config.network_mode.clone());
    names.extend(mode.filter(|mode| mode.starts_with(OF_CONTAINER)));
    fields.add_list("networks", Some(&names), &spec.networks);
    let ordered: BTreeMap<_, _> = networks.iter().collect();
    for (name, endpoint) in ordered {
        fields.add(format!("networks.{name}.options"), unnamed::endpoint_options(endpoint), "");
    }
    let mut linked: BTreeSet<String> =
        networks.values().flat_map(|network| network.links.clone().unwrap_or_default()).collect();
    let old_links = actual.container.host_config.as_ref().and_then(|config| config.links.clone()).unwrap_or_default();
    linked.extend(old_links.iter().map(|link| plain_link(link)));
    fields.add_list("links", Some(&linked.into_iter().collect()), &body::links(spec));
    let aliases: BTreeSet<String> =
        networks.values().flat_map(|network| network.aliases.clone().unwrap_or_default()).collect();
    let id = actual.container.id.clone().unwrap_or_default();
    // The engine adds the start of the container's id.
    let aliases: Vec<String> = aliases.into_iter().filter(|alias| !id.starts_with(alias.as_str())).collect();
    fields.add_list("aliases", Some(&aliases), &spec.aliases);
}

fn file_fields(fields: &mut Fields, spec: &Spec, actual: &Actual) {
    for file in spec.files().unwrap_or_default() {
        let name = format!("{FILES}{}", file.path);
        match actual.files.get(&file.path) {
            None | Some(FileState::AsWanted) => {}
            Some(FileState::Missing) => fields.add(name, "", "a file"),
            Some(FileState::Differs { content, mode, owner, .. }) => {
                fields.add(format!("{name}.content"), content, file.fingerprint());
                fields.add(format!("{name}.mode"), mode.to_string(), file.mode.to_string());
                fields.add(format!("{name}.owner"), owner, file.owner());
            }
        }
    }
}

/// The contents of files that are not as they should be.
fn texts(spec: &Spec, actual: &Actual) -> Vec<Texts> {
    let files = spec.files().unwrap_or_default();
    let texts = files.iter().filter_map(|file| match actual.files.get(&file.path)? {
        FileState::Differs { text, .. } => {
            Some(Texts::new(format!("{FILES}{}.content", file.path), text.clone(), file.content?))
        }
        _ => None,
    });
    texts.collect()
}

/// The start of an image's id, as `docker images` shows it.
fn short(id: &str) -> String {
    id.trim_start_matches("sha256:").chars().take(12).collect()
}

/// A link of the default bridge, `/db:/site/mysql`, as it was asked for: `db:mysql`.
fn plain_link(link: &str) -> String {
    let (target, alias) = link.split_once(':').unwrap_or((link, ""));
    format!("{}:{}", target.trim_start_matches('/'), alias.rsplit('/').next().unwrap_or_default())
}
