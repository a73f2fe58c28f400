//! What a run would do, found out by reading alone: [`Plan`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::execution::graph::{Graph, Id, Vertex};
use crate::execution::{gap, shown, unused};
use crate::resource::change::{Action, Change};
use crate::resource::fact::Fact;
use crate::resource::run::Run;
use crate::resource::{At, Entry, Outputs, Owned};
use crate::world::flush;

pub(crate) struct Plan {
    pub changes: BTreeMap<Id, Change>,
    /// Things of this deployment that the playbook no longer names.
    pub deletions: Vec<(&'static Entry, Owned)>,
    /// The same with data in it, which stays until it is said to go.
    pub unused: Vec<(&'static Entry, Owned)>,
    /// Resources that change, or that need one that does.
    pub touched: BTreeSet<Id>,
    /// The outputs as they are now, as far as they are known.
    pub known: BTreeMap<Id, Outputs>,
    /// What the resources tell of the whole deployment.
    pub facts: Vec<Fact>,
}

/// The outputs found so far, for all resources that run at the same time.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<BTreeMap<Id, Outputs>>);

impl Known {
    pub fn insert(&self, id: &Id, outputs: Outputs) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), outputs);
    }

    pub fn has(&self, id: &Id) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    pub fn fields(&self, graph: &Graph, id: &Id) -> Result<serde_json::Value> {
        graph.fields(id, &self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn into_inner(self) -> BTreeMap<Id, Outputs> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Visits every resource as soon as all that `needs` says of it has been visited; what can go on at the same time does.
/// After a failure nothing new is begun, and the failure is told once all that was begun has ended.
pub(crate) async fn visit<F: Future<Output = Result<()>>>(
    graph: &Graph,
    needs: fn(&Vertex) -> &BTreeSet<Id>,
    mut begin: impl FnMut(Id) -> F,
) -> Result<()> {
    let mut queue = Queue::new(graph, needs);
    let mut running = FuturesUnordered::new();
    let mut failure: Option<Error> = None;
    loop {
        flush::steps_begin(queue.ready.len());
        while let Some(id) = queue.ready.pop_front().filter(|_| failure.is_none()) {
            let work = begin(id.clone());
            running.push(async move { (id, work.await) });
        }
        match running.next().await {
            Some((id, Ok(()))) => queue.visited(id),
            Some((_, Err(error))) if error.is_decisive() => failure = Some(error),
            Some((_, Err(error))) => drop(failure.get_or_insert(error)),
            None => return failure.map_or(Ok(()), Err),
        }
    }
}

/// The resources that are still to be visited, in the order of the graph.
struct Queue<'g> {
    /// Those that wait for nothing any more.
    ready: VecDeque<&'g Id>,
    /// How many each of the others waits for.
    missing: HashMap<&'g Id, usize>,
    /// Who waits for each.
    waiting: HashMap<&'g Id, Vec<&'g Id>>,
}

impl<'g> Queue<'g> {
    fn new(graph: &'g Graph, needs: fn(&Vertex) -> &BTreeSet<Id>) -> Self {
        let mut queue = Self { ready: VecDeque::new(), missing: HashMap::new(), waiting: HashMap::new() };
        for id in &graph.order {
            let needs = needs(&graph.nodes[id]);
            if needs.is_empty() {
                queue.ready.push_back(id);
                continue;
            }
            queue.missing.insert(id, needs.len());
            needs.iter().for_each(|need| queue.waiting.entry(need).or_default().push(id));
        }
        queue
    }

    fn visited(&mut self, id: &Id) {
        for next in self.waiting.remove(id).into_iter().flatten() {
            let Some(missing) = self.missing.get_mut(next) else { continue };
            *missing -= 1;
            if *missing == 0 {
                self.ready.push_back(next);
            }
        }
    }
}

/// What is planned so far, for all resources that are looked at at the same time.
#[derive(Debug, Default)]
struct Progress(Mutex<Planned>);

#[derive(Debug, Default)]
struct Planned {
    changes: BTreeMap<Id, Change>,
    touched: BTreeSet<Id>,
    facts: Vec<Fact>,
    failed: bool,
    /// Who is woken once a resource is planned.
    waiting: HashMap<Id, Vec<oneshot::Sender<()>>>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Planned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, id: Id, needs: &BTreeSet<Id>, change: Change, facts: Vec<Fact>) {
        let mut planned = self.lock();
        planned.facts.extend(facts);
        if change.is_change() || needs.iter().any(|need| planned.touched.contains(need)) {
            planned.touched.insert(id.clone());
        }
        let woken = planned.waiting.remove(&id);
        planned.changes.insert(id, change);
        woken.into_iter().flatten().for_each(|waiter| waiter.send(()).unwrap_or_default());
    }

    fn fail(&self) {
        let mut planned = self.lock();
        planned.failed = true;
        // Whoever waits is woken by the end of the other side.
        planned.waiting.clear();
    }

    /// Waits until all of these are planned, or one of them is touched; true if one is, or there will be no plan.
    async fn touches(&self, needs: &BTreeSet<Id>) -> bool {
        for need in needs {
            let waits = {
                let mut planned = self.lock();
                if planned.failed || planned.touched.contains(need) {
                    return true;
                }
                if planned.changes.contains_key(need) {
                    continue;
                }
                let (waiter, waits) = oneshot::channel();
                planned.waiting.entry(need.clone()).or_default().push(waiter);
                waits
            };
            if waits.await.is_err() || self.lock().touched.contains(need) {
                return true;
            }
        }
        false
    }
}

