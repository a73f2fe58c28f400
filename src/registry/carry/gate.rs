//! Where nginx asks before it takes a manifest, and is told to refuse it: [`Gate`].
//!
//! It speaks just enough HTTP/1.0 for nginx, which opens a connection for each question.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, Result};
use crate::registry::client::PROBED;
use crate::registry::garbage::SOCKET;
use crate::registry::question::Question;
use crate::world::files;

/// nginx sends a question at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// Asked for a blob or a manifest that is pulled.
const PASS: &str = "HTTP/1.0 204 No Content\r\n\r\n";
/// Asked with a manifest of the probe.
const GO_ON: &str = "HTTP/1.0 200 OK\r\nX-Accel-Redirect: @registry\r\nContent-Length: 0\r\n\r\n";
/// Asked with any other manifest. The form is that in which clients show an error.
const REFUSED: &str = "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"the images of this registry are being moved to another store: push again in a minute\"}]}\n";

pub(super) struct Gate {
    path: PathBuf,
    listener: UnixListener,
    /// Keeps a collection from answering in its place.
    _lock: files::Lock,
}

impl Gate {
    /// Begins to listen.
    ///
    /// # Errors
    /// A collection answers it, or the folder cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        let lock = files::lock_folder_now(folder)?.ok_or_else(|| {
            Error::new("a collection of this registry is under way").hint("run the command again when it has ended")
        })?;
        let path = folder.join(SOCKET);
        files::remove(&path)?;
        let failed = |error: std::io::Error| files::failed("listen on", &path, &error);
        let listener = UnixListener::bind(&path).map_err(failed)?;
        files::set_mode(&path, 0o666)?;
        Ok(Self { path, listener, _lock: lock })
    }

    /// Answers until it is dropped.
    pub async fn serve(&self) {
        let mut questions = FuturesUnordered::new();
        loop {
            tokio::select! {
                Ok((stream, _)) = self.listener.accept() => questions.push(tokio::time::timeout(PATIENCE, answer(stream))),
                Some(_) = questions.next() => {}
            }
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(files::remove(&self.path));
    }
}

async fn answer(mut stream: UnixStream) {
    let Some(answer) = asked(&mut stream).await else { return };
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// The answer to a question, all of which is read first: to one that it could not send, nginx would pass the request on.
async fn asked(stream: &mut UnixStream) -> Option<String> {
    let question = Question::read(stream).await?;
    let mut left = question.length().saturating_sub(question.body.len());
    let mut part = vec![0; 64 << 10];
    while left > 0 {
        match stream.read(&mut part).await.ok()? {
            0 => return None,
            count => left = left.saturating_sub(count),
        }
    }
    Some(match question.header("x-watch-repository") {
        None => PASS.to_owned(),
        Some(repository) if repository == PROBED => GO_ON.to_owned(),
        Some(_) => format!(
            "HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 10\r\nContent-Length: {}\r\n\r\n{REFUSED}",
            REFUSED.len()
        ),
    })
}
