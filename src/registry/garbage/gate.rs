//! Where nginx asks before it passes a request on that may be about what goes: [`serve`].
//!
//! It speaks just enough HTTP/1.0 for nginx, which opens a connection for each question. A question with a manifest in its body is
//! about all that this names, and its answer sends nginx on to the registry with the same request.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::key::Key;
use super::touched::Touched;
use crate::registry::question;
use crate::registry::store::{Digest, mentioned};

/// A registry takes no manifest of more than 4 MiB.
const BODY: usize = 5 << 20;
/// nginx sends a question at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asked for a key.
const PASS: &[u8] = b"HTTP/1.0 204 No Content\r\n\r\n";
/// Asked with a manifest.
const GO_ON: &[u8] = b"HTTP/1.0 200 OK\r\nX-Accel-Redirect: @registry\r\nContent-Length: 0\r\n\r\n";

/// Answers until it is dropped.
pub(crate) async fn serve(listener: UnixListener, touched: Arc<Touched>) {
    let mut questions = FuturesUnordered::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => questions.push(answer(stream, touched.clone())),
            Some(()) = questions.next() => {}
        }
    }
}

async fn answer(mut stream: UnixStream, touched: Arc<Touched>) {
    let Ok(Some(question)) = tokio::time::timeout(PATIENCE, Question::read(&mut stream)).await else {
        return;
    };
    let answer = match question {
        Question::Keys(keys, answer) => {
            touched.pass(&keys).await;
            answer
        }
        Question::Everything(answer) => {
            touched.pass_everything().await;
            answer
        }
    };
    drop(stream.write_all(answer).await);
    drop(stream.shutdown().await);
}

enum Question {
    Keys(Vec<Key>, &'static [u8]),
    Everything(&'static [u8]),
}

impl Question {
    async fn read(stream: &mut UnixStream) -> Option<Self> {
        let mut asked = question::Question::read(stream).await?;
        let Some(repository) = asked.header("x-watch-repository").map(str::to_owned) else {
            let key = asked.header("x-watch-key").unwrap_or_default();
            return Some(Key::read(key).map_or(Self::Everything(PASS), |key| Self::Keys(vec![key], PASS)));
        };
        let length = asked.length();
        if length > BODY {
            return Some(Self::Everything(GO_ON));
        }
        while asked.body.len() < length {
            if stream.read_buf(&mut asked.body).await.ok()? == 0 {
                return None;
            }
        }
        let tag = asked.header("x-watch-tag").map(|tag| Key::Tag(repository.clone(), tag.to_owned()));
        Some(Self::Keys(keys(&repository, &asked.body).into_iter().chain(tag).collect(), GO_ON))
    }
}

/// A manifest and everything that it names, as blobs and as manifests of the repository.
fn keys(repository: &str, body: &[u8]) -> Vec<Key> {
    let named = std::iter::once(Digest::of(body)).chain(mentioned(body));
    named.flat_map(|digest| [Key::Blob(digest), Key::Manifest(repository.to_owned(), digest)]).collect()
}
