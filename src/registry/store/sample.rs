//! Stores made at random for tests, with a model of what is in them: [`Sample`].
#![expect(clippy::disallowed_methods, reason = "a test writes files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use super::{BELOW, Digest, Store, layout};
use crate::world::objects::Objects;

/// Numbers that are the same for the same seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A manifest of the model: what it needs, and what it is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    pub blobs: Vec<Digest>,
    pub children: Vec<Digest>,
    pub subject: Option<Digest>,
}

pub(crate) struct Sample {
    pub folder: tempfile::TempDir,
    pub dice: Dice,
    pub manifests: BTreeMap<Digest, Made>,
    /// What is linked: repository and manifest.
    pub revisions: BTreeSet<(String, Digest)>,
    pub tags: BTreeMap<(String, String), Digest>,
    pub garbage: BTreeSet<Digest>,
    count: usize,
}

impl Sample {
    /// A store with nothing in it.
    pub fn empty() -> Self {
        Self::with(0)
    }

    fn with(seed: u64) -> Self {
        // Thousands of small files: in memory, where that is a folder.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self {
            folder: folder.unwrap(),
            dice: Dice::new(seed),
            manifests: BTreeMap::new(),
            revisions: BTreeSet::new(),
            tags: BTreeMap::new(),
            garbage: BTreeSet::new(),
            count: 0,
        }
    }

    /// A store with some repositories, images of all kinds, and garbage.
    pub fn new(seed: u64) -> Self {
        let mut sample = Self::with(seed);
        for name in ["app", "app-x", "app/web", "team/a.b/c"].into_iter().take(1 + sample.dice.below(4)) {
            sample.repository(name);
        }
        for _ in 0..sample.dice.below(6) {
            let blob = sample.blob("garbage");
            sample.garbage.insert(blob);
            if sample.dice.chance(50) {
                sample.link(&layout::layer("app", &blob), &blob);
            }
        }
        sample
    }

    pub fn store(&self) -> Store {
        Store::new(Objects::folder(&self.path("")))
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(BELOW).join(path)
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn link(&self, path: &str, digest: &Digest) {
        self.write(path, digest.to_string().as_bytes());
    }

    fn blob(&mut self, kind: &str) -> Digest {
        self.count += 1;
        let content = format!("{kind} {} {}", self.count, self.dice.below(1 << 30));
        let digest = Digest::of(content.as_bytes());
        self.write(&digest.data(), content.as_bytes());
        digest
    }

    pub fn size(&self, digest: &Digest) -> u64 {
        std::fs::metadata(self.path(&digest.data())).unwrap().len()
    }

    fn manifest(&mut self, repository: &str, content: &Json, made: Made) -> Digest {
        let content = content.to_string();
        let digest = Digest::of(content.as_bytes());
        self.write(&digest.data(), content.as_bytes());
        self.link(&layout::revision(repository, &digest), &digest);
        self.manifests.insert(digest, made);
        self.revisions.insert((repository.to_owned(), digest));
        digest
    }

    pub fn image(&mut self, repository: &str, subject: Option<Digest>) -> Digest {
        let mut blobs = Vec::new();
        for _ in 0..=1 + self.dice.below(3) {
            // A layer that another image has as well, from any repository.
            let known: Vec<Digest> = self.manifests.values().flat_map(|made| made.blobs.clone()).collect();
            let blob =
                if !known.is_empty() && self.dice.chance(40) { *self.dice.pick(&known) } else { self.blob("layer") };
            self.link(&layout::layer(repository, &blob), &blob);
            blobs.push(blob);
        }
        let described: Vec<Json> = blobs
            .iter()
            .map(|blob| json!({ "mediaType": "m", "digest": blob.to_string(), "size": self.size(blob) }))
            .collect();
        let foreign = json!({ "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 9,
            "digest": Digest::of(b"elsewhere").to_string(), "urls": ["https://elsewhere.test/layer"] });
        let mut layers = described[1..].to_vec();
        if self.dice.chance(20) {
            layers.push(foreign);
        }
        self.count += 1;
        let mut content = json!({ "schemaVersion": 2, "config": described[0], "layers": layers, "count": self.count });
        if let Some(subject) = subject {
            content["subject"] = json!({ "digest": subject.to_string(), "size": 1 });
        }
        self.manifest(repository, &content, Made { blobs, children: Vec::new(), subject })
    }

    fn index(&mut self, repository: &str, children: Vec<Digest>) -> Digest {
        let described: Vec<Json> =
            children.iter().map(|child| json!({ "digest": child.to_string(), "size": 1 })).collect();
        self.count += 1;
        let content = json!({ "schemaVersion": 2, "manifests": described, "count": self.count });
        self.manifest(repository, &content, Made { children, ..Made::default() })
    }

    /// Makes it so that a tag was pushed at a time, in nanoseconds since 1970.
    pub fn date(&self, repository: &str, tag: &str, time: i64) {
        let file = std::fs::File::options().write(true).open(self.path(&layout::current(repository, tag))).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(time.try_into().unwrap())).unwrap();
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.path(path)).unwrap();
    }

    pub fn tag(&mut self, repository: &str, tag: &str, digest: Digest) {
        self.link(&layout::current(repository, tag), &digest);
        self.link(&layout::index(repository, tag, &digest), &digest);
        self.tags.insert((repository.to_owned(), tag.to_owned()), digest);
    }

    fn repository(&mut self, name: &str) {
        for number in 0..=self.dice.below(5) {
            let image = if self.dice.chance(30) {
                let children = (0..=self.dice.below(2)).map(|_| self.image(name, None)).collect();
                self.index(name, children)
            } else {
                self.image(name, None)
            };
            if self.dice.chance(80) {
                self.tag(name, &format!("v{number}"), image);
                if self.dice.chance(30) {
                    let moved = self.image(name, None);
                    self.tag(name, &format!("v{number}"), moved);
                }
            }
            if self.dice.chance(30) {
                let signature = self.image(name, Some(image));
                if self.dice.chance(50) {
                    let index = self.index(name, vec![signature]);
                    self.tag(name, &format!("sha256-{}", image.hex()), index);
                }
            }
            if self.dice.chance(20) {
                self.deleted(name);
            }
        }
        if self.dice.chance(30) {
            self.write(&format!("repositories/{name}/_uploads/u1/data"), b"half a layer");
        }
    }

    /// An image that was deleted by its digest: its link is gone, and nothing else.
    fn deleted(&mut self, repository: &str) {
        let image = self.image(repository, None);
        self.revisions.remove(&(repository.to_owned(), image));
        std::fs::remove_file(self.path(&layout::revision(repository, &image))).unwrap();
        let made = self.manifests.remove(&image).unwrap();
        let blobs = made.blobs.into_iter().chain([image]);
        self.garbage.extend(blobs);
    }

    /// All that some manifests need, themselves too, found by asking again and again until nothing is new.
    pub fn reach(&self, from: impl IntoIterator<Item = Digest>) -> BTreeSet<Digest> {
        let mut reached: BTreeSet<Digest> = from.into_iter().collect();
        loop {
            let more: BTreeSet<Digest> = reached
                .iter()
                .filter_map(|digest| self.manifests.get(digest))
                .flat_map(|made| made.blobs.iter().chain(&made.children).copied())
                .collect();
            let before = reached.len();
            reached.extend(more);
            if reached.len() == before {
                return reached;
            }
        }
    }

    /// Every file of the store.
    pub fn files(&self) -> Vec<String> {
        let mut walk = self.store().objects.walk("");
        let mut files = Vec::new();
        while let Some(entry) = walk.next().unwrap() {
            files.push(entry.path);
        }
        files
    }
}
