//! The verb that the program calls itself by in a helper container.

use std::path::Path;

use crate::error::{Error, Result};
use crate::registry::job::Job;
use crate::report;
use crate::world::{files, watchdog};

/// Is the watchdog of a process.
pub(crate) fn watch(process: &str) -> Result<()> {
    let process =
        process.parse().map_err(|_| Error::usage(format!("`{process}` is no process")).hint("give its number"))?;
    watchdog::watch(process);
    Ok(())
}

pub(crate) async fn run(path: &str) -> Result<()> {
    let text = files::read_text(Path::new(path))?;
    let job: Job = serde_json::from_str(&text)
        .map_err(|error| Error::usage(format!("`{path}` is no job: {error}")).hint("`provision fsck` writes them"))?;
    let said = job.carry_out(&|said| report::json(&serde_json::json!(said))).await;
    report::json(&serde_json::json!(said));
    report::written().await
}
