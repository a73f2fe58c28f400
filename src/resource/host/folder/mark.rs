//! A file by which a service knows its folder from the empty mount point of a disk that is not there.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::resource::host::folder::{Record, Spec};
use crate::text::shell::quoted;
use crate::world::files;
use crate::world::inode::{Body, Inode};

/// Its name in the folder.
pub(super) const NAME: &str = ".provision";
const TEXT: &[u8] = b"The service that fills this folder starts only where this file is: on the right disk.\n";

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

pub(super) fn is_in(folder: &Path) -> bool {
    files::exists(&path(folder))
}

pub(super) fn write(folder: &Path, (user, group): (u32, u32)) -> Result<()> {
    Inode { body: Body::File(TEXT.to_vec()), mode: 0o644, user, group }.write(&path(folder))
}

/// Fails if the folder that was marked is no longer at its place: nothing may be written where its disk belongs.
pub(super) fn check(spec: &Spec, record: Option<&Record>, place: &Path) -> Result<()> {
    let lost = spec.mark && record.is_some_and(|record| record.mark) && !is_in(place);
    if !lost {
        return Ok(());
    }
    let folder = quoted(&spec.path);
    Err(Error::new(format!("`{}` is not the folder that was filled: its file `{NAME}` is missing", spec.path)).hint(
        format!("mount its disk; if the data is lost and the folder shall start empty, `mkdir -p {folder} && touch {folder}/{NAME}` says so"),
    ))
}
