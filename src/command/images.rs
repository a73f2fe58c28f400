//! `provision images`: lists, searches and shows the images of a registry, and takes some away.

mod hold;
mod remove;
mod show;
mod table;

use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::registry::client::Registry;
use crate::registry::images::{self, Image, Known};
use crate::report::{self, Style};
use crate::session::Session;
use crate::text::pattern;

/// What is to be done with the images.
pub(crate) enum Task {
    List {
        wanted: String,
        sort: Sort,
        names_only: bool,
    },
    Search {
        word: String,
    },
    Show {
        image: String,
    },
    /// Deletes manifests, with all tags on them; `only_told` does nothing.
    Delete {
        images: Vec<String>,
        only_told: bool,
    },
    /// Keeps images from being removed, or lets them go again.
    Hold {
        images: Vec<String>,
        held: bool,
    },
    /// Takes tags away and leaves the other tags of the same manifests.
    Untag {
        images: Vec<String>,
        only_told: bool,
    },
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Name,
    Size,
    Age,
}

/// An image as it is typed: a repository, and a tag or a digest.
struct Reference {
    repository: String,
    reference: String,
}

pub(crate) async fn run(session: &Session, place: &str, task: Task, style: Style) -> Result<()> {
    let registry = Registry::open(place).await?;
    match task {
        Task::List { wanted, names_only: true, .. } => {
            let all = images::names(&registry, &wanted).await?;
            let names =
                all.iter().flat_map(|(repository, tags)| tags.iter().map(move |tag| format!("{repository}:{tag}")));
            names.for_each(|name| report::line(&name));
            Ok(())
        }
        Task::List { wanted, sort, .. } => {
            let known = Known::read();
            let found = images::list(&registry, &wanted, &known).await;
            known.write();
            let mut found = found?;
            sort_by(&mut found, sort);
            tell(&found, style);
            Ok(())
        }
        Task::Search { word } => search(&registry, &word, style).await,
        Task::Show { image } => show::run(&registry, &Reference::read(&registry, &image)?, style).await,
        Task::Delete { images, only_told } => {
            remove::delete(session, &registry, &read(&registry, &images)?, only_told).await
        }
        Task::Hold { images, held } => hold::change(session, &registry, &read(&registry, &images)?, held).await,
        Task::Untag { images, only_told } => {
            remove::untag(session, &registry, &read(&registry, &images)?, only_told).await
        }
    }
}

fn read(registry: &Registry, images: &[String]) -> Result<Vec<Reference>> {
    images.iter().map(|image| Reference::read(registry, image)).collect()
}

impl Reference {
    /// Reads `REPOSITORY[:TAG]` or `REPOSITORY@DIGEST`; the registry's own host may stand before it.
    fn read(registry: &Registry, text: &str) -> Result<Self> {
        let image = text.strip_prefix(&format!("{}/", registry.name())).unwrap_or(text);
        let (repository, reference) = match image.split_once('@') {
            Some((name, digest)) => {
                (name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name), digest)
            }
            None => image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).unwrap_or((image, "latest")),
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        if repository.is_empty() || reference.is_empty() || !repository.chars().all(fits) {
            return Err(Error::usage(format!("`{text}` is not the name of an image"))
                .hint("write `REPOSITORY:TAG` or `REPOSITORY@sha256:…`, as `provision images REGISTRY` lists them"));
        }
        Ok(Self { repository: repository.to_owned(), reference: reference.to_owned() })
    }

    fn shown(&self) -> String {
        let sign = if self.reference.contains(':') { '@' } else { ':' };
        format!("{}{sign}{}", self.repository, self.reference)
    }

    fn missing(&self, registry: &Registry) -> Error {
        Error::new(format!("the registry `{}` has no image `{}`", registry.name(), self.shown()))
            .hint("`provision images REGISTRY` lists its images")
    }
}

fn sort_by(images: &mut [Image], sort: Sort) {
    match sort {
        Sort::Name => {}
        Sort::Size => images.sort_by_key(|image| std::cmp::Reverse(image.details.bytes())),
        Sort::Age => images.sort_by(|a, b| b.details.created.cmp(&a.details.created)),
    }
}

fn tell(images: &[Image], style: Style) {
    if style == Style::Json {
        images.iter().for_each(|image| report::json(&as_json(image)));
    } else {
        table::lines(images).iter().for_each(|line| report::line(line));
    }
}

fn as_json(image: &Image) -> Json {
    let details = &image.details;
    json!({
        "repository": image.repository, "tag": image.tag, "digest": image.digest, "platforms": details.platforms,
        "bytes": details.bytes(), "created": details.created,
    })
}

/// Finds a word in names, labels and annotations.
async fn search(registry: &Registry, word: &str, style: Style) -> Result<()> {
    let known = Known::read();
    let all = images::list(registry, "*", &known).await;
    known.write();
    let lower = word.to_lowercase();
    let wanted = if word.contains(['*', '?']) { lower } else { format!("*{lower}*") };
    let is_found = |text: &str| pattern::fits(&wanted, &text.to_lowercase());
    let found: Vec<Image> = all?
        .into_iter()
        .filter(|image| {
            let name = format!("{}:{}", image.repository, image.tag);
            is_found(&name) || image.details.words.iter().any(|text| is_found(text))
        })
        .collect();
    tell(&found, style);
    Ok(())
}
