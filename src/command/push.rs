//! `provision push`: images of an engine or a file, to a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::registry::client::{Digest, Registry};
use crate::registry::push::{Image, Method, Name, Outcome, Program, Push, Source, fits, listed};
use crate::session::Session;
use crate::world::engine::Engine;
use crate::world::files;

/// What is to be pushed, and where.
pub(crate) struct Wanted {
    pub registry: String,
    pub images: Vec<String>,
    /// The names of images fit one of these, where none are named.
    pub patterns: Vec<String>,
    pub prefix: Option<String>,
    pub from: From,
    pub platforms: Vec<String>,
    pub method: Method,
}

/// Where images come from.
pub(crate) enum From {
    Engine,
    Program(Program),
    Archive(String),
    Layout(String),
}

pub(crate) async fn run(session: &Session, wanted: Wanted) -> Result<()> {
    let registry = Registry::open(&wanted.registry).await?;
    registry.check_takes_pushes()?;
    let engine = match wanted.from {
        From::Engine => Some(Engine::connect(session.watcher())?),
        _ => None,
    };
    let source = source(&wanted.from, engine.as_ref()).await?;
    let mut failed = Vec::new();
    let found = found(session, &wanted, &source, &mut failed).await?;
    let images = named(&wanted, found, registry.name(), &mut failed)?;
    let mut push = Push::new(registry.clone(), source, wanted.method, wanted.platforms, session.events.clone());
    let outcomes = push.run(&images).await;
    let all = outcomes.len() + failed.len();
    for outcome in outcomes {
        tell(session, &registry, outcome, &mut failed);
    }
    whole(failed, all)
}

async fn source<'a>(from: &From, engine: Option<&'a Engine>) -> Result<Source<'a>> {
    let path = |path: &String| files::absolute(path).map(PathBuf::from);
    Ok(match (from, engine) {
        (From::Program(program), _) => Source::Program(*program),
        (From::Archive(file), _) => Source::Archive { path: path(file)? },
        (From::Layout(folder), _) => Source::Layout { folder: path(folder)? },
        (From::Engine, Some(engine)) => Source::Engine { engine, as_pulled: engine.keeps_as_pulled().await? },
        (From::Engine, None) => return Err(Error::new("there is no engine to push from")),
    })
}

/// The images of the source that are meant, by their names and ids. One that is not there has failed.
async fn found(
    session: &Session,
    wanted: &Wanted,
    source: &Source<'_>,
    failed: &mut Vec<(String, Error)>,
) -> Result<Vec<(String, Digest)>> {
    let all = match source {
        Source::Engine { engine, .. } if wanted.patterns.is_empty() => {
            let mut found = Vec::new();
            for image in &wanted.images {
                match engine.image(image).await {
                    Ok(Some(inspected)) => {
                        found.push((image.clone(), Digest::parse(&inspected.id.unwrap_or_default())?));
                    }
                    Ok(None) => failed.push((image.clone(), missing(image))),
                    Err(error) => failed.push((image.clone(), error)),
                }
            }
            return Ok(found);
        }
        Source::Engine { engine, .. } => engine.images().await?,
        Source::Program(program) => program.images().await?,
        Source::Archive { path } => listed::archive(path)?,
        Source::Layout { folder } => listed::layout(folder)?,
    };
    let unnamed = all.iter().filter(|(_, names)| names.is_empty()).count();
    if unnamed > 0 && wanted.images.is_empty() {
        session
            .events
            .note(None, format!("images without a name are not pushed: {unnamed}; `docker tag` gives one a name"));
    }
    let mut found = Vec::new();
    for (id, names) in all {
        for name in names {
            found.push((name, Digest::parse(&id)?));
        }
    }
    if wanted.patterns.is_empty() {
        let full = |image: &str| {
            if image.rsplit('/').next().is_some_and(|last| last.contains(':')) {
                image.to_owned()
            } else {
                format!("{image}:latest")
            }
        };
        // Podman shows `localhost/` before names without a registry, and takes them without.
        let is_it = |image: &str, name: &str| {
            let full = full(image);
            full == name || name.strip_prefix("localhost/").is_some_and(|name| name == full)
        };
        for image in wanted.images.iter().filter(|image| !found.iter().any(|(name, _)| is_it(image, name))) {
            failed.push((image.clone(), missing(image)));
        }
        found.retain(|(name, _)| wanted.images.iter().any(|image| is_it(image, name)));
    } else {
        let repository =
            |name: &str| name.rsplit_once(':').map_or_else(|| name.to_owned(), |(repository, _)| repository.to_owned());
        found.retain(|(name, _)| {
            wanted.patterns.iter().any(|pattern| fits(pattern, name) || fits(pattern, &repository(name)))
        });
    }
    found.sort();
    Ok(found)
}

fn missing(image: &str) -> Error {
    Error::new(format!("there is no image `{image}`")).hint("`docker images` lists what there is")
}

/// The images with their names in the registry.
///
/// # Errors
/// Two images would have one name there.
fn named(
    wanted: &Wanted,
    found: Vec<(String, Digest)>,
    registry: &str,
    failed: &mut Vec<(String, Error)>,
) -> Result<Vec<Image>> {
    let mut images: BTreeMap<Name, Image> = BTreeMap::new();
    for (reference, id) in found {
        let name = match Name::of(&reference, registry, wanted.prefix.as_deref()) {
            Ok(name) => name,
            Err(error) => {
                failed.push((reference, error));
                continue;
            }
        };
        if let Some(other) = images.get(&name) {
            if other.id == id {
                continue;
            }
            return Err(Error::usage(format!("`{}` and `{reference}` would both be `{name}` in the registry", other.reference))
                .hint("nothing was pushed: name the images that are meant, or give one of the two another name with `docker tag`"));
        }
        images.insert(name.clone(), Image { reference, id, name });
    }
    if images.is_empty() && failed.is_empty() {
        return Err(Error::new("there is no image to push").hint("`docker images` lists what there is"));
    }
    Ok(images.into_values().collect())
}

fn tell(session: &Session, registry: &Registry, outcome: Outcome, failed: &mut Vec<(String, Error)>) {
    let (state, digest) = match &outcome.result {
        Ok(done) if done.unchanged => ("unchanged", Some(done.digest.to_string())),
        Ok(done) => ("pushed", Some(done.digest.to_string())),
        Err(_) => ("failed", None),
    };
    let name = format!("{}/{}", registry.name(), outcome.name);
    session.events.send(Event::Image { image: outcome.image.clone(), name, digest, state });
    if let Err(error) = outcome.result {
        failed.push((outcome.image, error));
    }
}

/// The error of images that failed: that of one, or all of them in one.
fn whole(mut failed: Vec<(String, Error)>, all: usize) -> Result<()> {
    match failed.len() {
        0 => Ok(()),
        1 => {
            let (image, error) = failed.remove(0);
            let named = error.to_string().contains(&image);
            Err(if named { error } else { error.within(format!("`{image}`")) })
        }
        count => {
            let hint = failed.iter().find_map(|(_, error)| error.next_step()).unwrap_or_default().to_owned();
            let lines = failed.iter().flat_map(|(image, error)| {
                let first = format!("{image}: {error}");
                std::iter::once(first).chain(error.lines().iter().map(|line| format!("  {line}")))
            });
            Err(Error::new(format!("{count} of {all} images were not pushed"))
                .detail(lines.collect::<Vec<_>>())
                .hint(hint))
        }
    }
}
