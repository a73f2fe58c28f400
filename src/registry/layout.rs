//! Images in a folder of this host in OCI's layout (OCI image specification 1.1, "Image Layout"): [`Layout`].
//!
//! A blob takes its name when all of it is there and has the digest of that name; `index.json`, which names the images, is replaced
//! as a whole. Whoever ends a copy at any moment leaves a layout that others can read.

mod blob;
mod index;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, LARGEST, Manifest};
use crate::world::files::{self, Lock};
use crate::world::limit::Limit;
use crate::world::read;
pub(crate) use blob::Reading;
use index::Index;

/// The file that says that a folder is a layout, and what stands in it.
const MARK: &str = "oci-layout";
const MARK_CONTENT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";
/// What is read of `index.json`; an image takes some 250 bytes there.
const INDEX: Limit = Limit::new(256 << 20, 300);
/// How long an image may wait for its name in `index.json` while others are copied.
const PAUSE: Duration = Duration::from_secs(1);

/// A folder with images, from which they are copied or to which.
pub(crate) struct Layout {
    folder: PathBuf,
    /// `oci:FOLDER`, as it was typed.
    name: String,
    /// Whether it is written to: then what is damaged in it counts as missing, and is written anew.
    is_target: bool,
    /// The repository of images that have only a tag.
    stem: Option<String>,
    index: Mutex<Named>,
    /// Blobs that were read, or written, as a whole in this run, and their sizes.
    whole: Mutex<BTreeMap<Digest, u64>>,
    lock: Mutex<Option<Lock>>,
}

/// The images by their names, and when that was last written.
struct Named {
    index: Index,
    written: Instant,
    is_new: bool,
}

impl Layout {
    /// Opens a folder to copy from.
    ///
    /// # Errors
    /// It is no layout, or its `index.json` cannot be understood.
    pub fn source(folder: &str) -> Result<Self> {
        let layout = Self::at(folder, false)?;
        if !files::is_folder(&layout.folder) {
            return Err(Error::usage(format!("there is no folder `{}`", layout.folder.display()))
                .hint("`skopeo copy docker-daemon:IMAGE oci:FOLDER:TAG` makes one, and so does `provision copy`"));
        }
        if !files::exists(&layout.index_path()) || !files::exists(&layout.folder.join(MARK)) {
            return Err(Error::usage(format!(
                "`{}` is no OCI layout: it has no `index.json` and `oci-layout`",
                layout.folder.display()
            ))
            .hint("name the folder that holds these two files"));
        }
        layout.reload()?;
        Ok(layout)
    }

    /// Opens a folder to copy to, which need not be there yet. Nothing is written before [`Self::begin`].
    ///
    /// # Errors
    /// Something else is in it, or it cannot be written.
    pub fn target(folder: &str) -> Result<Self> {
        let layout = Self::at(folder, true)?;
        files::check_writable(&layout.folder.join(MARK))?;
        if !files::exists(&layout.folder.join(MARK)) && !files::names(&layout.folder)?.is_empty() {
            return Err(Error::usage(format!(
                "`{}` is no OCI layout, and has something else in it",
                layout.folder.display()
            ))
            .hint("name a new or an empty folder, or one that holds `oci-layout` and `index.json`"));
        }
        layout.reload()?;
        Ok(layout)
    }

    fn at(folder: &str, is_target: bool) -> Result<Self> {
        let named = Named { index: Index::default(), written: Instant::now(), is_new: false };
        Ok(Self {
            folder: PathBuf::from(files::absolute(folder)?),
            name: format!("oci:{folder}"),
            is_target,
            stem: None,
            index: Mutex::new(named),
            whole: Mutex::default(),
            lock: Mutex::default(),
        })
    }

