//! What a container is given that calls out to the world: the proxies of its deployment.
//!
//! Programs take a proxy from their environment, which `docker inspect` shows. A proxy with a login therefore stands in a file, and a
//! shell in the container reads it before the program is started.

use schemars::JsonSchema;
use serde::Deserialize;

use super::spec::{FileSpec, Spec};
use crate::error::Result;
use crate::resource::At;
use crate::resource::content::Mode;
use crate::secret::Secret;
use crate::world::proxy::Proxies;

/// The file with the variables of proxies that want a login.
const FILE: &str = "/etc/provision/proxy.env";

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CallsOut {
    /// Whether it does.
    #[serde(default = "yes")]
    when: bool,
    /// Names and addresses that it reaches without a proxy, beside what needs none anyway.
    #[serde(default)]
    direct: Vec<String>,
    /// What its image starts by itself: a shell goes on with that once it has read a proxy's login.
    entrypoint: Vec<String>,
}

fn yes() -> bool {
    true
}

/// Adds the proxies to a container that calls out.
pub(super) fn complete(spec: &mut Spec, at: &At) -> Result<()> {
    let Some(out) = spec.calls_out.clone().filter(|out| out.when) else { return Ok(()) };
    let proxies = at.run.proxies()?;
    match proxies.on_loopback() {
        Some(url) => at.run.note_once(&format!(
            "containers reach the world without the proxy `{url}`, which listens on the loopback of this host alone; `--proxy http://ADDRESS:PORT` names one for them as well"
        )),
        None => add(spec, &out, &proxies),
    }
    Ok(())
}

fn add(spec: &mut Spec, out: &CallsOut, proxies: &Proxies) {
    let variables = proxies.variables(&out.direct);
    if !proxies.have_login() {
        // What the playbook itself says goes first.
        for (name, value) in variables {
            spec.env.entry(name).or_insert(value);
        }
        return;
    }
    let lines = variables.iter().map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', "")));
    let group = spec.user.as_deref().and_then(|user| user.split_once(':')).map_or("0", |(_, group)| group).to_owned();
    spec.files.insert(
        FILE.to_owned(),
        FileSpec {
            content: Some(Secret::new(lines.collect::<String>())),
            template: None,
            mode: Some(Mode::new(0o440)),
            owner: format!("0:{group}"),
            check: None,
        },
    );
    let shell = ["/bin/sh", "-c", &format!(". {FILE} && exec \"$@\""), "sh"].map(str::to_owned).to_vec();
    let program = spec.entrypoint.take().unwrap_or_else(|| out.entrypoint.clone());
    spec.entrypoint = Some([shell, program].concat());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> (Spec, CallsOut) {
        let spec: Spec = serde_json::from_value(json!({
            "image": "registry", "user": "65532:65532", "env": { "NO_PROXY": "own" },
            "calls_out": { "entrypoint": ["/entrypoint.sh"], "direct": ["blog"] },
        }))
        .unwrap();
        let out = spec.calls_out.clone().unwrap();
        (spec, out)
    }

    #[test]
    fn a_proxy_without_a_login_stands_in_the_environment() {
        let (mut spec, out) = spec();
        add(&mut spec, &out, &Proxies::of("proxy:3128").unwrap());
        assert_eq!(spec.env["HTTPS_PROXY"], "http://proxy:3128");
        assert_eq!((spec.env["NO_PROXY"].as_str(), spec.env["no_proxy"].ends_with(",blog")), ("own", true));
        assert_eq!((spec.entrypoint, spec.files.len()), (None, 0));
    }

    #[test]
    fn a_login_stands_in_a_file_that_its_group_alone_reads() {
        let (mut spec, out) = spec();
        add(&mut spec, &out, &Proxies::of("http://me:hidden@proxy:3128").unwrap());
        assert!(!format!("{:?}", (&spec.env, &spec.entrypoint, &spec.command)).contains("hidden"));
        assert_eq!(spec.entrypoint.unwrap().last().map(String::as_str), Some("/entrypoint.sh"));
        let file = &spec.files[FILE];
        assert!(file.content.as_ref().unwrap().expose().contains("export https_proxy='http://me:hidden@proxy:3128'\n"));
        assert_eq!((file.owner.as_str(), file.mode.unwrap().bits()), ("0:65532", 0o440));
    }
}
