//! `provision secrets`: prints the secrets of a deployment. Nothing else does.

use crate::deployment::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::report::{Style, line};

pub(crate) fn run(name: &str, key: Option<&str>, style: Style) -> Result<()> {
    let (store, _) = Store::existing(name)?;
    let names = store.names("secret")?;
    if let Some(key) = key {
        if !names.iter().any(|known| known == key) {
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(
                Error::new(format!("the deployment `{name}` has no secret `{key}`")).hint(did_you_mean(key, &known))
            );
        }
        line(&store.get(&format!("secret/{key}"))?.unwrap_or_default());
        return Ok(());
    }
    let mut secrets = std::collections::BTreeMap::new();
    for key in names {
        let value = store.get(&format!("secret/{key}"))?.unwrap_or_default();
        secrets.insert(key, value);
    }
    if style == Style::Json {
        line(&serde_json::json!(secrets).to_string());
    } else {
        let width = secrets.keys().map(String::len).max().unwrap_or_default();
        secrets.iter().for_each(|(key, value)| line(&format!("{key:width$}  {value}")));
    }
    Ok(())
}