/// A look at something that only follows needs no more than the values that it is told.
fn needs_to_look(vertex: &Vertex) -> &BTreeSet<Id> {
    if vertex.kind.follows { &vertex.uses } else { &vertex.needs }
}

/// Where a resource of the graph stands in a run.
pub(crate) fn at(graph: &Graph, run: &Arc<Run>, id: &Id) -> At {
    At { id: id.clone(), kind: graph.nodes[id].kind.name, run: run.clone() }
}

/// Reads the fields of a resource, with errors at their places.
pub(crate) fn decode(graph: &Graph, id: &Id, known: &Known, at: &At) -> Result<Box<dyn std::any::Any + Send + Sync>> {
    let fields = known.fields(graph, id)?;
    let kind = graph.nodes[id].kind;
    let mut spec = (kind.decode)(fields).map_err(|error| {
        let text = error.inner().to_string();
        graph.locate(id, error.path(), Error::new(format!("{} `{id}`: {text}", kind.name)))
    })?;
    (kind.complete)(&mut spec, at)?;
    Ok(spec)
}

impl Plan {
    /// Compares every resource with what there is. Sends nothing but reading requests.
    ///
    /// # Errors
    /// Whatever would make the run fail and can be known now, such as a name or a port that somebody else holds.
    pub async fn make(graph: &Graph, run: &Arc<Run>, kinds: &BTreeSet<String>) -> Result<Self> {
        // It only reads: nothing keeps a signal waiting.
        run.interruptible(Self::compare(graph, run, kinds)).await
    }

    async fn compare(graph: &Graph, run: &Arc<Run>, kinds: &BTreeSet<String>) -> Result<Self> {
        let known = Known::default();
        let progress = Progress::default();
        let examine = |id: Id| {
            let (known, progress) = (&known, &progress);
            async move {
                // Boxed, so that what has not begun yet takes no room.
                let examined = Box::pin(Self::examine(graph, run, &id, known, progress)).await;
                let (change, facts) = examined.inspect_err(|_| progress.fail())?;
                progress.insert(id.clone(), &graph.nodes[&id].needs, change, facts);
                Ok(())
            }
        };
        let (visited, deletions) =
            futures_util::future::join(visit(graph, needs_to_look, examine), Self::deletions(graph, run, kinds)).await;
        visited?;
        let mut planned = progress.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let known = known.into_inner();
        let (unused, deletions) = deletions?.into_iter().partition(unused::stays);
        shown::show(&mut planned.changes, graph, &known);
        gap::tell(&mut planned.changes, graph);
        Ok(Self { changes: planned.changes, deletions, unused, touched: planned.touched, facts: planned.facts, known })
    }

