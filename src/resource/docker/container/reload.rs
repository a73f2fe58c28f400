//! Changed files are put into a container that runs, and it is told to read them.

use super::spec::Spec;
use super::{Actual, ContainerKind, Undo, files};
use crate::error::{Error, Result};
use crate::resource::At;
use crate::world::read;

/// Puts changed files into a running container and has it read them.
pub(super) async fn reload(spec: &Spec, actual: &Actual, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    let name = spec.name(at);
    let Some(reload) = &spec.reload else { return Ok(()) };
    let mut before = Vec::new();
    for path in actual.files.keys() {
        // What is too large to be one of ours is not worth putting back.
        if engine.stat(&name, path).await?.is_some_and(|found| found.size > read::FILE.bytes) {
            continue;
        }
        if let Some(archive) = engine.download(&name, path).await? {
            before.push((path.clone(), archive));
        }
    }
    at.will(&Undo::Uploaded { name: name.clone(), before, signal: Some(reload.signal.clone()) })?;
    files::replace(spec, &name, engine).await?;
    if !reload.check.is_empty() {
        let checked = engine.execute(&name, &reload.check).await?;
        if checked.code != 0 {
            return Err(Error::new(format!("`{}` does not accept its new files", reload.check.join(" ")))
                .detail(checked.output.lines().map(str::to_owned)));
        }
    }
    signal(&name, &reload.signal, at).await
}

/// Puts files back as they were, and has them read again.
pub(super) async fn take_back(name: &str, before: Vec<(String, Vec<u8>)>, sent: Option<String>, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    for (path, archive) in before {
        let folder = path.rsplit_once('/').map_or("/", |(folder, _)| if folder.is_empty() { "/" } else { folder });
        engine.upload(name, folder, archive).await?;
    }
    match sent {
        Some(sent) => signal(name, &sent, at).await,
        None => Ok(()),
    }
}

/// Has a program in the container send its first process a signal. Sent through the engine, it would count as a stop by
/// hand: the engine would not start the container again with itself, nor after its end.
async fn signal(name: &str, signal: &str, at: &At) -> Result<()> {
    let engine = at.engine().await?;
    if engine.stat(name, files::SHELL).await?.is_none() {
        at.events()
            .note(Some(&at.id), "it has no shell that could send it a signal, so it is started again".to_owned());
        return ContainerKind::restart(name, at).await;
    }
    let script = "kill -s \"$1\" 1";
    let command = [files::SHELL, "-c", script, "sh", signal.trim_start_matches("SIG")].map(str::to_owned);
    let mut sent = engine.execute(name, &command).await?;
    if sent.code != 0 {
        // Its first process runs as somebody else than its programs.
        sent = engine.execute_as(Some("0"), name, &command).await?;
    }
    if sent.code == 0 {
        return Ok(());
    }
    Err(Error::new(format!("a program in the container `{name}` cannot send {signal} to its first process"))
        .detail(sent.output.lines().map(str::to_owned)))
}
