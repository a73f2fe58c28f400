//! `--host`: a command line that is carried out on other hosts, as it would be there.
//!
//! Nothing here knows verbs: what they tell, ask, read and write comes through the connection.

mod clients;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use serde_json::Value as Json;
use tokio::sync::broadcast;

use crate::error::{Error, Result};
use crate::event::Events;
use crate::report::{self, Style, Via};
use crate::secret::Secret;
use crate::text::shell;
use crate::world::apart::apart;
use crate::world::far::{Entry, Far, Program, Shelf};
use crate::world::ssh::Target;
use crate::world::stop::{Signal, Stopper};
use crate::world::terminal;
use crate::world::wire::{Answer, Down, Question, Refused, Up};

/// How many signals may wait to be passed on.
const SIGNALS: usize = 16;

pub(crate) struct Wanted {
    pub hosts: Vec<Host>,
    /// Whether each line tells of which host it is.
    pub several: bool,
    pub sudo: bool,
    pub style: Style,
}

/// A host, and the command line for it.
pub(crate) struct Host {
    /// What it is told apart from others by.
    pub name: String,
    pub target: Target,
    pub arguments: Vec<String>,
}

/// What all hosts of a run share.
struct Fleet {
    program: Program,
    entry: Entry,
    style: Style,
    /// Whether there are several, so that each line tells of which it is.
    several: bool,
    signals: broadcast::Sender<Signal>,
    /// What was answered already: the same question is asked once. One at a time is asked.
    answers: tokio::sync::Mutex<BTreeMap<String, String>>,
    events: Events,
    /// Whoever changes something on this machine.
    here: tokio::sync::Mutex<()>,
    /// What there is on each of several hosts, told as one table.
    overviews: Mutex<Vec<Json>>,
}

/// Carries the command line out on all hosts at once, and gives the exit code: of several, the worst.
pub(crate) async fn run(wanted: Wanted, events: &Events, stopper: &Stopper) -> Result<u8> {
    let several = wanted.several;
    // `ssh` may ask for a passphrase, and be ended then.
    let _terminal = terminal::remember();
    let fleet = Fleet {
        program: Program::read()?,
        entry: Entry { sudo: wanted.sudo, quiet: several },
        style: wanted.style,
        several,
        signals: broadcast::channel(SIGNALS).0,
        answers: tokio::sync::Mutex::default(),
        overviews: Mutex::default(),
        events: events.clone(),
        here: tokio::sync::Mutex::default(),
    };
    let mut signals = stopper.listen();
    let pass_on = async {
        while let Some(signal) = signals.recv().await {
            drop(fleet.signals.send(signal));
        }
    };
    let all = join_all(wanted.hosts.iter().map(|host| fleet.run(host)));
    let results = tokio::select! {
        results = all => results,
        () = pass_on => unreachable!("signals are heard as long as this runs"),
    };
    if !several {
        return results.into_iter().next().unwrap_or(Ok(0));
    }
    report::relay_overviews(std::mem::take(&mut *fleet.overviews.lock().unwrap_or_else(PoisonError::into_inner)))?;
    let mut worst = 0;
    for (host, result) in wanted.hosts.iter().zip(results) {
        match result {
            Ok(code) => worst = worst.max(code),
            Err(error) => {
                worst = worst.max(1);
                report::error(&error.within(&host.name), fleet.style);
            }
        }
    }
    Ok(worst)
}

