//! Who is told that something fails: once for each thing that is looked after, and once more when that is mended.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value as Json, json};
use time::format_description::well_known::Rfc3339;

use super::Failures;
use crate::deployment::measured::Measured;
use crate::deployment::upkeep::Receiver;
use crate::deployment::{Record, Store};
use crate::error::{Error, Result};
use crate::world::http::Route;
use crate::world::web::{Ask, Trust, Web};
use crate::world::{host, process};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells what was not told yet.
///
/// # Errors
/// The receiver cannot be told: then the next run tries again.
pub(super) async fn tell(store: &Store, record: &Record, failures: &Failures) -> Result<()> {
    let Some(receiver) = &record.upkeep.notify else { return Ok(()) };
    let before = Measured::read(store).told;
    let mut told = before.clone();
    let mut last = Ok(());
    for (task, error) in failures.iter().filter(|(task, _)| !before.contains(**task)) {
        let message = message(store, record, task, "failed", Some(error));
        match send(receiver, record, &message).await {
            Ok(()) => drop(told.insert((*task).to_owned())),
            Err(error) => last = Err(error),
        }
    }
    // Where not even a look was possible, it is not known whether anything else is mended.
    let mended = before.iter().filter(|task| !failures.contains_key(task.as_str()) && !failures.contains_key("look"));
    for task in mended.cloned().collect::<BTreeSet<String>>() {
        match send(receiver, record, &message(store, record, &task, "mended", None)).await {
            Ok(()) => drop(told.remove(&task)),
            Err(error) => last = Err(error),
        }
    }
    if told != before {
        let mut measured = Measured::read(store);
        measured.told = told;
        measured.keep(store);
    }
    last
}

fn message(store: &Store, record: &Record, task: &str, state: &str, error: Option<&Error>) -> Json {
    json!({
        "deployment": store.name(),
        "playbook": record.playbook.name,
        "host": host::name(),
        "time": host::now().replace_nanosecond(0).ok().and_then(|now| now.format(&Rfc3339).ok()),
        "task": task,
        "state": state,
        "what": error.map(ToString::to_string),
        "hint": error.and_then(Error::next_step),
    })
}

async fn send(receiver: &Receiver, record: &Record, message: &Json) -> Result<()> {
    let text = format!("{message}\n");
    if !receiver.is_url() {
        let command: Vec<String> = receiver.expose().split_whitespace().map(str::to_owned).collect();
        return process::feed(&command, text.as_bytes()).await.map_err(|error| error.within("`--notify`"));
    }
    tokio::time::timeout(PATIENCE, post(receiver.expose(), record, text))
        .await
        .unwrap_or_else(|_| Err(Error::new(format!("`--notify`: no answer within {} s", PATIENCE.as_secs()))))
}

/// Its address is told nowhere: it may hold a token.
async fn post(url: &str, record: &Record, text: String) -> Result<()> {
    let place = url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let place = place.unwrap_or_default().rsplit('@').next().unwrap_or_default();
    let proxy = record.proxies.as_ref().and_then(|proxies| proxies.of_url(url));
    let web = Web::new(place, &proxy.map_or(Route::Direct, Route::Through), &Trust::System(&[]))?;
    let headers = vec![("Content-Type", "application/json".to_owned())];
    let ask = Ask { method: "POST", url, headers, body: text.into(), wait: PATIENCE };
    let failed = |why: String| {
        Error::new(format!("`--notify`: `{place}` did not take the notification: {why}"))
            .hint("check the receiver; set another one with `--notify`")
    };
    let reply = web.send(&ask).await.map_err(|lost| failed(lost.reason))?;
    if (200..300).contains(&reply.status()) { Ok(()) } else { Err(failed(format!("it answered {}", reply.status()))) }
}
