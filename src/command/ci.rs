//! `provision ci`: a registry that lives as long as a command, or until `provision ci down`; `provision ci reap`.

mod end;
mod form;
mod told;

use std::path::PathBuf;
use std::time::Instant;

use serde_json::Value as Json;
use tokio::sync::mpsc::unbounded_channel;

pub(crate) use end::{down, reap};
pub(crate) use form::Form;
use told::{Told, milliseconds};

use crate::ci::access::Access;
use crate::ci::job::Job;
use crate::ci::seed;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::report::{self, Style};
use crate::session::{Session, Target};
use crate::world::{files, process, typed};

/// What is asked for beside the inputs of the playbook.
pub(crate) struct Wanted {
    /// What to run; empty if it is to stay.
    pub command: Vec<String>,
    /// Seconds that a claim lasts.
    pub lasting: i64,
    pub form: Form,
    pub env_file: Option<PathBuf>,
    pub keep_on_failure: bool,
    pub logs: Option<PathBuf>,
    pub report: Option<String>,
    pub seeds: Vec<String>,
    pub seed_folder: Option<PathBuf>,
}

impl Wanted {
    /// Finds what cannot be done before anything is.
    fn check(&self, target: &Target) -> Result<()> {
        seed::check(&self.seeds, self.seed_folder.as_deref())?;
        let caches = target.given.get("pull-through").and_then(Json::as_str).is_some_and(|url| !url.is_empty());
        if caches && !(self.seeds.is_empty() && self.seed_folder.is_none()) {
            return Err(Error::usage("a pull-through cache takes no pushes, so it cannot start with images")
                .hint("leave `--pull-through` out, or `--seed` and `--seed-dir`"));
        }
        if self.command.is_empty() {
            self.form.check(self.env_file.as_deref())?;
        }
        self.report.as_deref().map_or(Ok(()), typed::check_writable)?;
        self.env_file.as_deref().map_or(Ok(()), files::check_writable)
    }
}

/// Brings a registry up, runs the command with it, and takes it away; gives the command's exit code.
pub(crate) async fn run(session: &Session, target: Target, wanted: Wanted) -> Result<u8> {
    wanted.check(&target)?;
    let (sender, mut receiver) = unbounded_channel();
    let inner = Session { events: Events::new(sender), ..session.clone() };
    let mut job = Job::begin(&inner, target, wanted.lasting).await?;
    let told = Told::new(&job.name, session);
    let work = whole(session, &mut job, &wanted, &told);
    let result = tokio::select! {
        result = work => result,
        () = told.listen(&mut receiver) => unreachable!("the run, which sends, goes on"),
        () = end::reap_beside(session) => unreachable!("it waits when it is done"),
    };
    told.catch_up(&mut receiver);
    if let Some(path) = &wanted.report
        && let Err(error) = told.write(path)
    {
        session.events.note(None, error.to_string());
    }
    result
}

async fn whole(session: &Session, job: &mut Job, wanted: &Wanted, told: &Told) -> Result<u8> {
    let begun = Instant::now();
    let result = match up(job, wanted, told).await {
        Ok(access) => {
            told.ready(&access.registry, begun);
            use_it(session, job, wanted, told, &access).await
        }
        Err(error) => Err(error),
    };
    // From here on a signal must not stop what takes everything away.
    drop(session.stopper.listen());
    told.ended(&result);
    let failed = !matches!(result, Ok(0));
    if failed && let Some(folder) = &wanted.logs {
        let written = job.write_logs(folder).await;
        written.unwrap_or_else(|error| session.events.note(None, error.to_string()));
    }
    if wanted.command.is_empty() && !failed {
        return result;
    }
    if failed && wanted.keep_on_failure && job.is_up() {
        let kept = job
            .keep()
            .await
            .map(|_| format!("it stays for {} s; `provision ci down {}` ends it", wanted.lasting, job.name));
        session.events.note(None, kept.unwrap_or_else(|error| error.to_string()));
        return result;
    }
    let begun = Instant::now();
    match job.tear_down().await {
        Ok(()) => told.step("tear-down", "everything", "deleted", milliseconds(begun)),
        Err(error) => session.events.note(None, error.render()),
    }
    result
}

async fn up(job: &mut Job, wanted: &Wanted, told: &Told) -> Result<Access> {
    let access = job.bring_up().await?;
    let begun = Instant::now();
    for image in seed::seed(job, &access, &wanted.seeds, wanted.seed_folder.as_deref()).await? {
        told.step("seed", &image, "pushed", milliseconds(begun));
    }
    Ok(access)
}

/// Runs the command; without one, tells how it is used.
async fn use_it(session: &Session, job: &mut Job, wanted: &Wanted, told: &Told, access: &Access) -> Result<u8> {
    if wanted.command.is_empty() {
        let expires = job.keep().await?;
        let text = wanted.form.tell(job, access, expires, wanted.env_file.as_deref())?;
        report::text(&text);
        // Nobody can use it who does not read this.
        report::written().await?;
        return Ok(0);
    }
    let begun = Instant::now();
    let signals = session.stopper.listen();
    let code = tokio::select! {
        code = process::run(&wanted.command, &access.variables, signals) => code,
        () = job.stay() => unreachable!("it goes on for ever"),
    };
    let code = code.unwrap_or_else(|(error, code)| {
        report::error(&error, Style::Text);
        code
    });
    told.command(&wanted.command, code, milliseconds(begun));
    Ok(code)
}
