//! `provision maintain`: does whatever is due for a deployment, or for each of them.

mod backup;
mod certificates;
mod drill;
mod examination;
mod garbage;
mod notify;
mod retention;
mod shelf;
mod space;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Instant;

use time::format_description::well_known::Rfc3339;

use crate::deployment::measured::{Maintained, Measured};
use crate::deployment::upkeep::VARIABLES;
use crate::deployment::{self, Record, Store, lock};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::plan::Plan;
use crate::report::Style;
use crate::session::{Prepared, Session};
use crate::world::{host, itself, process};

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<Option<String>>> + 'a>>;

/// One thing that is looked after.
struct Task {
    name: &'static str,
    /// Does what is due, and says so; an error is what has to be seen to by somebody.
    run: for<'a> fn(&'a Care<'a>) -> Outcome<'a>,
}

/// What is looked after, one file each, in this order: a backup holds the certificates that were renewed before it.
const TASKS: [Task; 7] =
    [certificates::TASK, examination::TASK, backup::TASK, drill::TASK, retention::TASK, garbage::TASK, space::TASK];

/// A deployment as its upkeep finds it.
struct Care<'a> {
    session: &'a Session,
    name: &'a str,
    prepared: Prepared,
    plan: Plan,
}

/// What failed, by what is looked after.
type Failures = BTreeMap<&'static str, Error>;

/// Looks after one deployment, or after each in a run of its own, with the engine and the account that it was set up with.
pub(crate) async fn run(session: &Session, name: Option<&str>, style: Style) -> Result<()> {
    match name {
        Some(name) => one(session, name).await,
        None => all(session, style).await,
    }
}

async fn all(session: &Session, style: Style) -> Result<()> {
    let program = itself::path()?;
    let mut failed = Vec::new();
    let mut records = Vec::new();
    for name in deployment::lasting_names()? {
        match Store::existing(&name) {
            Ok((_, record)) if record.is_looked_after() => records.push((name, record)),
            Ok(_) => {}
            Err(error) => {
                session.events.send(Event::Warning { text: format!("{name}: {error}") });
                failed.push(name);
            }
        }
    }
    if records.is_empty() && failed.is_empty() {
        session.events.note(None, "no deployment to maintain; `provision list` shows all deployments");
    }
    for (name, record) in records {
        let mut command = vec!["env".to_owned()];
        let known = &record.upkeep.environment;
        command.extend(
            VARIABLES
                .iter()
                .filter(|name| !known.contains_key(**name))
                .flat_map(|name| ["-u", name])
                .map(str::to_owned),
        );
        command.extend([program.clone(), "maintain".to_owned(), name.clone()]);
        if style == Style::Json {
            command.extend(["--output", "json"].map(str::to_owned));
        }
        if session.options.verbose {
            command.push("--verbose".to_owned());
        }
        // What a signal ends is the run that is under way.
        let ended = process::run(&command, known, session.stopper.listen()).await;
        if ended.map_err(|(error, _)| error)? != 0 {
            failed.push(name);
        }
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(format!("maintenance failed for {}", failed.join(", ")))
            .hint(format!("`provision maintain {first}` runs it again"))),
    }
}

async fn one(session: &Session, name: &str) -> Result<()> {
    let started = Instant::now();
    let (store, record) = Store::existing(name)?;
    if let Some(why) = out_of_reach(name, &record)? {
        session.events.note(None, format!("{name}: skipped, {why}"));
        return Ok(());
    }
    let mut failures = Failures::new();
    let mut done = Vec::new();
    match look(session, name).await {
        Ok(care) => work(&care, &mut done, &mut failures).await,
        Err(error) => drop(failures.insert("look", error)),
    }
    let told = notify::tell(&store, &record, &failures).await;
    if let Err(error) = told {
        failures.insert("notify", error);
    }
    let line = line(&done, &failures);
    keep(&store, &line, failures.is_empty());
    match failures.into_iter().next() {
        None => {
            let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            session.events.note(None, format!("{name}: {line}"));
            let (deployment, changed) = (name.to_owned(), done.len());
            session.events.send(Event::Summary { deployment, changed, milliseconds, outcome: "maintained" });
            Ok(())
        }
        Some((_, first)) => {
            let hint =
                first.next_step().map_or_else(|| format!("`provision status {name}` shows how it is"), str::to_owned);
            Err(Error::new(format!("{name}: {line}")).detail(first.lines().to_vec()).hint(hint))
        }
    }
}

/// Why nothing is done for it now.
fn out_of_reach(name: &str, record: &Record) -> Result<Option<String>> {
    if record.kept {
        return Ok(Some("it was destroyed, and its data was kept".to_owned()));
    }
    if record.root.is_some() {
        return Ok(Some("its files are rendered into a folder; maintenance is done on the host".to_owned()));
    }
    let holder = lock::holder(name)?.filter(|holder| holder.works);
    Ok(holder.map(|holder| format!("{} works on it", holder.words)))
}

async fn look<'a>(session: &'a Session, name: &'a str) -> Result<Care<'a>> {
    let prepared = session.reopen(name)?;
    let plan = Plan::make(&prepared.graph, &prepared.run, &prepared.record.kinds).await?;
    Ok(Care { session, name, prepared, plan })
}

async fn work(care: &Care<'_>, done: &mut Vec<String>, failures: &mut Failures) {
    for task in &TASKS {
        match (task.run)(care).await {
            Ok(None) => {}
            Ok(Some(text)) => done.push(text),
            Err(error) => drop(failures.insert(task.name, error)),
        }
    }
}

/// All that came of it, in one line.
fn line(done: &[String], failures: &Failures) -> String {
    let failed = failures.iter().map(|(task, error)| format!("{task} failed: {error}"));
    let all: Vec<String> = failed.chain(done.iter().cloned()).collect();
    if all.is_empty() { "nothing was due".to_owned() } else { all.join("; ") }
}

fn keep(store: &Store, line: &str, is_good: bool) {
    let mut measured = Measured::read(store);
    let time = host::now().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_default();
    measured.upkeep = Some(Maintained { time, code: u8::from(!is_good), line: line.to_owned() });
    measured.keep(store);
}
