//! Stands between the program and the engine: notes each request, and at a counted one lets something happen: [`Recorder`].

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::engine::SOCKET;

/// What happens at a counted request: the first that may change something is number 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Nothing,
    /// The engine falls silent once it has got this many, like one that dies.
    Dies(usize),
    /// The program is killed, and the engine never sees the request.
    KilledBefore(usize),
    /// The engine gets the request, and the program is killed without an answer.
    KilledAfter(usize),
    /// The program is killed, and the engine gets the request once it is let go.
    KilledLate(usize),
    /// The engine gets the request once it is let go.
    Held(usize),
    /// The same, where all requests are counted.
    HeldAtAny(usize),
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one thing has come to pass")]
struct State {
    requests: Vec<String>,
    mutating: usize,
    dead: bool,
    /// The program that is to be killed.
    program: Option<u32>,
    held: bool,
    let_go: bool,
    /// Whether the engine has answered what was held.
    answered: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    fate: Fate,
}

pub struct Recorder {
    pub socket: PathBuf,
    shared: Arc<Shared>,
    #[expect(dead_code, reason = "it is removed with this")]
    folder: Option<tempfile::TempDir>,
}

impl Recorder {
    /// `lives` is after how many requests that change something the engine seems to die; `usize::MAX` is never.
    pub fn new(lives: usize) -> Self {
        Self::of(SOCKET.as_ref(), if lives == usize::MAX { Fate::Nothing } else { Fate::Dies(lives) })
    }

    /// Stands before the engine at `engine`.
    pub fn of(engine: &Path, fate: Fate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        Self { folder: Some(folder), ..Self::at(&socket, engine, fate) }
    }

    /// The same with a socket of this path, where another recorder may have had it.
    pub fn at(socket: &Path, engine: &Path, fate: Fate) -> Self {
        drop(std::fs::remove_file(socket));
        let listener = UnixListener::bind(socket).unwrap();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), fate });
        let (own, engine) = (shared.clone(), engine.to_owned());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if own.state.lock().unwrap().dead {
                    continue;
                }
                let engine = UnixStream::connect(&engine).unwrap();
                let (back, front) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                let (own, answers) = (own.clone(), own.clone());
                thread::spawn(move || pump(back, front, |_| answers.answer(), |_| {}));
                thread::spawn(move || pump(client, engine, |bytes| own.note(bytes), |next| own.end(next)));
            }
        });
        Self { socket: socket.to_owned(), shared, folder: None }
    }

    /// Says which program is to be killed. A request that is due waits for it.
    pub fn watch(&self, program: u32) {
        self.shared.state.lock().unwrap().program = Some(program);
        self.shared.changed.notify_all();
    }

    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// Requests that could have changed something.
    pub fn mutating(&self) -> Vec<String> {
        self.requests().into_iter().filter(|line| is_mutating(line)).collect()
    }

    pub fn is_dead(&self) -> bool {
        self.shared.state.lock().unwrap().dead
    }

    /// Waits until a request is held.
    pub fn wait_until_held(&self) {
        let state = self.shared.state.lock().unwrap();
        let limit = std::time::Duration::from_mins(2);
        let (state, _) = self.shared.changed.wait_timeout_while(state, limit, |state| !state.held).unwrap();
        assert!(state.held, "there was no such request: {:?}", state.requests);
    }

    /// Lets go of the request that is held.
    pub fn let_go(&self) {
        self.shared.state.lock().unwrap().let_go = true;
        self.shared.changed.notify_all();
    }

    /// Waits until the engine has answered what was held.
    pub fn answered(&self) {
        self.shared.wait_for_answer();
    }
}

fn is_mutating(line: &str) -> bool {
    !line.starts_with("GET ") && !line.starts_with("HEAD ")
}

/// What becomes of bytes on their way to the engine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    /// They are the last.
    Last,
    /// They are the last, and the engine's answer is waited for.
    Awaited,
    Stop,
}

impl Shared {
    fn note(&self, bytes: &[u8]) -> Next {
        let text = String::from_utf8_lossy(bytes);
        let mut next = Next::Go;
        for line in text.lines().filter_map(|line| line.strip_suffix(" HTTP/1.1")) {
            let mut state = self.state.lock().unwrap();
            state.requests.push(line.to_owned());
            state.mutating += usize::from(is_mutating(line));
            if is_mutating(line) || matches!(self.fate, Fate::HeldAtAny(_)) {
                next = self.befall(state);
            }
        }
        if self.state.lock().unwrap().dead { Next::Stop } else { next }
    }

    fn befall<'a>(&'a self, mut state: MutexGuard<'a, State>) -> Next {
        let number = if matches!(self.fate, Fate::HeldAtAny(_)) { state.requests.len() } else { state.mutating };
        match self.fate {
            Fate::Dies(lives) if number > lives => {
                state.dead = true;
                Next::Stop
            }
            Fate::KilledBefore(at) if number == at => {
                self.kill(state);
                Next::Stop
            }
            Fate::KilledAfter(at) if number == at => Next::Last,
            Fate::KilledLate(at) | Fate::Held(at) | Fate::HeldAtAny(at) if number == at => {
                state.held = true;
                self.changed.notify_all();
                if matches!(self.fate, Fate::KilledLate(_)) {
                    self.kill(state);
                    state = self.state.lock().unwrap();
                }
                drop(self.changed.wait_while(state, |state| !state.let_go).unwrap());
                if matches!(self.fate, Fate::KilledLate(_)) { Next::Awaited } else { Next::Go }
            }
            _ => Next::Go,
        }
    }

    /// What happens once the engine has got the last bytes.
    fn end(&self, next: Next) {
        match next {
            Next::Last => self.kill(self.state.lock().unwrap()),
            _ => self.wait_for_answer(),
        }
    }

    fn answer(&self) -> Next {
        let mut state = self.state.lock().unwrap();
        state.answered |= state.let_go;
        self.changed.notify_all();
        Next::Go
    }

    fn wait_for_answer(&self) {
        let state = self.state.lock().unwrap();
        let limit = std::time::Duration::from_mins(1);
        let (state, _) = self.changed.wait_timeout_while(state, limit, |state| !state.answered).unwrap();
        assert!(state.answered, "the engine has not answered what was held");
    }

    fn kill<'a>(&'a self, state: MutexGuard<'a, State>) {
        let state = self.changed.wait_while(state, |state| state.program.is_none()).unwrap();
        let program = state.program.unwrap().to_string();
        Command::new("kill").args(["-9", &program]).status().unwrap();
    }
}

/// Copies bytes until one side ends or `next` says so; after the last ones, `end` is called.
fn pump(mut from: UnixStream, mut to: UnixStream, next: impl Fn(&[u8]) -> Next, end: impl FnOnce(Next)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        let next = next(&buffer[..read]);
        if next == Next::Stop || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if next != Next::Go {
            end(next);
            break;
        }
    }
    drop(from.shutdown(std::net::Shutdown::Both));
    drop(to.shutdown(std::net::Shutdown::Both));
}
