//! Names in `/etc/hosts` of this host, in a block that is told from everybody else's lines by its marks: [`HostsEntryKind`].

mod block;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Place, Result};
use crate::formats::x509::Name;
use crate::formats::yaml::Source;
use crate::resource::change::{Action, Change, Field};
use crate::resource::{At, Kind, Output, Outputs, Owned, public};
use crate::world::inode::{Body, Inode};
use crate::world::{files, host};
use block::{Block, is_whole};

pub(crate) struct HostsEntryKind;

const FILE: &str = "/etc/hosts";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The names. Addresses, wildcards and `localhost` among them need no entry and get none.
    names: Vec<String>,
    /// The IP address that they stand for; `engine` is the host of the engine.
    #[serde(default = "engine")]
    address: String,
}

fn engine() -> String {
    "engine".to_owned()
}

/// What is kept of the block: what it held, and how the file was before it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    lines: Vec<String>,
    /// Whether the last line did not end.
    unended: bool,
    /// Whether there was no such file.
    made: bool,
}

pub(crate) struct Actual {
    record: Option<Record>,
    text: Vec<u8>,
    block: Option<Block>,
    address: String,
}

/// How a step is taken back: the lines that stood in the block, if there was one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Undo {
    record: Option<Record>,
    lines: Option<Vec<String>>,
}

/// The file of hosts as it is, and whether there is one.
fn read() -> Result<Option<Vec<u8>>> {
    Ok(files::read(Path::new(FILE))?.map(|found| found.content))
}

/// Gives the file another content; its mode and owner stay.
fn write(text: Vec<u8>) -> Result<()> {
    let path = Path::new(FILE);
    let (mode, user, group) = match Inode::read(path)? {
        Some(found) => (found.mode, found.user, found.group),
        None => (0o644, 0, 0),
    };
    Inode { body: Body::File(text), mode, user, group }.write(path)
}

/// Keeps other deployments from writing the file between a look at it and a change of it.
fn lock() -> Result<files::Lock> {
    files::lock_folder(Path::new("/etc"), true)
}

/// A line of the file, for an error.
fn place(text: &[u8], line: usize) -> Place {
    let source = Source::new(FILE, String::from_utf8_lossy(text));
    source.place(source.line(line))
}

/// Finds the deployment's block.
///
/// # Errors
/// One of its marks is missing: it cannot be told which lines are whose, so none is touched.
fn find(text: &[u8], at: &At) -> Result<Option<Block>> {
    let name = at.store().name();
    Block::find(text, name).map_err(|broken| {
        let (what, hint) = match &broken.missing {
            Some(mark) => (
                format!("the block of the deployment `{name}` in `{FILE}` has lost a mark"),
                format!("put back the line `{mark}`, or remove what is left of the block; nothing was changed"),
            ),
            None => (
                format!("there is a mark of the deployment `{name}` too many in `{FILE}`"),
                "remove the lines that are there twice; nothing was changed".to_owned(),
            ),
        };
        Error::new(what).at(place(text, broken.line)).hint(hint)
    })
}

impl Spec {
    /// The names that need an entry, each once.
    fn entries(&self) -> Result<Vec<String>> {
        let mut entries = Vec::new();
        for name in &self.names {
            match Name::parse(name)? {
                Name::Dns(name) if name != "localhost" && !name.starts_with("*.") && !entries.contains(&name) => {
                    entries.push(name);
                }
                _ => {}
            }
        }
        Ok(entries)
    }

    /// The address, whatever it is called in the playbook.
    async fn address(&self, at: &At) -> Result<String> {
        let given = if self.address == "engine" { at.engine().await?.host().to_owned() } else { self.address.clone() };
        let bare = if given == "localhost" { "127.0.0.1" } else { given.trim_matches(['[', ']']) };
        let address: IpAddr = bare.parse().map_err(|_| {
            Error::new(format!("`{given}` is no IP address, and `{FILE}` can hold nothing else"))
                .hint("give the address of the host where the names are to lead")
        })?;
        Ok(address.to_string())
    }

    /// What stands between the marks; nothing if no name needs an entry.
    fn lines(&self, address: &str) -> Result<Vec<String>> {
        let entries = self.entries()?;
        Ok(if entries.is_empty() { Vec::new() } else { vec![format!("{address} {}", entries.join(" "))] })
    }
}

impl Actual {
    /// Finds a block that is not ours, and a name that leads elsewhere.
    fn check(&self, spec: &Spec, at: &At) -> Result<()> {
        if let (None, Some(block)) = (&self.record, &self.block) {
            return Err(Error::new(format!(
                "`{FILE}` holds a block of a deployment `{}` already, and this one did not write it",
                at.store().name()
            ))
            .at(place(&self.text, block.line))
            .hint("give this deployment another name with `--name`, or remove that block; nothing was changed"));
        }
        let Some(clash) = block::clash(&self.text, self.block.as_ref(), &self.address, &spec.entries()?) else {
            return Ok(());
        };
        Err(Error::new(format!(
            "`{FILE}` gives `{}` the address {} already, and it is to be {}",
            clash.name, clash.address, self.address
        ))
        .at(place(&self.text, clash.line))
        .hint("remove that name from the line, or leave the entry out; nothing was changed"))
    }

    /// The text with the block as it should be; without it if it should hold nothing.
    fn with(&self, lines: &[String], at: &At) -> Vec<u8> {
        match &self.block {
            Some(block) if lines.is_empty() => {
                block.take_out(&self.text, self.record.as_ref().is_some_and(|record| record.unended))
            }
            None if lines.is_empty() => self.text.clone(),
            block => Block::put(&self.text, block.as_ref(), at.store().name(), lines),
        }
    }
}

