//! Errors of the file system: [`failed`].

use std::io::ErrorKind;
use std::path::Path;

use crate::error::Error;

/// An error of the file system as one of ours: `cannot {verb} {path}: …`.
pub(crate) fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    let what = Error::new(format!("cannot {verb} `{}`: {}", path.display(), reason(error)));
    match error.kind() {
        ErrorKind::PermissionDenied => {
            what.hint("run the command as a user who may, with `sudo` for instance, or choose another folder")
        }
        ErrorKind::ReadOnlyFilesystem => what.hint("choose a folder on a file system that can be written"),
        ErrorKind::StorageFull => what.hint("make room on that file system, then run the command again"),
        _ => what,
    }
}

/// The error's own words in lower case, without the number.
fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
