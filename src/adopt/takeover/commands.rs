//! What remains to be done by hand, command by command.

use crate::adopt::config::Api;
use crate::adopt::host::Host;
use crate::text::shell::{self, quoted};

/// The user of the registry in a container of ours.
const OURS: &str = "65532";
/// Where the users before are kept until they are taken over.
const USERS: &str = "./registry.users";

pub(super) fn of(host: &Host, file: &str) -> Vec<String> {
    let mut found = Vec::new();
    let users = users(host);
    found.extend(
        users.iter().filter_map(|(path, kept)| Some(shell::line(["install", "-m", "0600", path, kept.as_ref()?]))),
    );
    found.extend(images(host));
    found.extend(in_the_way(host));
    found.push(shell::line(["provision", "plan", "registry", "--inputs", file]));
    found.push(shell::line(["provision", "registry", "--inputs", file]));
    let import = |path: &str| shell::line(["provision", "users", "registry", "add", "--import", path]);
    found.extend(users.iter().map(|(path, kept)| import(kept.as_deref().unwrap_or(path))));
    found.extend(others(host));
    found.extend(keys(host));
    found.extend(authorities(host));
    found
}

/// The password files whose users are taken over, and where those are kept that step aside before that.
fn users(host: &Host) -> Vec<(&str, Option<String>)> {
    let replaced = host.replaced();
    let kept = |path: &str, index: usize| {
        let number = if index == 0 { String::new() } else { format!(".{}", index + 1) };
        replaced.contains(path).then(|| format!("{USERS}{number}"))
    };
    host.users().into_keys().enumerate().map(|(index, path)| (path, kept(path, index))).collect()
}

/// Images that belong to another user than the one that the registry runs as.
fn images(host: &Host) -> Vec<String> {
    if let Some(command) = contained(host) {
        return vec![command];
    }
    let Some(folder) = host.folder().filter(|_| host.foreign_images) else { return Vec::new() };
    let mut found = Vec::new();
    if !host.has_user {
        found.push("adduser --system --group --no-create-home docker-registry".to_owned());
    }
    found.push(shell::line(["chown", "-R", "docker-registry:docker-registry", folder]));
    found
}

/// The registry of a container runs as another user than ours, to whom its images belong.
fn contained(host: &Host) -> Option<String> {
    let container = host.container()?;
    let images = host.config()?.0.images.as_ref()?;
    let user = container.user.split(':').next().unwrap_or_default();
    // What belongs to root is given to ours by the run itself.
    (![OURS, "", "0", "root"].contains(&user)).then(|| {
        shell::line([
            "docker",
            "run",
            "--rm",
            "--user=0",
            "--network=none",
            "--entrypoint=chown",
            &format!("--volume={images}:/images"),
            &container.image,
            "-R",
            &format!("{OURS}:{OURS}"),
            "/images",
        ])
    })
}

/// What holds the port until it is stopped.
fn in_the_way(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    if host.site().is_none()
        && host.container().is_none()
        && let Some((port, _)) = host.port()
    {
        found.push(format!("service docker-registry stop   # it holds port {port}"));
    }
    let mixed = host.sites.iter().filter(|site| !site.alone && !site.contained).map(|site| site.real.as_str());
    let mixed: std::collections::BTreeSet<&str> = mixed.collect();
    found.extend(mixed.into_iter().map(|path| {
        format!("editor {}   # take the registry's `server` out; other sites stand there too", quoted(path))
    }));
    if !host.stays_on_host() {
        let alone = host.sites.iter().filter(|site| site.alone);
        found.extend(alone.map(|site| format!("mv {} ./registry.site && service nginx reload", quoted(&site.path))));
    }
    found
}

/// Services that start a registry under another name than ours has.
fn others(host: &Host) -> Vec<String> {
    let others = host.units.iter().filter(|unit| !unit.name.is_empty() && unit.name != "docker-registry");
    others
        .map(|unit| {
            if unit.path.starts_with("/etc/init/") {
                format!(
                    "stop {}; echo manual >{}",
                    quoted(&unit.name),
                    quoted(&format!("/etc/init/{}.override", unit.name))
                )
            } else {
                shell::line(["systemctl", "disable", "--now", &unit.name])
            }
        })
        .collect()
}

/// A key of the store that others could read.
fn keys(host: &Host) -> Vec<String> {
    let Some((config, mode)) = host.config().filter(|(config, _)| config.flavor == "s3") else { return Vec::new() };
    let exposed = mode & 0o004 != 0
        || host.units.iter().any(|unit| unit.mode & 0o004 != 0 && unit.variables.contains_key("AWS_SECRET"));
    let Some(id) = config.store.get("access-key").filter(|_| exposed) else { return Vec::new() };
    if config.store.contains_key("endpoint") {
        return vec![
            "provision registry --access-key NEW --secret-key @FILE   # and take the key before back where the store gives keys"
                .to_owned(),
        ];
    }
    vec![
        "provision registry --access-key '' --secret-key ''   # a user of its own, with a new key".to_owned(),
        format!("aws iam delete-access-key --access-key-id {}   # with `--user-name` of its owner", quoted(id)),
    ]
}

fn authorities(host: &Host) -> Vec<String> {
    let mut found = Vec::new();
    if host.config().is_some_and(|(config, _)| config.api == Api::V1) {
        found.push("docker push …   # every image that is still wanted: those of API v1 cannot be read".to_owned());
    }
    found.push("provision output registry ca   # bring this file to the clients on other hosts".to_owned());
    found.extend(crate::adopt::findings::authority_keys(host).map(|key| {
        format!(
            "mv {} …   # to a place off this host, where it is kept for what else it has to sign",
            quoted(&key.path)
        )
    }));
    if host.leaf().is_some_and(|(_, leaf)| !leaf.self_issued && host.issuer(leaf).is_some()) {
        found.push(
            "provision registry --also-trust ''   # once nothing shows a certificate of the authority before"
                .to_owned(),
        );
    }
    found
}
