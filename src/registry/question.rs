//! A question of nginx, which opens a connection for each and speaks HTTP/1.0: [`Question`].

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// A head has our own few headers.
const HEAD: usize = 16 << 10;

/// The head of a question, and what of its body came with it.
pub(super) struct Question {
    head: String,
    pub body: Vec<u8>,
}

impl Question {
    /// Reads the head; none if it breaks off, or is longer than 16 KiB.
    pub async fn read(stream: &mut UnixStream) -> Option<Self> {
        let mut content = Vec::new();
        let end = loop {
            if let Some(end) = content.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if content.len() > HEAD || stream.read_buf(&mut content).await.ok()? == 0 {
                return None;
            }
        };
        let body = content.split_off(end);
        Some(Self { head: String::from_utf8_lossy(&content).into_owned(), body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// How many bytes its body has.
    pub fn length(&self) -> usize {
        self.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
