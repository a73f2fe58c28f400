//! Files that a service brings to a host: compared, written, and put back as they were: [`Installed`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::spec::{Body, File};
use crate::error::{Error, Result};
use crate::resource::change::Field;
use crate::resource::content::{Mode, digest, fingerprint};
use crate::resource::difference::{Kept, Texts};
use crate::world::accounts::{self, GROUPS, USERS};
use crate::world::inode::{self, Inode};
use crate::world::{files, host};

/// What is kept of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Installed {
    /// What was written, in short: a digest, where a link points, or nothing for a folder.
    pub wrote: String,
    /// What was written before, as long as it is not sure that the new one is there: a run that was killed leaves this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<String>,
    pub mode: String,
    pub owner: String,
    /// What stood there before, which comes back when the service goes.
    pub before: Option<Inode>,
}

/// What stands for a content: a digest in what is kept, which is for its owner alone, a fingerprint in a plan.
type Short = fn(&[u8]) -> String;

fn short(body: &inode::Body, of: Short) -> String {
    match body {
        inode::Body::File(content) => of(content),
        inode::Body::Link(target) => format!("→ {}", target.display()),
        inode::Body::Folder => "a folder".to_owned(),
    }
}

impl File<'_> {
    fn short(&self, of: Short) -> String {
        match self.body {
            Body::File(content) => of(content.as_bytes()),
            Body::Link(target) => format!("→ {target}"),
            Body::Folder => "a folder".to_owned(),
            Body::Gone => String::new(),
        }
    }

    fn owner(&self) -> String {
        format!("{}:{}", self.user, self.group)
    }

    /// How what is there differs. A rendered file has no owner yet: the users of the host that it is for are not known here.
    pub fn compare(&self, found: Option<&Inode>, rendering: bool) -> Vec<Field> {
        let name = |part: &str| format!("files.{}{part}", self.path);
        if self.body == Body::Gone {
            return found
                .and_then(|found| Field::compare(name(""), &short(&found.body, fingerprint), ""))
                .into_iter()
                .collect();
        }
        let Some(found) = found else {
            return Field::compare(name(""), "", &self.short(fingerprint)).into_iter().collect();
        };
        let mut fields: Vec<Field> =
            Field::compare(name(""), &short(&found.body, fingerprint), &self.short(fingerprint)).into_iter().collect();
        if matches!(self.body, Body::Link(_)) {
            return fields;
        }
        fields.extend(Field::compare(name(".mode"), &Mode::new(found.mode).to_string(), &self.mode.to_string()));
        if !rendering && self.ids() != Some((found.user, found.group)) {
            let owner = format!("{}:{}", accounts::name_of(USERS, found.user), accounts::name_of(GROUPS, found.group));
            fields.extend(Field::compare(name(".owner"), &owner, &self.owner()));
        }
        fields
    }

    /// What is there and what should be, where both are the contents of a file.
    pub fn texts(&self, found: &Inode) -> Option<Texts> {
        match (&found.body, self.body) {
            (inode::Body::File(old), Body::File(new)) if old != new.as_bytes() => {
                Some(Texts::new(format!("files.{}", self.path), Kept::of(old), new))
            }
            _ => None,
        }
    }

    fn ids(&self) -> Option<(u32, u32)> {
        Some((accounts::id_of(USERS, self.user)?, accounts::id_of(GROUPS, self.group)?))
    }

    /// What to keep of it once it is as wanted; `known` is what was kept of it so far, and `found` what stands there.
    pub fn kept(&self, known: Option<&Installed>, found: Option<&Inode>) -> Installed {
        let before = known.map_or(found.cloned(), |known| known.before.clone());
        Installed { wrote: self.short(digest), earlier: None, mode: self.mode.to_string(), owner: self.owner(), before }
    }

    /// Writes it below `root`.
    pub fn install(&self, root: &Path) -> Result<()> {
        let path = self.below(root);
        if self.body == Body::Gone {
            return inode::remove(&path);
        }
        let rendering = root != Path::new("/");
        let (user, group) = match self.ids() {
            // In a rendered tree, whoever writes it owns it.
            _ if rendering => host::ids(),
            Some(ids) => ids,
            None => {
                return Err(Error::new(format!(
                    "there is no `{}` on this host, to whom `{}` belongs",
                    self.owner(),
                    self.path
                ))
                .hint("the package that brings this user or group is not installed"));
            }
        };
        let body = match self.body {
            Body::File(content) => inode::Body::File(content.as_bytes().to_vec()),
            Body::Link(target) => inode::Body::Link(PathBuf::from(target)),
            Body::Folder | Body::Gone => inode::Body::Folder,
        };
        Inode { body, mode: self.mode.bits(), user, group }.write(&path)
    }
}

impl Installed {
    /// Puts back what stood there before. What somebody changed since is kept beside, and the path of that is told.
    pub fn uninstall(&self, path: &Path) -> Result<Option<PathBuf>> {
        files::clear_unfinished(path);
        let found = Inode::read(path)?;
        if found == self.before {
            return Ok(None);
        }
        let ours =
            |body: &inode::Body| [Some(&self.wrote), self.earlier.as_ref()].contains(&Some(&short(body, digest)));
        let changed = found.as_ref().filter(|found| matches!(found.body, inode::Body::File(_)) && !ours(&found.body));
        let kept = match changed {
            Some(changed) => {
                let kept = path.with_added_extension("kept");
                changed.write(&kept)?;
                Some(kept)
            }
            None => None,
        };
        match &self.before {
            Some(before) => before.write(path)?,
            None => inode::remove(path)?,
        }
        Ok(kept)
    }
}

/// The folders above these paths that are not there, the outermost first.
pub(crate) fn missing_folders(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    paths.iter().filter_map(|path| path.parent()).flat_map(files::missing_folders).collect()
}

/// What stands at each of these paths.
pub(crate) fn read(paths: impl Iterator<Item = PathBuf>) -> Result<BTreeMap<PathBuf, Option<Inode>>> {
    paths.map(|path| Ok((path.clone(), Inode::read(&path)?))).collect()
}
