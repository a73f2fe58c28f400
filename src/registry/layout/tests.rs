//! A layout that is written, read, damaged and written again.
#![expect(clippy::disallowed_methods, reason = "a test acts on the world")]

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::registry::client::{Descriptor, Parts, media};

/// Parts that were given, and an error at their end if there is one.
struct Given(Vec<&'static [u8]>, Option<&'static str>);

impl Parts for Given {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.0.is_empty() {
            return self.1.take().map_or(Ok(None), |why| Err(Error::new(why)));
        }
        Ok(Some(Bytes::from_static(self.0.remove(0))))
    }
}

async fn all(mut parts: impl Parts) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    while let Some(part) = parts.next().await? {
        content.extend_from_slice(&part);
    }
    Ok(content)
}

fn layer() -> Descriptor {
    Descriptor::new(media::LAYER, Digest::of(b"onetwo"), 6)
}

fn image(note: &str) -> Manifest {
    let text = serde_json::json!({ "schemaVersion": 2, "mediaType": media::MANIFEST, "layers": [layer()], "annotations": { "note": note } });
    Manifest::read(text.to_string().into_bytes(), "").unwrap()
}

fn target(folder: &Path) -> Layout {
    let layout = Layout::target(folder.to_str().unwrap()).unwrap();
    layout.begin().unwrap();
    layout
}

fn source(folder: &Path) -> Result<Layout> {
    Layout::source(folder.to_str().unwrap())
}

fn files_below(folder: &Path) -> Vec<String> {
    let paths = files::tree(folder).unwrap();
    paths.iter().map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn what_is_written_is_read_and_a_name_moves_to_another_image() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("images");
    let layout = target(&folder);
    layout.receive(&layer(), Given(vec![b"one", b"two"], None), &|_| {}).await.unwrap();
    layout.push_manifest("team/app", "1", &image("a")).unwrap();
    layout.push_manifest("", "latest", &image("a")).unwrap();
    layout.push_manifest("team/app", "1", &image("b")).unwrap();
    layout.finish().unwrap();
    let found = source(&folder).unwrap();
    assert_eq!(found.manifest("team/app", "1").unwrap().unwrap().digest, image("b").digest);
    assert_eq!(found.manifest("", "latest").unwrap().unwrap().bytes, image("a").bytes);
    assert_eq!(found.manifest("team/app", "2").unwrap().map(|found| found.digest), None);
    assert_eq!(all(found.blob(&layer())).await.unwrap(), b"onetwo");
    let images = found.with_repositories().unwrap().images().unwrap();
    let shown: Vec<String> = images.iter().map(|(name, tag)| format!("{name}:{tag}")).collect();
    assert_eq!(shown, ["images:latest", "team/app:1"]);
    assert_eq!(files::mode(&layout.path(&layer().digest)), Some(0o644));
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing_and_what_is_damaged_is_written_anew() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("images");
    let layout = target(&folder);
    let broken = layout.receive(&layer(), Given(vec![b"one"], Some("it broke off")), &|_| {}).await;
    assert_eq!(broken.unwrap_err().to_string(), "it broke off");
    assert_eq!(files_below(&folder), ["index.json", "oci-layout"]);
    assert_eq!(layout.has_blob(&layer().digest).await.unwrap(), None);
    layout.receive(&layer(), Given(vec![b"onetwo"], None), &|_| {}).await.unwrap();
    layout.push_manifest("", "1", &image("a")).unwrap();
    layout.finish().unwrap();
    drop(layout);

    let (blob, manifest) = {
        let found = source(&folder).unwrap();
        (found.path(&layer().digest), found.path(&image("a").digest))
    };
    for (content, told) in [("onetwO", "has another content under"), ("one", "shorter"), ("onetwothree", "longer")] {
        fs::write(&blob, content).unwrap();
        let found = source(&folder).unwrap();
        let error = all(found.blob(&layer())).await.unwrap_err();
        assert!(error.to_string().contains(told) && error.next_step().is_some(), "{error}");
    }
    fs::write(&manifest, "{}").unwrap();
    assert!(source(&folder).unwrap().manifest("", "1").unwrap_err().to_string().contains("another content"));
    let again = target(&folder);
    assert_eq!(again.has_blob(&layer().digest).await.unwrap(), None);
    assert!(again.manifest("", "1").unwrap().is_none());
    again.receive(&layer(), Given(vec![b"onetwo"], None), &|_| {}).await.unwrap();
    again.push_manifest("", "1", &image("a")).unwrap();
    assert_eq!(again.has_blob(&layer().digest).await.unwrap(), Some(6));
    assert_eq!(fs::read(&manifest).unwrap(), image("a").bytes);
    fs::remove_file(&manifest).unwrap();
    let error = source(&folder).unwrap().manifest("", "1").unwrap_err();
    assert!(error.to_string().contains("has no blob"), "{error}");
}