/// Takes the block out of the file, and the file away if it was made for it.
fn take_out(record: &Record, at: &At) -> Result<()> {
    let _lock = lock()?;
    files::clear_unfinished(Path::new(FILE));
    let text = read()?.unwrap_or_default();
    let Some(block) = find(&text, at)? else { return Ok(()) };
    if block.lines != record.lines {
        let lines = block.lines.join("; ");
        at.events().note(Some(&at.id), format!("the block in `{FILE}` was changed by hand: it held `{lines}`"));
    }
    let rest = block.take_out(&text, record.unended);
    if record.made && rest.is_empty() { files::remove(Path::new(FILE)) } else { write(rest) }
}

/// What has to change for the file to hold the names.
fn difference(spec: &Spec, actual: &Actual) -> Change {
    let names = spec.entries().unwrap_or_default();
    let lines = spec.lines(&actual.address).unwrap_or_default();
    let (wanted, found) = match (&actual.record, &actual.block) {
        (_, None) if names.is_empty() => return Change::unchanged(),
        (None, _) => return Change::new(Action::Create),
        (Some(_), None) => (actual.address.as_str(), Some(("", Vec::new()))),
        (Some(_), Some(block)) => (if names.is_empty() { "" } else { actual.address.as_str() }, block.entry()),
    };
    let mut fields: Vec<Field> = Vec::new();
    if let Some((address, found)) = found {
        fields.extend(Field::compare("address", address, wanted));
        fields.extend(Field::compare("names", &found.join(", "), &names.join(", ")));
    } else {
        let found = actual.block.iter().flat_map(|block| &block.lines).map(String::as_str);
        fields.extend(Field::compare("lines", &found.collect::<Vec<_>>().join("; "), &lines.join("; ")));
    }
    let change = Change::of(Action::Update, fields);
    if actual.block.is_none() { change.because(format!("the block in `{FILE}` is gone")) } else { change }
}

impl Kind for HostsEntryKind {
    const NAME: &'static str = "hosts-entry";
    const ABOUT: &'static str = "names in /etc/hosts of this host, in a block of the deployment's own";
    const OUTPUTS: &'static [Output] = &[public("names")];
    const OF_THIS_HOST: bool = true;

    type Spec = Spec;
    type Actual = Actual;
    type Undo = Undo;

    async fn actual(spec: &Spec, at: &At) -> Result<Option<Actual>> {
        let address = spec.address(at).await?;
        let text = read()?.unwrap_or_default();
        Ok(Some(Actual { record: at.kept_json()?, block: find(&text, at)?, text, address }))
    }

    async fn check(spec: &Spec, actual: Option<&Actual>, change: &Change, at: &At) -> Result<()> {
        spec.entries()?;
        let Some(actual) = actual.filter(|_| change.is_change()) else { return Ok(()) };
        if at.store().is_rendering() {
            return Err(Error::new(format!("`{FILE}` is not rendered: it belongs to the host"))
                .hint("leave the entry out with `when: not rendering`"));
        }
        if !host::is_root() {
            return Err(Error::new(format!("only root may change `{FILE}`")).hint("run the command with `sudo`"));
        }
        actual.check(spec, at)
    }

    fn diff(spec: &Spec, actual: &Actual, _: &At) -> Change {
        difference(spec, actual)
    }

    fn outputs(spec: &Spec, _: Option<&Actual>, _: &At) -> Outputs {
        Outputs::default().with("names", spec.entries().unwrap_or_default())
    }

    async fn apply(spec: &Spec, actual: Option<Actual>, _: &Change, at: &At) -> Result<()> {
        let address = match actual {
            Some(actual) => actual.address,
            None => spec.address(at).await?,
        };
        let lines = spec.lines(&address)?;
        let _lock = lock()?;
        let text = read()?;
        let made = text.is_none();
        let text = text.unwrap_or_default();
        let actual = Actual { record: at.kept_json()?, block: find(&text, at)?, text, address };
        actual.check(spec, at)?;
        at.will(&Undo {
            record: actual.record.clone(),
            lines: actual.block.as_ref().map(|block| block.lines.clone()),
        })?;
        let unended = match (&actual.record, &actual.block) {
            (Some(record), Some(_)) => record.unended,
            _ => !is_whole(&actual.text),
        };
        let made = made || actual.record.as_ref().is_some_and(|record| record.made);
        // Kept first: a run that is killed here leaves no block that nobody knows of.
        let record = Record { lines: lines.clone(), unended, made };
        at.store().put(&at.key(), &serde_json::json!(record).to_string())?;
        write(actual.with(&lines, at))
    }

    async fn undo(undo: Undo, at: &At) -> Result<()> {
        let record: Option<Record> = at.kept_json()?;
        match (&undo.lines, &record) {
            (Some(lines), _) => {
                let _lock = lock()?;
                let text = read()?.unwrap_or_default();
                write(Block::put(&text, find(&text, at)?.as_ref(), at.store().name(), lines))?;
            }
            (None, Some(record)) => take_out(record, at)?,
            (None, None) => {}
        }
        match &undo.record {
            Some(record) => at.store().put(&at.key(), &serde_json::json!(record).to_string()),
            None => at.store().delete(&at.key()),
        }
    }

    async fn owned(at: &At) -> Result<Vec<Owned>> {
        let mut owned = at.owned_keys(false)?;
        owned.iter_mut().for_each(|one| FILE.clone_into(&mut one.label));
        Ok(owned)
    }

    async fn may_remove(_: &Owned, at: &At) -> Result<()> {
        find(&read()?.unwrap_or_default(), at).map(drop)
    }

    async fn remove(owned: &Owned, at: &At) -> Result<()> {
        if let Some(record) = at.kept_json()? {
            take_out(&record, at)?;
        }
        at.store().delete(&owned.handle)
    }
}
