//! A playbook of the machine where the command was typed, with what stands beside it there: [`Brought`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::world::typed::brought;
use crate::world::{files, near, read};

/// How many files may belong to one playbook.
const FILES: usize = 200;

/// A playbook's files in a folder that goes with this.
#[derive(Debug)]
pub(crate) struct Brought {
    folder: tempfile::TempDir,
    /// The name of the playbook itself.
    main: String,
    /// What each file holds, by its path from the folder.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Brought {
    /// Fetches a playbook, and every file beside it or below that it names; none if the command was typed on this machine.
    ///
    /// # Errors
    /// The playbook cannot be read there, or cannot be kept here meanwhile.
    pub fn fetch(path: &str) -> Result<Option<Self>> {
        if near::get().is_none() {
            return Ok(None);
        }
        let (place, main) = path.rsplit_once('/').map_or(("", path), |(place, main)| (place, main));
        let content = brought(path, path, read::FILE).map_err(|refused| {
            let error = refused.error();
            if refused.missing { error.hint("`provision list` shows the built-in playbooks") } else { error }
        })?;
        let mut files = BTreeMap::new();
        let mut wanted: BTreeSet<String> = named(&content);
        files.insert(main.to_owned(), content);
        while let Some(name) = wanted.pop_first() {
            if files.contains_key(&name) || files.len() >= FILES {
                continue;
            }
            let there = if place.is_empty() { name.clone() } else { format!("{place}/{name}") };
            // A word that looks like a file need not be one.
            let Ok(content) = brought(&there, &there, read::FILE) else { continue };
            if [".yml", ".yaml"].iter().any(|ending| name.ends_with(ending)) {
                wanted.extend(named(&content));
            }
            files.insert(name, content);
        }
        let cache = files::cache_home()?;
        files::make_folder(&cache, 0o700)?;
        let folder = tempfile::Builder::new().prefix(".playbook.").tempdir_in(&cache);
        let folder = folder.map_err(|error| files::failed("make a folder in", &cache, &error))?;
        let brought = Self { folder, main: main.to_owned(), files };
        for (name, content) in &brought.files {
            let path = brought.folder.path().join(name);
            files::make_folder(path.parent().unwrap_or(&path), 0o700)?;
            files::write_brief(&path, content, 0o600)?;
        }
        Ok(Some(brought))
    }

    /// Where the playbook stands meanwhile.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.main)
    }

    /// Where it stands once its files are in a folder that lasts.
    pub fn path_in(&self, folder: &Path) -> Result<String> {
        let path = folder.join(&self.main).into_os_string().into_string();
        path.map_err(|_| Error::new("the folder of deployments has a name that is not UTF-8"))
    }
}

/// The words of a text that may name a file beside it, or below its folder.
fn named(content: &[u8]) -> BTreeSet<String> {
    let Ok(text) = std::str::from_utf8(content) else { return BTreeSet::new() };
    let words = text.split(|c: char| c.is_whitespace() || "\"'[]{}(),|".contains(c));
    let words = words.filter(|word| word.contains('.') && word.starts_with(|c: char| c.is_alphanumeric()));
    let inner = |word: &&str| Path::new(word).components().all(|part| matches!(part, Component::Normal(_)));
    words.filter(inner).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn files_are_named_by_words() {
        let text = b"- playbook: part.yml\n  content: \"{{ template('conf/nginx.conf') }}\"\n  image: /etc/passwd\n  also: ../x.yml a/../b.yml word\n";
        let found: Vec<String> = named(text).into_iter().collect();
        assert_eq!(found, ["conf/nginx.conf", "part.yml"]);
    }
}
