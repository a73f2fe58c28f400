//! `provision output`: the outputs of a deployment's last run.

use crate::deployment::Store;
use crate::error::{Error, Result, did_you_mean};
use crate::report::{Style, json, line, text};

pub(crate) fn run(name: &str, key: Option<&str>, style: Style) -> Result<()> {
    let (_, record) = Store::existing(name)?;
    let Some(key) = key else {
        if style == Style::Json {
            json(&serde_json::json!(record.outputs));
        } else {
            let width = record.outputs.keys().map(String::len).max().unwrap_or_default();
            record.outputs.iter().for_each(|(key, value)| line(&format!("{key:width$}  {value}")));
        }
        return Ok(());
    };
    let value = record.outputs.get(key).ok_or_else(|| {
        let known: Vec<&str> = record.outputs.keys().map(String::as_str).collect();
        Error::new(format!("the deployment `{name}` has no output `{key}`")).hint(did_you_mean(key, &known))
    })?;
    text(&format!("{value}\n"));
    Ok(())
}
