//! This program with all that it is made of, so that it can run in any container of the same processor: [`files`].
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::{Error, Result};

/// Where it stands in a container.
pub(crate) const FOLDER: &str = "/provision";

/// This program's files as they are laid into [`FOLDER`]: name, content.
pub(crate) struct Itself {
    pub files: Vec<(String, Vec<u8>)>,
    /// What starts it there, before its own arguments.
    pub command: Vec<String>,
}

/// The whole path of this program.
pub(crate) fn path() -> Result<String> {
    let link = std::fs::read_link("/proc/self/exe").map_err(|error| failed(&error))?;
    let path = link.to_string_lossy().into_owned();
    // What the kernel adds if another file has taken its place (proc_pid_exe(5)).
    Ok(path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path))
}

fn failed(error: &std::io::Error) -> Error {
    Error::new(format!("cannot read the program that runs now: {error}"))
}

/// Reads this program, the libraries that are loaded with it, and what loads them, so that a container's own need not fit.
pub(crate) fn read() -> Result<Itself> {
    let program = std::fs::read("/proc/self/exe").map_err(|error| failed(&error))?;
    let own = std::fs::read_link("/proc/self/exe").map_err(|error| failed(&error))?;
    let maps = std::fs::read_to_string("/proc/self/maps").map_err(|error| failed(&error))?;
    // The sixth column of a line is the file (proc_pid_maps(5)).
    let mapped: BTreeSet<&str> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.starts_with('/') && Path::new(path) != own && path.contains(".so"))
        .collect();
    let mut files = vec![("provision".to_owned(), program)];
    let mut loader = None;
    for path in mapped {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        if name.starts_with("ld-") {
            loader = Some(name.clone());
        }
        files.push((name, std::fs::read(path).map_err(|error| failed(&error))?));
    }
    let inside = |name: &str| format!("{FOLDER}/{name}");
    let command = match loader {
        Some(loader) => {
            vec![inside(&loader), "--library-path".to_owned(), FOLDER.to_owned(), inside("provision")]
        }
        None => vec![inside("provision")],
    };
    Ok(Itself { files, command })
}

impl Itself {
    /// All of it with one more file, as a tar archive of the root of a container. That file may hold a key: only the user who is to
    /// read it can, by the numbers `UID:GID`, or root where that is empty.
    ///
    /// # Errors
    /// It cannot be packed.
    pub fn archive(&self, name: &str, content: &[u8], user: &str) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let failed = |error| Error::new(format!("cannot pack the program for the helper: {error}"));
        let folder = FOLDER.trim_start_matches('/');
        let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
        // A user by name is known in the container only.
        let owner = number(uid).zip(number(gid));
        let (more, last) = ((name.to_owned(), content.to_vec()), self.files.len());
        for (index, (name, content)) in self.files.iter().chain([&more]).enumerate() {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            if let Some((uid, gid)) = owner.filter(|_| index == last) {
                header.set_mode(0o400);
                header.set_uid(uid);
                header.set_gid(gid);
            }
            archive.append_data(&mut header, format!("{folder}/{name}"), content.as_slice()).map_err(failed)?;
        }
        archive.into_inner().map_err(failed)
    }
}
