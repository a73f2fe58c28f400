//! Registries beside which nothing is collected, and what can be done about each: [`check`].

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::error::{Error, Result};

/// Fails for a deployment beside whose registry nothing can be collected safely. What does not depend on its store comes first.
pub(crate) fn check(name: &str, playbook: &str, inputs: &BTreeMap<String, Json>) -> Result<()> {
    let refuse = |what: String, hint: String| Err(Error::new(what).hint(hint));
    let input = |key: &str| inputs.get(key).and_then(Json::as_str).unwrap_or_default();
    if playbook == "registry-v1" {
        return refuse(
            format!(
                "`{name}` is a registry of the first API, which knows no garbage: what is deleted there is gone at once"
            ),
            format!("delete images there, or move them to a registry of today: `provision migrate {name} NEW`"),
        );
    }
    if playbook != "registry" {
        return refuse(
            format!("the deployment `{name}` was made by the playbook `{playbook}`, not by `registry`"),
            "`provision list` shows which deployments are registries".to_owned(),
        );
    }
    if !input("mirror-of").is_empty() {
        return refuse(
            format!("`{name}` passes pulls on, and fetches what is missing behind nginx's back"),
            "what it keeps expires by itself: after a week, or with the registry 3.x after `--mirror-ttl`".to_owned(),
        );
    }
    if !input("redis").is_empty() {
        return refuse(
            format!("`{name}` keeps what it knows of layers in Redis, and goes on serving what is gone"),
            format!("`provision registry --name {name} --redis ''` takes that away; then run the command again"),
        );
    }
    if input("on") == "host" {
        return refuse(
            format!("`{name}` runs on the host, where `provision gc` does not collect"),
            "stop pushes, then run `docker-registry garbage-collect /etc/docker/registry/config.yml` as its user"
                .to_owned(),
        );
    }
    match input("flavor") {
        "local" | "s3" => Ok(()),
        "inmemory" => refuse(
            format!("`{name}` keeps all images in memory, where nothing can be collected"),
            format!("`docker restart {name}-registry` empties it; `--flavor local` keeps images on a disk"),
        ),
        flavor => refuse(
            format!("the store of `{name}` is of the flavor `{flavor}`, where `provision gc` does not collect"),
            format!(
                "keep clients away while the registry itself collects: `docker stop {name}-proxy`, `docker exec {name}-registry registry garbage-collect /etc/provision/config.yml`, `docker start {name}-proxy`"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_what_can_be_done() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);
        let cases: [Case; 7] = [
            ("registry", &[("flavor", "local"), ("redis", "r:6379")], "in Redis", "--redis ''"),
            ("registry", &[("flavor", "local"), ("mirror-of", "https://m.test")], "passes pulls on", "--mirror-ttl"),
            ("registry", &[("flavor", "local"), ("on", "host")], "runs on the host", "docker-registry garbage-collect"),
            ("registry", &[("flavor", "gcs")], "flavor `gcs`", "docker stop r-proxy"),
            ("registry", &[("flavor", "inmemory")], "in memory", "docker restart r-registry"),
            ("registry-v1", &[("flavor", "local")], "first API", "provision migrate r NEW"),
            ("blog", &[], "the playbook `blog`", "provision list"),
        ];
        for (playbook, inputs, what, hint) in cases {
            let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), Json::from(*value))).collect();
            let error = check("r", playbook, &inputs).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
            assert!(error.next_step().unwrap().contains(hint), "{error}");
        }
        for flavor in ["local", "s3"] {
            let inputs = BTreeMap::from([("flavor".to_owned(), Json::from(flavor))]);
            assert!(check("r", "registry", &inputs).is_ok());
        }
    }
}
