//! Images that a registry has from its start: of the engine, or of an OCI layout: [`seed`].

use std::path::Path;

use super::access::Access;
use super::job::Job;
use crate::error::{Error, Result};
use crate::registry::client::{Address, Digest, Login, Registry};
use crate::registry::push::{Image, Method, Name, Push, Source, check_name, listed};
use crate::text::shell;
use crate::world::engine::Engine;
use crate::world::files;
use crate::world::http::{Route, resolve};
use crate::world::web::Trust;

/// Fails if something cannot be an image to start with, before anything is brought up.
pub(crate) fn check(images: &[String], folder: Option<&Path>) -> Result<()> {
    for image in images {
        target(image)?;
    }
    folder.map_or(Ok(()), |folder| listed::layout(folder).map(drop))
}

/// Pushes images of the engine, and those of an OCI layout; gives their references in the registry.
pub(crate) async fn seed(job: &Job, access: &Access, images: &[String], folder: Option<&Path>) -> Result<Vec<String>> {
    if images.is_empty() && folder.is_none() {
        return Ok(Vec::new());
    }
    let engine = job.run.engine().await?;
    let registry = open(access, engine).await?;
    let mut pushed = Vec::new();
    if !images.is_empty() {
        let source = Source::Engine { engine, as_pulled: engine.keeps_as_pulled().await? };
        let found = of_engine(engine, images).await?;
        pushed.extend(push(job, &registry, source, &found, |image| format!("`--seed {image}`")).await?);
    }
    if let Some(folder) = folder {
        let named = |_: &str| format!("`--seed-dir {}`", folder.display());
        let found = of_layout(folder).map_err(|error| error.within(named("")))?;
        let source = Source::Layout { folder: folder.to_path_buf() };
        pushed.extend(push(job, &registry, source, &found, named).await?);
    }
    Ok(pushed)
}

/// The registry of the job, wherever its engine is.
async fn open(access: &Access, engine: &Engine) -> Result<Registry> {
    let address = Address::parse(&format!("https://{}", access.registry))?;
    let route = resolve(&format!("{}:{}", engine.host(), address.port)).await.map_or(Route::Direct, Route::Address);
    let login = Login::Password { user: access.user.clone(), password: access.password.clone() };
    Registry::new(address, &route, &Trust::Authority(&files::read_text(&access.ca)?), Some(login))
}

async fn push(
    job: &Job,
    registry: &Registry,
    source: Source<'_>,
    images: &[Image],
    named: impl Fn(&str) -> String,
) -> Result<Vec<String>> {
    let mut push = Push::new(registry.clone(), source, Method::Gzip, Vec::new(), job.run.events.clone());
    let mut pushed = Vec::new();
    for outcome in push.run(images).await {
        outcome.result.map_err(|error| error.within(named(&outcome.image)))?;
        pushed.push(format!("{}/{}", registry.name(), outcome.name));
    }
    Ok(pushed)
}

async fn of_engine(engine: &Engine, images: &[String]) -> Result<Vec<Image>> {
    let mut found = Vec::new();
    for image in images {
        let inspected = engine.image(image).await?.ok_or_else(|| {
            Error::new(format!("the engine has no image `{image}` to start with")).hint(format!(
                "`{}` fetches it, `docker images` lists what there is",
                shell::line(["docker", "pull", image])
            ))
        })?;
        let id = Digest::parse(&inspected.id.unwrap_or_default())?;
        found.push(Image { reference: image.clone(), id, name: target(image)? });
    }
    Ok(found)
}

fn of_layout(folder: &Path) -> Result<Vec<Image>> {
    let mut found = Vec::new();
    for (id, names) in listed::layout(folder)? {
        for reference in names {
            let name = target(&reference)?;
            found.push(Image { reference, id: Digest::parse(&id)?, name });
        }
    }
    Ok(found)
}

/// The repository and tag that an image gets: its own, without the registry that it is from.
fn target(image: &str) -> Result<Name> {
    let wrong = |what: &str| {
        Error::usage(format!("`--seed {image}`: {what}")).hint("name it as `docker images` does, `REPOSITORY:TAG`")
    };
    if image.contains('@') || image.starts_with("sha256:") {
        return Err(wrong("a digest is no name that it could be pushed under"));
    }
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let foreign = first.contains(['.', ':']) || first == "localhost";
    let path = if foreign { rest } else { image };
    let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    check_name(repository, tag).map_err(|_| wrong("this is no name of an image"))?;
    Ok(Name { repository: repository.to_owned(), tag: tag.to_owned() })
}
