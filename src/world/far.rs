//! This program on another host, started there by the system's `ssh`: [`Far`].
//!
//! It comes there once, by the hash of its content, and ends with its connection. What both say to each other is in [`super::wire`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

mod bootstrap;
mod shelf;

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::world::ssh::{Attempts, Refusal, Target, broken, lasting, options};
use crate::world::wire::{BEAT, Down, Frame, Up};
pub(crate) use bootstrap::Program;
use bootstrap::{Facts, MARK, SUDO, obstacle};
pub(crate) use shelf::Shelf;

/// How long a login may take. A passphrase may have to be typed.
const LOGIN: Duration = Duration::from_mins(2);
/// How long the copy may take.
const COPY: Duration = Duration::from_mins(30);
/// How much is kept of what `ssh` says.
const WORDS: usize = 16 << 10;
/// The longest line that a login shell may print before ours.
const LINE: u64 = 64 << 10;
/// How many frames may wait to be read here.
const FRAMES: usize = 32;

type Said = Arc<Mutex<String>>;

/// How a host is entered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Whether it is entered as root.
    pub sudo: bool,
    /// Whether nothing can be asked by `ssh`, because others log in at the same time.
    pub quiet: bool,
}

/// This program as it runs on another host.
pub(crate) struct Far {
    target: Target,
    child: Child,
    said: Said,
    listener: JoinHandle<()>,
    down: UnboundedSender<Vec<u8>>,
    up: Receiver<std::io::Result<Frame<Up>>>,
}

/// A login that is under way.
struct Login {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    said: Said,
    /// Ends once nothing more can be said.
    listener: JoinHandle<()>,
    /// Each time that `sudo` asks.
    asked: UnboundedReceiver<()>,
}

impl Far {
    /// Logs in, brings the program there if it is not there yet, and starts it. `ask` gives the password for `sudo`, by how often it was
    /// asked for before.
    ///
    /// # Errors
    /// What stands in the way; nothing was done then.
    pub async fn start(
        target: &Target,
        program: &Program,
        entry: Entry,
        arguments: Vec<String>,
        mut ask: impl AsyncFnMut(u32) -> Result<Secret>,
    ) -> Result<Self> {
        let mut attempts = Attempts::default();
        let login = loop {
            let mut login = Login::begin(target, program, entry).map_err(refused)?;
            let Err(error) = login.enter(target, program, &mut ask).await else { break login };
            drop(login.child.kill().await);
            if !attempts.again(&error.to_string()).await {
                return Err(error);
            }
        };
        let Login { child, input, output, said, listener, .. } = login;
        let (down, words) = unbounded_channel();
        tokio::spawn(speak(input, words));
        let (sender, up) = channel(FRAMES);
        tokio::spawn(hear(output, sender));
        let far = Self { target: target.clone(), child, said, listener, down, up };
        far.tell(Down::Start { arguments }, Vec::new());
        Ok(far)
    }

    /// Tells it something.
    pub fn tell(&self, say: Down, content: Vec<u8>) {
        drop(self.down.send(Frame::new(say, content).encode()));
    }

    /// What it says next; none once the connection has ended.
    ///
    /// # Errors
    /// What comes is nothing that it says.
    pub async fn next(&mut self) -> Result<Option<Frame<Up>>> {
        let next = self.up.recv().await.transpose();
        next.map_err(|error| {
            Error::new(format!("`{}` says what cannot be understood: {error}", self.target))
                .hint("a login shell that goes on printing would do that; `ssh HOST true` must print nothing")
        })
    }

    /// Ends the connection.
    pub async fn end(self) {
        let Self { mut child, down, .. } = self;
        drop(down);
        if tokio::time::timeout(Duration::from_secs(3), child.wait()).await.is_err() {
            drop(child.kill().await);
        }
    }

    /// What it comes to that the connection is lost.
    pub async fn lost(mut self) -> Error {
        let status = tokio::time::timeout(Duration::from_secs(3), self.child.wait())
            .await
            .ok()
            .and_then(std::result::Result::ok);
        drop(tokio::time::timeout(Duration::from_secs(1), self.listener).await);
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned);
        let code = status.and_then(|status| status.code());
        let why = last
            .or(code.map(|code| format!("`ssh` ended with exit code {code}")))
            .unwrap_or("it says nothing".to_owned());
        Error::new(format!("the connection to `{}` is lost: {why}", self.target)).hint(
            "what was being done there is taken back within a minute; then run the command again, which finds what is there",
        )
    }
}