    async fn examine(
        graph: &Graph,
        run: &Arc<Run>,
        id: &Id,
        known: &Known,
        progress: &Progress,
    ) -> Result<(Change, Vec<Fact>)> {
        let vertex = &graph.nodes[id];
        let at = at(graph, run, id);
        let look = async {
            let spec = decode(graph, id, known, &at)?;
            (vertex.kind.examine)(&spec, &at).await.map_err(|error| located(graph, id, error))
        };
        let examined = if vertex.kind.follows {
            let (touches, look) = (progress.touches(&vertex.needs), look);
            tokio::pin!(touches, look);
            // It is looked at while the others are, and what it shows counts only if they stay as they are.
            let early = tokio::select! {
                touched = &mut touches => if touched { None } else { Some(look.await) },
                looked = &mut look => if touches.await { None } else { Some(looked) },
            };
            let Some(examined) = early else {
                known.insert(id, Outputs::default());
                return Ok((Change::new(Action::Check), Vec::new()));
            };
            examined?
        } else {
            look.await?
        };
        known.insert(id, examined.outputs);
        Ok((examined.change, examined.facts))
    }

    /// What exists of this deployment and has no resource any more.
    async fn deletions(
        graph: &Graph,
        run: &Arc<Run>,
        kinds: &BTreeSet<String>,
    ) -> Result<Vec<(&'static Entry, Owned)>> {
        let mut used: BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
        used.extend(graph.nodes.values().map(|vertex| vertex.kind.name));
        Ok(unused::gone(unused::owned(run, &used).await?, graph))
    }

    pub fn is_empty(&self) -> bool {
        self.deletions.is_empty() && self.changes.values().all(|change| !change.is_change())
    }

    /// What would be deleted and cannot be made again.
    pub fn data(&self) -> Vec<String> {
        let replaced = self.changes.iter().filter(|(_, change)| change.data).map(|(id, change)| {
            let path = change.fields.iter().find(|field| field.name == "path").map(|field| field.old.clone());
            path.unwrap_or_else(|| id.clone())
        });
        let deleted = self
            .deletions
            .iter()
            .filter(|(_, owned)| owned.data)
            .map(|(kind, owned)| format!("{} {}", kind.name, owned.label));
        replaced.chain(deleted).collect()
    }

    /// What is no longer used, each as a sentence.
    pub fn unused_told(&self, name: &str) -> Vec<String> {
        unused::told(&self.unused, name)
    }

    fn count(&self, action: Action) -> usize {
        self.changes.values().filter(|change| change.action == action).count()
    }

    /// Tells the plan, resource by resource in the order of the graph, and what is to become of the timer.
    pub fn tell(&self, graph: &Graph, run: &Run, timer: Option<(Action, Event)>) {
        if !self.is_empty() {
            graph.warn(run);
        }
        for id in graph.order.iter().filter(|id| self.changes[*id].is_change()) {
            run.events.send(self.changes[id].event(graph, id));
        }
        for (kind, owned) in &self.deletions {
            run.events.send(Event::Planned {
                resource: owned.label.clone(),
                kind: kind.name,
                action: Action::Delete.word(),
                fields: Vec::new(),
                reason: Some("the playbook no longer names it".to_owned()),
            });
        }
        let (of_timer, event) = timer.unzip();
        event.into_iter().for_each(|event| run.events.send(event));
        let timer = |action| usize::from(of_timer == Some(action));
        self.unused_told(run.store.name()).into_iter().for_each(|text| run.events.note(None, text));
        run.events.send(Event::Plan {
            deployment: run.store.name().to_owned(),
            create: self.count(Action::Create) + timer(Action::Create),
            update: self.count(Action::Update) + timer(Action::Update),
            replace: self.count(Action::Replace),
            delete: self.deletions.len() + timer(Action::Delete),
            check: self.count(Action::Check),
            unchanged: self.count(Action::Unchanged),
        });
    }
}

impl Change {
    /// What a plan says of one resource.
    pub fn event(&self, graph: &Graph, id: &Id) -> Event {
        Event::Planned {
            resource: id.clone(),
            kind: graph.nodes[id].kind.name,
            action: self.action.word(),
            fields: self.events(),
            reason: self.reason.clone(),
        }
    }
}

/// Says of which resource an error is.
pub(crate) fn located(graph: &Graph, id: &Id, error: Error) -> Error {
    error.within(format!("{} `{id}`", graph.nodes[id].kind.name))
}
