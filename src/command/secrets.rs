//! `provision secrets`: prints the secrets of a deployment. Nothing else does.

use std::collections::BTreeMap;

use crate::deployment::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::report::{Style, json, line, text};
use crate::resource::pki::htpasswd::Added;

pub(crate) fn run(name: &str, key: Option<&str>, style: Style) -> Result<()> {
    let (store, _) = Store::existing(name)?;
    let secrets = secrets(&store)?;
    if let Some(key) = key {
        let known: Vec<&str> = secrets.keys().map(String::as_str).collect();
        let secret = secrets.get(key).ok_or_else(|| {
            Error::new(format!("the deployment `{name}` has no secret `{key}`")).hint(did_you_mean(key, &known))
        })?;
        text(&format!("{secret}\n"));
    } else if style == Style::Json {
        json(&serde_json::json!(secrets));
    } else {
        let width = secrets.keys().map(String::len).max().unwrap_or_default();
        secrets.iter().for_each(|(key, value)| line(&format!("{key:width$}  {value}")));
    }
    Ok(())
}

/// The playbook's secrets, and the passwords that were generated for users beside its own: `FILE.USER`.
fn secrets(store: &Store) -> Result<BTreeMap<String, String>> {
    let mut secrets = BTreeMap::new();
    for key in store.names("secret")? {
        let value = store.get(&format!("secret/{key}"))?.unwrap_or_default();
        secrets.insert(key, value);
    }
    for id in store.names("htpasswd")? {
        let added = Added::read(&id, store)?;
        secrets.extend(added.passwords.into_iter().map(|(user, password)| (format!("{id}.{user}"), password)));
    }
    Ok(secrets)
}
