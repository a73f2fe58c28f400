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
use crate::registry::store::{Digest, mentioned};

/// A head has our own few headers.
const HEAD: usize = 16 << 10;
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
        let mut content = Vec::new();
        let end = loop {
            if let Some(end) = content.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if content.len() > HEAD || stream.read_buf(&mut content).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&content[..end]).into_owned();
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let Some(repository) = header("x-watch-repository") else {
            let key = header("x-watch-key").unwrap_or_default();
            return Some(Key::read(&key).map_or(Self::Everything(PASS), |key| Self::Keys(vec![key], PASS)));
        };
        let length: usize = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        if length > BODY {
            return Some(Self::Everything(GO_ON));
        }
        let mut body = content.split_off(end);
        while body.len() < length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        let tag = header("x-watch-tag").map(|tag| Key::Tag(repository.clone(), tag));
        Some(Self::Keys(keys(&repository, &body).into_iter().chain(tag).collect(), GO_ON))
    }
}

/// A manifest and everything that it names, as blobs and as manifests of the repository.
fn keys(repository: &str, body: &[u8]) -> Vec<Key> {
    let named = std::iter::once(Digest::of(body)).chain(mentioned(body));
    named.flat_map(|digest| [Key::Blob(digest), Key::Manifest(repository.to_owned(), digest)]).collect()
}
