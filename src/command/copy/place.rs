//! Where images are copied from and to, as users write it: [`Place`], [`all_of`], [`all_to`].

use crate::error::{Error, Result};
use crate::registry::client::{Digest, Registry};
use crate::registry::copy::Side;
use crate::registry::layout::Layout;
use crate::registry::push::check_name;
use crate::world::typed;

/// An image: `REGISTRY/REPOSITORY[:TAG|@DIGEST]`, or `oci:FOLDER[:TAG]`, where TAG may be `REPOSITORY:TAG`.
pub(super) struct Place {
    pub side: Side,
    pub repository: String,
    pub reference: String,
}

impl Place {
    /// Opens the image that is to be copied.
    pub async fn source(text: &str) -> Result<Self> {
        let Some((folder, name)) = folder(text)? else { return Self::of_registry(text).await };
        let layout = Layout::source(folder)?;
        let (repository, reference) = name.map_or_else(|| layout.only(), |name| parts(text, name))?;
        Ok(Self { side: Side::Layout(Box::new(layout)), repository, reference })
    }

    /// Opens the place of the copy.
    pub async fn target(text: &str) -> Result<Self> {
        let Some((folder, name)) = folder(text)? else {
            let place = Self::of_registry(text).await?;
            if let Side::Registry(registry) = &place.side {
                registry.check_takes_pushes()?;
            }
            return Ok(place);
        };
        let (repository, reference) = parts(text, name.unwrap_or("latest"))?;
        Ok(Self { side: Side::Layout(Box::new(Layout::target(folder)?)), repository, reference })
    }

    async fn of_registry(text: &str) -> Result<Self> {
        let wrong = || {
            Error::usage(format!("`{text}` is no image of a registry"))
                .hint("write `DEPLOYMENT/REPOSITORY:TAG` or `https://HOST[:PORT]/REPOSITORY:TAG`, or `oci:FOLDER:TAG`")
        };
        let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
        let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
        let (repository, reference) = match path.split_once('@') {
            Some((repository, digest)) => (repository, Digest::parse(digest)?.to_string()),
            None => path.rsplit_once(':').map_or((path, "latest".to_owned()), |(name, tag)| (name, tag.to_owned())),
        };
        check_name(repository, if reference.contains(':') { "latest" } else { &reference })
            .map_err(|what| Error::usage(format!("`{text}`: {what}")))?;
        let place = if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") };
        let side = Side::Registry(Registry::open(&place).await?);
        Ok(Self { side, repository: repository.to_owned(), reference })
    }
}

/// All images of a registry, or of a folder.
pub(super) async fn all_of(text: &str) -> Result<Side> {
    match whole_folder(text)? {
        Some(folder) => Ok(Side::Layout(Box::new(Layout::source(folder)?.with_repositories()?))),
        None => Ok(Side::Registry(Registry::open(text).await?)),
    }
}

/// A registry, or a folder, that takes all images.
pub(super) async fn all_to(text: &str) -> Result<Side> {
    if let Some(folder) = whole_folder(text)? {
        return Ok(Side::Layout(Box::new(Layout::target(folder)?)));
    }
    let registry = Registry::open(text).await?;
    registry.check_takes_pushes()?;
    Ok(Side::Registry(registry))
}

fn whole_folder(text: &str) -> Result<Option<&str>> {
    match folder(text)? {
        Some((_, Some(name))) => Err(Error::usage(format!("`{text}` names the one image `{name}`"))
            .hint("write `oci:FOLDER` to migrate all images; `provision copy` copies one")),
        found => Ok(found.map(|(folder, _)| folder)),
    }
}

/// The folder and the name in `oci:FOLDER[:NAME]`; none if it is the place of a registry.
fn folder(text: &str) -> Result<Option<(&str, Option<&str>)>> {
    let Some((kind, rest)) = text.split_once(':') else { return Ok(None) };
    // `oci:5000` is a host with a port, as it always was; the folder is `oci:./5000`.
    let first = rest.split('/').next().unwrap_or_default();
    if rest.starts_with("//") || (!first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit())) {
        return Ok(None);
    }
    match kind {
        "oci" => {}
        "oci-archive" => {
            return Err(Error::usage(format!("`{text}`: archives are not read"))
                .hint("unpack it first: `mkdir FOLDER && tar -xf FILE -C FOLDER`, and name `oci:FOLDER`"));
        }
        "docker-archive" => {
            return Err(Error::usage(format!("`{text}`: what `docker save` writes has no digests to keep"))
                .hint("`provision push REGISTRY --all --from docker-archive:FILE` brings its images to a registry"));
        }
        _ => return Ok(None),
    }
    typed::only_here("oci:FOLDER")?;
    let (folder, name) = rest.split_once(':').map_or((rest, None), |(folder, name)| (folder, Some(name)));
    if folder.is_empty() {
        return Err(Error::usage(format!("`{text}` names no folder")).hint("write `oci:FOLDER:TAG`"));
    }
    Ok(Some((folder, name)))
}

/// The repository, where there is one, and the tag of a name in a folder.
fn parts(text: &str, name: &str) -> Result<(String, String)> {
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) => (repository, tag),
        None if name.contains('/') => (name, "latest"),
        None => ("", name),
    };
    check_name(if repository.is_empty() { "image" } else { repository }, tag)
        .map_err(|what| Error::usage(format!("`{text}`: {what}")).hint("write `oci:FOLDER:TAG`"))?;
    Ok((repository.to_owned(), tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_from_a_registry() {
        assert_eq!(folder("oci:/a/b").unwrap(), Some(("/a/b", None)));
        assert_eq!(folder("oci:b:team/app:1").unwrap(), Some(("b", Some("team/app:1"))));
        for registry in ["oci:5000", "oci:5000/app:1", "https://oci:5000", "registry", "oci", "host:1/app:1", "oci://x"]
        {
            assert_eq!(folder(registry).unwrap(), None, "{registry}");
        }
        for wrong in ["oci:", "oci::1", "oci-archive:a.tar", "docker-archive:a.tar:1"] {
            assert!(folder(wrong).unwrap_err().next_step().is_some(), "{wrong}");
        }
        assert!(whole_folder("oci:a:1").is_err());
    }

    #[test]
    fn a_name_in_a_folder_is_a_tag_or_that_of_a_repository() {
        let found = |name| parts("", name).map_err(|error| error.to_string());
        assert_eq!(found("1.0"), Ok((String::new(), "1.0".to_owned())));
        assert_eq!(found("team/app:1"), Ok(("team/app".to_owned(), "1".to_owned())));
        assert_eq!(found("team/app"), Ok(("team/app".to_owned(), "latest".to_owned())));
        assert!(found("a b").is_err() && found("").is_err());
    }
}
