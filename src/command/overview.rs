//! All deployments at a glance: `provision status` without a name, and the end of it with one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::OnceCell;
use tokio::sync::mpsc::unbounded_channel;

use crate::deployment::measured::{Look, Maintained, Measured, Space};
use crate::deployment::{self, Record, Store, lock};
use crate::error::{Error, Result};
use crate::event::{
    BackupEvent, CertificateEvent, DeploymentEvent, Event, Events, SpaceEvent, UpkeepEvent, WrongEvent,
};
use crate::execution::plan::Plan;
use crate::formats::x509;
use crate::resource::change::{Action, Change};
use crate::resource::fact::{Fact, up_since};
use crate::resource::pki::htpasswd::own_users;
use crate::resource::pki::{certificate, certificate_file};
use crate::resource::run::Run;
use crate::session::{Prepared, Session};
use crate::world::engine::Engine;
use crate::world::stop::Stopper;
use crate::world::{files, host};

/// How long the looks at all deployments may take, so that all of it is told within two seconds.
const LIMIT: Duration = Duration::from_millis(1500);
/// A look that takes longer than this is remembered: the next one may take too long.
const SLOW: Duration = Duration::from_millis(500);
/// How long data may be counted where one deployment is asked for.
const PATIENCE: Duration = Duration::from_mins(2);

/// What came of counting the bytes of all data.
enum Count {
    Done(SpaceEvent),
    /// There is nothing to count, or a part of it cannot be counted.
    Unknown,
    /// The time was over before.
    Late,
}

/// What the looks at several deployments share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The sizes of the engine's volumes: it counts them once at a time.
    volumes: OnceCell<Option<BTreeMap<String, u64>>>,
}

/// Tells of every deployment; true if something is wrong with one of them.
pub(crate) async fn all(session: &Session) -> Result<bool> {
    let shared = Shared::default();
    let names = deployment::names()?;
    let looks = join_all(names.iter().map(|name| glance(session, name, &shared)));
    let (mut rows, silent) = join(looks, silence(session)).await;
    for row in rows.iter_mut().filter(|row| row.looked.is_none() && row.state != "kept") {
        let last = !row.notes.is_empty();
        let unknown = || WrongEvent {
            resource: None,
            what: format!("it cannot be looked at within {} s", LIMIT.as_secs_f32()),
            hint: Some(patient(&row.deployment)),
        };
        row.wrong.extend(silent.clone().or_else(|| (!last && row.wrong.is_empty()).then(unknown)));
    }
    rows.iter_mut().for_each(settle);
    Ok(tell(session, rows))
}

/// The overview of one that was compared already.
pub(crate) async fn one(session: &Session, prepared: &Prepared, plan: &Plan) -> Result<bool> {
    let store = &prepared.run.store;
    let mut row = known(store, &prepared.record, prepared.run.now);
    complete(&mut row, prepared, plan);
    let (before, begun) = (Measured::read(store), Instant::now());
    let mut measured = before.clone();
    if let Count::Done(space) = measure(&prepared.run, plan, &Shared::default(), PATIENCE).await {
        keep_space(space, &mut row, &mut measured);
        measured.slow = begun.elapsed() >= LIMIT;
    }
    // A look at all of them has shown that this one takes long.
    measured.look = measured.look.map(|_| look(&row));
    if measured != before {
        measured.keep(store);
    }
    settle(&mut row);
    Ok(tell(session, vec![row]))
}

fn tell(session: &Session, deployments: Vec<DeploymentEvent>) -> bool {
    let wrong = deployments.iter().filter(|row| row.state == "wrong").count();
    session.events.send(Event::Overview { deployments, wrong });
    wrong > 0
}

fn settle(row: &mut DeploymentEvent) {
    if row.state == "ok" && !row.wrong.is_empty() {
        row.state = "wrong";
    }
}

fn wrong(error: &Error) -> WrongEvent {
    WrongEvent { resource: None, what: error.to_string(), hint: error.next_step().map(str::to_owned) }
}

