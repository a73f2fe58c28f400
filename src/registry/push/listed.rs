//! What images a file or a folder has: their ids, and their names.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::registry::client::{Descriptor, Digest, LARGEST};
use crate::text::json;
use crate::world::files;

/// The annotation with the name of an image of a layout (OCI image specification 1.1, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";

/// What `docker save` says of one image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// The images of a file that `docker save` wrote: ids and names.
pub(crate) fn archive(path: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let fail = |error: std::io::Error| {
        Error::new(format!("`{}` cannot be read: {error}", path.display()))
            .hint("it must be one that `docker save` wrote")
    };
    let mut archive = tar::Archive::new(files::reader(path)?);
    let (mut saved, mut texts) = (None, BTreeMap::new());
    for entry in archive.entries_with_seek().map_err(fail)? {
        let mut entry = entry.map_err(fail)?;
        let name = entry.path().map_err(fail)?.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.size() > LARGEST as u64 || !entry.header().entry_type().is_file() {
            continue;
        }
        let mut content = Vec::new();
        if name == "manifest.json" {
            entry.read_to_end(&mut content).map_err(fail)?;
            saved = Some(content);
        } else if has_ending(&name, "json") || name.starts_with("blobs/") {
            entry.read_to_end(&mut content).map_err(fail)?;
            texts.insert(name, Digest::of(&content));
        }
    }
    let saved = saved.ok_or_else(|| {
        Error::new(format!("`{}` has no `manifest.json`", path.display()))
            .hint("it must be one that `docker save` wrote")
    })?;
    let saved: Vec<Saved> = json::read(&saved).map_err(|why| Error::new(format!("`{}`: {why}", path.display())))?;
    let id = |saved: Saved| {
        let id = texts
            .get(&saved.config)
            .ok_or_else(|| Error::new(format!("`{}` names `{}`, and has none", path.display(), saved.config)))?;
        Ok((id.to_string(), saved.repo_tags.unwrap_or_default()))
    };
    saved.into_iter().map(id).collect()
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

/// The images of an OCI layout: the digests of their manifests, and names. One that has only a tag is named after the folder.
pub(crate) fn layout(folder: &Path) -> Result<Vec<(String, Vec<String>)>> {
    let path = folder.join("index.json");
    if !files::exists(&path) || !files::exists(&folder.join("oci-layout")) {
        return Err(Error::usage(format!(
            "`{}` is no OCI layout: it has no `index.json` and `oci-layout`",
            folder.display()
        ))
        .hint("`skopeo copy docker-daemon:IMAGE oci:FOLDER:TAG` makes one"));
    }
    let content = files::read_through(&path)?.unwrap_or_default();
    let index: Index = json::read(&content).map_err(|why| Error::new(format!("`{}`: {why}", path.display())))?;
    let stem = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let named = |descriptor: Descriptor| {
        let name = descriptor.annotations.get(NAME).map_or("latest", String::as_str);
        let name = if name.contains([':', '/']) { name.to_owned() } else { format!("{stem}:{name}") };
        (descriptor.digest.to_string(), vec![name])
    };
    Ok(index.manifests.into_iter().map(named).collect())
}