#[test]
fn a_folder_that_is_no_layout_is_refused_and_one_is_written_by_one_run_alone() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("images");
    assert!(source(&folder).err().unwrap().to_string().contains("there is no folder"));
    assert!(Layout::target(folder.to_str().unwrap()).is_ok() && !files::exists(&folder));
    fs::write(home.path().join("mine"), "").unwrap();
    for found in [source(home.path()), Layout::target(home.path().to_str().unwrap())] {
        let error = found.err().unwrap();
        assert!(error.to_string().contains("is no OCI layout") && error.next_step().is_some(), "{error}");
    }
    let first = target(&folder);
    let second = Layout::target(folder.to_str().unwrap()).unwrap();
    assert!(second.begin().unwrap_err().to_string().contains("another run writes"));
    drop(first);
    second.begin().unwrap();
    for wrong in ["", "{}", "[]", r#"{"manifests":[{"digest":"sha256:../../etc/passwd","size":1}]}"#] {
        fs::write(folder.join("index.json"), wrong).unwrap();
        let error = source(&folder).err().unwrap();
        assert!(error.to_string().contains("index.json") && error.next_step().is_some(), "{error}");
    }
}

#[test]
fn images_are_chosen_by_their_names_and_other_fields_stay() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("images");
    let layout = target(&folder);
    assert!(layout.only().unwrap_err().to_string().contains("has 0 images"));
    let entry = |digit: &str, name: Option<&str>| {
        let mut entry = serde_json::json!({ "mediaType": media::MANIFEST, "size": 2, "digest": format!("sha256:{}", digit.repeat(64)), "x": 1 });
        if let Some(name) = name {
            entry["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": name });
        }
        entry
    };
    let put = |entries: Vec<serde_json::Value>| {
        let index = serde_json::json!({ "schemaVersion": 2, "y": 2, "manifests": entries });
        fs::write(folder.join("index.json"), index.to_string()).unwrap();
        source(&folder).unwrap()
    };
    let place = |name: &str, tag: &str| (name.to_owned(), tag.to_owned());
    assert_eq!(put(vec![entry("a", None)]).only().unwrap(), place("", "latest"));
    assert_eq!(put(vec![entry("a", Some("team/app:2"))]).only().unwrap(), place("team/app", "2"));
    let several = put(vec![entry("a", Some("1")), entry("b", Some("2"))]).only().unwrap_err();
    assert!(several.next_step().unwrap().contains("1, 2"), "{several}");
    assert!(
        put(vec![entry("a", Some("1")), entry("b", Some("1"))])
            .with_repositories()
            .is_err_and(|error| error.to_string().contains("two images"))
    );
    for (name, repository, tag) in
        [(None, "", "latest"), (Some("1"), "", "1"), (Some("a:1"), "a", "1"), (Some("a/b"), "a/b", "latest")]
    {
        let layout = put(vec![entry("a", name)]);
        assert_eq!(layout.only().unwrap(), place(repository, tag));
        assert!(layout.found(repository, tag).unwrap().is_some(), "{name:?}");
        let layout = layout.with_repositories().unwrap();
        let (repository, tag) = layout.images().unwrap().pop_first().unwrap();
        assert!(layout.found(&repository, &tag).unwrap().is_some(), "{name:?}");
        assert!(layout.found("c", "1").unwrap().is_none() && layout.found(&repository, "2").unwrap().is_none());
    }
    assert!(
        put(vec![entry("a", Some("A b:1"))])
            .with_repositories()
            .is_err_and(|error| error.to_string().contains("is no name"))
    );
    put(vec![entry("a", Some("1")), entry("b", Some("2"))]);
    layout.reload().unwrap();
    layout.push_manifest("", "2", &image("c")).unwrap();
    layout.finish().unwrap();
    let text = fs::read_to_string(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&index["y"], &index["manifests"][0]), (&serde_json::json!(2), &entry("a", Some("1"))));
    assert_eq!(index["manifests"][1]["digest"], image("c").digest.as_str());
}
