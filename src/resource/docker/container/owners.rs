//! Who owns the files of a container. A look at a file does not tell: its owner is read at the container's own root where this
//! host runs it, else in an archive, which takes an engine some fifty times as long.

use std::collections::BTreeMap;
use std::io::Read;

use bollard::models::ContainerInspectResponse;
use futures_util::future::try_join_all;

use super::files::{FileState, fetch};
use super::spec::{File, Spec};
use crate::error::Result;
use crate::resource::difference::Kept;
use crate::world::engine::Engine;
use crate::world::inside;

/// Looks for files that are as wanted but for their owners.
pub(super) async fn check(
    states: &mut BTreeMap<String, FileState>,
    wanted: &[File<'_>],
    spec: &Spec,
    found: &ContainerInspectResponse,
    engine: &Engine,
) -> Result<()> {
    let (Some(id), Some(state)) = (found.id.as_deref(), found.state.as_ref()) else { return Ok(()) };
    let process = state.pid.filter(|process| *process > 0);
    let as_wanted = |file: &&File<'_>| states.get(&file.path) == Some(&FileState::AsWanted) && file.content.is_some();
    let mut unknown = Vec::new();
    let mut differing = Vec::new();
    for file in wanted.iter().filter(as_wanted) {
        match process.and_then(|process| inside::owner(process, id, &file.path)) {
            Some(owner) => differing.extend(of_another(file, owner)),
            None => unknown.push(file),
        }
    }
    let folders = spec.file_folders()?;
    let mut alone: Vec<&File<'_>> = Vec::new();
    for folder in &folders {
        let files: Vec<&File<'_>> = unknown.iter().copied().filter(|file| file.folder() == folder).collect();
        if files.is_empty() {
            continue;
        }
        match engine.download(id, folder).await {
            Ok(Some(archive)) => {
                let owners = owners(&archive, folder);
                let differs = |file: &&File<'_>| of_another(file, *owners.get(&file.path)?);
                differing.extend(files.iter().filter_map(differs));
            }
            _ => alone.extend(files),
        }
    }
    alone.extend(unknown.iter().filter(|file| !folders.contains(file.folder())));
    let fetched = alone.into_iter().map(|file| async move {
        let state = fetch(file, id, engine).await;
        state.map(|state| (file.path.clone(), state))
    });
    differing.extend(try_join_all(fetched).await?);
    states.extend(differing);
    Ok(())
}

/// The state of a file that is as wanted but for its owner, if that is another one.
fn of_another(file: &File<'_>, owner: (u64, u64)) -> Option<(String, FileState)> {
    if owner == (file.user, file.group) {
        return None;
    }
    let owner = format!("{}:{}", owner.0, owner.1);
    let state = FileState::Differs { content: file.fingerprint(), mode: file.mode, owner, text: Kept::Size(0) };
    Some((file.path.clone(), state))
}

/// The owner of each file in an archive of a folder.
fn owners(archive: &[u8], folder: &str) -> BTreeMap<String, (u64, u64)> {
    let above = folder.trim_end_matches('/').rsplit_once('/').map_or("", |(above, _)| above);
    let mut owners = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for mut entry in archive.entries().into_iter().flatten().flatten() {
        let header = entry.header();
        let (Ok(user), Ok(group), Ok(path)) = (header.uid(), header.gid(), entry.path()) else { continue };
        owners.insert(format!("{above}/{}", path.display()), (user, group));
        drop(std::io::copy(&mut entry.by_ref(), &mut std::io::sink()));
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_read_from_the_archive_of_a_folder() {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, user) in [("provision/a", 5), ("provision/b", 65532)] {
            let mut header = tar::Header::new_ustar();
            header.set_size(3);
            header.set_uid(user);
            header.set_gid(7);
            archive.append_data(&mut header, path, &b"abc"[..]).unwrap();
        }
        let found = owners(&archive.into_inner().unwrap(), "/etc/provision");
        let expected = [("/etc/provision/a".to_owned(), (5, 7)), ("/etc/provision/b".to_owned(), (65532, 7))];
        assert_eq!(found, expected.into());
    }
}
