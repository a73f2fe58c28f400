//! `provision adopt`: looks at a host whose registry was set up by hand, tells what is wrong with it, and writes the inputs that
//! take it over.

use std::path::Path;

use crate::adopt::{self, Container, Finding, Host, Takeover};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::session::Session;
use crate::world::engine::Engine;
use crate::world::tree::Tree;
use crate::world::{files, host, typed};

/// What `adopt` is asked for.
pub(crate) struct Wanted {
    /// Further files and folders to look into.
    pub paths: Vec<String>,
    /// The root of the host.
    pub root: String,
    /// Where the inputs go.
    pub out: String,
}

pub(crate) async fn run(session: &Session, wanted: &Wanted) -> Result<()> {
    if typed::exists(&wanted.out) {
        return Err(Error::usage(format!("`{}` is there already", wanted.out)).hint(
            "it may have been edited, so it is not overwritten: move it away, or give another path with `--out`",
        ));
    }
    let found = look(session, wanted).await?;
    for text in &found.unclear {
        session.events.note(None, format!("{text}; skipped"));
    }
    for path in &found.unread {
        session.events.note(None, format!("`{path}` cannot be read by this user; skipped"));
    }
    let findings = adopt::findings(&found, host::now());
    if findings.is_empty() && !found.has_registry() {
        return Err(nothing(&found, &wanted.root));
    }
    findings.into_iter().for_each(|finding: Finding| session.events.send(finding.into()));
    if !found.has_registry() {
        session.events.note(None, "there is no registry to take over, so no inputs were written");
        return Ok(());
    }
    write(session, &found, wanted)
}

async fn look(session: &Session, wanted: &Wanted) -> Result<Host> {
    let root = files::absolute(&wanted.root)?;
    if !files::is_folder(Path::new(&root)) {
        return Err(Error::usage(format!("`{}` is no folder", wanted.root))
            .hint("`--root` is where the root of a host is mounted; without it this host is looked at"));
    }
    let listeners = if root == "/" { host::listeners() } else { Vec::new() };
    let containers = if root == "/" { containers(session).await } else { Vec::new() };
    let is_name = |path: &&String| containers.iter().any(|container| container.name == **path);
    let registry = chosen(&containers, wanted.paths.iter().find(is_name), session)?;
    let paths = wanted
        .paths
        .iter()
        .filter(|path| !is_name(path))
        .map(|path| files::absolute(path))
        .collect::<Result<Vec<_>>>()?;
    let base = root.trim_end_matches('/');
    let below = |path: &String| path.strip_prefix(base).filter(|rest| rest.starts_with('/')).map(str::to_owned);
    let within: Vec<String> = paths.iter().filter_map(below).collect();
    let beside: Vec<String> = paths.iter().filter(|path| below(path).is_none()).cloned().collect();
    adopt::look(&Tree::new(root), &within, &beside, listeners, (registry, &containers))
}

/// The containers of this host's engine that may matter.
async fn containers(session: &Session) -> Vec<Container> {
    let found = async { adopt::look_at_engine(&Engine::connect(session.watcher())?).await };
    found.await.unwrap_or_else(|error| {
        if files::exists(Path::new("/var/run/docker.sock")) {
            session.events.note(None, format!("{error}; registries in containers are not seen"));
        }
        Vec::new()
    })
}

/// The registry in a container that is taken over: the one that was named, or the only one there is.
fn chosen<'a>(containers: &'a [Container], name: Option<&String>, session: &Session) -> Result<Option<&'a Container>> {
    let registries: Vec<&Container> = containers.iter().filter(|container| !container.is_nginx).collect();
    if let Some(name) = name {
        let found = registries.iter().find(|container| container.name == *name).copied();
        return found.map(Some).ok_or_else(|| {
            Error::usage(format!("the container `{name}` runs nginx, and no registry"))
                .hint("name the container of the registry: what is in front of it is found by itself")
        });
    }
    if let [one] = registries[..] {
        return Ok(Some(one));
    }
    if let Some(first) = registries.first() {
        let names: Vec<String> = registries.iter().map(|container| format!("`{}`", container.name)).collect();
        session.events.note(
            None,
            format!(
                "registries run in {} containers: {}; none of them was inspected: `provision adopt {}` takes one over",
                names.len(),
                names.join(", "),
                crate::text::shell::quoted(&first.name)
            ),
        );
    }
    Ok(None)
}

fn nothing(found: &Host, root: &str) -> Error {
    let hint = if found.unread.is_empty() {
        "name the files of a set-up that is somewhere else: `provision adopt PATH`; `provision registry` sets up a new one"
    } else {
        "some files cannot be read by this user: run it with `sudo`"
    };
    let place = if root == "/" { "on this host".to_owned() } else { format!("below `{root}`") };
    Error::new(format!("no registry was found {place}")).hint(hint)
}

fn write(session: &Session, found: &Host, wanted: &Wanted) -> Result<()> {
    let takeover = Takeover::of(found, &wanted.out);
    typed::write(&wanted.out, takeover.text(&wanted.out).as_bytes(), 0o600, false)?;
    session.events.send(Event::Adopted { file: wanted.out.clone(), commands: takeover.commands, root: takeover.root });
    Ok(())
}
