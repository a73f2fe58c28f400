//! Trust of this machine's clients in a registry of another host: a deployment of this machine, which goes with the one there.

use std::collections::BTreeSet;

use crate::command::clients::{self, Clients};
use crate::error::Result;
use crate::event::{Event, Events};
use crate::text::digest::sha256;
use crate::world::ssh::Target;
use crate::world::wire::Authority;

/// The longest name of a deployment.
const LONGEST: usize = 40;

/// Makes this machine's clients trust what a deployment of another host needs, which may be nothing.
///
/// # Errors
/// What stands in the way; the other host is as it was asked for.
pub(super) async fn settle(events: &Events, host: &Target, deployment: &str, authorities: &[Authority]) -> Result<()> {
    let clients = (!authorities.is_empty()).then(|| Clients {
        hosts: hosts(&host.host_name(), authorities),
        certificate: authorities.iter().map(|authority| authority.certificate.as_str()).collect(),
        far: host.to_string(),
    });
    let is_told = |event: &Event| {
        matches!(event, Event::Finished { .. } | Event::Failed { .. } | Event::Note { .. } | Event::Warning { .. })
    };
    let result = clients::settle(events, &name(deployment, host), clients, is_told).await;
    result.map_err(|error| error.within("done there, but this machine's clients do not trust it"))
}

/// The registries as clients of this machine name them: what is `localhost` there is that host here.
fn hosts(host: &str, authorities: &[Authority]) -> BTreeSet<String> {
    let there = authorities.iter().flat_map(|authority| &authority.hosts);
    there
        .flat_map(|registry| {
            let (name, port) = registry.rsplit_once(':').unwrap_or((registry, "443"));
            let is_local = name == "localhost" || name.starts_with("127.") || name == "[::1]";
            [Some(format!("{host}:{port}")), (!is_local).then(|| registry.clone())]
        })
        .flatten()
        .collect()
}

/// The name of the deployment here.
fn name(deployment: &str, host: &Target) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' };
    let whole = format!("{deployment}-at-{}", host.short());
    let name: String = whole.chars().map(fits).collect();
    if name.len() <= LONGEST {
        return name;
    }
    format!("{}-{}", &name[..LONGEST - 9], &sha256(whole.as_bytes())[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_named_as_it_is_reached_from_here() {
        let named = |there: &[&str]| {
            let there = there.iter().map(|host| (*host).to_owned()).collect();
            let authority = Authority { hosts: there, certificate: String::new() };
            hosts("far.test", &[authority]).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named(&["localhost:5000"]), "far.test:5000");
        assert_eq!(named(&["registry.test:5000"]), "far.test:5000 registry.test:5000");
        assert_eq!(named(&["far.test:443"]), "far.test:443");
    }

    #[test]
    fn its_name_is_that_of_a_deployment() {
        let of = |deployment: &str, host: &str| name(deployment, &Target::parse(host).unwrap());
        assert_eq!(of("registry", "me@far:2222"), "registry-at-me-far-2222");
        let (one, other) = ("a".repeat(40), format!("{}b", "a".repeat(39)));
        assert!(of(&one, "far").len() == LONGEST && of(&one, "far") != of(&other, "far"));
    }
}