/// What is wrong if the engine answers nothing in time. One that is not there is told by the looks themselves.
async fn silence(session: &Session) -> Option<WrongEvent> {
    let engine = Engine::connect(session.watcher()).ok()?;
    if tokio::time::timeout(LIMIT, engine.answers()).await.is_ok() {
        return None;
    }
    let seconds = LIMIT.as_secs_f32();
    let error = Error::new(format!("the engine at `{}` does not answer within {seconds} s", engine.address()));
    Some(wrong(&error.hint("its host may be overloaded; `docker version` shows whether it answers at all")))
}

/// A look at one deployment in the time that there is.
async fn glance(session: &Session, name: &str, shared: &Shared) -> DeploymentEvent {
    let (sender, mut receiver) = unbounded_channel();
    let quiet = Session { events: Events::new(sender), stopper: Stopper::default(), ..session.clone() };
    let mut row = match Store::existing(name) {
        Ok((store, record)) => within(&quiet, &store, &record, shared).await,
        Err(error) => DeploymentEvent { wrong: vec![wrong(&error)], ..empty(name, "") },
    };
    let mut notes = BTreeSet::new();
    while let Ok(event) = receiver.try_recv() {
        match event {
            Event::Note { text, .. } | Event::Warning { text } => drop(notes.insert(text)),
            event @ (Event::Engine { .. } | Event::Request { .. }) => session.events.send(event),
            _ => {}
        }
    }
    row.notes.extend(notes);
    row
}

async fn within(session: &Session, store: &Store, record: &Record, shared: &Shared) -> DeploymentEvent {
    let started = Instant::now();
    let mut row = known(store, record, host::now());
    if row.state == "kept" {
        return row;
    }
    let name = store.name();
    let looked = async {
        let prepared = session.reopen(name)?;
        let plan = Plan::make(&prepared.graph, &prepared.run, &prepared.record.kinds).await?;
        Ok::<_, Error>((prepared, plan))
    };
    match tokio::time::timeout(LIMIT, looked).await {
        Ok(Ok((prepared, plan))) => {
            complete(&mut row, &prepared, &plan);
            let before = Measured::read(store);
            let mut measured = before.clone();
            measured.look = (started.elapsed() >= SLOW).then(|| look(&row));
            if !measured.slow {
                match measure(&prepared.run, &plan, shared, LIMIT.saturating_sub(started.elapsed())).await {
                    Count::Done(space) => keep_space(space, &mut row, &mut measured),
                    Count::Late => measured.slow = true,
                    Count::Unknown => {}
                }
            }
            if measured.slow {
                row.notes.push(format!("counting its data takes long: `provision status {name}` does it anew"));
            }
            if measured != before {
                measured.keep(store);
            }
        }
        Ok(Err(error)) => {
            row.looked = time(host::now());
            row.wrong.push(wrong(&error));
        }
        Err(_) => late(&mut row, store),
    }
    row
}

/// A look took too long: how it was at the last one counts.
fn late(row: &mut DeploymentEvent, store: &Store) {
    let mut measured = Measured::read(store);
    if let Some(last) = measured.look.clone().filter(|last| !last.time.is_empty()) {
        row.notes.push(format!("measured at {}; {}", last.time, patient(&row.deployment)));
        row.up_since = last.up_since;
        row.wrong.extend(last.wrong);
    } else {
        // From now on a look that waits is remembered.
        measured.look = Some(Look::default());
        measured.keep(store);
    }
}

fn patient(name: &str) -> String {
    format!("`provision status {name}` waits for what takes longer than {} s", LIMIT.as_secs_f32())
}

fn look(row: &DeploymentEvent) -> Look {
    let time = row.looked.clone().unwrap_or_default();
    Look { time, up_since: row.up_since.clone(), wrong: row.wrong.clone() }
}

fn keep_space(space: SpaceEvent, row: &mut DeploymentEvent, measured: &mut Measured) {
    measured.space = Some(Space { bytes: space.bytes, time: space.measured.clone() });
    row.space = Some(space);
}

fn empty(name: &str, playbook: &str) -> DeploymentEvent {
    DeploymentEvent {
        deployment: name.to_owned(),
        playbook: playbook.to_owned(),
        state: "ok",
        url: None,
        up_since: None,
        certificate: None,
        space: None,
        backup: None,
        users: Vec::new(),
        upkeep: None,
        looked: None,
        wrong: Vec::new(),
        notes: Vec::new(),
    }
}

