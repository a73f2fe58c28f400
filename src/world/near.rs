//! The machine where the command was typed, as this process sees it that carries the command out on another host: [`Near`].
//!
//! Both speak over this process's standard input and output ([`super::wire`]). What is printed by commands that run here goes the
//! same way. Without a sign of life from there, everything is as after SIGHUP: what was done is taken back.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

mod file;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::world::host;
use crate::world::stop::Signal;
use crate::world::wire::{Answer, Authority, Down, Frame, Question, Refused, SILENCE, Up};
pub(crate) use file::{NearAppender, NearFile, NearWriter};

type Reply = (std::result::Result<Answer, Refused>, Vec<u8>);
type Told = Box<dyn Fn(Signal) + Send + Sync>;
type Idle = Box<dyn Fn() + Send + Sync>;

/// How long what a command printed last may take to be on its way when this process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub(crate) struct Near {
    output: Mutex<File>,
    state: Mutex<State>,
    hear: OnceLock<Told>,
    /// Ends once nothing can be printed by a command any more.
    pumps: Mutex<Vec<Receiver<()>>>,
}

struct State {
    /// Who waits for which answer.
    waiting: BTreeMap<u64, Sender<Reply>>,
    next: u64,
    heard: Instant,
    lost: bool,
    /// What came before anybody heard it.
    early: Vec<Signal>,
}

static NEAR: OnceLock<Near> = OnceLock::new();

/// That machine; none if the command was typed on this one.
pub(crate) fn get() -> Option<&'static Near> {
    NEAR.get()
}

/// Takes over the standard input and output of this process, and gives the words of the command line.
///
/// # Errors
/// They are no connection to another machine.
pub(crate) fn attach() -> Result<Vec<String>> {
    let failed = |error: io::Error| Error::new(format!("cannot be the far end of a connection: {error}"));
    let own = |from: &dyn AsFd| fcntl_dupfd_cloexec(from.as_fd(), 3).map(File::from).map_err(io::Error::from);
    let mut input = BufReader::new(own(&io::stdin()).map_err(failed)?);
    let output = own(&io::stdout()).map_err(failed)?;
    let nothing: OwnedFd = File::open("/dev/null").map_err(failed)?.into();
    dup2_stdin(&nothing).map_err(|error| failed(error.into()))?;
    let first = Frame::<Down>::read(&mut input).map_err(failed)?;
    let Some(Down::Start { arguments }) = first.map(|frame| frame.say) else {
        return Err(Error::usage("`far` is what `--host` starts on another host, and not for people"));
    };
    let state = State { waiting: BTreeMap::new(), next: 0, heard: Instant::now(), lost: false, early: Vec::new() };
    let near =
        Near { output: Mutex::new(output), state: Mutex::new(state), hear: OnceLock::new(), pumps: Mutex::default() };
    let near = NEAR.get_or_init(|| near);
    near.divert().map_err(failed)?;
    spawn("near", move || near.listen(&mut input))?;
    spawn("pulse", move || near.feel_pulse())?;
    Ok(arguments)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| Error::new(format!("cannot start a thread: {error}")))
}

