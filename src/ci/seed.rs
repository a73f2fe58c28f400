//! Images that a registry has from its start: of the engine, or of an OCI layout: [`seed`].

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::access::Access;
use super::job::Job;
use super::push::{Blob, Registry};
use crate::error::{Error, Result};
use crate::text::digest::sha256;
use crate::world::engine::Engine;
use crate::world::files;
use crate::world::http::{Client, Route, resolve};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The annotation with the name of an image of a layout (OCI image specification 1.1, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";
/// The first bytes of a file that gzip wrote (RFC 1952, 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What `docker save` says of one image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

/// A descriptor of an OCI layout.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Fails if something cannot be an image to start with, before anything is brought up.
pub(crate) fn check(images: &[String], folder: Option<&Path>) -> Result<()> {
    for image in images {
        target(image)?;
    }
    let Some(folder) = folder else { return Ok(()) };
    if files::exists(&folder.join("index.json")) && files::exists(&folder.join("oci-layout")) {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` is no OCI layout: it has no `index.json` and `oci-layout`", folder.display()))
        .hint("`skopeo copy docker-daemon:IMAGE oci:FOLDER:TAG` makes one"))
}

/// Pushes images of the engine, and those of an OCI layout; gives their references in the registry.
pub(crate) async fn seed(job: &Job, access: &Access, images: &[String], folder: Option<&Path>) -> Result<Vec<String>> {
    let mut pushed = Vec::new();
    if images.is_empty() && folder.is_none() {
        return Ok(pushed);
    }
    let engine = job.run.engine().await?;
    let (host, port) = access.registry.rsplit_once(':').unwrap_or((&access.registry, "443"));
    let address = resolve(&format!("{}:{port}", engine.host())).await;
    let route = address.map_or(Route::Direct, Route::Address);
    let login = Some((access.user.clone(), access.password.clone()));
    let authority = files::read_text(&access.ca)?;
    let client = Client::new(host.trim_matches(['[', ']']), route, Some(&authority), login)?;
    let registry = Registry { client, base: format!("https://{}", access.registry) };
    for image in images {
        let (repository, tag) = target(image)?;
        let file = job.run.store.path(&format!("seed-{}.tar", pushed.len()));
        save(engine, image, &file).await?;
        push_saved(&registry, &file, &repository, &tag)
            .await
            .map_err(|error| error.within(format!("`--seed {image}`")))?;
        files::remove(&file)?;
        pushed.push(format!("{}/{repository}:{tag}", access.registry));
    }
    for (repository, tag) in match folder {
        Some(folder) => push_layout(&registry, folder).await?,
        None => Vec::new(),
    } {
        pushed.push(format!("{}/{repository}:{tag}", access.registry));
    }
    Ok(pushed)
}

/// The repository and tag that an image gets: its own, without the registry that it is from.
fn target(image: &str) -> Result<(String, String)> {
    let wrong = |what: &str| {
        Error::usage(format!("`--seed {image}`: {what}")).hint("name it as `docker images` does, `REPOSITORY:TAG`")
    };
    if image.contains('@') || image.starts_with("sha256:") {
        return Err(wrong("a digest is no name that it could be pushed under"));
    }
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let foreign = first.contains(['.', ':']) || first == "localhost";
    let path = if foreign { rest } else { image };
    let (repository, tag) = path.rsplit_once(':').unwrap_or((path, "latest"));
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
    if repository.is_empty() || tag.is_empty() || !repository.chars().all(fits) {
        return Err(wrong("this is no name of an image"));
    }
    Ok((repository.to_owned(), tag.to_owned()))
}

async fn save(engine: &Engine, image: &str, path: &Path) -> Result<()> {
    if engine.image(image).await?.is_none() {
        return Err(Error::new(format!("the engine has no image `{image}` to start with")).hint(format!(
            "`{}` fetches it, `docker images` lists what there is",
            crate::text::shell::line(["docker", "pull", image])
        )));
    }
    let mut file = files::create(path)?;
    let mut write = |part: &[u8]| file.write_all(part).map_err(|error| files::failed("write", path, &error));
    engine.export(image, &mut write).await
}

/// Pushes what `docker save` wrote.
async fn push_saved(registry: &Registry, file: &Path, repository: &str, tag: &str) -> Result<()> {
    let parts = parts(file)?;
    let find = |name: &str| {
        let part = parts.get(name).copied();
        part.ok_or_else(|| Error::new(format!("what the engine wrote of the image has no `{name}` in it")))
    };
    let read = |part: &(u64, u64)| files::read_part(file, part.0, usize::try_from(part.1).unwrap_or(usize::MAX));
    let saved: Vec<Saved> = parse(&read(&find("manifest.json")?)?)?;
    let saved = saved.into_iter().next().ok_or_else(|| Error::new("the engine wrote no image"))?;
    let config = read(&find(&saved.config)?)?;
    let differences: Json = parse(&config)?;
    let mut blobs = Vec::new();
    let mut layers = Vec::new();
    for (index, layer) in saved.layers.iter().enumerate() {
        let (offset, size) = find(layer)?;
        let compressed = size > 1 && files::read_part(file, offset, 2)? == GZIP;
        let known = differences["rootfs"]["diff_ids"][index].as_str().map(str::to_owned);
        let digest = match known.filter(|_| !compressed) {
            Some(digest) => digest,
            None => format!("sha256:{}", sha256(&read(&(offset, size))?)),
        };
        let kind = if compressed { format!("{LAYER}+gzip") } else { LAYER.to_owned() };
        layers.push(json!({ "mediaType": kind, "size": size, "digest": digest }));
        blobs.push(Blob { path: file.to_path_buf(), offset, size, digest });
    }
    let (offset, size) = find(&saved.config)?;
    let digest = format!("sha256:{}", sha256(&config));
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "size": size, "digest": digest }, "layers": layers,
    });
    blobs.push(Blob { path: file.to_path_buf(), offset, size, digest });
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);
    try_join_all(blobs.iter().map(|blob| registry.push_blob(repository, blob))).await?;
    registry.push_manifest(repository, tag, MANIFEST, manifest.to_string().into_bytes()).await
}

/// Where each file of a tar archive begins, and how long it is. A link is what it leads to.
fn parts(path: &Path) -> Result<BTreeMap<String, (u64, u64)>> {
    let fail = |error: std::io::Error| files::failed("read", path, &error);
    let mut archive = tar::Archive::new(files::reader(path)?);
    let (mut parts, mut links) = (BTreeMap::new(), Vec::new());
    for entry in archive.entries_with_seek().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.path().map_err(fail)?.to_string_lossy().into_owned();
        match entry.link_name().map_err(fail)? {
            Some(target) => links.push((name, target.to_string_lossy().into_owned())),
            None => drop(parts.insert(name, (entry.raw_file_position(), entry.size()))),
        }
    }
    for (name, target) in links {
        // The engine writes `../LAYER/layer.tar`.
        if let Some(part) = parts.get(target.trim_start_matches("../")).copied() {
            parts.insert(name, part);
        }
    }
    Ok(parts)
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::new(format!("the image cannot be understood: {error}")))
}

/// Pushes all images of an OCI layout (OCI image specification 1.1, "Image Layout"); gives their repositories and tags.
async fn push_layout(registry: &Registry, folder: &Path) -> Result<Vec<(String, String)>> {
    let within = |error: Error| error.within(format!("`--seed-dir {}`", folder.display()));
    let index: Json = parse(&bytes(&folder.join("index.json"))?).map_err(within)?;
    let descriptors: Vec<Descriptor> =
        serde_json::from_value(index["manifests"].clone()).map_err(|error| within(Error::new(error.to_string())))?;
    let stem = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let mut pushed = Vec::new();
    for descriptor in descriptors {
        let name = descriptor.annotations.get(NAME).map_or("latest", String::as_str);
        let named = if name.contains([':', '/']) { name.to_owned() } else { format!("{stem}:{name}") };
        let (repository, tag) = target(&named).map_err(within)?;
        push_tree(registry, folder, &repository, &tag, &descriptor).await.map_err(within)?;
        pushed.push((repository, tag));
    }
    Ok(pushed)
}

fn blob(folder: &Path, digest: &str) -> Result<Blob> {
    let (algorithm, hash) = digest.split_once(':').unwrap_or(("", digest));
    if algorithm.contains(['/', '.']) || !hash.chars().all(|c| c.is_ascii_hexdigit()) {
        return Err(Error::new(format!("`{digest}` is no digest")));
    }
    let path = folder.join("blobs").join(algorithm).join(hash);
    let size = files::size(&path)?;
    Ok(Blob { path, offset: 0, size, digest: digest.to_owned() })
}

fn bytes(path: &Path) -> Result<Vec<u8>> {
    files::read_through(path)?.ok_or_else(|| Error::new(format!("there is no `{}`", path.display())))
}

/// Pushes a manifest with its blobs, or an index with its manifests, the lowest first.
fn push_tree<'a>(
    registry: &'a Registry,
    folder: &'a Path,
    repository: &'a str,
    reference: &'a str,
    descriptor: &'a Descriptor,
) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
    Box::pin(async move {
        let own = bytes(&blob(folder, &descriptor.digest)?.path)?;
        let content: Json = parse(&own)?;
        let inner = |value: &Json| serde_json::from_value::<Descriptor>(value.clone());
        let fail = |error: serde_json::Error| Error::new(format!("a manifest cannot be understood: {error}"));
        for manifest in content["manifests"].as_array().into_iter().flatten() {
            let manifest = inner(manifest).map_err(fail)?;
            push_tree(registry, folder, repository, &manifest.digest, &manifest).await?;
        }
        let config = content.get("config").into_iter();
        let mut blobs: Vec<Blob> = Vec::new();
        for part in config.chain(content["layers"].as_array().into_iter().flatten()) {
            blobs.push(blob(folder, &inner(part).map_err(fail)?.digest)?);
        }
        try_join_all(blobs.iter().map(|blob| registry.push_blob(repository, blob))).await?;
        let kind = match descriptor.media_type.as_str() {
            "" if content.get("manifests").is_some() => INDEX,
            "" => MANIFEST,
            kind => kind,
        };
        registry.push_manifest(repository, reference, kind, own).await
    })
}