impl Login {
    fn begin(target: &Target, program: &Program, entry: Entry) -> std::result::Result<Self, Refusal> {
        let mut command = lasting();
        command.args(options(None)).arg("-T");
        if entry.quiet {
            command.args(["-o", "BatchMode=yes"]);
        }
        command.args(target.words()).arg(program.command(entry.sudo));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(broken)?;
        let piped = || broken(std::io::Error::other("it has no pipes"));
        let input = child.stdin.take().ok_or_else(piped)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(piped)?);
        let (said, (sender, asked)) = (Said::default(), unbounded_channel());
        let listener = tokio::spawn(listen(child.stderr.take().ok_or_else(piped)?, said.clone(), sender));
        Ok(Self { child, input, output, said, listener, asked })
    }

    /// Gets as far as that the program runs there.
    async fn enter(
        &mut self,
        target: &Target,
        program: &Program,
        ask: &mut impl AsyncFnMut(u32) -> Result<Secret>,
    ) -> Result<()> {
        let mut asked = 0;
        loop {
            let Some(text) = self.word(ask, &mut asked).await? else { return Err(self.refusal(target).await) };
            let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
            match (word, Facts::parse(rest)) {
                ("ready", _) => return Ok(()),
                ("need", Some(facts)) => {
                    program.fits(&facts).map_err(|error| error.within(format!("`{target}`")))?;
                    let copied = tokio::time::timeout(COPY, self.copy(program)).await;
                    // Why it cannot be written is said by what reads it.
                    drop(copied);
                }
                _ => return Err(obstacle(word, rest, &self.last_words().await).within(format!("`{target}`"))),
            }
        }
    }

    /// The next of its own words, whatever else is printed; none if it ends before.
    async fn word(
        &mut self,
        ask: &mut impl AsyncFnMut(u32) -> Result<Secret>,
        count: &mut u32,
    ) -> Result<Option<String>> {
        let mut line = Vec::new();
        let mut end = tokio::time::Instant::now() + LOGIN;
        loop {
            tokio::select! {
                read = take_line(&mut self.output, &mut line) => {
                    let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                    if !matches!(read, Ok(true)) {
                        return Ok(None);
                    }
                    if let Some((_, word)) = text.split_once(MARK) {
                        return Ok(Some(word.trim().to_owned()));
                    }
                }
                Some(()) = self.asked.recv() => {
                    let password = ask(*count).await?;
                    *count += 1;
                    end = tokio::time::Instant::now() + LOGIN;
                    // If it has ended meanwhile, its output says so.
                    drop(self.input.write_all(format!("{}\n", password.expose()).as_bytes()).await);
                    drop(self.input.flush().await);
                }
                () = tokio::time::sleep_until(end) => return Ok(None),
            }
        }
    }

    async fn copy(&mut self, program: &Program) -> std::io::Result<()> {
        let packed = program.packed();
        self.input.write_all(format!("go {}\n", packed.len()).as_bytes()).await?;
        self.input.write_all(packed).await?;
        self.input.flush().await
    }

    /// All that was said on standard error.
    async fn last_words(&mut self) -> String {
        drop(tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await);
        drop(tokio::time::timeout(Duration::from_secs(1), &mut self.listener).await);
        self.said.lock().unwrap_or_else(PoisonError::into_inner).replace(SUDO, "")
    }

    /// Why it did not get there.
    async fn refusal(&mut self, target: &Target) -> Error {
        let said = self.last_words().await;
        let code = self.child.try_wait().ok().flatten().and_then(|status| status.code());
        match code {
            Some(127) if said.is_empty() => refused(broken(std::io::ErrorKind::NotFound.into())),
            // What ssh itself gives where it fails (ssh(1)).
            Some(255) => refused(target.refusal(&said).await),
            None => Error::new(format!("`{target}` does not answer"))
                .hint(format!("check that `{} true` ends by itself", target.typed())),
            Some(code) => {
                let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it says nothing");
                Error::new(format!("`{target}` does not start this program: {last} (exit code {code})"))
                    .hint(format!("`{} sh -c true` must work there", target.typed()))
            }
        }
    }
}

fn refused(refusal: Refusal) -> Error {
    Error::new(refusal.reason).hint(refusal.hint)
}

/// Reads up to the end of a line, which may come in parts; false at the end of all.
async fn take_line(output: &mut BufReader<ChildStdout>, line: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let read = output.fill_buf().await?;
        if read.is_empty() {
            return Ok(!line.is_empty());
        }
        let end = read.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(read.len(), |end| end + 1);
        // What is longer than any line of ours is not kept.
        if (line.len() as u64) < LINE {
            line.extend_from_slice(&read[..count]);
        }
        output.consume(count);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Writes what is said to the other host, and signs of life in between.
async fn speak(mut input: ChildStdin, mut words: UnboundedReceiver<Vec<u8>>) {
    let mut beat = tokio::time::interval(Duration::from_secs(BEAT));
    loop {
        let bytes = tokio::select! {
            bytes = words.recv() => match bytes {
                Some(bytes) => bytes,
                None => return,
            },
            _ = beat.tick() => Frame::new(Down::Alive, Vec::new()).encode(),
        };
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            return;
        }
    }
}

/// Reads frames for as long as somebody takes them.
async fn hear(mut output: BufReader<ChildStdout>, frames: tokio::sync::mpsc::Sender<std::io::Result<Frame<Up>>>) {
    loop {
        let frame = match frame(&mut output).await {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let broken = frame.is_err();
        if frames.send(frame).await.is_err() || broken {
            return;
        }
    }
}

/// The longest line of a frame.
const FRAME: u64 = 16 << 20;

async fn frame(output: &mut BufReader<ChildStdout>) -> std::io::Result<Option<Frame<Up>>> {
    let mut line = Vec::new();
    (&mut *output).take(FRAME).read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\n") {
        // The connection was cut.
        return Ok(None);
    }
    let mut frame = Frame::decode(&line)?;
    if output.read_exact(&mut frame.content).await.is_err() {
        return Ok(None);
    }
    Ok(Some(frame))
}

/// Keeps what is said on standard error, and notices when `sudo` asks.
async fn listen(mut output: ChildStderr, said: Said, asked: UnboundedSender<()>) {
    let mut bytes = vec![0; 4096];
    let mut seen = 0;
    while let Ok(count @ 1..) = output.read(&mut bytes).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.len() < WORDS {
            said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        let found = said.matches(SUDO).count();
        for _ in seen..found {
            let _ = asked.send(());
        }
        seen = found;
    }
}