impl Near {
    /// From now on, what is printed to standard output and standard error by anybody here goes there.
    fn divert(&'static self) -> io::Result<()> {
        for aside in [false, true] {
            let (mut from, to) = io::pipe()?;
            if aside {
                dup2_stderr(&to)?;
            } else {
                dup2_stdout(&to)?;
            }
            let (sender, receiver) = channel();
            self.pumps.lock().unwrap_or_else(PoisonError::into_inner).push(receiver);
            thread::Builder::new().name("pump".to_owned()).spawn(move || {
                let mut bytes = vec![0; 64 << 10];
                while let Ok(count @ 1..) = from.read(&mut bytes) {
                    self.send(Up::Printed { aside }, bytes[..count].to_vec());
                }
                drop(sender);
            })?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something. Whoever does not listen any more misses nothing that matters here.
    fn send(&self, say: Up, content: Vec<u8>) {
        if !self.is_lost() {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            drop(Frame::new(say, content).write(&mut *output));
        }
    }

    fn listen(&self, input: &mut BufReader<File>) {
        while let Ok(Some(frame)) = Frame::<Down>::read(input) {
            self.state().heard = Instant::now();
            match frame.say {
                Down::Start { .. } | Down::Alive => {}
                Down::Signal(signal) => self.signal(signal),
                Down::Answer { id, answer } => {
                    if let Some(waiting) = self.state().waiting.remove(&id) {
                        drop(waiting.send((answer, frame.content)));
                    }
                }
            }
        }
        self.lose();
    }

    /// Notices when no sign of life has come for too long, as where the network is cut and nobody tells.
    fn feel_pulse(&self) {
        loop {
            thread::sleep(Duration::from_secs(1));
            if self.state().heard.elapsed() > Duration::from_secs(SILENCE) {
                return self.lose();
            }
        }
    }

    fn lose(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.lost, true) {
            // Nobody gets an answer any more.
            state.waiting.clear();
            drop(state);
            self.signal(Signal::Hangup);
        }
    }

    fn signal(&self, signal: Signal) {
        match self.hear.get() {
            Some(hear) => hear(signal),
            None => self.state().early.push(signal),
        }
    }

    /// Hears the signals that come from there, and its end. `idle` is called again and again once the connection is lost, so that
    /// nobody waits to print what nobody reads.
    pub fn hear(&'static self, told: impl Fn(Signal) + Send + Sync + 'static, idle: Idle) {
        drop(self.hear.set(Box::new(told)));
        let early = std::mem::take(&mut self.state().early);
        early.into_iter().for_each(|signal| self.signal(signal));
        // Without a thread the end of this process waits for its readers, as anywhere.
        drop(spawn("idle", move || {
            loop {
                thread::sleep(Duration::from_secs(1));
                if self.is_lost() {
                    idle();
                }
            }
        }));
    }

    pub fn is_lost(&self) -> bool {
        self.state().lost
    }

    /// Waits until the connection is lost.
    pub async fn lost(&self) {
        while !self.is_lost() {
            host::sleep(100).await;
        }
    }

    /// Tells something, in the form of `report`.
    pub fn word(&self, word: Json) {
        self.send(Up::Word(word), Vec::new());
    }

    /// Tells what the clients of a deployment are to trust from now on.
    pub fn authorities(&self, deployment: &str, authorities: Vec<Authority>) {
        self.send(Up::Authorities { deployment: deployment.to_owned(), authorities }, Vec::new());
    }

    /// Says that this process ends, after all that was printed.
    pub fn ended(&self, code: u8) {
        if let Ok(nothing) = File::options().write(true).open("/dev/null") {
            let _ = dup2_stdout(&nothing);
            let _ = dup2_stderr(&nothing);
        }
        let pumps = std::mem::take(&mut *self.pumps.lock().unwrap_or_else(PoisonError::into_inner));
        let end = Instant::now() + LAST_WORDS;
        for pump in pumps {
            // A process that a command has left behind may hold its output for ever.
            let _ = pump.recv_timeout(end.saturating_duration_since(Instant::now()));
        }
        self.send(Up::Ended(code), Vec::new());
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What is wrong there, or the connection is lost.
    pub fn ask(&self, question: Question) -> std::result::Result<(Answer, Vec<u8>), Refused> {
        self.begin(question).end()
    }

    /// Asks, and does not wait yet.
    fn begin(&self, question: Question) -> Pending {
        let (sender, receiver) = channel();
        let id = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            if !state.lost {
                state.waiting.insert(id, sender);
            }
            id
        };
        self.send(Up::Ask { id, question }, Vec::new());
        Pending(receiver)
    }

    /// Asks whoever sits there. None if nobody does.
    pub fn line(&self, text: &str, hidden: bool) -> Option<String> {
        match self.ask(Question::Line { text: text.to_owned(), hidden }) {
            Ok((Answer::Line(line), _)) => line,
            _ => None,
        }
    }

    /// Whether everything that was asked for could be printed there.
    ///
    /// # Errors
    /// It could not.
    pub fn told(&self) -> Result<()> {
        match self.ask(Question::Told) {
            Err(refused) if !self.is_lost() => Err(refused.error()),
            _ => Ok(()),
        }
    }

    /// Fails if something stands at this path there.
    ///
    /// # Errors
    /// Something does, or it cannot be known.
    pub fn vacant(&self, path: &str) -> Result<()> {
        self.ask(Question::Vacant { path: path.to_owned() }).map(drop).map_err(|refused| refused.error())
    }
}

/// An answer that is under way.
struct Pending(Receiver<Reply>);

impl Pending {
    fn end(self) -> std::result::Result<(Answer, Vec<u8>), Refused> {
        let lost = || Refused {
            what: "the connection to the machine where the command was typed is lost".to_owned(),
            hint: None,
            usage: false,
            missing: false,
        };
        let (answer, content) = self.0.recv().map_err(|_| lost())?;
        answer.map(|answer| (answer, content))
    }
}
