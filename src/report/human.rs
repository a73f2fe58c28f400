//! Events for people: what is being done on a terminal's last lines, what is done above them.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::clean::{clean, clean_line};
use super::{output, overview};
use crate::event::{Event, FieldEvent, LineChange, LineEvent, RenderedFile};

/// How wide the column of actions is.
const WIDTH: usize = 9;
/// How many lines of a file are shown at most.
const LINES: usize = 40;

pub(super) struct Human {
    display: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    live: bool,
    colour: bool,
}

impl Human {
    pub fn new() -> Self {
        let live = std::io::stderr().is_terminal();
        let colour = live && std::io::stdout().is_terminal() && crate::world::host::variable("NO_COLOR").is_none();
        Self { display: MultiProgress::new(), bars: BTreeMap::new(), live, colour }
    }

    pub fn tell(&mut self, event: &Event) {
        match event {
            Event::Planned { resource, kind, action, fields, reason } => {
                self.planned(resource, kind, action, fields, reason.as_deref());
            }
            Event::Plan { deployment, create, update, replace, delete, check, .. } => {
                Self::plan(
                    deployment,
                    [
                        (*create, "to create"),
                        (*update, "to update"),
                        (*replace, "to replace"),
                        (*delete, "to delete"),
                        (*check, "to check"),
                    ],
                );
            }
            Event::Started { resource, kind, action } => self.started(resource, kind, action),
            Event::Progress { resource, text, done, total } => self.progress(resource, text, *done, *total),
            Event::Warning { text } => self.aside(&clean_line(&format!("warning: {text}"))),
            Event::Note { text, .. } => self.aside(&clean_line(&format!("note: {text}"))),
            Event::Finished { resource, kind, action, milliseconds } => {
                self.finish(resource);
                self.aside(&self.acted(action, &format!("{kind} {resource} ({})", seconds(*milliseconds))));
            }
            Event::Failed { resource, kind, .. } => {
                self.finish(resource);
                self.aside(&self.acted("failed", &format!("{kind} {resource}")));
            }
            Event::Undone { resource, kind, error } => match error {
                None => self.aside(&self.acted("undone", &format!("{kind} {resource}"))),
                Some(error) => self.aside(&self.acted("not undone", &format!("{kind} {resource}: {error}"))),
            },
            Event::Status { resource, kind, state, fields, reason } => {
                self.planned(resource, kind, state, fields, reason.as_deref());
            }
            Event::Overview { deployments, .. } => overview::lines(deployments).iter().for_each(|text| line(text)),
            Event::Engine { address, api } => self.aside(&format!("engine: {address}, API {api}")),
            Event::Request { method, path } => {
                let who = if path.starts_with('/') { "engine" } else { "aws" };
                self.aside(&clean_line(&format!("{who}: {method} {path}")));
            }
            Event::Outputs { outputs, .. } => Self::outputs(outputs),
            Event::Rendered { files, commands, .. } => Self::rendered(files, commands),
            Event::Finding { danger, place, what, consequence, remedy } => {
                output::out(&self.acted(danger, &format!("{place}: {what}")));
                line(&format!("{:WIDTH$} so: {consequence}", ""));
                line(&format!("{:WIDTH$} {remedy}", ""));
            }
            Event::Image { name, digest, state, .. } => {
                self.finish(name);
                let digest = digest.as_ref().map_or_else(String::new, |digest| format!("@{digest}"));
                output::out(&self.acted(state, &format!("{name}{digest}")));
            }
            Event::Adopted { file, commands, root } => Self::adopted(file, commands, *root),
            Event::Summary { deployment, changed, milliseconds, outcome } => {
                Self::summary(deployment, *changed, *milliseconds, outcome);
            }
        }
    }

    fn rendered(files: &[RenderedFile], commands: &[String]) {
        let width = files.iter().map(|file| file.owner.len()).max().unwrap_or_default();
        files.iter().for_each(|file| line(&format!("{}  {:width$}  {}", file.mode, file.owner, file.path)));
        line("what remains, as root on the host:");
        commands.iter().for_each(|command| line(&format!("  {command}")));
    }

    fn adopted(file: &str, commands: &[String], root: bool) {
        line(&format!("wrote {file}, for this user alone: it may hold secrets"));
        line(if root { "what remains, as root on the host:" } else { "what remains:" });
        commands.iter().for_each(|command| line(&format!("  {command}")));
    }

    fn planned(&self, resource: &str, kind: &str, action: &str, fields: &[FieldEvent], reason: Option<&str>) {
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        output::out(&self.acted(action, &format!("{kind} {resource}{reason}")));
        fields.iter().for_each(|field| self.field(field));
    }

