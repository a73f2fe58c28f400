//! Where images come from: [`Source`].

use std::path::{Path, PathBuf};

use super::stream::{Part, Reader, pipe, read, read_parts};
use super::{Image, Program};
use crate::error::{Error, Result};
use crate::world::engine::{Engine, Layers};
use crate::world::files;

/// What gives images.
pub(crate) enum Source<'a> {
    /// An engine, and whether it keeps images as they were pulled.
    Engine { engine: &'a Engine, as_pulled: bool },
    /// Another engine, by its program.
    Program(Program),
    /// A file that `docker save` wrote.
    Archive { path: PathBuf },
    /// A folder in OCI's layout.
    Layout { folder: PathBuf },
}

impl Source<'_> {
    /// Whether what it gives goes to the registry as it is.
    pub fn keeps_as_pulled(&self) -> bool {
        match self {
            Self::Engine { as_pulled, .. } => *as_pulled,
            Self::Program(program) => *program == Program::Containerd,
            Self::Archive { .. } => false,
            Self::Layout { .. } => true,
        }
    }

    /// Where an engine keeps the layers that it would compress or unpack for others, if that can be read from here.
    pub(super) async fn layers(&self) -> Option<Layers> {
        match self {
            Self::Engine { engine, as_pulled: false } => engine.layers().await,
            _ => None,
        }
    }

    /// Has images read.
    pub(super) async fn give(&self, images: &[&Image], reader: Reader) -> Result<()> {
        match self {
            Self::Engine { engine, as_pulled } => {
                let (to, from) = pipe();
                read(from, reader)?;
                // By its id it is the image that was looked at, whatever its name has come to mean; but what is kept as it
                // was pulled is given out by its name only.
                let name = |image: &&Image| if *as_pulled { image.reference.clone() } else { image.id.to_string() };
                engine.export_images(&images.iter().map(name).collect::<Vec<_>>(), to).await
            }
            Self::Program(program) => {
                let names: Vec<String> = images.iter().map(|image| image.reference.clone()).collect();
                read(program.give(&names)?, reader)
            }
            Self::Archive { path } => read(files::reader(path)?, reader),
            Self::Layout { folder } => read_parts(blobs(folder)?, reader),
        }
    }
}

/// The blobs of a layout, small ones first: manifests are small.
fn blobs(folder: &Path) -> Result<Vec<Part>> {
    let mut found = Vec::new();
    for algorithm in files::names(&folder.join("blobs"))? {
        for name in files::names(&folder.join("blobs").join(&algorithm))? {
            let path = folder.join("blobs").join(&algorithm).join(&name);
            found.push((files::size(&path)?, format!("blobs/{algorithm}/{name}"), path));
        }
    }
    if found.is_empty() {
        return Err(Error::new(format!("`{}` is no OCI layout: it has no blobs", folder.display()))
            .hint("`skopeo copy docker-daemon:IMAGE oci:FOLDER:TAG` makes one"));
    }
    found.sort();
    let part = |(size, path, file): (u64, String, PathBuf)| {
        let open = move || {
            let content: Box<dyn std::io::Read> = Box::new(files::reader(&file)?);
            Ok((Some(size), content))
        };
        Part { path, open: Box::new(open) }
    };
    Ok(found.into_iter().map(part).collect())
}
