//! Whether a restored blog is whole: its pages, its uploaded files, and a login.

use std::io;

use bytes::Bytes;
use serde::Deserialize;

use super::Compared;
use crate::error::{Error, Result};
use crate::language::template::embedded;
use crate::session::Session;

/// What the program in the site's container tells.
#[derive(Debug, Deserialize)]
struct Report {
    pages: u64,
    files: u64,
    wrong: Vec<String>,
}

pub(super) async fn compare(session: &Session, name: &str) -> Result<Compared> {
    let program = embedded("wordpress/drill.php").expect("the template is embedded");
    let run = session.reopen(name)?.run;
    let engine = run.engine().await?;
    let data = std::iter::once(io::Result::Ok(Bytes::from_static(program.as_bytes())));
    let ended = Box::pin(run.interruptible(engine.write_program(name, &["php".to_owned()], data))).await?;
    let report = ended.output.lines().rev().find_map(|line| serde_json::from_str::<Report>(line.trim()).ok());
    let Report { pages, files, wrong } = report.ok_or_else(|| {
        Error::new("the restored site does not answer").detail(ended.output.lines().rev().take(10).map(str::to_owned))
    })?;
    Ok(Compared { what: format!("{pages} pages, {files} uploaded files and a login"), wrong })
}
