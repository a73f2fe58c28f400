//! `provision retention`: which tags of a registry go, by rules that say what stays.

use std::path::Path;

use serde_json::json;
use time::OffsetDateTime;

use super::gc;
use super::store::{Place, WATCH};
use crate::deployment::Store;
use crate::error::{Error, Result};
use crate::registry::garbage::{Collection, Limits};
use crate::registry::job::{Said, Task as Job};
use crate::registry::removed::Removed;
use crate::registry::retention::{Gone, Kept, Planned, Retention, Rules};
use crate::report::{self, Style};
use crate::session::Session;
use crate::text::columns::aligned;
use crate::text::size::readable;
use crate::world::files;

/// What takes the rules away again.
const NONE: &str = "none";

/// What is to be done about retention.
pub(crate) enum Task {
    /// Takes the rules of a file, or with `none` takes them away.
    Set {
        file: String,
    },
    Show,
    /// Lists what goes, and carries it out if that is agreed to; `only_told` does not ask.
    Plan {
        only_told: bool,
    },
}

pub(crate) async fn run(session: &Session, name: &str, task: Task, style: Style) -> Result<()> {
    gc::check_kind(name)?;
    match task {
        Task::Set { file } => set(session, name, &file).await,
        Task::Show => show(name),
        Task::Plan { only_told } => plan(session, name, only_told, style).await,
    }
}

async fn set(session: &Session, name: &str, file: &str) -> Result<()> {
    let text = if file == NONE { None } else { Some(files::read_text(Path::new(file))?) };
    text.as_deref().map(|text| Rules::read(file, text)).transpose()?;
    let _lock = session.lock(name, "retention").await?;
    let (store, _) = Store::existing(name)?;
    Kept::set(&store, text.as_deref())?;
    let kept = Kept::read(&store)?;
    session.events.note(
        None,
        match (kept.text, kept.is_confirmed) {
            (None, _) => format!("`{name}` has no rules any more: all tags stay"),
            (Some(_), true) => "these are the rules that a plan was confirmed by: they go on".to_owned(),
            (Some(_), false) => format!("nothing goes until `provision retention {name} plan` was confirmed"),
        },
    );
    Ok(())
}

fn show(name: &str) -> Result<()> {
    let kept = Kept::read(&Store::existing(name)?.0)?;
    match &kept.text {
        None => report::line("# there are no rules: all tags stay"),
        Some(text) => {
            text.lines().for_each(report::line);
            report::line(if kept.is_confirmed {
                "# confirmed: `provision maintain` carries them out daily"
            } else {
                "# not confirmed: nothing goes by them"
            });
        }
    }
    kept.held.iter().for_each(|image| report::line(&format!("# held: {image}")));
    Ok(())
}

async fn plan(session: &Session, name: &str, only_told: bool, style: Style) -> Result<()> {
    let kept = Kept::read(&Store::existing(name)?.0)?;
    if kept.text.is_none() {
        return Err(Error::new(format!("`{name}` has no rules"))
            .hint(format!("`provision retention {name} set FILE` takes them from a file")));
    }
    let retention = Retention { rules: kept.rules.clone(), held: kept.held.clone(), agreed: None };
    let planned = carry_out(session, name, retention.clone(), Limits::default(), true).await?;
    tell(&planned, style);
    planned.lasting.iter().for_each(|repository| {
        session.events.note(None, format!("no rule says how long manifests without a tag stay in `{repository}`: its space is not freed; add `untagged: 30d`"));
    });
    if only_told {
        return Ok(());
    }
    let count = planned.gone.len();
    if !session.yes {
        let what = format!("this removes these {count} tags now, and daily what the rules say by then.");
        match report::ask(&what, &session.stopper).await? {
            Some(true) => {}
            Some(false) => return Err(Error::new("nothing was done: the answer was not `yes`")),
            None => {
                session.events.note(None, format!("nothing was removed; `provision retention {name} plan --yes` removes what is listed by then, and `provision maintain` the same daily"));
                return Ok(());
            }
        }
    }
    let _lock = session.lock(name, "retention").await?;
    let store = Store::existing(name)?.0;
    if Kept::read(&store)? != kept {
        return Err(Error::new("the rules, or what is held, have changed meanwhile").hint("make another plan"));
    }
    if count > 0 {
        remember(&store, &planned.gone)?;
        carry_out(session, name, Retention { agreed: Some(planned.gone), ..retention }, Limits::default(), false)
            .await?;
    }
    kept.confirm(&store)?;
    session.events.note(None, format!("removed {count} tags; `provision maintain` carries the rules out daily; `provision gc {name} --undelete` puts back what was removed"));
    Ok(())
}

/// Notes what is about to go, so that it can be put back. The deployment is locked.
pub(super) fn remember(store: &Store, gone: &[Gone]) -> Result<()> {
    Removed::add(
        store,
        gone.iter().map(|gone| Removed::untagged(&gone.repository, &gone.digest, [gone.tag.clone()])).collect(),
    )
}

/// Lists what goes, or takes it away.
pub(super) async fn carry_out(
    session: &Session,
    name: &str,
    retention: Retention,
    limits: Limits,
    only_told: bool,
) -> Result<Planned> {
    let place = Place::find(session, name)?;
    let collection = Collection {
        folder: format!("{WATCH}/keys"),
        nginx: 1,
        grace: 0,
        untagged: None,
        rules: Rules::default(),
        held: retention.held.clone(),
        dry_run: only_told,
        program: Vec::new(),
        limits,
        without: Vec::new(),
    };
    match place.carry_out(Job::Retain(Box::new(retention), collection)).await?.checked()? {
        Said::Planned(planned) => Ok(planned),
        _ => Err(Error::new("the run gave no plan")),
    }
}

fn tell(planned: &Planned, style: Style) {
    if style == Style::Json {
        planned.gone.iter().for_each(|gone| report::json(&json!(gone)));
        return;
    }
    let head = ["IMAGE", "PUSHED", "SIZE", "WHY"].map(str::to_owned);
    let rows: Vec<[String; 4]> = std::iter::once(head).chain(planned.gone.iter().map(cells)).collect();
    if planned.gone.is_empty() {
        report::line(&format!("all {} tags stay", planned.tags));
        return;
    }
    aligned(&rows).iter().for_each(|line| report::line(line));
    let bytes = planned.gone.iter().map(|gone| gone.bytes).sum();
    report::line(&format!(
        "{} of {} tags go, {} that nothing else needs",
        planned.gone.len(),
        planned.tags,
        readable(bytes)
    ));
}

fn cells(gone: &Gone) -> [String; 4] {
    let pushed = OffsetDateTime::from_unix_timestamp_nanos(gone.pushed.into()).ok();
    let pushed = pushed.map_or_else(|| "-".to_owned(), |time| time.date().to_string());
    [gone.image(), pushed, readable(gone.bytes), gone.rule.clone()]
}