    /// Has images that have only a tag be of a repository that is named after the folder, as `provision push` does.
    ///
    /// # Errors
    /// Two images have the same name then, or one has a name that no registry takes.
    pub fn with_repositories(mut self) -> Result<Self> {
        let stem = self.folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        self.stem = Some(stem);
        let mut seen = BTreeMap::new();
        for (name, digest) in self.named().index.images()? {
            let place = self.place(name.as_deref());
            let shown = index::joined(&place.0, &place.1);
            crate::registry::push::check_name(&place.0, &place.1).map_err(|what| {
                Error::new(format!("`{shown}` in `{}`: {what}", self.name)).hint(format!(
                    "copy it under another name: `provision copy {}:NAME REGISTRY/REPOSITORY:TAG`",
                    self.name
                ))
            })?;
            if seen.insert(place, digest.clone()).is_some_and(|other| other != digest) {
                return Err(Error::new(format!("two images in `{}` have the name `{shown}`", self.name)).hint(
                    "give them different names in `org.opencontainers.image.ref.name`, such as `REPOSITORY:TAG`",
                ));
            }
        }
        Ok(self)
    }

    /// Makes the folder a layout if it is none yet, and takes care that nobody else of ours writes to it.
    ///
    /// # Errors
    /// It cannot be written, or another run writes to it.
    pub fn begin(&self) -> Result<()> {
        files::make_folder(&self.folder, 0o755)?;
        let lock = files::lock_folder_now(&self.folder)?.ok_or_else(|| {
            Error::new(format!("another run writes to `{}`", self.name))
                .hint("wait for its end, and run the command again")
        })?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(lock);
        self.reload()?;
        if !files::exists(&self.folder.join(MARK)) {
            files::write(&self.folder.join(MARK), MARK_CONTENT, 0o644)?;
        }
        if !files::exists(&self.index_path()) {
            files::write(&self.index_path(), &self.named().index.bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Writes the names of all images that are there, and looks at what stands in the folder then.
    pub fn finish(&self) -> Result<()> {
        self.write_index(Duration::ZERO)?;
        self.reload()
    }

    /// `oci:FOLDER`
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The only image, for somebody who names none: its repository and tag.
    ///
    /// # Errors
    /// There are several, and none is called `latest`.
    pub fn only(&self) -> Result<(String, String)> {
        let images = self.named().index.images()?;
        let places: BTreeSet<(String, String)> = images.iter().map(|(name, _)| self.place(name.as_deref())).collect();
        let latest = (String::new(), "latest".to_owned());
        if let (Some(one), 1) = (places.first(), places.len()) {
            return Ok(one.clone());
        }
        if places.contains(&latest) {
            return Ok(latest);
        }
        let names: Vec<String> = places.iter().take(5).map(|(name, tag)| index::joined(name, tag)).collect();
        let what = format!("`{}` has {} images, and none was chosen", self.name, places.len());
        let error = Error::usage(what);
        Err(if names.is_empty() {
            error.hint("copy one to it first")
        } else {
            error.hint(format!("write `{}:NAME`; there are {}", self.name, names.join(", ")))
        })
    }

    /// All repositories and tags.
    pub fn images(&self) -> Result<BTreeSet<(String, String)>> {
        Ok(self.named().index.images()?.iter().map(|(name, _)| self.place(name.as_deref())).collect())
    }

    /// A manifest by its tag or digest; none if there is none.
    ///
    /// # Errors
    /// What stands under its digest is missing, or is something else.
    pub fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>> {
        let (digest, kind) = if let Ok(digest) = Digest::parse(reference) {
            (digest, String::new())
        } else {
            let Some(found) = self.found(repository, reference)? else { return Ok(None) };
            (found.digest, found.media_type)
        };
        let path = self.path(&digest);
        if !files::exists(&path) {
            let is_named = digest.as_str() != reference;
            return if is_named && !self.is_target { Err(self.lacks(&digest)) } else { Ok(None) };
        }
        if files::size(&path)? > LARGEST as u64 {
            return Err(Error::new(format!("the manifest `{digest}` in `{}` is larger than 4 MiB", self.name)));
        }
        let bytes = files::read_through(&path)?.unwrap_or_default();
        if !digest.is_of(&bytes) {
            return if self.is_target { Ok(None) } else { Err(self.lies(&digest, &Digest::of(&bytes))) };
        }
        Manifest::read(bytes, &kind).map(Some).map_err(|error| error.within(format!("{}@{digest}", self.name)))
    }

    /// Puts a manifest, whose blobs are there, under a tag or its digest.
    pub fn push_manifest(&self, repository: &str, reference: &str, manifest: &Manifest) -> Result<()> {
        if self.manifest(repository, manifest.digest.as_str())?.is_none() {
            files::write(&self.blob_path(&manifest.digest)?, &manifest.bytes, 0o644)?;
        }
        if reference.contains(':') {
            return Ok(());
        }
        {
            let mut named = self.named();
            let is_new = named.index.set(&index::joined(repository, reference), manifest);
            named.is_new |= is_new;
        }
        self.write_index(PAUSE)
    }

    /// Writes `index.json` if something is new and it was not written for this long.
    fn write_index(&self, pause: Duration) -> Result<()> {
        let mut named = self.named();
        if named.is_new && named.written.elapsed() >= pause {
            files::write(&self.index_path(), &named.index.bytes(), 0o644)?;
            (named.is_new, named.written) = (false, Instant::now());
        }
        Ok(())
    }

    fn reload(&self) -> Result<()> {
        let path = self.index_path();
        let index = read::file(&path, INDEX)?.map(|content| Index::read(&content));
        let index = index.transpose().map_err(|why| {
            Error::new(format!("`{}`: {why}", path.display())).hint("it is damaged: make the folder anew")
        })?;
        self.named().index = index.unwrap_or_default();
        Ok(())
    }

    /// The repository and the tag that a name stands for; one that has only a tag has no repository, unless it was given one.
    fn place(&self, name: Option<&str>) -> (String, String) {
        let name = name.unwrap_or("latest");
        match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
            _ if name.contains('/') => (name.to_owned(), "latest".to_owned()),
            _ => (self.stem.clone().unwrap_or_default(), name.to_owned()),
        }
    }

    /// The image of a repository and a tag, under any of the names that stand for them.
    fn found(&self, repository: &str, tag: &str) -> Result<Option<Descriptor>> {
        let named = self.named();
        let has_tag_alone = repository == self.stem.as_deref().unwrap_or_default();
        let joined = index::joined(repository, tag);
        let (is_latest, has_path) = (tag == "latest", repository.contains('/'));
        let names = [
            Some(Some(joined.as_str())),
            has_tag_alone.then_some(Some(tag)),
            (is_latest && has_path).then_some(Some(repository)),
            (is_latest && has_tag_alone).then_some(None),
        ];
        for name in names.into_iter().flatten() {
            if let Some(found) = named.index.find(name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_path(&self) -> PathBuf {
        self.folder.join("index.json")
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let algorithm = digest.as_str().split(':').next().unwrap_or_default();
        self.folder.join("blobs").join(algorithm).join(digest.hash())
    }

    /// Where a blob is to stand, in a folder that is there.
    fn blob_path(&self, digest: &Digest) -> Result<PathBuf> {
        let path = self.path(digest);
        files::make_folder(path.parent().unwrap_or(Path::new("/")), 0o755)?;
        Ok(path)
    }

    fn lacks(&self, digest: &Digest) -> Error {
        Error::new(format!("`{}` has no blob `{digest}`, which it names", self.name))
            .hint("the folder is not whole: copy it anew from where it came")
    }

    /// The error of a file that has another content than its name says.
    fn lies(&self, wanted: &Digest, found: &Digest) -> Error {
        Error::new(format!("`{}` has another content under `{wanted}`: {found}", self.name))
            .hint("the folder is damaged: copy it anew from where it came; nothing of that blob was used")
    }
}
