//! What the engine is asked to create.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, NetworkConnectRequest, NetworkingConfig,
    PortBinding, RestartPolicy, RestartPolicyNameEnum,
};

use super::spec::{BRIDGE, NONE, OF_CONTAINER, Restart, Spec};
use super::{INSIDE, ONCE, OVERLAP, RELOAD, mounts};
use crate::error::Result;
use crate::resource::At;
use crate::resource::content::digest;

/// Seconds that a stopped container has before it is killed are the engine's default, 10.
pub(super) fn desired(spec: &Spec, at: &At) -> Result<ContainerCreateBody> {
    let mut exposed: Vec<String> = spec.published()?.into_iter().map(|publish| publish.container).collect();
    exposed.dedup();
    Ok(ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        user: spec.user.clone(),
        env: Some(environment(spec)),
        labels: Some(labels(spec, at)),
        // Without it a port binding is silently ignored.
        exposed_ports: Some(exposed),
        healthcheck: health(spec),
        host_config: Some(host_config(spec, at)?),
        networking_config: networking(spec),
        ..ContainerCreateBody::default()
    })
}

/// The networks that it is connected to after it was created: an old engine takes one at creation.
pub(super) fn more_networks(spec: &Spec, name: &str) -> Vec<(String, NetworkConnectRequest)> {
    let others = spec.networks.iter().skip(1);
    others
        .map(|network| {
            let endpoint = endpoint(spec, network);
            let request = NetworkConnectRequest { container: name.to_owned(), endpoint_config: Some(endpoint) };
            (network.clone(), request)
        })
        .collect()
}

pub(super) fn environment(spec: &Spec) -> Vec<String> {
    let open = spec.env.iter().map(|(name, value)| format!("{name}={value}"));
    let secret = spec.secret_env.iter().map(|(name, value)| format!("{name}={}", value.expose()));
    open.chain(secret).collect()
}

pub(super) fn labels(spec: &Spec, at: &At) -> HashMap<String, String> {
    let mut labels: HashMap<String, String> = at.labels().into_iter().collect();
    labels.extend(spec.labels.clone());
    labels.extend(spec.overlap().map(|text| (OVERLAP.to_owned(), digest(text.as_bytes()))));
    labels.extend(spec.reload.iter().map(|_| (RELOAD.to_owned(), INSIDE.to_owned())));
    labels.extend(spec.once.iter().map(|text| (ONCE.to_owned(), text.clone())));
    labels
}

pub(super) fn security(spec: &Spec) -> Vec<String> {
    if spec.new_privileges { Vec::new() } else { vec!["no-new-privileges".to_owned()] }
}

fn host_config(spec: &Spec, at: &At) -> Result<HostConfig> {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for publish in spec.published()? {
        let binding = PortBinding { host_ip: Some(publish.address), host_port: Some(publish.host.to_string()) };
        ports.entry(publish.container).or_default().get_or_insert_with(Vec::new).push(binding);
    }
    let restart = match spec.restart {
        Restart::No => RestartPolicyNameEnum::NO,
        Restart::Always => RestartPolicyNameEnum::ALWAYS,
        Restart::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        Restart::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
    };
    Ok(HostConfig {
        port_bindings: Some(ports),
        restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
        memory: spec.memory()?,
        nano_cpus: spec.cpus.map(nano_cpus),
        pids_limit: spec.pids,
        readonly_rootfs: Some(spec.read_only),
        cap_drop: Some(spec.cap_drop.clone()),
        cap_add: Some(spec.cap_add.clone()),
        security_opt: Some(security(spec)),
        tmpfs: Some(spec.tmpfs.clone().into_iter().collect()),
        mounts: Some(mounts::desired(spec, at)?),
        network_mode: spec.networks.first().cloned(),
        links: spec.on_default_bridge().then(|| links(spec)),
        ..HostConfig::default()
    })
}

/// Processors in billionths, as the engine counts them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of processors is small, and the engine refuses what it has not"
)]
pub(super) fn nano_cpus(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn networking(spec: &Spec) -> Option<NetworkingConfig> {
    let network = spec.networks.first().filter(|network| *network != BRIDGE && *network != NONE)?;
    if network.starts_with(OF_CONTAINER) {
        return None;
    }
    Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network.clone(), endpoint(spec, network))])) })
}

fn endpoint(spec: &Spec, network: &str) -> EndpointSettings {
    if network == BRIDGE {
        // It knows neither links nor aliases.
        return EndpointSettings::default();
    }
    let links = if spec.on_default_bridge() { Vec::new() } else { links(spec) };
    EndpointSettings { links: Some(links), aliases: Some(spec.aliases.clone()), ..EndpointSettings::default() }
}

pub(super) fn links(spec: &Spec) -> Vec<String> {
    spec.links.iter().map(|(container, alias)| format!("{container}:{alias}")).collect()
}

pub(super) fn health(spec: &Spec) -> Option<HealthConfig> {
    let nanoseconds = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000);
    spec.health.as_ref().map(|health| HealthConfig {
        test: Some([&["CMD".to_owned()], health.command.as_slice()].concat()),
        interval: nanoseconds(health.interval),
        timeout: nanoseconds(health.timeout),
        retries: Some(health.retries.into()),
        start_period: nanoseconds(health.start),
        ..HealthConfig::default()
    })
}
