//! A program that is asked one question on its standard input: [`ask`].
#![expect(clippy::disallowed_methods, reason = "this is the place with I/O")]

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::host::Ran;
use crate::error::{Error, Result};

/// How long it may take, and what is read of each of its two outputs. One may ask its user for a password.
const PATIENCE: Duration = Duration::from_mins(2);
const WORDS: u64 = 1 << 20;

/// Runs a program with a text on its standard input, and reads what it says.
///
/// # Errors
/// It cannot be started, or does not come to an end. That it fails is no error here.
pub(crate) async fn ask(program: &str, arguments: &[&str], input: &[u8]) -> Result<Ran> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| {
        Error::new(format!("cannot run `{program}`: {error}"))
            .hint("`docker login` keeps a login in the file itself where no such program is named in it")
    };
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut out = Vec::new();
    let mut err = Vec::new();
    let work = async {
        if let Some(mut stdin) = stdin {
            // One that does not read it ends with its own words.
            drop(stdin.write_all(input).await);
        }
        if let (Some(stdout), Some(stderr)) = (stdout, stderr) {
            let (mut stdout, mut stderr) = (stdout.take(WORDS), stderr.take(WORDS));
            tokio::try_join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err)).map_err(failed)?;
        }
        child.wait().await.map_err(failed)
    };
    let late = |_| Error::new(format!("`{program}` does not come to an end ({} s at most)", PATIENCE.as_secs()));
    let status = tokio::time::timeout(PATIENCE, work).await.map_err(late)??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran { success: status.success(), status: status.to_string(), out: text(&out), err: text(&err) })
}
