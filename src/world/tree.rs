//! The files of a host as they lie below a folder, which is `/` for this host: [`Tree`]. It is only looked at.
#![expect(clippy::disallowed_methods, reason = "this is a place with I/O")]

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A larger file is none that somebody wrote by hand.
const LARGEST: u64 = 1 << 20;
/// How many links are followed on the way to one file, as the kernel has it (`path_resolution(7)`).
const LINKS: usize = 40;

pub(crate) struct Tree {
    root: PathBuf,
}

/// A regular file.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub text: String,
    pub mode: u32,
}

/// What stands at a path, links followed.
#[derive(Debug, Clone)]
pub(crate) enum Look {
    Nothing,
    /// Something that this user may not read.
    Denied,
    File(Seen),
    Folder,
}

impl Tree {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a path of the host really stands on it. A link that begins with a slash counts from the tree's own root.
    pub fn resolve(&self, path: &str) -> String {
        let mut rest: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut way: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => drop(way.pop()),
                _ => way.push(part),
            }
            let Ok(target) = fs::read_link(self.below(&way)) else { continue };
            links += 1;
            if links > LINKS {
                break;
            }
            way.pop();
            let target = target.to_string_lossy().into_owned();
            if target.starts_with('/') {
                way.clear();
            }
            target.rsplit('/').for_each(|part| rest.push_front(part.to_owned()));
        }
        format!("/{}", way.join("/"))
    }

    fn below(&self, way: &[String]) -> PathBuf {
        way.iter().fold(self.root.clone(), |path, part| path.join(part))
    }

    fn place(&self, path: &str) -> PathBuf {
        self.root.join(self.resolve(path).trim_matches('/'))
    }

    pub fn look(&self, path: &str) -> Look {
        let place = self.place(path);
        let denied = |error: &std::io::Error| {
            if error.kind() == ErrorKind::PermissionDenied { Look::Denied } else { Look::Nothing }
        };
        let metadata = match fs::metadata(&place) {
            Ok(metadata) => metadata,
            Err(error) => return denied(&error),
        };
        if metadata.is_dir() {
            return Look::Folder;
        }
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Look::Nothing;
        }
        match File::open(&place).and_then(|file| {
            let mut content = Vec::new();
            file.take(LARGEST).read_to_end(&mut content).map(|_| content)
        }) {
            Ok(content) => {
                let text = crate::world::encoding::lossy(&content);
                Look::File(Seen { text, mode: metadata.mode() & 0o7777 })
            }
            Err(error) => denied(&error),
        }
    }

    /// The names in a folder, sorted; none if it may not be listed.
    pub fn names(&self, path: &str) -> Option<Vec<String>> {
        match fs::read_dir(self.place(path)) {
            Ok(entries) => {
                let mut names: Vec<String> =
                    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
                names.sort();
                Some(names)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => None,
            Err(_) => Some(Vec::new()),
        }
    }

    /// The number of the user to whom something belongs.
    pub fn owner(&self, path: &str) -> Option<u32> {
        fs::metadata(self.place(path)).ok().map(|metadata| metadata.uid())
    }

    /// Whether it is a link itself.
    pub fn is_link(&self, path: &str) -> bool {
        fs::symlink_metadata(self.root.join(path.trim_matches('/'))).is_ok_and(|metadata| metadata.is_symlink())
    }
}
