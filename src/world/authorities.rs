//! The system's own store of authorities, as `update-ca-certificates(8)` of Debian keeps it.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{self, Found};
use super::host;
use crate::error::{Error, Result};

/// Where certificates of this host alone belong, one a file.
pub(crate) const FOLDER: &str = "/usr/local/share/ca-certificates";
/// Where programs look: a link for each certificate, links by hashes of subjects, and all certificates in one file.
const LINKS: &str = "/etc/ssl/certs";
pub(crate) const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
const PROGRAM: &str = "update-ca-certificates";

/// The certificates that the administrator of this host put there, as far as this user may read them: name and content.
pub(crate) fn added() -> Vec<(String, Vec<u8>)> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let all =
        entries(Path::new(FOLDER)).flat_map(|path| if path.is_dir() { entries(&path).collect() } else { vec![path] });
    let mut found: Vec<(String, Vec<u8>)> = all
        .filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "crt"))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), files::read_through(&path).ok()??)))
        .collect();
    found.sort();
    found.dedup_by(|a, b| a.0 == b.0);
    found
}

/// Fails if this host has no such store.
pub(crate) fn check() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    Err(Error::new(format!("this host has no `{PROGRAM}`, and so no store of the system's that it keeps"))
        .hint("`apt-get install ca-certificates` brings it; or leave out `--trust system`; nothing was changed"))
}

fn is_there() -> bool {
    files::exists(Path::new("/usr/sbin").join(PROGRAM).as_ref())
}

/// The link to a certificate's file, below the name that the program gives it.
pub(crate) fn link(path: &Path) -> PathBuf {
    Path::new(LINKS).join(path.file_name().unwrap_or_default()).with_extension("pem")
}

/// Whether the link to a certificate's file is there.
pub(crate) fn is_linked(path: &Path) -> bool {
    fs::read_link(link(path)).is_ok_and(|target| target == path)
}

/// Whether the file with all certificates holds this one.
pub(crate) fn bundle_holds(certificate: &str) -> Result<bool> {
    let Some(Found { content, .. }) = files::read(Path::new(BUNDLE))? else { return Ok(false) };
    Ok(String::from_utf8_lossy(&content).contains(certificate.trim()))
}

/// Takes up all that stands in the folder now.
pub(crate) async fn update() -> Result<()> {
    let _lock = files::lock_folder(Path::new(FOLDER), true)?;
    host::run(PROGRAM, &[]).await
}

/// Takes a certificate out of the store: its file and the links to it. Only with `--fresh` would the program look for links that
/// lead nowhere, and then it takes all others away as well for a moment.
pub(crate) async fn forget(path: &Path) -> Result<()> {
    files::remove(path)?;
    let link = link(path);
    for name in files::names(Path::new(LINKS))? {
        let other = Path::new(LINKS).join(name);
        let leads_here =
            fs::read_link(&other).is_ok_and(|target| target == path || Some(target.as_os_str()) == link.file_name());
        if leads_here {
            files::remove(&other)?;
        }
    }
    if is_there() { update().await } else { Ok(()) }
}