    fn field(&self, field: &FieldEvent) {
        if !field.lines.is_empty() {
            output::out(&format!("{:WIDTH$}   {}:", "", clean_line(&field.field)));
            return self.lines(&field.lines);
        }
        let text = format!("{}: {} → {}", field.field, field.old, field.new);
        output::out(&format!("{:WIDTH$}   {}", "", clean_line(&text)));
    }

    /// The lines of a file that change, up to so many.
    fn lines(&self, lines: &[LineEvent]) {
        let mut shown = 0;
        let mut next = (None, None);
        for (at, line) in lines.iter().enumerate() {
            let jumps = |to: Option<usize>, next: Option<usize>| to.zip(next).is_some_and(|(to, next)| to != next);
            let apart = at == 0 || jumps(line.old, next.0) || jumps(line.new, next.1);
            if shown + usize::from(apart) >= LINES && lines.len() - at > 1 {
                let rest = lines.len() - at;
                return output::out(&format!("{:WIDTH$}     … {rest} more lines; `--output json` has all", ""));
            }
            if apart {
                let number = line.new.or(line.old).unwrap_or_default();
                output::out(&format!("{:WIDTH$}     @ line {number}", ""));
            }
            shown += 1 + usize::from(apart);
            next = (line.old.map_or(next.0, |old| Some(old + 1)), line.new.map_or(next.1, |new| Some(new + 1)));
            let (sign, code) = match line.change {
                LineChange::Same => (' ', None),
                LineChange::Removed => ('-', Some(31)),
                LineChange::Added => ('+', Some(32)),
            };
            let text = format!("{sign} {}", clean(&line.text));
            let text = text.trim_end_matches(' ');
            match code.filter(|_| self.colour) {
                Some(code) => output::out(&format!("{:WIDTH$}     \u{1b}[{code}m{text}\u{1b}[0m", "")),
                None => output::out(format!("{:WIDTH$}     {text}", "").trim_end()),
            }
        }
    }

    fn plan(deployment: &str, counts: [(usize, &str); 5]) {
        let parts: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if parts.is_empty() {
            line(&format!("{deployment}: nothing to change"));
        } else {
            line(&format!("{deployment}: {}", parts.join(", ")));
        }
    }

    fn started(&mut self, resource: &str, kind: &str, action: &str) {
        if self.live {
            let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.display.add(ProgressBar::new_spinner()).with_style(style);
            bar.set_prefix(clean_line(&format!("{action} {kind} {resource}")));
            bar.enable_steady_tick(Duration::from_millis(100));
            self.bars.insert(resource.to_owned(), bar);
        }
    }

    fn progress(&self, resource: &str, text: &str, done: u64, total: u64) {
        if let Some(bar) = self.bars.get(resource) {
            let share = done.saturating_mul(100).checked_div(total).map_or(String::new(), |share| format!(" {share}%"));
            bar.set_message(clean_line(&format!("{text}{share}")));
        }
    }

    fn finish(&mut self, resource: &str) {
        if let Some(bar) = self.bars.remove(resource) {
            bar.finish_and_clear();
        }
    }

    /// A line that is not what was asked for: it goes to standard error, above the running steps.
    fn aside(&self, text: &str) {
        self.display.suspend(|| output::aside(&format!("{text}\n")));
    }

    /// A line of an action and what it was done to.
    fn acted(&self, word: &str, what: &str) -> String {
        format!("{} {}", self.action(word), clean_line(what))
    }

    fn action(&self, word: &str) -> String {
        let code = match word {
            "create" | "created" | "ok" => 32,
            "update" | "updated" | "replace" | "replaced" | "differs" | "check" | "checked" | "warning" => 33,
            "delete" | "deleted" | "danger" | "failed" | "missing" | "not undone" => 31,
            _ => 36,
        };
        if self.colour { format!("\u{1b}[{code}m{word:WIDTH$}\u{1b}[0m") } else { format!("{word:WIDTH$}") }
    }

    fn outputs(outputs: &BTreeMap<String, String>) {
        let width = outputs.keys().map(String::len).max().unwrap_or_default();
        for (name, value) in outputs {
            line(&format!("{name:width$}  {value}"));
        }
    }

    fn summary(deployment: &str, changed: usize, milliseconds: u64, outcome: &str) {
        match (outcome, changed) {
            ("done", 0) => line(&format!("{deployment}: nothing to change ({})", seconds(milliseconds))),
            ("done", _) => line(&format!("{deployment}: done in {}", seconds(milliseconds))),
            (outcome, _) => line(&format!("{deployment}: {outcome} ({})", seconds(milliseconds))),
        }
    }
}

/// Prints lines of what was asked for.
fn line(text: &str) {
    output::out(&clean(text));
}

fn seconds(milliseconds: u64) -> String {
    if milliseconds < 1000 {
        format!("{milliseconds} ms")
    } else {
        format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
    }
}
