use std::collections::HashMap;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, HostConfig, HostConfigLogConfig, ImageConfig, ImageInspect,
    ResourcesUlimits, RestartPolicy,
};

use super::{Record, Spec, compare, defaults};

/// What somebody does to a container behind our back.
type Change = Box<dyn FnOnce(&mut HostConfig, &mut ContainerConfig)>;

fn spec() -> Spec {
    serde_json::from_value(serde_json::json!({ "image": "nginx", "publish": ["8080:80"] })).unwrap()
}

/// As an engine of today tells of a container for which nothing but an image and a port was asked.
fn plain() -> ContainerInspectResponse {
    let host = HostConfig {
        cpu_shares: Some(0),
        memory_swap: Some(-1),
        log_config: Some(log(&[("max-size", "10m")])),
        ipc_mode: Some("private".to_owned()),
        shm_size: Some(67_108_864),
        runtime: Some("runc".to_owned()),
        oom_kill_disable: Some(false),
        publish_all_ports: Some(false),
        extra_hosts: Some(Vec::new()),
        cgroup_parent: Some(String::new()),
        console_size: Some(vec![0, 0]),
        devices: Some(Vec::new()),
        masked_paths: Some(vec!["/proc/kcore".to_owned()]),
        ..HostConfig::default()
    };
    let config = ContainerConfig {
        hostname: Some("0123456789ab".to_owned()),
        working_dir: Some("/site".to_owned()),
        stop_signal: Some("SIGQUIT".to_owned()),
        exposed_ports: Some(vec!["80/tcp".to_owned()]),
        tty: Some(false),
        attach_stdout: Some(true),
        ..ContainerConfig::default()
    };
    ContainerInspectResponse {
        id: Some("0123456789abcdef".to_owned()),
        host_config: Some(host),
        config: Some(config),
        ..ContainerInspectResponse::default()
    }
}

fn log(options: &[(&str, &str)]) -> HostConfigLogConfig {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(options.collect()) }
}

fn image() -> ImageInspect {
    let config = ImageConfig {
        working_dir: Some("/site".to_owned()),
        stop_signal: Some("SIGQUIT".to_owned()),
        ..ImageConfig::default()
    };
    ImageInspect { config: Some(config), ..ImageInspect::default() }
}

/// The fields that a plan names after something was changed.
fn drift(change: impl FnOnce(&mut HostConfig, &mut ContainerConfig)) -> Vec<String> {
    let mut found = plain();
    let record = Record { defaults: defaults(&found), ..Record::default() };
    change(found.host_config.as_mut().unwrap(), found.config.as_mut().unwrap());
    let fields = compare(&spec(), &found, Some(&image()), &record);
    fields.into_iter().map(|field| format!("{}: {} -> {}", field.name, field.old, field.new)).collect()
}

#[test]
fn nothing_is_a_difference_where_nothing_was_changed() {
    assert_eq!(drift(|_, _| ()), Vec::<String>::new());
}

#[test]
fn the_engines_own_defaults_are_no_difference_where_they_were_not_kept() {
    assert_eq!(compare(&spec(), &plain(), Some(&image()), &Record::default()), Vec::new());
}

#[test]
fn every_field_that_decides_how_it_runs_is_named_with_its_default() {
    let text = |text: &str| Some(text.to_owned());
    let list = |text: &str| Some(vec![text.to_owned()]);
    let table: Vec<(Change, &str)> = vec![
        (Box::new(|host, _| host.cpu_quota = Some(50_000)), "HostConfig.CpuQuota: 50000 -> (none)"),
        (Box::new(|host, _| host.cpu_shares = Some(512)), "HostConfig.CpuShares: 512 -> (none)"),
        (Box::new(move |host, _| host.cpuset_cpus = text("0")), "HostConfig.CpusetCpus: 0 -> (none)"),
        (Box::new(|host, _| host.memory_reservation = Some(9)), "HostConfig.MemoryReservation: 9 -> (none)"),
        (Box::new(|host, _| host.memory_swap = Some(9)), "HostConfig.MemorySwap: 9 -> -1"),
        (Box::new(|host, _| host.shm_size = Some(1 << 20)), "HostConfig.ShmSize: 1048576 -> 67108864"),
        (Box::new(move |host, _| host.ipc_mode = text("host")), "HostConfig.IpcMode: host -> private"),
        (Box::new(move |host, _| host.pid_mode = text("host")), "HostConfig.PidMode: host -> (none)"),
        (Box::new(move |host, _| host.extra_hosts = list("a:1.2.3.4")), "HostConfig.ExtraHosts: a:1.2.3.4 -> (none)"),
        (Box::new(move |host, _| host.dns = list("1.1.1.1")), "HostConfig.Dns: 1.1.1.1 -> (none)"),
        (Box::new(move |host, _| host.group_add = list("0")), "HostConfig.GroupAdd: 0 -> (none)"),
        (Box::new(|host, _| host.init = Some(true)), "HostConfig.Init: true -> (none)"),
        (Box::new(|host, _| host.auto_remove = Some(true)), "HostConfig.AutoRemove: true -> (none)"),
        (Box::new(|host, _| host.oom_score_adj = Some(-500)), "HostConfig.OomScoreAdj: -500 -> (none)"),
        (Box::new(|host, _| host.masked_paths = None), "HostConfig.MaskedPaths: (none) -> /proc/kcore"),
        (
            Box::new(|host, _| {
                host.restart_policy = Some(RestartPolicy { name: None, maximum_retry_count: Some(3) });
            }),
            "HostConfig.RestartPolicy.MaximumRetryCount: 3 -> (none)",
        ),
        (
            Box::new(|host, _| host.sysctls = Some(HashMap::from([("a.b".to_owned(), "1".to_owned())]))),
            "HostConfig.Sysctls: a.b=1 -> (none)",
        ),
        (
            Box::new(|host, _| {
                let limit = ResourcesUlimits { name: Some("nofile".to_owned()), soft: Some(1), hard: Some(2) };
                host.ulimits = Some(vec![limit]);
            }),
            "HostConfig.Ulimits: Hard=2 Name=nofile Soft=1 -> (none)",
        ),
        (
            Box::new(|host, _| host.log_config = Some(log(&[("max-size", "1k")]))),
            "HostConfig.LogConfig: Config=max-size=1k Type=json-file -> Config=max-size=10m Type=json-file",
        ),
        (Box::new(move |_, config| config.working_dir = text("/tmp")), "Config.WorkingDir: /tmp -> /site"),
        (Box::new(move |_, config| config.stop_signal = text("SIGKILL")), "Config.StopSignal: SIGKILL -> SIGQUIT"),
        (Box::new(|_, config| config.stop_timeout = Some(1)), "Config.StopTimeout: 1 -> (none)"),
        (Box::new(|_, config| config.tty = Some(true)), "Config.Tty: true -> (none)"),
        (Box::new(move |_, config| config.hostname = text("other")), "Config.Hostname: other -> 0123456789ab"),
        (Box::new(move |_, config| config.domainname = text("lan")), "Config.Domainname: lan -> (none)"),
        (Box::new(move |_, config| config.exposed_ports = list("81/tcp")), "Config.ExposedPorts: 81/tcp -> 80/tcp"),
        (Box::new(move |_, config| config.volumes = list("/data")), "Config.Volumes: /data -> (none)"),
    ];
    for (change, expected) in table {
        assert_eq!(drift(change), [expected]);
    }
}