/// What stands in the deployment's own folder, or was measured before.
fn known(store: &Store, record: &Record, now: OffsetDateTime) -> DeploymentEvent {
    let mut row = empty(store.name(), &record.playbook.name);
    let measured = Measured::read(store);
    row.backup =
        measured.backup.map(|backup| BackupEvent { file: backup.file, bytes: backup.bytes, time: backup.time });
    row.space = measured.space.map(|space| SpaceEvent { bytes: space.bytes, measured: space.time, fresh: false });
    if record.kept {
        row.state = "kept";
        return row;
    }
    if let Some(last) = measured.upkeep {
        looked_after(&mut row, last);
    }
    row.url = record.outputs.get("url").cloned();
    let ends = certificate::first_end(store).unwrap_or_default();
    row.certificate = ends.and_then(|end| Some(CertificateEvent { ends: time(end)?, days: days(end, now) }));
    row.users = users(store).unwrap_or_default();
    if record.restoring {
        row.wrong.extend(record.check_whole(store.name()).err().as_ref().map(wrong));
    }
    match lock::holder(store.name()).ok().flatten() {
        Some(holder) if holder.works => {
            row.state = "busy";
            row.notes.push(format!("{} works on it", holder.words));
        }
        Some(holder) => row.wrong.push(WrongEvent {
            resource: None,
            what: format!("{} was interrupted", holder.words),
            hint: Some(format!("`provision apply {}` goes on from there", store.name())),
        }),
        None => {}
    }
    row
}

/// Adds what came of the last upkeep.
fn looked_after(row: &mut DeploymentEvent, last: Maintained) {
    let Maintained { time, code, line } = last;
    if code == 0 {
        row.notes.push(format!("maintenance at {time}: {line}"));
    } else {
        let name = &row.deployment;
        let hint = Some(format!("`provision maintain {name}` runs it again"));
        row.wrong.push(WrongEvent { resource: None, what: format!("maintenance at {time}: {line}"), hint });
    }
    row.upkeep = Some(UpkeepEvent { time, code, line });
}

/// Whole days until then; less than nothing if it is over.
fn days(end: OffsetDateTime, now: OffsetDateTime) -> i64 {
    if end < now { x509::days_until(end, now).min(0) - 1 } else { (end - now).whole_days() }
}

fn users(store: &Store) -> Result<Vec<String>> {
    let mut users = BTreeSet::new();
    for id in store.names("htpasswd")? {
        users.extend(own_users(&id, store)?.into_keys());
    }
    Ok(users.into_iter().collect())
}

/// Adds what the comparison has found.
fn complete(row: &mut DeploymentEvent, prepared: &Prepared, plan: &Plan) {
    row.looked = time(prepared.run.now);
    row.up_since = up_since(&plan.facts).and_then(time);
    watch_certificate(row, plan, prepared.run.now);
    if row.state == "busy" {
        // What is half done is not wrong.
        return;
    }
    let Prepared { graph, run, .. } = prepared;
    let name = run.store.name();
    row.notes.extend(plan.unused_told(name));
    let mend = format!("`provision plan {name}` shows it, and `provision apply {name}` mends it");
    let changes = graph.order.iter().map(|id| (id, &plan.changes[id]));
    for (id, change) in changes.filter(|(_, change)| !matches!(change.action, Action::Unchanged | Action::Check)) {
        row.wrong.push(WrongEvent {
            resource: Some(id.clone()),
            what: format!("{} {id} {}", graph.nodes[id].kind.name, told(change)),
            hint: Some(mend.clone()),
        });
    }
    row.wrong.extend(plan.deletions.iter().map(|(kind, owned)| WrongEvent {
        resource: None,
        what: format!("{} {} is there, and the playbook no longer names it", kind.name, owned.label),
        hint: Some(mend.clone()),
    }));
    if row.wrong.is_empty() && !plan.is_empty() {
        // A check that failed, or that could not be made.
        let checks = graph.order.iter().filter(|id| plan.changes[*id].is_change());
        row.wrong.extend(checks.map(|id| WrongEvent {
            resource: Some(id.clone()),
            what: format!("{} {id} {}", graph.nodes[id].kind.name, told(&plan.changes[id])),
            hint: Some(mend.clone()),
        }));
    }
}

