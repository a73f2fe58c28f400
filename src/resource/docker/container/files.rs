//! Files of a container: uploaded as tar archives, and compared with what is there.
//!
//! An uploaded file's time of change carries 30 bits of a digest of what it should be in its nanoseconds, so that one look
//! (size, mode, time) tells whether anybody has written to it since, as rsync's quick check does. Only where that differs
//! is the file itself read.

use std::collections::BTreeMap;
use std::io::Read;

use futures_util::future::{try_join, try_join_all};

use super::spec::{File, Spec};
use crate::error::{Error, Result};
use crate::resource::content::{Mode, fingerprint};
use crate::resource::difference::Kept;
use crate::text::unknown::is_unknown;
use crate::world::engine::Engine;
use crate::world::{host, read};

/// What renames a file in a container, and what a file is called until then.
pub(super) const SHELL: &str = "/bin/sh";
const MOVE: &str = "/bin/mv";
const ASIDE: &str = ".provision";

/// A file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FileState {
    AsWanted,
    Missing,
    Differs { content: String, mode: Mode, owner: String, text: Kept },
}

/// Uploads every file and folder: one archive for each volume that they are in, and one for the rest.
pub(super) async fn upload(spec: &Spec, name: &str, engine: &Engine) -> Result<()> {
    upload_as(spec, name, "", engine).await
}

/// Puts files into a container that runs. Each takes its name in one step, so that a program which reads it meanwhile finds
/// the old one or the new one: an upload would take the old one away first.
pub(super) async fn replace(spec: &Spec, name: &str, engine: &Engine) -> Result<()> {
    let found = try_join(engine.stat(name, SHELL), engine.stat(name, MOVE)).await?;
    if found.0.is_none() || found.1.is_none() {
        return upload(spec, name, engine).await;
    }
    upload_as(spec, name, ASIDE, engine).await?;
    let script = format!("for file; do {MOVE} -f -- \"$file{ASIDE}\" \"$file\" || exit; done");
    let mut command = [SHELL, "-c", &script, "sh"].map(str::to_owned).to_vec();
    command.extend(spec.files()?.iter().filter(|file| file.content.is_some()).map(|file| file.path.clone()));
    let moved = engine.execute_as(Some("0"), name, &command).await?;
    if moved.code == 0 {
        return Ok(());
    }
    Err(Error::new(format!("the new files cannot take their names in the container `{name}`"))
        .detail(moved.output.lines().map(str::to_owned)))
}

async fn upload_as(spec: &Spec, name: &str, suffix: &str, engine: &Engine) -> Result<()> {
    let files = spec.files()?;
    let folders = spec.file_folders()?;
    let mut groups: BTreeMap<&str, Vec<&File<'_>>> = BTreeMap::new();
    for file in &files {
        let own = folders.get(file.folder()).map(String::as_str);
        let root = spec.volume_of(&file.path).or(own).unwrap_or("/");
        groups.entry(root).or_default().push(file);
    }
    let uploads = groups
        .into_iter()
        .map(|(root, files)| async move { engine.upload(name, root, archive(root, &files, suffix)?).await });
    try_join_all(uploads).await.map(drop)
}

fn archive(root: &str, files: &[&File<'_>], suffix: &str) -> Result<Vec<u8>> {
    let fail = |error: std::io::Error| Error::new(format!("cannot pack files for a container: {error}"));
    let seconds = host::now().unix_timestamp();
    let mut archive = tar::Builder::new(Vec::new());
    for file in files {
        let path = file.path.strip_prefix(root.trim_end_matches('/')).unwrap_or(&file.path).trim_start_matches('/');
        let path = if file.content.is_some() { format!("{path}{suffix}") } else { path.to_owned() };
        let content = file.content.unwrap_or_default().as_bytes();
        let time = format!("{seconds}.{:09}", file.nanoseconds());
        archive.append_pax_extensions([("mtime", time.as_bytes())]).map_err(fail)?;
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(if file.content.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory });
        header.set_size(content.len() as u64);
        header.set_mode(file.mode.bits());
        header.set_uid(file.user);
        header.set_gid(file.group);
        header.set_mtime(u64::try_from(seconds).unwrap_or_default());
        archive.append_data(&mut header, &path, content).map_err(fail)?;
    }
    archive.into_inner().map_err(fail)
}

/// Compares a file with what is in the container.
pub(super) async fn look(file: &File<'_>, name: &str, engine: &Engine) -> Result<FileState> {
    let Some(found) = engine.stat(name, file.path.trim_end_matches('/')).await? else { return Ok(FileState::Missing) };
    let Some(content) = file.content else {
        // Owner and time of a folder change with use; only that it is there, and its mode, can be told apart.
        let right = found.directory && found.mode == file.mode.bits() & 0o777;
        let (content, mode, owner) = (String::new(), Mode::new(found.mode), file.owner());
        let differs = FileState::Differs { content, mode, owner, text: Kept::Size(0) };
        return Ok(if right { FileState::AsWanted } else { differs });
    };
    let same = !is_unknown(content)
        && found.size == content.len() as u64
        && found.mode == file.mode.bits() & 0o777
        && nanoseconds(&found.modified) == Some(file.nanoseconds());
    if found.size > read::FILE.bytes {
        // Whatever wrote it, it is none of ours, and is not worth being read.
        let content = format!("{} bytes", found.size);
        let (mode, owner, text) = (Mode::new(found.mode), file.owner(), Kept::Size(found.size));
        return Ok(FileState::Differs { content, mode, owner, text });
    }
    if same { Ok(FileState::AsWanted) } else { fetch(file, name, engine).await }
}

/// The part of a second in a time of RFC 3339.
fn nanoseconds(time: &str) -> Option<u32> {
    let Some((_, rest)) = time.split_once('.') else { return Some(0) };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("{digits:0<9}").parse().ok()
}

pub(super) async fn fetch(file: &File<'_>, name: &str, engine: &Engine) -> Result<FileState> {
    let fail =
        |error: std::io::Error| Error::new(format!("cannot read `{}` in the container `{name}`: {error}", file.path));
    let Some(archive) = engine.download(name, &file.path).await? else { return Ok(FileState::Missing) };
    let mut archive = tar::Archive::new(archive.as_slice());
    let Some(entry) = archive.entries().map_err(fail)?.next() else { return Ok(FileState::Missing) };
    let mut entry = entry.map_err(fail)?;
    let header = entry.header().clone();
    let number = |number: std::io::Result<u64>| number.unwrap_or_default();
    let owner = format!("{}:{}", number(header.uid()), number(header.gid()));
    let mode = Mode::new(header.mode().unwrap_or_default() & 0o7777);
    let mut content = Vec::new();
    entry.by_ref().take(read::FILE.bytes).read_to_end(&mut content).map_err(fail)?;
    let right =
        Some(content.as_slice()) == file.content.map(str::as_bytes) && mode == file.mode && owner == file.owner();
    let differs = || FileState::Differs { text: Kept::of(&content), content: fingerprint(&content), mode, owner };
    Ok(if right { FileState::AsWanted } else { differs() })
}