impl Fleet {
    async fn run(&self, host: &Host) -> Result<u8> {
        let mut signals = self.signals.subscribe();
        let sudo = if self.entry.sudo { " --sudo" } else { "" };
        let via = Via {
            label: self.several.then(|| host.name.clone()),
            typed: format!("--host {}{sudo}", shell::quoted(&host.target.short())),
            style: self.style,
        };
        let start = async |signals: &mut broadcast::Receiver<Signal>| {
            let ask = async |count| self.sudo(&host.target, count).await;
            tokio::select! {
                far = Far::start(&host.target, &self.program, self.entry, host.arguments.clone(), ask) => far,
                _ = signals.recv() => Err(Error::new("stopped before anything was done")),
            }
        };
        let mut far = start(&mut signals).await?;
        let mut clients = None;
        let shelf = Arc::new(Mutex::new(Shelf::of(&host.arguments)));
        loop {
            let frame = tokio::select! {
                frame = far.next() => frame?,
                Ok(signal) = signals.recv() => {
                    far.tell(Down::Signal(signal), Vec::new());
                    continue;
                }
            };
            let Some(frame) = frame else { return Err(far.lost().await) };
            let shelved = || shelf.lock().unwrap_or_else(PoisonError::into_inner);
            match frame.say {
                Up::Word(word) => {
                    let overview = report::relay(word, &via)?;
                    self.overviews.lock().unwrap_or_else(PoisonError::into_inner).extend(overview);
                }
                Up::Printed { aside } => report::bytes(frame.content, aside),
                Up::Written { file } => shelved().write(file, &frame.content),
                Up::Closed { file } => shelved().close(file),
                Up::Ask { id, question } => self.answer(&far, id, question, &shelf, &mut signals).await?,
                Up::Authorities { deployment, authorities } => clients = Some((deployment, authorities)),
                Up::Ended(code) => {
                    far.end().await;
                    if let Some((deployment, authorities)) = clients.filter(|_| code == 0) {
                        let _one = self.here.lock().await;
                        clients::settle(&self.events, &host.target, &deployment, &authorities).await?;
                    }
                    return Ok(code);
                }
            }
        }
    }

    /// Answers a question of the other host. A signal is passed on meanwhile; whoever was asked something is not asked any more then.
    async fn answer(
        &self,
        far: &Far,
        id: u64,
        question: Question,
        shelf: &Arc<Mutex<Shelf>>,
        signals: &mut broadcast::Receiver<Signal>,
    ) -> Result<()> {
        let asks = matches!(question, Question::Line { .. });
        let answer = self.find(question, shelf.clone());
        tokio::pin!(answer);
        loop {
            tokio::select! {
                answer = &mut answer => {
                    let (answer, content) = match answer {
                        Ok((answer, content)) => (Ok(answer), content),
                        Err(refused) => (Err(refused), Vec::new()),
                    };
                    far.tell(Down::Answer { id, answer }, content);
                    return Ok(());
                }
                Ok(signal) = signals.recv() => {
                    far.tell(Down::Signal(signal), Vec::new());
                    if asks {
                        report::beside("\n");
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn find(
        &self,
        question: Question,
        shelf: Arc<Mutex<Shelf>>,
    ) -> std::result::Result<(Answer, Vec<u8>), Refused> {
        match question {
            Question::Line { text, hidden } => Ok((Answer::Line(self.ask(&text, hidden).await?), Vec::new())),
            Question::Told => report::written().await.map(|()| (Answer::Done, Vec::new())).map_err(Refused::from),
            about => apart(move || shelf.lock().unwrap_or_else(PoisonError::into_inner).answer(about)).await?,
        }
    }

    /// Asks whoever sits here, once for all hosts that ask the same.
    async fn ask(&self, text: &str, hidden: bool) -> Result<Option<String>> {
        let mut answers = self.answers.lock().await;
        if let Some(answer) = answers.get(text).filter(|_| self.several) {
            return Ok(Some(answer.clone()));
        }
        // Signals are for the other hosts: they end this by what they say.
        let (question, own) = (text.trim_end_matches(": "), Stopper::default());
        let answer = if hidden {
            report::ask_hidden(question, &own).await?.map(|secret| secret.expose().to_owned())
        } else {
            report::ask_shown(question, &own).await?
        };
        answers.extend(answer.iter().map(|answer| (text.to_owned(), answer.clone())));
        Ok(answer)
    }

    /// The password for `sudo`.
    async fn sudo(&self, target: &Target, count: u32) -> Result<Secret> {
        if count > 0 && self.several {
            return Err(Error::new(format!("`sudo` on `{target}` does not take this password")));
        }
        let again = if count > 0 { " (that was wrong; again)" } else { "" };
        let of = if self.several { "these hosts".to_owned() } else { format!("`{target}`") };
        self.ask(&format!("Password for sudo on {of}{again}: "), true).await?.map(Secret::new).ok_or_else(|| {
            Error::new(format!("`sudo` on `{target}` asks for a password, and there is no terminal to ask for it"))
                .hint("run the command in a terminal, or log in as root")
        })
    }
}