/// Tells the end of a certificate that somebody else manages, and that it is wrong if it is near: nobody here renews it.
fn watch_certificate(row: &mut DeploymentEvent, plan: &Plan, now: OffsetDateTime) {
    let Some(end) = certificate_file::first_end(&plan.facts) else { return };
    let left = days(end, now);
    if row.certificate.as_ref().is_none_or(|own| left < own.days) {
        row.certificate = time(end).map(|ends| CertificateEvent { ends, days: left });
    }
    if end - now < certificate_file::SOON {
        row.wrong.push(WrongEvent {
            resource: None,
            what: format!("its certificate, which another program manages, ends in {left} days"),
            hint: Some(format!("renew it there, then `provision apply {}` puts it in use", row.deployment)),
        });
    }
}

/// How a resource is not as it should be: `differs: mode`.
fn told(change: &Change) -> String {
    let state = match change.action {
        Action::Create => "is missing",
        Action::Check if change.fields.is_empty() => "is to be checked",
        _ => "differs",
    };
    let fields: Vec<&str> = change.fields.iter().map(|field| field.name.as_str()).collect();
    let parts = [Some(fields.join(", ")).filter(|fields| !fields.is_empty()), change.reason.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { state.to_owned() } else { format!("{state}: {}", parts.join("; ")) }
}

/// Counts the bytes of all data in the time that there is.
async fn measure(run: &Arc<Run>, plan: &Plan, shared: &Shared, limit: Duration) -> Count {
    let end = Instant::now() + limit;
    let places: Vec<&Fact> = plan
        .facts
        .iter()
        .filter(|fact| !matches!(fact, Fact::Up(_) | Fact::Mount { .. } | Fact::CertificateEnd(_)))
        .collect();
    if places.is_empty() {
        return Count::Unknown;
    }
    let counts = places.into_iter().map(|fact| async move {
        match fact {
            Fact::Volume(name) => volume(run, plan, name, shared).await,
            Fact::Bucket { place, name } => run.aws(place).await.ok()?.size(name).await.ok(),
            Fact::Folder(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || files::space(&path, end)).await.ok()?
            }
            Fact::Up(_) | Fact::Mount { .. } | Fact::CertificateEnd(_) => None,
        }
    });
    match tokio::time::timeout(limit, join_all(counts)).await {
        Err(_) => Count::Late,
        Ok(counts) => {
            let bytes: Option<u64> = counts.into_iter().sum();
            let event = bytes.and_then(|bytes| Some(SpaceEvent { bytes, measured: time(host::now())?, fresh: true }));
            event.map_or(if Instant::now() >= end { Count::Late } else { Count::Unknown }, Count::Done)
        }
    }
}

/// The bytes in a volume: as a container counts them that has it, else as the engine does, which may count far more.
async fn volume(run: &Arc<Run>, plan: &Plan, name: &str, shared: &Shared) -> Option<u64> {
    let engine = run.engine().await.ok()?;
    let mount = plan.facts.iter().find_map(|fact| match fact {
        Fact::Mount { container, path, volume } if volume == name => Some((container, path)),
        _ => None,
    });
    if let Some((container, path)) = mount {
        // POSIX has it count in kibibytes.
        let counted = engine.execute(container, &["du", "-sk", path].map(str::to_owned)).await;
        let counted = counted.ok().filter(|counted| counted.code == 0);
        let kibibytes = counted.and_then(|counted| counted.output.split_whitespace().next()?.parse::<u64>().ok());
        if let Some(kibibytes) = kibibytes {
            return Some(kibibytes << 10);
        }
    }
    let sizes = shared.volumes.get_or_init(async || engine.volume_sizes().await.ok());
    sizes.await.as_ref()?.get(name).copied()
}

/// A time as events have it, in whole seconds.
fn time(time: OffsetDateTime) -> Option<String> {
    time.replace_nanosecond(0).ok()?.format(&Rfc3339).ok()
}
