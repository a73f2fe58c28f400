//! What a job tells while it goes on, and the report of it: [`Told`].

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::error::Result;
use crate::event::{Event, Events};
use crate::session::Session;
use crate::world::typed;

/// One part of a job.
#[derive(Debug, Serialize)]
struct Step {
    kind: String,
    name: String,
    /// `created`, `checked` for what was verified, and so on.
    action: String,
    milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What is told of a job.
pub(super) struct Told {
    name: String,
    events: Events,
    verbose: bool,
    begun: Instant,
    steps: RefCell<Vec<Step>>,
    registry: RefCell<Option<String>>,
    ready: Cell<Option<u64>>,
    failure: RefCell<Option<String>>,
    code: Cell<Option<u8>>,
}

pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Told {
    pub fn new(name: &str, session: &Session) -> Self {
        Self {
            name: name.to_owned(),
            events: session.events.clone(),
            verbose: session.options.verbose,
            begun: Instant::now(),
            steps: RefCell::default(),
            registry: RefCell::default(),
            ready: Cell::default(),
            failure: RefCell::default(),
            code: Cell::default(),
        }
    }

    /// Notes what happens. Only what a user should know is passed on: the rest of the output is the command's.
    pub async fn listen(&self, events: &mut UnboundedReceiver<Event>) {
        while let Some(event) = events.recv().await {
            self.hear(event);
        }
    }

    /// Notes what has happened and was not heard yet.
    pub fn catch_up(&self, events: &mut UnboundedReceiver<Event>) {
        while let Ok(event) = events.try_recv() {
            self.hear(event);
        }
    }

    fn hear(&self, event: Event) {
        match &event {
            Event::Finished { resource, kind, action, milliseconds } => {
                self.step(kind, resource, action, *milliseconds);
            }
            Event::Failed { resource, kind, error, .. } => {
                self.push(kind, resource, "failed", 0, Some(error.clone()));
            }
            _ => {}
        }
        let quiet = matches!(
            event,
            Event::Started { .. } | Event::Finished { .. } | Event::Summary { .. } | Event::Outputs { .. }
        );
        if !quiet || self.verbose {
            self.events.send(event);
        }
    }

    fn push(&self, kind: &str, name: &str, action: &str, milliseconds: u64, failure: Option<String>) {
        let text = str::to_owned;
        let step = Step { kind: text(kind), name: text(name), action: text(action), milliseconds, failure };
        self.steps.borrow_mut().push(step);
    }

    pub fn step(&self, kind: &str, name: &str, action: &str, milliseconds: u64) {
        self.push(kind, name, action, milliseconds, None);
    }

    pub fn ready(&self, registry: &str, begun: Instant) {
        let milliseconds = milliseconds(begun);
        self.ready.set(Some(milliseconds));
        *self.registry.borrow_mut() = Some(registry.to_owned());
        self.events.note(None, format!("{}: {registry} is ready ({milliseconds} ms)", self.name));
    }

    pub fn command(&self, command: &[String], code: u8, milliseconds: u64) {
        self.code.set(Some(code));
        let failure = (code != 0).then(|| format!("it ended with exit code {code}"));
        self.push("command", &command.join(" "), "run", milliseconds, failure);
    }

    pub fn ended(&self, result: &Result<u8>) {
        *self.failure.borrow_mut() = result.as_ref().err().map(ToString::to_string);
    }

    /// Writes the report: `JUnit` for a name that ends in `.xml`, otherwise JSON.
    pub fn write(&self, path: &str) -> Result<()> {
        let junit = Path::new(path).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xml"));
        let text = if junit { self.junit() } else { self.json() };
        typed::write(path, text.as_bytes(), 0o644, true)
    }

    fn json(&self) -> String {
        let report = serde_json::json!({
            "name": self.name,
            "registry": *self.registry.borrow(),
            "ready_milliseconds": self.ready.get(),
            "milliseconds": milliseconds(self.begun),
            "exit_code": self.code.get(),
            "error": *self.failure.borrow(),
            "steps": *self.steps.borrow(),
        });
        format!("{report:#}\n")
    }

    fn junit(&self) -> String {
        let steps = self.steps.borrow();
        let failures = steps.iter().filter(|step| step.failure.is_some()).count();
        let seconds = |milliseconds: u64| format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" time=\"{}\">\n",
            escaped(&self.name),
            steps.len(),
            seconds(milliseconds(self.begun)),
        );
        for step in steps.iter() {
            let case = format!(
                "    <testcase classname=\"{}\" name=\"{} {}\" time=\"{}\"",
                escaped(&step.kind),
                escaped(&step.action),
                escaped(&step.name),
                seconds(step.milliseconds)
            );
            text.push_str(&match &step.failure {
                Some(failure) => {
                    format!("{case}>\n      <failure message=\"{}\"/>\n    </testcase>\n", escaped(failure))
                }
                None => format!("{case}/>\n"),
            });
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

/// A text as an attribute of XML 1.0, without the control characters that it cannot hold.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
